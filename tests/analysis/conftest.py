"""The commands of these tests share one embedded PostgreSQL, so that each joins it instead of starting it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sre_agent.agent import POSTGRES_DIRECTORY
from sre_agent.embedded_postgres import running


@pytest.fixture
def users_database(environment: None) -> Iterator[None]:
    with running(Path(os.environ["SRE_AGENT_DATA_DIR"]) / POSTGRES_DIRECTORY):
        yield
