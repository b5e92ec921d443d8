"""Data directories that nothing may run in when a test is over, and users of the server."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from sre_agent.embedded_postgres import running
from tests.embedded_postgres.server_users import USER, StartUser, User, processes_of


@pytest.fixture
def home() -> Iterator[Path]:
    """A data directory that is not there yet. Nothing may run in it when the test is over."""
    short = Path(tempfile.mkdtemp(prefix="sre-"))  # pytest's own directories may be too long for a socket
    directory = short / "postgres"
    yield directory
    left = processes_of(directory)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    shutil.rmtree(short, ignore_errors=True)
    assert left == []


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database cluster at rest, to copy: making one is what takes time."""
    made = tmp_path_factory.mktemp("cluster")
    with running(made):
        return made / "data"


@pytest.fixture
def used_home(home: Path, cluster: Path) -> Path:
    """A data directory in which a server has run before."""
    home.mkdir(mode=0o700)
    shutil.copytree(cluster, home / "data")
    return home


@pytest.fixture
def user() -> Iterator[StartUser]:
    """Makes users; those that a test leaves behind end with it."""
    users: list[User] = []

    def start(home: Path, *, through: Sequence[str] = (), program: str = USER) -> User:
        users.append(User(home, through=through, program=program))
        return users[-1]

    yield start
    for started in users:
        started.leave()
