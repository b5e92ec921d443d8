"""What the guards may look at: read from cluster and store once, right before a write, and again after a conflict.

Called by the executor. A fact that could not be read is None, and the guard that needs it says no.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sre_agent.alert import Alert
from sre_agent.cluster.port import Cluster
from sre_agent.evidence import Evidence, read_node, read_workload
from sre_agent.run import Mode, StepRecord
from sre_agent.runbook import Runbook, Step
from sre_agent.settings import Settings
from sre_agent.store import PastAction, Store
from sre_agent.target import Target

HISTORY_WINDOW = timedelta(days=8)
"""How far back past actions are read: the longest pause (7 days) and a day of margin."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """Everything a guard may use to judge one change.

    `mode` is the mode that was asked for, before any policy. `past_actions` are this scope's actions on the same
    object, newest first, cut-off and unknown ones included. `earlier` are the records of this run's steps so far.
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


async def read_evidence(cluster: Cluster, target: Target, now: datetime) -> Evidence:
    """Reads the objects around a target; raises ClusterError where the target itself cannot be read."""
    read = read_node if target.kind == "Node" else read_workload
    return await read(cluster, target, now)


async def gather(
    *,
    cluster: Cluster,
    store: Store,
    settings: Settings,
    mode: Mode,
    scope: str,
    alert: Alert,
    runbook: Runbook,
    step: Step,
    target: Target,
    earlier: tuple[StepRecord, ...],
    now: datetime,
) -> Facts:
    """Reads everything once. Raises ClusterError, or Unreachable where the store is away."""
    return Facts(
        now=now,
        settings=settings,
        mode=mode,
        alert=alert,
        runbook=runbook,
        step=step,
        target=target,
        evidence=await read_evidence(cluster, target, now),
        past_actions=tuple(
            await store.past_actions(
                scope=scope, cluster=settings.cluster, target_key=target.key, since=now - HISTORY_WINDOW
            )
        ),
        earlier=earlier,
    )
