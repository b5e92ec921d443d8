"""The patterns that a history can show: each a small named rule over counted facts, with its threshold beside it.

Called by the composer. A rule says a sentence only if every word of it is in the facts, with the events that prove
it; what follows from it is a hypothesis and an advice, and is said as such. To add one, write the rule and put it
into RULES, most telling first.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sre_agent.analysis.facts import CaseFacts
from sre_agent.analysis.texts import WEEKDAYS, counted, moment, quote, reference, span
from sre_agent.quantity import bytes_of
from sre_agent.store.history_rows import FoundLimit, Raise
from sre_agent.times import duration_text


@dataclass(frozen=True, kw_only=True, slots=True)
class Pattern:
    """One thing that the history shows: the facts in a sentence, what they suggest, and what to do about it."""

    name: str
    sentence: str
    hypothesis: str
    advice: tuple[str, ...]


LIMIT_RAISES = 3
"""A limit that was raised this often, each time from where the last raise had left it, is not just too small."""

LEAK = "A need that grows past every new limit points to a leak, rather than to a limit that is too small."
AGAINST_A_LEAK = (
    "Profile the application for a memory leak: heap dumps, allocation profiles.",
    "Review recent code changes for caches, buffers and connections that grow without bound.",
    "Alert on memory usage well below the limit, to see the growth before the kill.",
    "If the application keeps no state, a periodic restart may relieve until the cause is found.",
)


def rising_limit(case: CaseFacts) -> Pattern | None:
    """The memory limit is raised again and again: a leak."""
    chain = rising_chain(case.past.raises)
    if len(chain) < LIMIT_RAISES:
        return None
    first, *others = chain
    steps = [f"{quote(_before(first))} → {quote(first.value)}{reference(first.event_id)}"]
    steps += [f"{quote(step.value)}{reference(step.event_id)}" for step in others]
    return Pattern(
        name="rising_limit",
        sentence=f"The memory limit was raised {counted(len(chain), 'time')}: {' → '.join(steps)}.",
        hypothesis=LEAK,
        advice=AGAINST_A_LEAK,
    )


def rising_need(case: CaseFacts) -> Pattern | None:
    """The same where somebody else raised the limit: each run found a higher one than the run before."""
    rising = rising_found(case.past.limits)
    if len(rising) <= LIMIT_RAISES or rising_limit(case) is not None:
        return None
    steps = [f"{quote(limit.value)}{reference(limit.event_id)}" for limit in rising]
    return Pattern(
        name="rising_need",
        sentence=f"The memory limit was found ever higher: {' → '.join(steps)}.",
        hypothesis=LEAK,
        advice=AGAINST_A_LEAK,
    )


def rising_found(limits: tuple[FoundLimit, ...]) -> list[FoundLimit]:
    """The newest limits that were each found higher than the one before, each value once."""
    rising: list[FoundLimit] = []
    for limit in limits:
        last = bytes_of(rising[-1].value) if rising else 0
        if bytes_of(limit.value) < last:
            rising = []
        if bytes_of(limit.value) != last:
            rising.append(limit)
    return rising


def rising_chain(raises: tuple[Raise, ...]) -> tuple[Raise, ...]:
    """The newest raises of one container that each began where the one before had ended."""
    start = len(raises) - 1
    while (
        start > 0
        and _field(raises[start - 1]) == _field(raises[start])
        and (raises[start - 1].value == _before(raises[start]))
    ):
        start -= 1
    return raises[max(start, 0) :]


def _field(step: Raise) -> str:
    return step.action.rpartition(":")[0]


def _before(step: Raise) -> str:
    return step.action.rpartition(":")[2].partition("→")[0]


UNDONE = 1
"""One value of ours that is gone is worth telling: the next one will be gone, too."""


def undone(case: CaseFacts) -> Pattern | None:
    """What the agent set is not there any more: somebody, or something, changed it."""
    found = case.past.undone
    if found is None or found.times < UNDONE:
        return None
    return Pattern(
        name="undone",
        sentence=(
            f"The agent did {quote(found.action)}{reference(found.event_id)}, but {quote(found.found_value)} was found "
            f"at {moment(found.found_at)}{reference(found.found_event_id)}; "
            f"such a value was replaced {counted(found.times, 'time')}."
        ),
        hypothesis="Somebody or something sets the value again: a GitOps reconciler, a deploy, an operator, a person.",
        advice=("Make the change where the value comes from: the Git repository, the chart, the operator's resource.",),
    )


ACTIONS_WITHOUT_HELP = 2
"""Once may be bad luck."""


def never_helped(case: CaseFacts) -> Pattern | None:
    """The alert came back after each use of a tool, within the recurrence window."""
    useless = [entry for entry in case.past.tried if entry.times >= ACTIONS_WITHOUT_HELP]
    useless = [entry for entry in useless if entry.recurred == entry.times]
    if not useless:
        return None
    window = duration_text(case.past.windows.recurrence)
    said = [
        f"{quote(entry.tool)} was tried {counted(entry.times, 'time')}"
        f"{reference(entry.first_event_id, entry.last_event_id)}"
        for entry in useless
    ]
    return Pattern(
        name="never_helped",
        sentence=f"{', '.join(said)}, and the alert came back within {window} each time.",
        hypothesis="What was done does not touch the cause.",
        advice=("Do not repeat what did not help: find the cause by hand, or let the step only recommend.",),
    )


DEPLOYS = 2
"""Two occurrences, each after a deploy: all of those whose last change is known."""


def deploy_before(case: CaseFacts) -> Pattern | None:
    """Each occurrence began shortly after somebody changed the pod template."""
    deploys = case.past.deploys
    if deploys.times < DEPLOYS or deploys.times < deploys.known:
        return None
    newest = deploys.newest[0]
    proofs = reference(*(deploy.event_id for deploy in deploys.newest))
    return Pattern(
        name="deploy_before",
        sentence=(
            f"{deploys.times} of {counted(deploys.known, 'occurrence')} with a known deploy began within "
            f"{duration_text(case.past.windows.deploy)} of it, the newest deploy being at "
            f"{moment(newest.changed_at)}{proofs}."
        ),
        hypothesis="A deploy brings the problem: look at what changed in it.",
        advice=(
            "Compare the newest revision with the one before, and roll back if the symptom began with it.",
            "Let the pipeline wait for readiness and watch this alert for a while after each deploy.",
        ),
    )


WORKLOADS_ON_NODE = 3


def several_on_node(case: CaseFacts) -> Pattern | None:
    """Several workloads have incidents on one node at about the same time: the node, not the workloads."""
    past, node = case.past, case.incident.node
    if node is None or past.neighbour_workloads < WORKLOADS_ON_NODE:
        return None
    named = ", ".join(
        f"{quote(f'{entry.namespace}/{entry.workload}')}{reference(entry.event_id)}" for entry in past.neighbours
    )
    more = "" if past.neighbour_workloads == len(past.neighbours) else ", and others"
    return Pattern(
        name="several_on_node",
        sentence=(
            f"{counted(past.neighbour_workloads, 'workload')} had incidents on node {quote(node)} within "
            f"{duration_text(past.windows.neighbours)} of this one: {named}{more}."
        ),
        hypothesis="Several workloads at once point to their node, rather than to each of them.",
        advice=(f"Look at node {quote(node)} first: its conditions, its kubelet, its memory, disk and network.",),
    )


SAME_NODE = 3
SAME_NODE_SHARE = 0.8


def same_node(case: CaseFacts) -> Pattern | None:
    """The occurrences are on one node again and again. A node that flaps is told so, which says more."""
    tally = case.past.node
    if case.noun == "node" and flapping(case) is not None:
        return None
    if tally is None or tally.times < SAME_NODE or tally.times < SAME_NODE_SHARE * tally.known:
        return None
    return Pattern(
        name="same_node",
        sentence=(
            f"{tally.times} of {counted(tally.known, 'occurrence')} with a known node were on node "
            f"{quote(tally.node)}{reference(tally.first_event_id, tally.last_event_id)}."
        ),
        hypothesis="The same node again and again points to the node itself, or to what is done to it.",
        advice=(
            f"Check node {quote(tally.node)}: hardware, disk, kubelet and kernel logs, and who or what changes it; "
            "replace it if in doubt.",
        ),
    )


FLAPS = 4
"""So many incidents within the flapping window: each of them had ended before the next began."""


def flapping(case: CaseFacts) -> Pattern | None:
    """The alert comes and goes."""
    recent = case.past.recent
    if recent is None or recent.times < FLAPS:
        return None
    return Pattern(
        name="flapping",
        sentence=(
            f"The alert flapped: it came {counted(recent.times, 'time')} within "
            f"{duration_text(case.past.windows.flapping)}, the first of them at {moment(recent.first_at)}"
            f"{reference(recent.event_id)}."
        ),
        hypothesis="A state that changes by itself so often lies near a threshold, or a probe or a link is unsteady.",
        advice=("Look for what alternates: heartbeats, probes, network, load; a longer wait in the rule hides it.",),
    )


SAME_HOURS, SAME_HOURS_SHARE, SAME_HOURS_DAYS = 5, 0.8, 4


def time_of_day(case: CaseFacts) -> Pattern | None:
    """Most occurrences begin in the same two hours, on several days."""
    tally, total = case.past.hours, case.past.occurrences
    if tally is None or tally.times < SAME_HOURS or tally.days < SAME_HOURS_DAYS:
        return None
    if tally.times < SAME_HOURS_SHARE * total:
        return None
    return Pattern(
        name="time_of_day",
        sentence=(
            f"{tally.times} of {counted(total, 'occurrence')} began between {tally.hour:02}:00 and "
            f"{(tally.hour + 2) % 24:02}:00 UTC, on {counted(tally.days, 'day')}{reference(tally.event_id)}."
        ),
        hypothesis="A time of day points to something scheduled, or to the daily load.",
        advice=("Look for what runs at that time: CronJobs, backups, batch imports, a daily peak of traffic.",),
    )


SAME_WEEKDAY, SAME_WEEKDAY_SHARE, SAME_WEEKDAY_WEEKS = 4, 0.8, 3


def day_of_week(case: CaseFacts) -> Pattern | None:
    """Most occurrences begin on the same day of the week, in several weeks."""
    tally, total = case.past.weekday, case.past.occurrences
    if tally is None or tally.times < SAME_WEEKDAY or tally.weeks < SAME_WEEKDAY_WEEKS:
        return None
    if tally.times < SAME_WEEKDAY_SHARE * total:
        return None
    return Pattern(
        name="day_of_week",
        sentence=(
            f"{tally.times} of {counted(total, 'occurrence')} began on a {WEEKDAYS[tally.weekday - 1]} (UTC), in "
            f"{counted(tally.weeks, 'week')}{reference(tally.event_id)}."
        ),
        hypothesis="A day of the week points to something scheduled, or to the weekly load.",
        advice=("Look for what happens on that day: weekly jobs, reports, releases, maintenance.",),
    )


UNHEEDED = 3


def unheeded(case: CaseFacts) -> Pattern | None:
    """A change was recommended again and again, and nothing was done by the agent."""
    found = case.past.recommended
    if found is None or found.times < UNHEEDED:
        return None
    return Pattern(
        name="unheeded",
        sentence=(
            f"The agent recommended a change {counted(found.times, 'time')} without making one, first at "
            f"{moment(found.first_at)}{reference(found.event_id)}."
        ),
        hypothesis="Whether somebody followed the recommendations is not known to the agent.",
        advice=("Decide on the recommendation: make the change, or let the agent make it where that is wanted.",),
    )


def first_ever(case: CaseFacts) -> Pattern | None:
    """Nothing like this is recorded before."""
    if case.past.occurrences != 1:
        return None
    return Pattern(
        name="first_ever",
        sentence=(
            f"This is the first recorded occurrence of {quote(case.incident.alertname)} on {case.noun} "
            f"{quote(case.subject)}{reference(case.past.first.event_id)}."
        ),
        hypothesis="",
        advice=(),
    )


Rule = Callable[[CaseFacts], Pattern | None]

RULES: tuple[Rule, ...] = (
    rising_limit,
    rising_need,
    undone,
    flapping,
    never_helped,
    deploy_before,
    several_on_node,
    same_node,
    time_of_day,
    day_of_week,
    unheeded,
    first_ever,
)


def patterns_of(case: CaseFacts) -> list[Pattern]:
    """What the history shows, most telling first."""
    return [pattern for rule in RULES if (pattern := rule(case)) is not None]


def count_sentence(case: CaseFacts) -> str:
    """How often the alert fired on its subject, since when and until when."""
    past = case.past
    return (
        f"{quote(case.incident.alertname)} fired {counted(past.occurrences, 'time')} on {case.noun} "
        f"{quote(case.subject)} in {span(past.last.at - past.first.at)}: first at {moment(past.first.at)}"
        f"{reference(past.first.event_id)}, last at {moment(past.last.at)}{reference(past.last.event_id)}."
    )
