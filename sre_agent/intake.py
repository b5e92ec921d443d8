"""Alerts in, incidents out: each firing alert opens or joins one incident and may queue one run.

Called by every front end that takes a payload. It needs no LLM and, but for the question whether a node is Ready
again, no cluster. One alert's fate never depends on another's, but that a problem ends with the last of its alerts.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sre_agent.alert import Alert, AlertStatus
from sre_agent.cluster.port import Cluster, ClusterError, NotFound, Resource
from sre_agent.event import Event, WebhookReceived
from sre_agent.incident import Origin
from sre_agent.queue import Queue
from sre_agent.redaction import redact_text
from sre_agent.routing import ignored, route
from sre_agent.run import Mode
from sre_agent.runbook import Runbook, Runbooks
from sre_agent.settings import Settings
from sre_agent.store import Disposition, NewIncident, Problem, Receipt, Store
from sre_agent.store.webhooks import Entry, Firing, Noted, Over
from sre_agent.target import AlertSubject, dedup_key, describe, subject_of
from sre_agent.times import duration_text
from sre_agent.tools.node_state import readiness
from sre_agent.tools.registry import subject_of_runbook

RESOLVED_NOTIFICATION = "the resolved notification came"
STILL_FIRING = "resolved, but another alert of the same problem still fires in this notification"


@dataclass(frozen=True, kw_only=True, slots=True)
class Admission:
    """What became of one alert. With `run_id` a run is queued; otherwise `reason` says why none is.

    `opened`: the incident is a new one.
    """

    alert: Alert
    incident_id: int | None
    run_id: UUID | None
    reason: str
    opened: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Sender:
    """Whose alerts these are: live ones share the scope `live`, every replay has a scope of its own.

    `by_hand`: a person asks for these runs. None is left out then because the last one ended a short while ago; what
    that one changed is for the guards to remember.
    """

    origin: Origin
    scope: str
    mode: Mode
    by_hand: bool = False


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
        reason = ignored_by(alert, settings)
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


def identify(alert: Alert, runbook: Runbook) -> tuple[str, AlertSubject]:
    """The alert's dedup_key and what its labels name, without asking a cluster."""
    subject = subject_of(alert.labels, subject_of_runbook(runbook))
    return dedup_key(alert, subject), describe(alert.labels, subject)


def cluster_of(alert: Alert, settings: Settings) -> str:
    """The cluster that an alert speaks of: another one's alert is recorded there, and never acted on."""
    return alert.labels.get("cluster") or settings.cluster


def ignored_by(alert: Alert, settings: Settings) -> str | None:
    """Why an alert opens no incident whatever it says, None where it may."""
    return ignored(alert.labels, settings.ignore_alerts)


def entry_for(alert: Alert, sender: Sender, runbooks: Runbooks, settings: Settings, *, now: datetime) -> Entry:
    """What one alert of a webhook does to the store. Nobody waits for a cluster here.

    A node that was cordoned may still be sick when its alert ends: that alert is noted, and whoever looks after nodes
    closes the incident when the node is Ready.
    """
    if alert.status is AlertStatus.FIRING:
        return Firing(new=_new_incident(alert, sender, runbooks, settings, now), received=_received(alert, settings))
    key, named = identify(alert, route(alert.labels, runbooks).runbook)
    problem = _problem(key, alert, sender, settings)
    if _about_a_node(named) and _ours(problem, settings):
        return Noted(problem=problem, received=_received(alert, settings))
    return Over(problem=problem, reason=RESOLVED_NOTIFICATION)


def outlived(told: Sequence[tuple[Alert, Problem]]) -> set[int]:
    """The indexes of the resolved alerts of one body whose problem goes on: another alert of that problem fires in it.

    A notification carries all alerts of its group. Two of one problem differ in labels that are no part of it: why a
    container waits, which replica of Prometheus or of an exporter saw it. The end of one is not the end of the problem.
    """
    over = {problem for alert, problem in told if alert.status is AlertStatus.RESOLVED}
    stands = {
        (problem, frozenset(alert.labels.items())): alert.status  # a later alert of the same labels says how it is now
        for alert, problem in told
        if problem in over
    }
    firing = Counter(problem for (problem, _), status in stands.items() if status is AlertStatus.FIRING)
    left = set()
    for alert, problem in told:
        if alert.status is AlertStatus.RESOLVED:
            itself = stands[problem, frozenset(alert.labels.items())] is AlertStatus.FIRING
            if firing[problem] > itself:
                left.add(alert.index)
    return left


def problem_of(entry: Entry) -> Problem:
    """The problem that an alert of a webhook is about."""
    return entry.new.problem if isinstance(entry, Firing) else entry.problem


