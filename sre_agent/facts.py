"""What the guards may look at: read from cluster and store once, right before a write, and again after a conflict.

Called by the executor. A fact that could not be read is None, and the guard that needs it says no.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain

from sre_agent.alert import Alert
from sre_agent.cluster.port import Clock, Cluster, Unavailable
from sre_agent.evidence import Evidence, read_node, read_workload
from sre_agent.run import Mode, StepRecord
from sre_agent.runbook import Runbook, Step
from sre_agent.settings import Settings
from sre_agent.store import PastAction, Store
from sre_agent.target import Target
from sre_agent.tools.types import RemediationTool, ToolContext

Past = Mapping[str, Sequence[PastAction]]
"""What had been done before a stored run that is played again, by target key; of another target nothing is known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """Everything a guard may use to judge one change.

    `now` is when all had been read; the evidence says when its reading began. `mode` is the mode that was asked for,
    before any policy. `past_actions` are this scope's actions on the same object, newest first, cut-off and unknown
    ones included. `earlier` are the records of this run's steps so far.
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


async def gather(
    context: ToolContext,
    *,
    step: Step,
    tool: RemediationTool,
    mode: Mode,
    scope: str,
    cluster: Cluster,
    store: Store,
    clock: Clock,
    past: Past | None = None,
) -> Facts:
    """Reads once everything that the tool and the guards judge; `past` is what counts beside the scope's own actions.

    Raises ClusterError, or Unreachable where the store is away.
    """
    read = read_node if context.target.kind == "Node" else read_workload
    evidence = await read(cluster, context.target, context.now, looks=tool.looks(context.alert))
    past_actions = await _past_actions(context, scope, store, past)
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
    )


async def _past_actions(context: ToolContext, scope: str, store: Store, past: Past | None) -> tuple[PastAction, ...]:
    """What was done to the target, newest first. Raises Unavailable where a stored run's past does not say."""
    key = context.target.key
    if past is not None and key not in past:
        raise Unavailable(f"the evidence that was kept does not say what had been done to {key}")
    found = await store.past_actions(
        scope=scope,
        cluster=context.settings.cluster,
        target_key=key,
        since=context.now - _longest_pause(context.settings),
    )
    known = chain(found, past[key] if past is not None else ())
    return tuple(sorted(known, key=lambda action: (action.intended_at, action.id), reverse=True))


def _longest_pause(settings: Settings) -> timedelta:
    """How far back some guard looks."""
    return max(settings.cooldown, settings.action_window, settings.near_limit_pause, settings.opposite_pause)
