"""A real server on a free loopback port over a real database, in this process or in one of its own."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from sre_agent.agent import POSTGRES_DIRECTORY
from tests.conftest import copy_of
from tests.web.servers import Served, ServeProcess, served


class Serve(Protocol):
    """Serves the test's database; keywords are settings, `loopback=False` pretends to listen beyond."""

    def __call__(self, *, loopback: bool = True, **environment: str) -> AbstractAsyncContextManager[Served]: ...


@pytest.fixture
def serve(database: str) -> Serve:
    def serving(*, loopback: bool = True, **environment: str) -> AbstractAsyncContextManager[Served]:
        return served(database, environment, loopback=loopback)

    return serving


@pytest.fixture
async def server(serve: Serve) -> AsyncIterator[Served]:
    """A server without credentials, on an empty database."""
    async with serve() as running:
        yield running


@pytest.fixture
async def played_server(postgres: str, played: str) -> AsyncIterator[Served]:
    """A server on a database with three replays: 1 acted, 2 recommended, 3 refused."""
    with contextmanager(copy_of)(postgres, played) as conninfo:
        async with served(conninfo, {}) as running:
            yield running


@pytest.fixture
def process(database: str) -> Iterator[ServeProcess]:
    """`sre-agent serve` as a process of its own, without a worker."""
    with ServeProcess("--no-worker", DATABASE_URL=database) as running:
        running.wait_until_ready()
        yield running


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory whose embedded PostgreSQL was made already, so that starting takes no time."""
    from sre_agent.embedded_postgres import running

    home = tmp_path_factory.mktemp("serving")
    with running(home / POSTGRES_DIRECTORY):
        return home
