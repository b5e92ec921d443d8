"""The proof that what happened is still what is written, and the one way in which whole old incidents go.

Called by `db verify-audit` and `db prune`. Protects two rules: the proof reads one moment of the whole database, and
an incident whose chain is broken is not removed.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from psycopg.errors import DataCorrupted

from sre_agent.errors import BadInput, SreAgentError
from sre_agent.store.connection import Connection, NotPermitted
from sre_agent.store.database import Database
from sre_agent.store.queries import query
from sre_agent.store.rows import Row

RANGE = 5_000
"""How many incidents are proved by one statement: short enough to say how far it is."""
BATCH = 1_000
"""How many incidents are removed by one transaction."""

_FIRST = -(2**63)
_LAST = 2**63 - 1


class Fault(StrEnum):
    """How a row does not fit its chain, as the view chain_faults names it."""

    MISSING_BEFORE = "missing_before"
    CHANGED = "changed"
    UNLINKED = "unlinked"
    REORDERED = "reordered"
    NO_EVENTS = "no_events"
    MISSING_END = "missing_end"
    OTHER_HEAD = "other_head"
    NO_INCIDENT = "no_incident"
    GONE = "gone"
    NOT_IN_LEDGER = "not_in_ledger"
    PRUNED_AND_THERE = "pruned_and_there"


_SAID = {
    Fault.MISSING_BEFORE: "a row is missing before it",
    Fault.CHANGED: "its content does not fit its hash: one of them was changed",
    Fault.UNLINKED: "it does not name the hash of the row before it",
    Fault.REORDERED: "its id is not after that of the row before it: rows were put in another order",
    Fault.NO_EVENTS: "it is missing: an incident begins with the alert that opened it",
    Fault.MISSING_END: "it is missing: the incident says that it was written",
    Fault.OTHER_HEAD: "the incident names another row as its last one",
    Fault.NO_INCIDENT: "its incident is gone",
    Fault.GONE: "the incident is gone and left no checkpoint",
    Fault.NOT_IN_LEDGER: "the incident does not stand in the ledger",
    Fault.PRUNED_AND_THERE: "the ledger says that the incident was pruned, and it is there",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokenRow:
    """The first row of an incident that does not fit. `seq` is None where the incident as a whole is meant.

    `event_id` names the row as the timeline does; None for one that is not there.
    """

    incident_id: int
    seq: int | None
    event_id: int | None
    fault: Fault

    @property
    def what(self) -> str:
        """What is wrong with it, for people."""
        return _SAID[self.fault]

    @classmethod
    def from_row(cls, row: Row) -> Self:
        return cls(incident_id=row["incident_id"], seq=row["seq"], event_id=row["event_id"], fault=Fault(row["fault"]))


@dataclass(frozen=True, kw_only=True, slots=True)
class Proved:
    """How far a proof is: what was read, whether it fits or not, and the checkpoints of what was pruned."""

    incidents: int = 0
    events: int = 0
    checkpoints: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class PruneReport:
    """How many incidents, events and kept webhook bodies were removed, or would be."""

    incidents: int
    events: int
    webhooks: int = 0

    @classmethod
    def from_row(cls, row: Row) -> Self:
        return cls(**row)

    def __bool__(self) -> bool:
        return bool(self.incidents or self.webhooks)


class Audit:
    """The chains of all incidents. Every method raises Unreachable when the server is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def verify(self, *, progress: Callable[[Proved], None] | None = None) -> list[BrokenRow]:
        """Recomputes every chain and returns the first broken row of each incident, in order of their ids.

        `progress` is told after each RANGE of incidents, and last with the totals.
        """
        broken: list[BrokenRow] = []
        async with self._database.connection() as connection, connection.transaction():
            await connection.execute(query("read_one_moment"))
            (counted,) = await _rows(connection, "checkpoints")
            proved = Proved(checkpoints=counted["checkpoints"])
            after: int | None = _FIRST
            while after is not None:
                (found,) = await _rows(connection, "end_of_range", after=after, most=RANGE)
                span = {"after": after, "upto": _LAST if found["upto"] is None else found["upto"]}
                faults = await _rows(connection, "first_faults", **span)
                (size,) = await _rows(connection, "size_of_range", **span)
                broken += [BrokenRow.from_row(row) for row in faults]
                proved = Proved(
                    incidents=proved.incidents + size["incidents"],
                    events=proved.events + size["events"],
                    checkpoints=proved.checkpoints,
                )
                if progress is not None:
                    progress(proved)
                after = found["upto"]
        return broken

    async def prunable(self, before: datetime) -> PruneReport:
        """What `prune` would remove now: incidents resolved before a moment and without active run, older bodies."""
        return PruneReport.from_row((await self._database.rows("prunable", before=before))[0])

    async def prune(
        self, before: datetime, *, now: datetime, progress: Callable[[PruneReport], None] | None = None
    ) -> PruneReport:
        """Removes whole incidents that were resolved before a moment, and leaves their checkpoints; then older bodies.

        BATCH of them a transaction; what is done stays done when a later one fails, and the next call goes on from
        there. `progress` is told after each. Raises SreAgentError for an incident whose chain is broken, BadInput for
        a role that may not delete.
        """
        report = PruneReport(incidents=0, events=0)
        while True:
            removed = PruneReport.from_row(await self._removing("prune", before=before, most=BATCH, now=now))
            if not removed.incidents:
                break
            report = PruneReport(incidents=report.incidents + removed.incidents, events=report.events + removed.events)
            if progress is not None:
                progress(report)
        await self._removing("sweep_evidence")  # also what a prune that was killed has left
        await self._removing("sweep_brake_episodes")
        return replace(report, webhooks=await self._prune_webhooks(before))

    async def _prune_webhooks(self, before: datetime) -> int:
        total, removed = 0, BATCH
        while removed == BATCH:
            removed = (await self._removing("prune_webhooks", before=before, most=BATCH))["webhooks"]
            total += removed
        return total

    async def _removing(self, name: str, **values: Any) -> Row:
        """The one row of a query that removes."""
        try:
            (row,) = await self._database.rows(name, **values)
        except DataCorrupted as error:
            said = f"{error.diag.message_primary}. {error.diag.message_hint}"
            raise SreAgentError(f"nothing more was removed: {said}") from error
        except NotPermitted as error:
            raise BadInput(
                f"this database role may not prune: {error}. Pruning takes DELETE on incidents, runs, actions, "
                "approvals, incident_events, evidence_objects, webhooks and brake_episodes, and UPDATE on incidents "
                "and incident_ledger"
            ) from error
        return row


async def _rows(connection: Connection, name: str, **values: Any) -> list[Row]:
    cursor = await connection.execute(query(name), values)
    return list(await cursor.fetchall())
