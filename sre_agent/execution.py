"""Sends a judged change to the cluster: dry run, write, Kubernetes Event. One request per write, never repeated.

Called by the executor after the intent is committed. Protects the rule that what happened is always known: done,
failed (nothing changed) or unknown.
"""

from dataclasses import dataclass
from datetime import datetime

from sre_agent.cluster.port import Cluster, ClusterError, Conflict, NotFound, UnknownOutcome, Write
from sre_agent.objects import Object
from sre_agent.run import Change, Outcome
from sre_agent.tools.drain import drained_action

EVENT_REASON = "SreAgentRemediation"


@dataclass(frozen=True, kw_only=True, slots=True)
class Execution:
    """What became of a change. `action` is what was really done, `writes` what the cluster accepted, in order.

    `conflict` says that somebody else changed the object first: nothing was written, judge again.
    """

    outcome: Outcome
    action: str
    writes: tuple[Write, ...]
    detail: str | None = None
    conflict: bool = False


async def execute(cluster: Cluster, change: Change) -> Execution:
    """Sends every write of a change once. Never raises ClusterError: a failure is a value here."""
    return await _evict(cluster, change) if change.evicts else await _write(cluster, change)


async def _write(cluster: Cluster, change: Change) -> Execution:
    """The one write of a change, after its dry run. A dry run changes nothing, whatever becomes of its answer."""
    (write,) = change.writes
    sent = False
    try:
        await cluster.write(write, dry_run=True)
        sent = True
        await cluster.write(write)
    except ClusterError as error:
        unknown = sent and isinstance(error, UnknownOutcome)
        return Execution(
            outcome=Outcome.UNKNOWN if unknown else Outcome.FAILED,
            action=change.action,
            writes=(),
            detail=str(error),
            conflict=isinstance(error, Conflict),
        )
    return Execution(outcome=Outcome.DONE, action=change.action, writes=(write,))


async def _evict(cluster: Cluster, change: Change) -> Execution:
    """Evicts each pod once, in order. A pod that may not go now stays and is named; the others go on."""
    accepted: list[Write] = []
    stayed: list[str] = []
    unknown: list[str] = []
    for write in change.writes:
        pod = f"{write.namespace}/{write.name}"
        try:
            await cluster.write(write)
        except NotFound:
            continue
        except UnknownOutcome as error:
            unknown.append(f"{pod}: {error}")
        except ClusterError as error:
            stayed.append(f"{pod}: {error}")
        else:
            accepted.append(write)
    if unknown:
        outcome = Outcome.UNKNOWN
    elif stayed and not accepted:
        outcome = Outcome.FAILED
    else:
        outcome = Outcome.DONE
    return Execution(
        outcome=outcome,
        action=drained_action(change.target.name, len(accepted), change.leaves + len(stayed) + len(unknown)),
        writes=tuple(accepted),
        detail="; ".join(unknown + stayed) or None,
    )


def event_about(change: Change, execution: Execution, incident_id: int | None, now: datetime) -> Object:
    """The Kubernetes Event on the changed object, so that `kubectl describe` shows what the agent did."""
    moment = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    target = change.target
    api_version = change.writes[0].resource.api_version if target.kind != "Node" else "v1"
    namespace = target.namespace or "default"
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{target.name}.", "namespace": namespace},
        "involvedObject": {
            "apiVersion": api_version,
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
