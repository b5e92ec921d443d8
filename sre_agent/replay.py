"""Saved payloads through the same executor: sets the clock, runs, gives a report.

Called by `sre-agent replay`. A replay runs in its own process, on recorded objects, and counts for nothing live:
its cool-downs see only what this command did.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from sre_agent import records
from sre_agent.agent import Agent, open_agent
from sre_agent.alert import Alert, AlertStatus
from sre_agent.cluster.port import Cluster
from sre_agent.errors import BadInput
from sre_agent.executor import Assignment, run_incident
from sre_agent.incident import LIVE_SCOPE, Origin
from sre_agent.intake import (
    STILL_FIRING,
    Admission,
    Sender,
    cluster_of,
    entry_for,
    identify,
    ignored_by,
    outlived,
    problem_of,
    receive,
)
from sre_agent.parts import Part
from sre_agent.queue import InlineQueue
from sre_agent.redaction import redact_text
from sre_agent.routing import ignored, route
from sre_agent.run import Mode, RunRecord, Skipped
from sre_agent.runbook import Runbooks
from sre_agent.settings import Settings
from sre_agent.times import duration_text


async def replay(
    parts: Sequence[Part],
    *,
    settings: Settings,
    runbooks: Runbooks,
    mode: Mode,
    live: Cluster | None = None,
    assume_firing: bool = False,
) -> AsyncGenerator[tuple[Part, RunRecord | Skipped], None]:
    """Plays the parts in order and yields each run, and each alert without one, as it is done.

    A part without a recording is played on the `live` cluster, where there is one; `assume_firing` says that a person
    knows its alerts to fire still, however old they are. The store is opened only when some part has a cluster. Raises
    Unreachable where it cannot be.
    """
    scopes = {part.group: str(uuid4()) for part in parts}
    planned: set[tuple[str, str, str]] = set()
    async with AsyncExitStack() as stack:
        agent: Agent | None = None
        for part in parts:
            for rejected in part.payload.rejected:
                yield part, _rejected(part, rejected.path, rejected.reason)
            cluster = part.cluster or live
            if cluster is None:
                for alert in part.payload.alerts:
                    yield part, _plan(part, alert, planned, settings, runbooks, mode)
                continue
            if agent is None:
                agent = await stack.enter_async_context(open_agent(settings, runbooks=runbooks))
            recorded = part.cluster is not None
            told = replace(settings, alert_max_age=timedelta(0)) if assume_firing else settings
            played, scope = (part, scopes[part.group]) if recorded else (_on_live(part, told), LIVE_SCOPE)
            async for result in play(played, agent, cluster, scope, mode):
                yield part, result


def check_age(parts: Sequence[Part], *, now: datetime, limit: timedelta) -> None:
    """Raises BadInput for a firing alert that began longer ago than the limit: it may be over since. 0 is no limit."""
    if not limit:
        return
    for part in parts:
        for alert in part.payload.alerts:
            firing = alert.status is AlertStatus.FIRING
            if part.cluster is None and firing and alert.starts_at is not None and now - alert.starts_at > limit:
                raise BadInput(
                    f"{part.source}: alert {alert.name or 'without a name'} began at "
                    f"{alert.starts_at:%Y-%m-%d %H:%M} UTC, more than {duration_text(limit)} ago, and may be over; "
                    "look, and add --assume-firing if it still fires"
                )


def _on_live(part: Part, settings: Settings) -> Part:
    """The part as the live cluster sees it: now, with the settings as they are."""
    return replace(part, origin=Origin.LIVE, now=_utc_now(), clock=_utc_now, settings=settings)


def _utc_now() -> datetime:
    return datetime.now(UTC)


def for_recordings(settings: Settings) -> Settings:
    """Nothing is waited for where nothing can change: a budget without room now has none later."""
    return replace(settings, drain_timeout=timedelta(0))


async def play(
    part: Part, agent: Agent, cluster: Cluster, scope: str, mode: Mode
) -> AsyncIterator[RunRecord | Skipped]:
    """One part: each alert is admitted and, when a run is queued for it, run at once."""
    queue, settings = InlineQueue(), part.settings or for_recordings(agent.settings)

    def clock() -> datetime:
        return part.now

    sender = Sender(origin=part.origin, scope=scope, mode=mode, by_hand=part.origin is Origin.LIVE)
    left = outlived(
        [
            (alert, problem_of(entry_for(alert, sender, agent.runbooks, settings, now=part.now)))
            for alert in part.payload.alerts
            if ignored_by(alert, settings) is None
        ]
    )
    for alert in part.payload.alerts:
        if alert.index in left:
            yield _skipped(part, Admission(alert=alert, incident_id=None, run_id=None, reason=STILL_FIRING))
            continue
        (admission,) = await receive(
            [alert],
            sender=sender,
            store=agent.store,
            queue=queue,
            runbooks=agent.runbooks,
            settings=settings,
            cluster=cluster,
            now=part.now,
        )
        run_id = queue.take()
        if run_id is None or admission.incident_id is None:
            yield _skipped(part, admission)
            continue
        yield await run_incident(
            Assignment(
                run_id=run_id,
                incident_id=admission.incident_id,
                alert=alert,
                scope=scope,
                mode=mode,
                past=part.past,
                standing=part.standing,
                past_brakes=part.brakes,
            ),
            store=agent.store,
            cluster=cluster,
            planner=agent.minds.planner,
            runbooks=agent.runbooks,
            settings=settings,
            clock=part.clock or clock,
            investigator=agent.minds.investigator,
            author=agent.minds.author,
        )


def _plan(
    part: Part, alert: Alert, planned: set[tuple[str, str, str]], settings: Settings, runbooks: Runbooks, mode: Mode
) -> RunRecord | Skipped:
    """What would be walked, where there is no cluster to walk it on. Nothing is stored."""
    chosen = route(alert.labels, runbooks)
    key, _ = identify(alert, chosen.runbook)
    problem = (part.group, cluster_of(alert, settings), key)
    reason = ignored(alert.labels, settings.ignore_alerts)
    if reason is None and alert.status is AlertStatus.RESOLVED:
        reason = "resolved: closes its incident and acts on nothing"
    if reason is None and problem in planned:
        reason = f"joined {redact_text(key)}: the same problem, planned already"
    if reason is not None:
        return _skipped(part, Admission(alert=alert, incident_id=None, run_id=None, reason=reason))
    planned.add(problem)
    return records.planned(alert, chosen, mode)


def _rejected(part: Part, path: str, reason: str) -> Skipped:
    return Skipped(source=part.source, alertname=None, fingerprint=None, incident_id=None, reason=reason, path=path)


def _skipped(part: Part, admission: Admission) -> Skipped:
    return Skipped(
        source=part.source,
        alertname=admission.alert.name or None,
        fingerprint=admission.alert.fingerprint,
        incident_id=admission.incident_id,
        reason=admission.reason,
    )
