"""Replicas of the server on one database, and a sender to them."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.chaos.recorded import recorded
from tests.chaos.replicas import Replica, started


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """What sends. It keeps many connections and waits long, as Alertmanager does."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=30)) as opened:
        yield opened


@pytest.fixture
async def replicas(database: str, tmp_path: Path) -> AsyncIterator[list[Replica]]:
    """Three servers without a cluster, each with a worker."""
    three = [Replica(tmp_path / f"{number}.log", "serve", DATABASE_URL=database) for number in range(3)]
    with started(*three):
        for replica in three:
            await replica.ready()
        yield three


@pytest.fixture
def writes(tmp_path: Path) -> Path:
    """Where processes on the recorded cluster note what they send."""
    return tmp_path / "writes"


@pytest.fixture
def recorded_replicas(database: str, tmp_path: Path, writes: Path) -> Iterator[list[Replica]]:
    """Three servers on the recorded cluster, each with a worker that may change it."""
    three = [recorded(tmp_path / f"{number}.log", writes, "serve", DATABASE_URL=database) for number in range(3)]
    with started(*three):
        yield three
