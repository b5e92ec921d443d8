"""The ordered list of guards: pure functions over `Facts` that say what speaks against a change.

Called by `remediation` right before a write. Every guard is asked and every reason is kept; the worst verdict wins;
a guard that crashes is a REFUSE. Each guard knows one rule, and its reason says what would allow the change.
"""

from collections.abc import Callable, Iterable

from sre_agent.facts import Facts
from sre_agent.guards import bounds, brakes, freshness, health, history, ownership, policy, stop
from sre_agent.run import Change, Judgement, Verdict

Guard = Callable[[Facts, Change], Judgement | None]

GUARDS: tuple[Guard, ...] = (
    # 1 mode and policy
    policy.mode,
    policy.namespace_mode,
    policy.step_mode,
    policy.approval,
    # 2 stop
    stop.kill_switch,
    stop.stop_switch,
    stop.cluster_name,
    stop.denied_namespace,
    stop.allowed_namespace,
    stop.ignored,
    stop.paused,
    stop.terminating,
    stop.resolved,
    stop.standing,
    stop.old_alert,
    # 3 ownership
    ownership.reconciler,
    ownership.helm,
    ownership.horizontal_autoscaler,
    ownership.vertical_autoscaler,
    # 4 fresh
    freshness.evidence_age,
    freshness.same_target,
    freshness.settled_template,
    # 5 bounds
    bounds.image,
    bounds.memory,
    # 6 history
    history.one_change_a_run,
    history.cooldown,
    history.daily_cap,
    history.near_limit_pause,
    history.opposite,
    # 7 brakes over all processes
    brakes.known,
    brakes.pause,
    brakes.storm,
    brakes.nodes_not_ready,
    brakes.api_errors,
    brakes.writes,
    brakes.target_busy,
    brakes.namespace_busy,
    brakes.one_drain,
    brakes.drain_pause,
    # 8 health floor
    health.ready_nodes,
    health.small_cluster,
    health.last_ready_replica,
    health.rollout_keeps_a_replica,
)


def judge(facts: Facts, change: Change, guards: Iterable[Guard] = GUARDS) -> tuple[Judgement, ...]:
    """Every judgement that some guard has to make, in the guards' order."""
    found = (_ask(guard, facts, change) for guard in guards)
    return tuple(judgement for judgement in found if judgement is not None)


def _ask(guard: Guard, facts: Facts, change: Change) -> Judgement | None:
    try:
        return guard(facts, change)
    except Exception as error:  # noqa: BLE001 - a crashed guard means no
        return Judgement(
            rule=guard.__name__.replace("_", "-"),
            verdict=Verdict.REFUSE,
            reason=f"the guard crashed: {type(error).__name__}: {error}",
            allowed_by="a report of this with the recording; nothing is done while a guard cannot judge",
        )
