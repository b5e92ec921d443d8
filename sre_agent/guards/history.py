"""Guard 6: what this agent already did to the same object. Doing it again is not a new idea.

Unknown and cut-off actions count as done; failed ones changed nothing and do not count.
"""

from collections.abc import Iterator
from datetime import timedelta

from sre_agent.facts import Facts
from sre_agent.run import Change, Judgement, Outcome, StepStatus, refusal
from sre_agent.store import PastAction
from sre_agent.times import duration_text, moment_text

OPPOSITES = {
    "cordon_node": ("uncordon_node",),
    "drain_node": ("uncordon_node",),
    "uncordon_node": ("cordon_node", "drain_node"),
}
PAIRED = {("cordon_node", "drain_node")}


def one_change_a_run(facts: Facts, change: Change) -> Judgement | None:
    """At most one change a run; cordon and drain are one. A change that did not happen stops the drain too."""
    for record in facts.earlier:
        if record.change is None or record.status in {StepStatus.SKIPPED, StepStatus.REFUSED}:
            continue
        if (record.change.tool, change.tool) in PAIRED and record.status is not StepStatus.FAILED:
            continue
        return refusal(
            "one-change-a-run",
            f"this run already has a change ({record.change.action}); its effect is to be seen first",
            "another run, when the symptom is still there afterwards",
            settled=True,
        )
    return None


def cooldown(facts: Facts, change: Change) -> Judgement | None:
    """SRE_AGENT_COOLDOWN between two of the same action on the same object."""
    pause = facts.settings.cooldown
    last = next(_same(facts, change, pause), None)
    if last is None:
        return None
    return refusal(
        "cooldown",
        f"{last.action} was done {moment_text(last.intended_at)} (incident {last.incident_id}), "
        f"less than {duration_text(pause)} ago",
        f"waiting until {moment_text(last.intended_at + pause)}",
        retry_at=last.intended_at + pause,
    )


def daily_cap(facts: Facts, change: Change) -> Judgement | None:
    """At most SRE_AGENT_ACTIONS_PER_DAY of the same action on the same object in SRE_AGENT_ACTION_WINDOW."""
    window, cap = facts.settings.action_window, facts.settings.actions_per_day
    within = list(_same(facts, change, window))
    if len(within) < cap:
        return None
    free_at = within[cap - 1].intended_at + window
    return refusal(
        "daily-cap",
        f"{change.tool} was done {len(within)} times to this object within {duration_text(window)}; {cap} are allowed",
        f"a person looking for the cause, or waiting until {moment_text(free_at)}",
        retry_at=free_at,
    )


def near_limit_pause(facts: Facts, change: Change) -> Judgement | None:
    """Near-limit without a kill raises a workload's limit once in SRE_AGENT_NEAR_LIMIT_PAUSE."""
    if not change.near_limit:
        return None
    pause = facts.settings.near_limit_pause
    last = next((action for action in _same(facts, change, pause) if action.near_limit), None)
    if last is None:
        return None
    return refusal(
        "near-limit-pause",
        f"the limit was raised for a near-limit alert {moment_text(last.intended_at)}, "
        f"less than {duration_text(pause)} ago",
        f"a real OOM kill, or waiting until {moment_text(last.intended_at + pause)}",
        retry_at=last.intended_at + pause,
    )


def opposite(facts: Facts, change: Change) -> Judgement | None:
    """Doing and undoing in turn is a quarrel: within SRE_AGENT_OPPOSITE_PAUSE a person decides."""
    pause = facts.settings.opposite_pause
    for action in _counted(facts, pause):
        if action.tool in OPPOSITES.get(change.tool, ()):
            return refusal(
                "opposite",
                f"{action.action}, the opposite, was done {moment_text(action.intended_at)}, "
                f"less than {duration_text(pause)} ago",
                "a person, who decides which of the two is right",
            )
    return None


def _same(facts: Facts, change: Change, window: timedelta) -> Iterator[PastAction]:
    return (action for action in _counted(facts, window) if action.tool == change.tool)


def _counted(facts: Facts, window: timedelta) -> Iterator[PastAction]:
    """Past actions younger than the window that changed the object, or may have; newest first."""
    for action in facts.past_actions:
        if action.status != Outcome.FAILED and facts.now - action.intended_at < window:
            yield action
