"""What happens while somebody watches: the events of all incidents as they are committed, by LISTEN and NOTIFY.

Used by the server's streams and the TUI. A notification says only which event it was; what it means is read, so that a
lost one costs nothing but time.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from psycopg import Error

from sre_agent.errors import Unreachable
from sre_agent.event import EventType
from sre_agent.incident import IncidentStatus, Origin
from sre_agent.store.connection import Connection, connect, reaching
from sre_agent.store.database import Database
from sre_agent.store.queries import query
from sre_agent.store.rows import Row

QUIET_SECONDS = 15.0
"""After so long without a word the connection is tried: a server that vanished says nothing either."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One event, and how its incident stands now."""

    event_id: int
    event_type: EventType
    incident_id: int
    origin: Origin
    status: IncidentStatus
    updated_at: datetime

    @classmethod
    def from_row(cls, row: Row) -> Self:
        return cls(
            event_id=row["event_id"],
            event_type=EventType(row["event_type"]),
            incident_id=row["incident_id"],
            origin=Origin(row["origin"]),
            status=IncidentStatus(row["status"]),
            updated_at=row["updated_at"],
        )


class Changes:
    """All that is appended, whoever appends it. Every method raises Unreachable when the server is away."""

    def __init__(self, database: Database, conninfo: str) -> None:
        self._database = database
        self._conninfo = conninfo

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Whatever the database has against a listener is said as Unreachable: it listens again."""
        try:
            yield
        except Error as error:
            raise Unreachable(f"the changes of incidents cannot be read: {type(error).__name__}") from error

    @asynccontextmanager
    async def announced(self) -> AsyncIterator[AsyncIterator[list[int]]]:
        """The ids of events from now on, in batches as they come, on a connection of its own."""
        async with connect(self._conninfo) as connection:
            await connection.execute(query("listen_changes"))
            yield self._batches(connection)

    async def of_events(self, event_ids: Sequence[int]) -> list[Change]:
        """What these events changed, oldest first."""
        rows = await self._database.rows("changes_of", event_ids=list(event_ids))
        return [Change.from_row(row) for row in rows]

    async def after(self, event_id: int, *, most: int) -> list[Change]:
        """What changed after an event, oldest first, at most so many."""
        rows = await self._database.rows("changes_after", event_id=event_id, most=most)
        return [Change.from_row(row) for row in rows]

    async def newest(self) -> int:
        """The id of the newest event, 0 without one."""
        newest: int = (await self._database.rows("newest_event"))[0]["id"]
        return newest

    async def _batches(self, connection: Connection) -> AsyncIterator[list[int]]:
        with reaching(self._database.server):
            while True:
                heard = [int(note.payload) async for note in connection.notifies(timeout=QUIET_SECONDS, stop_after=1)]
                if heard:
                    yield heard
                else:
                    await connection.execute(query("server_time"))
