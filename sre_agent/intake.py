"""Alerts in, incidents out: each firing alert opens or joins one incident and may queue one run.

Called by every front end that takes a payload. It needs no LLM and, but for the question whether a node is Ready
again, no cluster. One alert's fate never depends on another's.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sre_agent.alert import Alert, AlertStatus
from sre_agent.cluster.port import Cluster, ClusterError, NotFound, Resource
from sre_agent.event import Event, WebhookReceived
from sre_agent.incident import Origin
from sre_agent.objects import node_ready
from sre_agent.queue import Queue
from sre_agent.routing import ignored, route
from sre_agent.run import Mode
from sre_agent.runbook import Runbook, Runbooks
from sre_agent.settings import Settings
from sre_agent.store import Disposition, NewIncident, Receipt, Store
from sre_agent.target import AlertSubject, Subject, dedup_key, describe, subject_of
from sre_agent.tools.registry import subject_of_runbook


@dataclass(frozen=True, kw_only=True, slots=True)
class Admission:
    """What became of one alert. With `run_id` a run is queued; otherwise `reason` says why none is."""

    alert: Alert
    incident_id: int | None
    run_id: UUID | None
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Sender:
    """Whose alerts these are: live ones share the scope `live`, every replay has a scope of its own."""

    origin: Origin
    scope: str
    mode: Mode


async def receive(
    alerts: Iterable[Alert],
    *,
    sender: Sender,
    store: Store,
    queue: Queue,
    runbooks: Runbooks,
    settings: Settings,
    cluster: Cluster | None,
    now: datetime,
) -> list[Admission]:
    """Stores each alert in one transaction of its own, in the payload's order, and defers the queued runs.

    Raises Unreachable when the store is away.
    """
    admissions = []
    for alert in alerts:
        reason = ignored(alert.labels, settings.ignore_alerts)
        if reason is not None:
            admission = Admission(alert=alert, incident_id=None, run_id=None, reason=reason)
        elif alert.status is AlertStatus.RESOLVED:
            admission = await _resolve(alert, sender, store, runbooks, settings, cluster, now)
        else:
            admission = await _admit(alert, sender, store, runbooks, settings, now)
        if admission.run_id is not None:
            await queue.defer(admission.run_id)
        admissions.append(admission)
    return admissions


def identify(alert: Alert, runbooks: Runbooks) -> tuple[str, AlertSubject]:
    """The alert's dedup_key and what its labels name, without asking a cluster."""
    subject = _subject(alert, route(alert.labels, runbooks).runbook)
    return dedup_key(alert, subject), describe(alert.labels, subject)


async def _admit(
    alert: Alert, sender: Sender, store: Store, runbooks: Runbooks, settings: Settings, now: datetime
) -> Admission:
    chosen = route(alert.labels, runbooks)
    key, named = identify(alert, runbooks)
    workload = f"{named.workload_kind}/{named.workload_name}" if named.workload_name else None
    receipt = await store.receive(
        NewIncident(
            origin=sender.origin,
            scope=sender.scope,
            cluster=settings.cluster,
            fingerprint=alert.fingerprint,
            dedup_key=key,
            alertname=alert.name,
            namespace=named.namespace,
            pod=named.pod,
            container=named.container,
            node=named.node,
            workload=workload,
            severity=alert.labels.get("severity"),
            runbook_id=chosen.runbook.id,
            mode=sender.mode,
            runbook_sha256=chosen.runbook.sha256,
            labels=alert.labels,
            annotations=alert.annotations,
            starts_at=alert.starts_at,
        ),
        _received(alert, settings),
        now=now,
        cooldown=settings.cooldown,
    )
    return Admission(alert=alert, incident_id=receipt.incident_id, run_id=receipt.run_id, reason=_why(receipt, key))


async def _resolve(
    alert: Alert,
    sender: Sender,
    store: Store,
    runbooks: Runbooks,
    settings: Settings,
    cluster: Cluster | None,
    now: datetime,
) -> Admission:
    """A resolved alert closes its incident and acts on nothing; a node that is not Ready keeps it open."""
    key, named = identify(alert, runbooks)
    if named.node is not None and named.pod is None and await _still_not_ready(cluster, named.node):
        reason = f"resolved, but node {named.node} is not Ready: the incident stays open"
        return Admission(alert=alert, incident_id=None, run_id=None, reason=reason)
    closed = await store.resolve(
        origin=sender.origin,
        cluster=settings.cluster,
        dedup_key=key,
        now=now,
        by="alertmanager",
        reason="the resolved notification came",
    )
    reason = "resolved" + (
        f": incident {', '.join(map(str, closed))} closed" if closed else ": no incident is open for it"
    )
    return Admission(alert=alert, incident_id=closed[0] if closed else None, run_id=None, reason=reason)


async def _still_not_ready(cluster: Cluster | None, node: str) -> bool:
    """Whether the node is there and not Ready; what cannot be read keeps the incident open."""
    if cluster is None:
        return False
    try:
        return not node_ready(await cluster.get(Resource.NODES, None, node))
    except NotFound:
        return False
    except ClusterError:
        return True


def _subject(alert: Alert, runbook: Runbook) -> Subject | None:
    return subject_of(alert.labels, subject_of_runbook(runbook))


def _received(alert: Alert, settings: Settings) -> Event:
    return Event(
        payload=WebhookReceived(
            labels=alert.labels,
            annotations=alert.annotations,
            cluster=settings.cluster,
            startsAt=None if alert.starts_at is None else alert.starts_at.isoformat(),
            fingerprint=alert.fingerprint,
        )
    )


def _why(receipt: Receipt, key: str) -> str:
    """Why this alert has a run, or has none."""
    incident = f"incident {receipt.incident_id} ({key})"
    match receipt.disposition:
        case Disposition.OPENED:
            return f"opened {incident}"
        case Disposition.REQUEUED:
            return f"joined {incident}: its cool-down is over, looking again"
        case Disposition.JOINED:
            return f"joined {incident}: the same problem, already handled"
        case Disposition.SUPPRESSED:
            return f"joined {incident}: its run is active"
        case Disposition.MUTED:
            return f"{incident} is suppressed by a person"
        case Disposition.CLOSED_BY_PERSON:
            return f"{incident} was resolved by a person; the same firing does not reopen it"
