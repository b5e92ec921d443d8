"""The store: one method per thing that happens, each of them one statement, so all of it is kept or nothing.

Used by intake, executor, facts and views, which pass the time in. A worker that lost its run writes nothing more
for it (LostFence); only what already happened in the cluster is recorded even then.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Self
from uuid import UUID

from sre_agent.errors import SreAgentError
from sre_agent.event import Event, Resolved, Suppressed
from sre_agent.incident import Incident, Origin
from sre_agent.redaction import redact, redact_text
from sre_agent.run import Outcome, RunStatus
from sre_agent.store.connection import Pool, open_pool, place, reaching
from sre_agent.store.migrations import MigrationState, read_migrations, statuses
from sre_agent.store.queries import query
from sre_agent.store.rows import (
    ActiveRun,
    EventRow,
    LostFence,
    NewAction,
    NewIncident,
    PastAction,
    Receipt,
    Row,
    incident_from_row,
)
from sre_agent.store.values import indexed, parameters

ENDS = frozenset(
    {
        RunStatus.SUCCEEDED,
        RunStatus.FAILED,
        RunStatus.ESCALATED,
        RunStatus.CANCELLED,
        RunStatus.WAITING_APPROVAL,
    }
)
"""What a run can be when a worker lets go of it."""

_INDEXED = ("scope", "cluster", "dedup_key", "alertname", "namespace", "pod", "workload", "node")


class Store:
    """The database behind a pool of connections. Every method raises Unreachable when the server is away."""

    def __init__(self, pool: Pool, server: str) -> None:
        self._pool = pool
        self._server = server

    @classmethod
    @asynccontextmanager
    async def open(cls, conninfo: str, *, max_size: int = 4) -> AsyncIterator[Self]:
        """Opens a store for as long as the block runs. Raises Unreachable with what was tried, BadInput."""
        async with open_pool(conninfo, max_size=max_size) as pool:
            yield cls(pool, place(conninfo))

    async def receive(self, new: NewIncident, received: Event, *, now: datetime, cooldown: timedelta) -> Receipt:
        """Takes a firing alert in: opens an incident, joins the open one, or only notes it; queues a run if due.

        `received` is the event that is appended in any case. A run is due when the last one of the incident ended
        more than `cooldown` ago. A replay first closes what replays of other scopes left open for the same
        problem, and cancels their runs unless somebody still works on them.
        """
        suppressed = Suppressed(reason="a run of this incident is active", fingerprint=new.fingerprint)
        resolved = Resolved(by="replay", reason="another replay of this alert began")
        rows = await self._rows(
            "receive",
            alert=_incident_columns(new),
            runbook_sha256=new.runbook_sha256,
            received=_payload(received),
            suppressed=_payload(Event(payload=suppressed)),
            resolved=_payload(Event(payload=resolved)),
            now=now,
            cooldown=cooldown,
        )
        return Receipt.from_row(rows[0])

    async def resolve(
        self, *, origin: Origin, cluster: str, dedup_key: str, now: datetime, by: str, reason: str
    ) -> list[int]:
        """Closes the open incident of a problem; returns the closed ids. `by`: alertmanager, person or replay."""
        rows = await self._rows(
            "resolve",
            origin=origin,
            cluster=indexed(cluster),
            dedup_key=indexed(dedup_key),
            now=now,
            by=by,
            resolved=_payload(Event(payload=Resolved(by=by, reason=reason))),
        )
        return [row["id"] for row in rows]

    async def open_incident_for(self, *, origin: Origin, scope: str, cluster: str, dedup_key: str) -> Incident | None:
        """The incident, open or muted, that a firing alert of this problem would join."""
        rows = await self._rows(
            "open_incident_for",
            origin=origin,
            scope=indexed(scope),
            cluster=indexed(cluster),
            dedup_key=indexed(dedup_key),
        )
        return incident_from_row(rows[0]) if rows else None

    async def start_run(self, run_id: UUID, *, now: datetime) -> ActiveRun:
        """Takes a queued run up, or takes a running one over: whoever held it has lost the fence.

        Raises LostFence for a run that has ended or that waits for a person.
        """
        rows = await self._rows("start_run", run_id=run_id, now=now)
        if not rows:
            raise LostFence(f"run {run_id} is neither queued nor running: there is nothing to take up")
        return ActiveRun.from_row(rows[0])

    async def record_intent(
        self,
        run: ActiveRun,
        action: NewAction,
        make_events: Callable[[int], Sequence[Event]],
        *,
        scope: str,
        cluster: str,
        now: datetime,
    ) -> int:
        """Commits that a change is about to be sent, with the events that name it, and returns the action's id.

        Raises LostFence, and has then written nothing.
        """
        # Taken beforehand, so that the commit is a single statement; an id that is never used leaves a gap.
        action_id: int = (await self._rows("next_action_id"))[0]["id"]
        rows = await self._rows(
            "record_intent",
            run_id=run.id,
            attempt=run.attempt,
            action_id=action_id,
            scope=indexed(scope),
            cluster=indexed(cluster),
            tool=action.tool,
            action=action.action,
            target_key=indexed(action.target_key),
            value=action.value,
            body=redact(action.body),
            near_limit=action.near_limit,
            now=now,
            events=_as_json(make_events(action_id)),
        )
        _require_fence(run, rows)
        return action_id

    async def record_outcome(
        self,
        run: ActiveRun,
        action_id: int,
        outcome: Outcome,
        detail: str | None,
        events: Sequence[Event],
        *,
        now: datetime,
    ) -> None:
        """Records what became of an intent, also for a run that was taken over since."""
        rows = await self._rows(
            "record_outcome",
            run_id=run.id,
            attempt=run.attempt,
            action_id=action_id,
            outcome=outcome,
            detail=_text(detail),
            now=now,
            events=_as_json(events),
        )
        if not rows:
            raise SreAgentError(f"run {run.id} has no recorded intent {action_id} to record an outcome for")

    async def finish_run(
        self,
        run: ActiveRun,
        *,
        status: RunStatus,
        action_taken: str | None,
        action_recommended: str | None,
        action_error: str | None,
        summary: str | None,
        workload: str | None,
        node: str | None,
        retry_at: datetime | None,
        events: Sequence[Event],
        now: datetime,
    ) -> None:
        """Ends a run, says in its incident what it came to, and appends its events.

        None for summary, workload, node and action_taken keeps what the incident says already. `status` is one of
        ENDS. Raises LostFence, and has then written nothing.
        """
        if status not in ENDS:
            raise ValueError(f"a run does not end as {status}")
        rows = await self._rows(
            "finish_run",
            run_id=run.id,
            attempt=run.attempt,
            status=status,
            action_taken=action_taken,
            action_recommended=action_recommended,
            action_error=_text(action_error),
            summary=_text(summary),
            workload=None if workload is None else indexed(workload),
            node=None if node is None else indexed(node),
            retry_at=retry_at,
            finished_at=None if status is RunStatus.WAITING_APPROVAL else now,
            now=now,
            events=_as_json(events),
        )
        _require_fence(run, rows)

    async def past_actions(
        self, *, scope: str, cluster: str, target_key: str | None, since: datetime
    ) -> list[PastAction]:
        """The intents of a scope from `since` on, newest first: those on one target, or on all (None)."""
        where: dict[str, Any] = {"scope": indexed(scope), "cluster": indexed(cluster), "since": since}
        if target_key is None:
            rows = await self._rows("actions_in_scope", **where)
        else:
            rows = await self._rows("actions_on_target", **where, target_key=indexed(target_key))
        return [PastAction.from_row(row) for row in rows]

    async def incident(self, incident_id: int) -> Incident | None:
        """One incident by its id."""
        rows = await self._rows("incident", incident_id=incident_id)
        return incident_from_row(rows[0]) if rows else None

    async def events(self, incident_id: int) -> list[EventRow]:
        """The events of an incident, oldest first; empty where there is no such incident."""
        return [EventRow.from_row(row) for row in await self._rows("events", incident_id=incident_id)]

    async def schema_is_current(self) -> bool:
        """Whether every shipped migration is applied, or skipped for a missing extension."""
        with reaching(self._server):
            async with self._pool.connection() as connection:
                states = await statuses(connection, read_migrations())
        return all(each.state in {MigrationState.APPLIED, MigrationState.SKIPPED} for each in states)

    async def _rows(self, name: str, **values: Any) -> Sequence[Row]:
        """Runs a named query as a transaction of its own."""
        with reaching(self._server):
            async with self._pool.connection() as connection:
                cursor = await connection.execute(query(name), parameters(values))
                return await cursor.fetchall()


def _incident_columns(new: NewIncident) -> dict[str, Any]:
    """The columns of `incidents` that an alert decides, as JSON."""
    columns = asdict(new)
    columns["agent_mode"] = columns.pop("mode")
    columns["starts_at"] = None if new.starts_at is None else new.starts_at.isoformat()
    columns |= {"labels": redact(new.labels), "annotations": redact(new.annotations)}
    return columns | {name: indexed(columns[name]) for name in _INDEXED if columns[name] is not None}


def _as_json(events: Sequence[Event]) -> list[dict[str, Any]]:
    return [{"type": event.type, "payload": _payload(event)} for event in events]


def _payload(event: Event) -> dict[str, Any]:
    """The payload as it is kept: no secret reaches the database."""
    kept: dict[str, Any] = redact(event.as_json())
    return kept


def _text(text: str | None) -> str | None:
    return None if text is None else redact_text(text)


def _require_fence(run: ActiveRun, rows: Sequence[Row]) -> None:
    if not rows:
        raise LostFence(f"run {run.id} was taken over or has ended (attempt {run.attempt} no longer holds it)")