def admitted(alert: Alert, reason: str | None, answer: Receipt | int | None, settings: Settings) -> Admission:
    """What became of an alert of a webhook. `reason` is why it was ignored, `answer` the store's."""
    if reason is not None:
        return Admission(alert=alert, incident_id=None, run_id=None, reason=reason)
    if isinstance(answer, Receipt):
        why = _why(answer, answer.disposition.value, settings.cooldown)
        opened = answer.disposition is Disposition.OPENED
        return Admission(alert=alert, incident_id=answer.incident_id, run_id=answer.run_id, reason=why, opened=opened)
    why = "resolved: no incident is open for it" if answer is None else f"resolved: noted in incident {answer}"
    return Admission(alert=alert, incident_id=answer, run_id=None, reason=why)


async def _admit(
    alert: Alert, sender: Sender, store: Store, runbooks: Runbooks, settings: Settings, now: datetime
) -> Admission:
    new = _new_incident(alert, sender, runbooks, settings, now)
    receipt = await store.receive(
        new,
        _received(alert, settings),
        now=now,
        cooldown=timedelta(0) if sender.by_hand else settings.cooldown,
    )
    return Admission(
        alert=alert,
        incident_id=receipt.incident_id,
        run_id=receipt.run_id,
        reason=_why(receipt, new.problem.dedup_key, settings.cooldown),
    )


def _new_incident(alert: Alert, sender: Sender, runbooks: Runbooks, settings: Settings, now: datetime) -> NewIncident:
    """The incident that a firing alert would open.

    One that does not say when it began, began when it came, as Alertmanager has it: taken for what a person resolved,
    it would never be heard again.
    """
    runbook = route(alert.labels, runbooks).runbook
    key, named = identify(alert, runbook)
    return NewIncident(
        problem=_problem(key, alert, sender, settings),
        fingerprint=alert.fingerprint,
        alertname=alert.name,
        namespace=named.namespace,
        pod=named.pod,
        container=named.container,
        node=named.node,
        workload=f"{named.workload_kind}/{named.workload_name}" if named.workload_name else None,
        severity=alert.labels.get("severity"),
        runbook_id=runbook.id,
        mode=sender.mode,
        runbook_sha256=runbook.sha256,
        labels=alert.labels,
        annotations=alert.annotations,
        starts_at=alert.starts_at or now,
    )


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
    key, named = identify(alert, route(alert.labels, runbooks).runbook)
    problem = _problem(key, alert, sender, settings)
    if cluster is not None and _ours(problem, settings) and await _still_not_ready(cluster, named):
        noted = await store.note(problem, _received(alert, settings), now=now)
        stays = "no incident is open for it" if noted is None else f"incident {noted} stays open"
        reason = f"resolved, but node {redact_text(named.node or '')} is not Ready: {stays}"
        return Admission(alert=alert, incident_id=noted, run_id=None, reason=reason)
    closed = await store.resolve(problem, now=now, by="alertmanager", reason=RESOLVED_NOTIFICATION)
    reason = "resolved: no incident is open for it" if closed is None else f"resolved: incident {closed} closed"
    return Admission(alert=alert, incident_id=closed, run_id=None, reason=reason)


async def _still_not_ready(cluster: Cluster, named: AlertSubject) -> bool:
    """Whether this is about a node that is there and not Ready; what cannot be read keeps the incident open."""
    if not _about_a_node(named) or named.node is None:
        return False
    try:
        return not readiness(await cluster.get(Resource.NODES, None, named.node)).ready
    except NotFound:
        return False
    except ClusterError:
        return True


def _about_a_node(named: AlertSubject) -> bool:
    return named.node is not None and named == AlertSubject(node=named.node)


def _ours(problem: Problem, settings: Settings) -> bool:
    """Whether the alert is about the cluster that this agent sees."""
    return settings.cluster_name in {None, problem.cluster}


def _problem(key: str, alert: Alert, sender: Sender, settings: Settings) -> Problem:
    return Problem(origin=sender.origin, scope=sender.scope, cluster=cluster_of(alert, settings), dedup_key=key)


def _received(alert: Alert, settings: Settings) -> Event:
    return Event(
        payload=WebhookReceived.model_construct(  # `parse` has seen to the types: to look again would copy every text
            labels=alert.labels,
            annotations=alert.annotations,
            cluster=cluster_of(alert, settings),
            startsAt=None if alert.starts_at is None else alert.starts_at.isoformat(),
            fingerprint=alert.fingerprint,
            generatorURL=alert.generator_url or None,
        )
    )


def _why(receipt: Receipt, key: str, cooldown: timedelta) -> str:
    """Why this alert has a run, or has none."""
    incident = f"incident {receipt.incident_id} ({redact_text(key)})"
    match receipt.disposition:
        case Disposition.OPENED:
            return f"opened {incident}"
        case Disposition.REQUEUED:
            return f"joined {incident}: looking again"
        case Disposition.JOINED:
            pause = duration_text(cooldown)
            return f"joined {incident}: the same problem, whose last run ended less than {pause} ago"
        case Disposition.SUPPRESSED:
            return f"joined {incident}: its run is active"
        case Disposition.MUTED:
            return f"{incident} is suppressed by a person"
        case Disposition.CLOSED_BY_PERSON:
            return f"{incident} was resolved by a person; the same firing does not reopen it"
