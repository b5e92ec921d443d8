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

    async def rows(self, name: str, *, prepare: bool | None = None, **values: Any) -> Sequence[Row]:
        """Runs a named query. `prepare=False` plans it for these values each time: for queries with optional filters.

        Raises Unreachable.
        """
        async with self.connection() as connection:
            cursor = await connection.execute(query(name), parameters(values), prepare=prepare)
            return await cursor.fetchall()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection in autocommit, for as long as the block runs. Raises Unreachable."""
        with reaching(self.server):
            async with self.pool.connection() as connection:
                yield connection
