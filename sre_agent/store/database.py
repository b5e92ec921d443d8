"""Named queries on a pool of connections. Every part of the store reads and writes through this.

Protects one rule: a query is a transaction of its own, and a server that is away is said as Unreachable.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sre_agent.store.connection import Connection, Pool, reaching
from sre_agent.store.queries import query
from sre_agent.store.rows import Row
from sre_agent.store.values import parameters


@dataclass(frozen=True, kw_only=True, slots=True)
class Database:
    """A pool, and where it leads (`connection.place`) for messages."""

    pool: Pool
    server: str

    async def rows(
        self, name: str, *, prepare: bool | None = None, connect_within: float | None = None, **values: Any
    ) -> Sequence[Row]:
        """Runs a named query. `prepare=False` plans it for these values each time: for queries with optional filters.

        `connect_within` is how many seconds it waits for a connection, None: as long as the pool does. Raises
        Unreachable.
        """
        async with self.connection(within=connect_within) as connection:
            cursor = await connection.execute(query(name), parameters(values), prepare=prepare)
            return await cursor.fetchall()

    @asynccontextmanager
    async def connection(self, *, within: float | None = None) -> AsyncIterator[Connection]:
        """A connection in autocommit, for as long as the block runs. Raises Unreachable."""
        with reaching(self.server):
            async with self.pool.connection(timeout=within) as connection:
                yield connection
