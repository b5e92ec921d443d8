"""Databases for the on-call browser: three replays, and thousands of live incidents."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest

from sre_agent.tui.database import DatabaseSource
from tests.conftest import copy_of
from tests.tui.browsing import fill, opened

MANY = 10_000


@pytest.fixture
def played_database(postgres: str, played: str) -> Iterator[str]:
    """Three replays: 1 acted, 2 recommended, 3 refused."""
    yield from copy_of(postgres, played)


@pytest.fixture
async def played_source(played_database: str) -> AsyncIterator[DatabaseSource]:
    async with opened(played_database) as source:
        yield source


@pytest.fixture(scope="session")
def filled(postgres: str, migrated_template: str) -> Iterator[str]:
    """A database with 10,000 live incidents, for whoever only reads it."""
    with contextmanager(copy_of)(postgres, migrated_template) as database:
        fill(database, MANY)
        yield database
