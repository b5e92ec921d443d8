"""Replays share one embedded PostgreSQL for the session, so that each command joins it instead of starting it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from sre_agent.agent import POSTGRES_DIRECTORY
from sre_agent.cli.main import run
from sre_agent.embedded_postgres import running
from sre_agent.resources import data_path
from tests.conftest import copy_of


@pytest.fixture(scope="session", autouse=True)
def users_database(environment: None) -> Iterator[None]:
    with running(Path(os.environ["SRE_AGENT_DATA_DIR"]) / POSTGRES_DIRECTORY):
        yield


@pytest.fixture(scope="session")
def played(postgres: str, migrated_template: str) -> Iterator[str]:
    """The name of a database with three replays: 1 acted, 2 recommended, 3 refused."""
    plays = (("crash-loop-oom", "auto"), ("oom-killed", "recommend"), ("kube-system-oom", "auto"))
    with contextmanager(copy_of)(postgres, migrated_template) as conninfo:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DATABASE_URL", conninfo)
            for example, mode in plays:
                assert run(["replay", str(data_path("examples") / example), "--mode", mode]) == 0
        yield conninfo_to_dict(conninfo)["dbname"]


@pytest.fixture
def book(postgres: str, played: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The connection string of such a database, which the commands of the test speak to."""
    with contextmanager(copy_of)(postgres, played) as conninfo:
        monkeypatch.setenv("DATABASE_URL", conninfo)
        yield conninfo
