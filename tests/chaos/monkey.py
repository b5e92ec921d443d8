"""A PostgreSQL of one test, a monkey that restarts it, and a lock that holds it up."""

import asyncio
import os
import random
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psycopg

from sre_agent.embedded_postgres import running
from tests.embedded_postgres.server_users import postmaster_of

LEAST_AWAY, LONGEST_AWAY = 0.2, 2.0
"""Seconds for which it stays away."""


class OwnPostgres:
    """A server in a directory of its own, which has one address through all its lives."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._use: AbstractContextManager[str] | None = None
        self.conninfo = ""

    async def start(self) -> None:
        self._use = running(self._home)
        self.conninfo = await asyncio.to_thread(self._use.__enter__)

    async def stop(self) -> None:
        """A fast shutdown: every connection is cut."""
        if self._use is not None:
            use, self._use = self._use, None
            await asyncio.to_thread(use.__exit__, None, None, None)

    async def crash(self) -> None:
        """SIGKILL; what was committed is found again when it starts."""
        os.kill(postmaster_of(self._home), signal.SIGKILL)
        await self.stop()


async def restart(postgres: OwnPostgres, *, times: int, least: float, most: float, dice: random.Random) -> None:
    """Restarts it so often, after so many seconds each; every second time it has crashed."""
    for number in range(times):
        await asyncio.sleep(dice.uniform(least, most))
        await (postgres.crash() if number % 2 else postgres.stop())
        await asyncio.sleep(dice.uniform(LEAST_AWAY, LONGEST_AWAY))
        await postgres.start()


@contextmanager
def held_up(database: str) -> Iterator[None]:
    """Whatever would be committed to the incidents waits for the end of the block."""
    with psycopg.connect(database) as connection:
        connection.execute("lock table incidents in share mode")
        yield
