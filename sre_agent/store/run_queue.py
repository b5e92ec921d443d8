"""Runs that wait, are at work, or were left behind. The jobs that stand for them are Procrastinate's.

Called by the worker. Protects one rule: whatever dies, a live run that has not ended is found again by somebody.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self
from uuid import UUID

from sre_agent.event import ErrorRaised, Escalated, Event
from sre_agent.redaction import redact_text
from sre_agent.run import Mode, Outcome
from sre_agent.store.database import Database
from sre_agent.store.event_json import as_json
from sre_agent.store.rows import ActiveRun, Row


@dataclass(frozen=True, kw_only=True, slots=True)
class QueuedRun:
    """A run that somebody is about to take up, and the alert that it is about, as its incident keeps it.

    `over`: the alert was resolved, or a person closed or muted the incident. `begun`: somebody was at work on it;
    `attempt` is how often it was taken up.
    """

    run_id: UUID
    incident_id: int
    mode: Mode
    scope: str
    ended: bool
    begun: bool
    over: bool
    attempt: int
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    fingerprint: str
    starts_at: datetime | None

    @classmethod
    def from_row(cls, row: Row) -> Self:
        return cls(
            run_id=row["run_id"],
            incident_id=row["incident_id"],
            mode=Mode(row["mode"]),
            scope=row["scope"],
            ended=row["finished_at"] is not None,
            begun=row["attempt"] > 0,
            over=row["over"],
            attempt=row["attempt"],
            labels=row["labels"],
            annotations=row["annotations"],
            fingerprint=row["fingerprint"],
            starts_at=row["latest_starts_at"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredIntent:
    """One intent of a run that was cut off. `outcome` None: nobody recorded what became of it."""

    id: int
    tool: str
    action: str
    value: str | None
    near_limit: bool
    outcome: Outcome | None
    detail: str | None
    body: Mapping[str, Any]
    intended_at: datetime

    @classmethod
    def from_row(cls, row: Row) -> Self:
        columns = {key: value for key, value in row.items() if key != "status"}
        return cls(**columns, outcome=_outcome(row["status"]))


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueState:
    """How many live runs wait and are at work, since when the oldest of each, and when the last webhook came."""

    queued: int
    running: int
    oldest_queued_at: datetime | None
    oldest_started_at: datetime | None
    last_webhook_at: datetime | None

    @classmethod
    def from_row(cls, row: Row) -> Self:
        return cls(**row)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunQueue:
    """The queue of runs. Every method raises Unreachable when the server is away."""

    database: Database

    async def queued(self, run_id: UUID) -> QueuedRun | None:
        """The run and its alert, None where there is no such run."""
        rows = await self.database.rows("assignment", run_id=run_id)
        return QueuedRun.from_row(rows[0]) if rows else None

    async def cancel(self, run_id: UUID, *, now: datetime) -> None:
        """Ends a run that has nothing to do any more."""
        await self.database.rows("cancel_run", run_id=run_id, now=now)

    async def park(self, queued: QueuedRun, *, deaths: int, error: str, why: str, now: datetime) -> bool:
        """Ends a run that broke off, and tells a person, where so many workers had died on it already.

        `queued` is the run as it was before it was taken up: nothing happens where somebody else has it by now.
        """
        told = [Event(payload=ErrorRaised(where="run", error=error)), Event(payload=Escalated(reason=why))]
        rows = await self.database.rows(
            "park_run",
            run_id=queued.run_id,
            attempt=queued.attempt + 1,
            deaths=deaths,
            why=redact_text(why),
            events=as_json(told),
            now=now,
        )
        return bool(rows)

    async def steps_so_far(self, run: ActiveRun) -> list[Mapping[str, Any]]:
        """The events `step` of earlier attempts at a run, in order."""
        rows = await self.database.rows("steps_so_far", run_id=run.id, incident_id=run.incident_id)
        return [row["payload"] for row in rows]

    async def intents_so_far(self, run: ActiveRun) -> list[StoredIntent]:
        """The intents of earlier attempts at a run, in order."""
        rows = await self.database.rows("intents_so_far", run_id=run.id, incident_id=run.incident_id)
        return [StoredIntent.from_row(row) for row in rows]

    async def evictions_so_far(self, action_id: int) -> dict[tuple[str, str], Outcome | None]:
        """What became of each pod of a drain, by (namespace, name); None where nobody recorded it."""
        rows = await self.database.rows("evictions_so_far", action_id=action_id)
        return {(row["namespace"], row["pod"]): _outcome(row["status"]) for row in rows}

    async def hand_back(self, run: ActiveRun) -> None:
        """Leaves a run to whoever takes it up next; nothing happens where it was taken over already."""
        await self.database.rows("hand_back", run_id=run.id, attempt=run.attempt)

    async def take_back(self, *, own: int | None, held: Iterable[int], silence: timedelta) -> int:
        """Frees the jobs of workers that were silent for so long, and says how many.

        `own` is the number of the asking worker, `held` the jobs that it is really at work on.
        """
        (row,) = await self.database.rows("take_back_jobs", own=own, held=_numbers(held), silence=silence)
        freed: int = row["jobs"]
        if freed:
            await self.database.rows("wake_workers")
        return freed

    async def queue_due(self, *, now: datetime) -> int:
        """Queues a new run for each open incident whose last one could not act until now."""
        return _count(await self.database.rows("queue_due_runs", now=now))

    async def queue_lost(self, *, patience: timedelta) -> int:
        """Queues the live runs that no job stands for, where nobody touched them for so long."""
        return _count(await self.database.rows("queue_lost_runs", patience=patience))

    async def counted_by_runbook(self) -> Mapping[str, Mapping[str, Any]]:
        """How often each runbook ran, replays included: {results: {status: runs}, last_run_at}, by its id."""
        counted: dict[str, dict[str, Any]] = {}
        for row in await self.database.rows("runs_by_runbook"):
            entry = counted.setdefault(row["runbook_id"], {"results": {}, "last_run_at": None})
            entry["results"][row["status"]] = row["runs"]
            latest = row["last_run_at"]
            if latest is not None and (entry["last_run_at"] is None or latest > entry["last_run_at"]):
                entry["last_run_at"] = latest
        return counted

    async def state(self) -> QueueState:
        """The queue at a glance."""
        (row,) = await self.database.rows("queue_state")
        return QueueState.from_row(row)


def _outcome(status: str) -> Outcome | None:
    return None if status == "intended" else Outcome(status)


def _numbers(held: Iterable[int]) -> str:
    """An array of numbers as PostgreSQL writes it."""
    return "{" + ",".join(str(number) for number in held) + "}"


def _count(rows: Iterable[Row]) -> int:
    return sum(row["runs"] for row in rows)
