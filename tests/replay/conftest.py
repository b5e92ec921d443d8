"""Replays share one embedded PostgreSQL for the session, so that each command joins it instead of starting it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sre_agent.agent import POSTGRES_DIRECTORY
from sre_agent.embedded_postgres import running
from tests.conftest import copy_of


@pytest.fixture(scope="session", autouse=True)
def users_database(environment: None) -> Iterator[None]:
    with running(Path(os.environ["SRE_AGENT_DATA_DIR"]) / POSTGRES_DIRECTORY):
        yield


@pytest.fixture
def book(postgres: str, played: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The connection string of such a database, which the commands of the test speak to."""
    with contextmanager(copy_of)(postgres, played) as conninfo:
        monkeypatch.setenv("DATABASE_URL", conninfo)
        yield conninfo
