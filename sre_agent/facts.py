"""What the guards may look at: read from cluster and store once, right before a write, and again after a conflict.

Called by `remediation`. A fact that could not be read is None, or says so, and the guard that needs it says no.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain
from uuid import UUID

from sre_agent.alert import Alert
from sre_agent.alert.standing import Standing
from sre_agent.cluster.port import Clock, Cluster, Unavailable
from sre_agent.evidence import Evidence, NodeEvidence, read_node, read_nodes, read_workload
from sre_agent.objects import Object
from sre_agent.run import Mode, StepRecord
from sre_agent.runbook import Runbook, Step
from sre_agent.settings import Settings
from sre_agent.stop_switch import StopSwitch, read_switch
from sre_agent.store import BrakeState, Limits, PastAction, Store
from sre_agent.store.connection import NotPermitted
from sre_agent.target import Target
from sre_agent.tools.types import RemediationTool, ToolContext

Past = Mapping[str, Sequence[PastAction]]
"""What had been done before a stored run that is played again, by target key; of another target nothing is known."""

PastBrakes = Callable[[str], BrakeState]
"""What brakes rested on when a stored run judged a change of a target, by its key; each call gives the next one."""

WRITES_WINDOW = timedelta(minutes=10)
"""The window of SRE_AGENT_WRITES_PER_10M."""
OPEN_MARGIN = timedelta(minutes=10)
"""How much longer than a drain may take an intent without an outcome counts as being under way."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """Everything a guard may use to judge one change.

    `now` is when all had been read; the evidence says when its reading began. `mode` is the mode that was asked for,
    before any policy. `past_actions` are this scope's actions on the same object, newest first, unknown ones included,
    and those that were cut off but for this run's own: it looks them up and goes on. `nodes` are all nodes of the
    cluster. `earlier` are the records of this run's steps so far. `standing` is None where Alertmanager is not asked.
    """

    now: datetime
    settings: Settings
    mode: Mode
    alert: Alert
    runbook: Runbook
    step: Step
    target: Target
    evidence: Evidence
    past_actions: tuple[PastAction, ...]
    earlier: tuple[StepRecord, ...]
    brakes: BrakeState | None
    nodes: tuple[Object, ...] | None
    switch: StopSwitch
    standing: Standing | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Ground:
    """What facts are gathered for: a run of a scope, and the runbooks that may change something.

    `past` is what counts beside the scope's own actions, `brakes` what counts instead of its brakes; `standing` is how
    a stored run's alert stood, which is not asked again.
    """

    run_id: UUID
    scope: str
    actionable: tuple[str, ...] = ()
    past: Past | None = None
    brakes: PastBrakes | None = None
    standing: Standing | None = None


async def gather(
    context: ToolContext,
    *,
    step: Step,
    tool: RemediationTool,
    mode: Mode,
    ground: Ground,
    cluster: Cluster,
    store: Store,
    clock: Clock,
) -> Facts:
    """Reads once everything that the tool and the guards judge, what stops the agent last.

    Raises ClusterError, or Unreachable where the store is away.
    """
    read = read_node if context.target.kind == "Node" else read_workload
    evidence = await read(cluster, context.target, context.now, looks=tool.looks(context.alert))
    nodes = evidence.nodes if isinstance(evidence, NodeEvidence) else await read_nodes(cluster)
    past_actions = await _past_actions(context, ground, store)
    brakes = await _brakes(context, ground, cluster, store)
    switch, asked = await asyncio.gather(
        read_switch(cluster, context.settings.agent_namespace), _standing(context, cluster)
    )
    return Facts(
        now=clock(),
        settings=context.settings,
        mode=mode,
        alert=context.alert,
        runbook=context.runbook,
        step=step,
        target=context.target,
        evidence=evidence,
        past_actions=past_actions,
        earlier=context.earlier,
        brakes=brakes,
        nodes=nodes,
        switch=switch,
        standing=asked or ground.standing,
    )


async def _standing(context: ToolContext, cluster: Cluster) -> Standing | None:
    """How the alert stands in Alertmanager; a recording is about another time than today's."""
    if cluster.recorded or context.settings.alertmanager_url is None:
        return None
    from sre_agent.alertmanager import ask  # an HTTP client, which no recording needs

    return await ask(context.alert, context.settings)


async def gather_again(facts: Facts, context: ToolContext, *, ground: Ground, cluster: Cluster, store: Store) -> Facts:
    """The same facts with what others have done since. Raises Unreachable where the store is away."""
    return replace(
        facts,
        past_actions=await _past_actions(context, ground, store),
        brakes=await _brakes(context, ground, cluster, store),
    )


def limits(settings: Settings, actionable: Sequence[str]) -> Limits:
    """The settings that brakes go by, as the store asks for them."""
    return Limits(
        cooldown=settings.cooldown,
        action_window=settings.action_window,
        actions_per_day=settings.actions_per_day,
        writes=settings.writes_per_10m,
        writes_window=WRITES_WINDOW,
        drain_pause=settings.drain_pause,
        storm=settings.storm,
        storm_window=settings.storm_window,
        actionable=tuple(actionable),
        open_for=settings.drain_timeout + OPEN_MARGIN,
    )


async def _brakes(context: ToolContext, ground: Ground, cluster: Cluster, store: Store) -> BrakeState | None:
    """What the brakes rest on, None where the database does not let us look."""
    if ground.brakes is not None:
        return ground.brakes(context.target.key)
    settings, traffic = context.settings, cluster.traffic
    try:
        if traffic is not None:
            await store.brakes.report_traffic(traffic, cluster=settings.cluster, now=context.now)
        state = await store.brakes.state(
            scope=ground.scope,
            cluster=settings.cluster,
            limits=limits(settings, ground.actionable),
            now=context.now,
        )
    except NotPermitted:
        return None
    return state.apart_from(ground.run_id, context.target.key)


async def _past_actions(context: ToolContext, ground: Ground, store: Store) -> tuple[PastAction, ...]:
    """What was done to the target, newest first. Raises Unavailable where a stored run's past does not say."""
    key, past = context.target.key, ground.past
    if past is not None and key not in past:
        raise Unavailable(f"the evidence that was kept does not say what had been done to {key}")
    found = await store.past_actions(
        scope=ground.scope,
        cluster=context.settings.cluster,
        target_key=key,
        since=context.now - _longest_pause(context.settings),
    )
    others = (action for action in found if not (action.finished_at is None and action.run_id == ground.run_id))
    known = chain(others, past[key] if past is not None else ())
    return tuple(sorted(known, key=lambda action: (action.intended_at, action.id), reverse=True))


def _longest_pause(settings: Settings) -> timedelta:
    """How far back some guard looks."""
    return max(settings.cooldown, settings.action_window, settings.near_limit_pause, settings.opposite_pause)
