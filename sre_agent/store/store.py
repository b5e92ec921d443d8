"""The store: one method per thing that happens, each of them one statement, so all of it is kept or nothing.

Used by intake, executor, facts and views, which pass the time in. A worker that lost its run writes nothing more
for it (LostFence); only what already happened in the cluster is recorded even then.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Self
from uuid import UUID

from sre_agent.errors import SreAgentError
from sre_agent.event import Event, Resolved, Suppressed
from sre_agent.incident import Incident
from sre_agent.redaction import redact, redact_text
from sre_agent.run import Mode, Outcome, RunStatus
from sre_agent.store.audit import Audit
from sre_agent.store.book import IncidentBook
from sre_agent.store.brake_rows import Limits, braked_meanwhile
from sre_agent.store.brakes import Brakes
from sre_agent.store.changes import Changes
from sre_agent.store.columns import incident_columns, name_column, problem_columns
from sre_agent.store.connection import Pool, open_pool, place, reaching
from sre_agent.store.database import Database
from sre_agent.store.event_json import as_json
from sre_agent.store.evidence import EvidenceStore
from sre_agent.store.history import History
from sre_agent.store.llm_calls import LlmCalls
from sre_agent.store.migrations import MigrationState, read_migrations, statuses
from sre_agent.store.recovery import WaitingNodes
from sre_agent.store.rows import (
    ActiveRun,
    EventRow,
    LostFence,
    NewAction,
    NewIncident,
    PastAction,
    Problem,
    Receipt,
    Row,
    incident_from_row,
)
from sre_agent.store.run_queue import RunQueue
from sre_agent.store.values import indexed
from sre_agent.store.webhooks import Webhooks

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

EVENTS_AT_ONCE = 500


class Store:
    """The database behind a pool of connections. Every method raises Unreachable when the server is away."""

    def __init__(self, pool: Pool, server: str, conninfo: str) -> None:
        self.database = database = Database(pool=pool, server=server)
        self.book = IncidentBook(database)
        self.audit = Audit(database)
        self.history = History(database)
        self.evidence = EvidenceStore(database=database)
        self.changes = Changes(database, conninfo)
        self.brakes = Brakes(database)
        self.webhooks = Webhooks(database=database)
        self.queue = RunQueue(database=database)
        self.nodes = WaitingNodes(database=database)
        self.llm_calls = LlmCalls(database)

    @classmethod
    @asynccontextmanager
    async def open(cls, conninfo: str, *, max_size: int = 4) -> AsyncIterator[Self]:
        """Opens a store for as long as the block runs. Raises Unreachable with what was tried, BadInput."""
        async with open_pool(conninfo, max_size=max_size) as pool:
            yield cls(pool, place(conninfo), conninfo)

    async def mend(self) -> None:
        """Replaces the connections that a restart of the server broke, so that nobody's next question meets one."""
        with reaching(self.database.server):
            await self.database.pool.check()

    async def receive(self, new: NewIncident, received: Event, *, now: datetime, cooldown: timedelta) -> Receipt:
        """Takes a firing alert in: opens an incident, joins the open one, or only notes it; queues a run if due.

        `received` is the event that is appended in any case. A run is due when the last one of the incident ended
        more than `cooldown` ago. A replay that opens an incident closes what replays of other scopes have open for
        the same problem, and cancels their runs unless somebody still works on them.
        """
        suppressed = Suppressed(reason="a run of this incident is active", fingerprint=new.fingerprint)
        rows = await self.database.rows(
            "receive",
            alert=incident_columns(new),
            runbook_sha256=new.runbook_sha256,
            received=as_json([received]),
            suppressed=as_json([Event(payload=suppressed)]),
            superseded=_superseded(),
            now=now,
            cooldown=cooldown,
        )
        return Receipt.from_row(rows[0])

    async def note(self, problem: Problem, received: Event, *, now: datetime) -> int | None:
        """Appends a resolved alert to the incident that it would join, which stays open; None where none is.

        The incident waits then until somebody sees its node (`nodes`).
        """
        rows = await self.database.rows("note", alert=problem_columns(problem), received=as_json([received]), now=now)
        return _incident_id(rows)

    async def resolve(self, problem: Problem, *, now: datetime, by: str, reason: str) -> int | None:
        """Closes the incident that an alert of this problem would join, and returns its id; None where none is open.

        `by` is alertmanager or person. Where a replay has none open, it closes what others left, as `receive` does.
        """
        rows = await self.database.rows(
            "resolve",
            alert=problem_columns(problem),
            by=by,
            resolved=as_json([Event(payload=Resolved(by=by, reason=reason))]),
            superseded=_superseded(),
            now=now,
        )
        return _incident_id(rows)

    async def start_run(self, run_id: UUID, *, now: datetime, mode: Mode | None = None) -> ActiveRun:
        """Takes a queued run up, or takes a running one over: whoever held it has lost the fence.

        `mode` is what it is executed in, None: what it was queued for. Raises LostFence for a run that has ended or
        that waits for a person.
        """
        rows = await self.database.rows("start_run", run_id=run_id, mode=mode, now=now)
        if not rows:
            raise LostFence(f"run {run_id} is neither queued nor running: there is nothing to take up")
        return ActiveRun.from_row(rows[0])

    async def record_intent(
        self,
        run: ActiveRun,
        action: NewAction,
        events: Sequence[Event],
        *,
        scope: str,
        cluster: str,
        limits: Limits,
        now: datetime,
    ) -> int:
        """Commits that a change is about to be sent, with the events that name it, and returns the action's id.

        The statement that commits is the one that numbers the action: it writes the id into the event `intent`. One
        process after another passes here; raises Braked where what another one did since the judgement forbids it.
        """
        wanted = {
            "scope": indexed(scope),
            "cluster": name_column(cluster),
            "tool": action.tool,
            "action": action.action,
            "target_key": indexed(action.target_key),
            "value": action.value,
            "body": redact(action.body),
            "near_limit": action.near_limit,
        }
        (row,) = await self.database.rows(
            "record_intent",
            run_id=run.id,
            attempt=run.attempt,
            action=wanted,
            evictions=[dict(pod) for pod in action.evictions],
            limits=limits.as_json(),
            now=now,
            events=as_json(events),
        )
        if row["braked_by"] is not None:
            raise braked_meanwhile(row["braked_by"], row["retry_at"])
        _require_fence(run, [row] if row["action_id"] is not None else [])
        return int(row["action_id"])

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
        rows = await self.database.rows(
            "record_outcome",
            run_id=run.id,
            attempt=run.attempt,
            action_id=action_id,
            outcome=outcome,
            detail=_text(detail),
            now=now,
            events=as_json(events),
        )
        if not rows:
            raise SreAgentError(f"run {run.id} has no recorded intent {action_id} to record an outcome for")

    async def record_steps(self, run: ActiveRun, events: Sequence[Event], *, now: datetime) -> None:
        """Appends what a run did before its end, so that it is not done twice. Raises LostFence; nothing is written."""
        _require_fence(
            run,
            await self.database.rows(
                "record_steps", run_id=run.id, attempt=run.attempt, now=now, events=as_json(events)
            ),
        )

    async def settle_eviction(
        self, action_id: int, *, namespace: str, pod: str, outcome: Outcome, detail: str | None, now: datetime
    ) -> None:
        """Records what became of one pod of a drain; a second word about the same pod changes nothing."""
        await self.database.rows(
            "settle_eviction",
            action_id=action_id,
            namespace=namespace,
            pod=pod,
            outcome=outcome,
            detail=_text(detail),
            now=now,
        )

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
        rows = await self.database.rows(
            "finish_run",
            run_id=run.id,
            attempt=run.attempt,
            status=status,
            action_taken=action_taken,
            action_recommended=action_recommended,
            action_error=_text(action_error),
            summary=_text(summary),
            workload=name_column(workload),
            node=name_column(node),
            retry_at=retry_at,
            finished_at=None if status is RunStatus.WAITING_APPROVAL else now,
            now=now,
            events=as_json(events),
        )
        _require_fence(run, rows)

    async def past_actions(self, *, scope: str, cluster: str, target_key: str, since: datetime) -> list[PastAction]:
        """The intents of a scope on one target from `since` on, newest first."""
        rows = await self.database.rows(
            "past_actions",
            scope=indexed(scope),
            cluster=name_column(cluster),
            target_key=indexed(target_key),
            since=since,
        )
        return [PastAction.from_row(row) for row in rows]

    async def incident(self, incident_id: int) -> Incident | None:
        """One incident by its id."""
        rows = await self.database.rows("incident", incident_id=incident_id)
        return incident_from_row(rows[0]) if rows else None

    async def events(self, incident_id: int) -> list[EventRow]:
        """The events of an incident, oldest first; empty where there is no such incident."""
        return [event async for part in self.events_in_parts(incident_id) for event in part]

    async def events_in_parts(self, incident_id: int) -> AsyncIterator[list[EventRow]]:
        """The same, EVENTS_AT_ONCE at a time.

        An alert that fires for months leaves so many that, read at once, nobody else would be answered meanwhile.
        """
        after, more = 0, True
        while more:
            rows = await self.database.rows("events", incident_id=incident_id, after=after, most=EVENTS_AT_ONCE)
            more = len(rows) == EVENTS_AT_ONCE
            if rows:
                after = rows[-1]["seq"]
                yield [EventRow.from_row(row) for row in rows]

    async def newest_events(self, incident_id: int, *, most: int) -> list[EventRow]:
        """The newest events, oldest first, and of those before them the last one of each type."""
        rows = await self.database.rows("newest_events", incident_id=incident_id, most=most)
        return [EventRow.from_row(row) for row in rows]

    async def schema_is_current(self) -> bool:
        """Whether every shipped migration is applied, or skipped for a missing extension."""
        async with self.database.connection() as connection:
            states = await statuses(connection, read_migrations())
        return all(each.state in {MigrationState.APPLIED, MigrationState.SKIPPED} for each in states)


def _superseded() -> list[dict[str, Any]]:
    """What is appended to the incident of another replay that is closed."""
    return as_json([Event(payload=Resolved(by="replay", reason="another replay of this alert began"))])


def _incident_id(rows: Sequence[Row]) -> int | None:
    incident_id: int | None = rows[0]["incident_id"]
    return incident_id


def _text(text: str | None) -> str | None:
    return None if text is None else redact_text(text)


def _require_fence(run: ActiveRun, rows: Sequence[Row]) -> None:
    if not rows:
        raise LostFence(f"run {run.id} was taken over or has ended (attempt {run.attempt} no longer holds it)")
