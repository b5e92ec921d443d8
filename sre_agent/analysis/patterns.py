"""The patterns that a history can show: each a small named rule over counted facts, with its threshold beside it.

Called by the composer. A rule says a sentence only if every word of it is in the facts, with the events that prove
it; what follows from it is a hypothesis and an advice, and is said as such. To add one, write the rule and put it
into RULES, most telling first.
"""

from collections.abc import Callable
from datetime import timedelta

from sre_agent.analysis.facts import CaseFacts
from sre_agent.analysis.memory_patterns import rising_limit, rising_need
from sre_agent.analysis.pattern import Pattern
from sre_agent.analysis.texts import counted, moment, quote, reference, span
from sre_agent.analysis.time_patterns import day_of_week, flapping, time_of_day
from sre_agent.times import duration_text

UNDONE = 1
"""One value of ours that is gone is worth telling: the next one will be gone, too."""


def undone(case: CaseFacts) -> Pattern | None:
    """What had stood there before the agent's change is there again: somebody, or something, took the change back."""
    found = case.past.undone
    if found is None or found.times < UNDONE:
        return None
    proofs = reference(found.event_id, found.found_event_id)
    in_all = f" Changes were undone {counted(found.times, 'time')} in all{proofs}." if found.times > UNDONE else ""
    return Pattern(
        name="undone",
        sentence=(
            f"The agent did {quote(found.action, whole=True)}{reference(found.event_id)}, but "
            f"{quote(found.found_value, whole=True)}, which had stood there before, was found again at "
            f"{moment(found.found_at)}{reference(found.found_event_id)}.{in_all}"
        ),
        hypothesis="Somebody or something takes the change back: a GitOps reconciler, a deploy, an operator, a person.",
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
    uses = [
        f"{counted(entry.times, 'time')} after {quote(entry.tool)}"
        f"{reference(entry.first_event_id, entry.last_event_id)}"
        for entry in useless
    ]
    return Pattern(
        name="never_helped",
        sentence=f"The alert came back within {window} each time: {', '.join(uses)}.",
        hypothesis="What was done does not touch the cause.",
        advice=("Do not repeat what did not help: find the cause by hand, or let the step only recommend.",),
    )


DEPLOYS = 2
"""Two deploys, each with an occurrence after it: two pods that one deploy broke are no habit."""


def deploy_before(case: CaseFacts) -> Pattern | None:
    """Each occurrence whose last deploy is known began shortly after somebody changed the pod template."""
    deploys = case.past.deploys
    if deploys.changes < DEPLOYS or deploys.times < deploys.known:
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
"""So often the trouble began anew there: several pods at once are the node once."""
SAME_NODE_SHARE = 0.8


def same_node(case: CaseFacts) -> Pattern | None:
    """The occurrences are on one node again and again. A node that flaps is told so, which says more."""
    tally = case.past.node
    about_node = case.noun == "node"
    if tally is None or tally.anew < SAME_NODE or tally.times < SAME_NODE_SHARE * tally.known:
        return None
    if about_node and flapping(case) is not None:
        return None
    if about_node:  # all of its occurrences are there, so a share would say nothing
        said = f"It is the same node again and again: {quote(tally.node)}, {counted(tally.times, 'time')} so far"
    else:
        with_node = counted(tally.known, "occurrence")
        said = f"{tally.times} of {with_node} with a known node were on node {quote(tally.node)}"
    return Pattern(
        name="same_node",
        sentence=f"{said}{reference(tally.first_event_id, tally.last_event_id)}.",
        hypothesis="The same node again and again points to the node itself, or to what is done to it.",
        advice=(
            f"Check node {quote(tally.node)}: hardware, disk, kubelet and kernel logs, and who or what changes it; "
            "replace it if in doubt.",
        ),
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
            f"{moment(found.first_at)}{reference(found.event_id)}; whether somebody followed is not known."
        ),
        hypothesis="",
        advice=("Decide on the recommendation: make the change, or let the agent make it where that is wanted.",),
    )


def first_ever(case: CaseFacts) -> Pattern | None:
    """Nothing like this is recorded before."""
    if case.past.occurrences != 1:
        return None
    return Pattern(
        name="first_ever",
        sentence=(
            f"This is the first recorded occurrence of {quote(case.incident.alertname)} {case.place}"
            f"{reference(case.past.first.event_id)}."
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
    apart = past.last.at - past.first.at
    within = "within a minute" if apart < timedelta(minutes=1) else f"in {span(apart)}"
    return (
        f"{quote(case.incident.alertname)} fired {counted(past.occurrences, 'time')} {case.place} {within}: "
        f"first at {moment(past.first.at)}{reference(past.first.event_id)}, "
        f"last at {moment(past.last.at)}{reference(past.last.event_id)}."
    )
