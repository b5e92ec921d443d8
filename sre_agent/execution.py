"""Sends a judged change to the cluster: dry run, write, Kubernetes Event. One request per write, never repeated.

Called by `remediation` after the intent is committed, by `resumption` for what was cut off. Protects the rule that
what happened is always known: done, failed (nothing changed) or unknown, after looking it up.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sre_agent.cluster.port import (
    BARRIERS,
    RESOURCE_OF_KIND,
    Cluster,
    ClusterError,
    Conflict,
    UnknownOutcome,
    Write,
)
from sre_agent.cluster.readback import Effect, look_up
from sre_agent.draining import Fate, Leave, Settle, Settled, drain
from sre_agent.objects import Object
from sre_agent.run import Change, Outcome
from sre_agent.store import Braked
from sre_agent.tools.drain import drain_over, drained_action

EVENT_REASON = "SreAgentRemediation"


@dataclass(frozen=True, kw_only=True, slots=True)
class Execution:
    """What became of a change. `action` is what was really done, `writes` what the cluster accepted, in order.

    `detail` says why it is not done, or what is still to be awaited; `stayed` are the pods that a drain could not
    evict, with the reasons. `conflict` says that somebody else changed the object first: nothing was written, judge
    again. `barred` says that the cluster could not be reached or does not allow it: no other try helps before a person
    does. `held` is the brake that came on before anything was sent, or, of a drain that is done, before all was.
    """

    outcome: Outcome
    action: str
    writes: tuple[Write, ...]
    detail: str | None = None
    stayed: tuple[Settled, ...] = ()
    conflict: bool = False
    barred: bool = False
    held: Braked | None = None


async def execute(cluster: Cluster, change: Change, *, patience: timedelta, settle: Settle, leave: Leave) -> Execution:
    """Sends every write of a change. Never raises ClusterError: a failure is a value here.

    `patience` is how long evictions that a budget forbids are tried again and evicted pods are waited for; `settle`
    is told what became of each pod of a drain. `leave` is asked right before each request that changes something: it
    returns, or raises Braked, and then that request is not sent; what else it raises ends the execution.
    """
    if change.evicts:
        return await _evict(cluster, change, patience, settle, leave)
    return await _write(cluster, change, leave)


async def _write(cluster: Cluster, change: Change, leave: Leave) -> Execution:
    """The one write of a change, after its dry run. A dry run changes nothing, whatever becomes of its answer."""
    (write,) = change.writes
    try:
        foreseen = await cluster.write(write, dry_run=True)
    except ClusterError as error:
        return _failed(change, error)
    try:
        await leave()
    except Braked as held:
        return Execution(outcome=Outcome.FAILED, action=change.action, writes=(), detail=held.reason, held=held)
    try:
        await cluster.write(write)
    except UnknownOutcome as error:
        return await _looked_up(cluster, change, write, foreseen, error)
    except ClusterError as error:
        return _failed(change, error)
    return Execution(outcome=Outcome.DONE, action=change.action, writes=(write,))


def _failed(change: Change, error: ClusterError) -> Execution:
    return Execution(
        outcome=Outcome.FAILED,
        action=change.action,
        writes=(),
        detail=str(error),
        conflict=isinstance(error, Conflict),
        barred=isinstance(error, BARRIERS),
    )


async def _looked_up(
    cluster: Cluster, change: Change, write: Write, foreseen: Object, error: UnknownOutcome
) -> Execution:
    """No answer came: the object says what became of the write, or nobody knows. It is not sent again."""
    effect = await look_up(cluster, write, foreseen=foreseen)
    detail = f"{error}; read back: it {effect}"
    if effect is Effect.TOOK:
        return Execution(outcome=Outcome.DONE, action=change.action, writes=(write,), detail=detail)
    outcome = Outcome.FAILED if effect is Effect.NEVER else Outcome.UNKNOWN
    return Execution(outcome=outcome, action=change.action, writes=(), detail=detail)


async def _evict(cluster: Cluster, change: Change, patience: timedelta, settle: Settle, leave: Leave) -> Execution:
    """Evicts each pod. One that may not go within the patience stays and is named; the others go on."""
    settled = await drain(
        cluster,
        change.target.name,
        change.writes,
        within=patience,
        over=drain_over,
        awaited=change.awaited,
        settle=settle,
        leave=leave,
    )
    return _drained(change, settled, waited=change.awaited and bool(patience))


def cut_off(change: Change, settled: Sequence[Settled]) -> Execution:
    """A change that was interrupted while it was sent: a drain has settled its pods, of anything else nobody knows."""
    if change.evicts:
        return replace(_drained(change, settled, waited=False), detail="the rest was not asked any more")
    detail = "no answer had come, it may have been done"
    return Execution(outcome=Outcome.UNKNOWN, action=change.action, writes=(), detail=detail)


def _drained(change: Change, settled: Sequence[Settled], *, waited: bool) -> Execution:
    """What became of a drain. `waited`: whether pods that are there still should have gone by now."""
    accepted = tuple(pod.write for pod in settled if pod.accepted)
    stayed = [pod for pod in settled if pod.fate is Fate.STAYS]
    unknown = [pod for pod in settled if pod.fate is Fate.UNKNOWN]
    lingering = [pod for pod in settled if pod.fate is Fate.EVICTED and waited]
    if unknown:
        outcome = Outcome.UNKNOWN
    elif stayed and not accepted:
        outcome = Outcome.FAILED
    else:
        outcome = Outcome.DONE
    said = lingering if outcome is Outcome.DONE else [*unknown, *stayed, *lingering]
    return Execution(
        outcome=outcome,
        action=drained_action(change.target.name, len(accepted), change.leaves + len(stayed) + len(unknown)),
        writes=accepted,
        detail="; ".join(f"{pod.pod}: {pod.reason}" for pod in said) or None,
        stayed=(*stayed, *unknown),
        held=None if outcome is Outcome.UNKNOWN else next((pod.held for pod in stayed if pod.held), None),
    )


def outcome_of(pod: Settled) -> Outcome:
    """What became of one pod's eviction: a pod that is gone, by whomever, is done."""
    if pod.fate is Fate.UNKNOWN:
        return Outcome.UNKNOWN
    return Outcome.FAILED if pod.fate is Fate.STAYS else Outcome.DONE


def event_about(change: Change, execution: Execution, incident_id: int | None, now: datetime) -> Object:
    """The Kubernetes Event on the changed object, so that `kubectl describe` shows what the agent did."""
    moment = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    target = change.target
    namespace = target.namespace or "default"
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{target.name}.", "namespace": namespace},
        "involvedObject": {
            "apiVersion": RESOURCE_OF_KIND[target.kind].api_version,
            "kind": target.kind,
            "name": target.name,
            "namespace": target.namespace,
            "uid": target.uid,
        },
        "reason": EVENT_REASON,
        "message": f"{execution.action} (incident {incident_id})",
        "type": "Normal",
        "source": {"component": "sre-agent"},
        "reportingComponent": "sre-agent",
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "count": 1,
    }
