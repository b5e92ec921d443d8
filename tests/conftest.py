"""What every test shares: an environment without the user's settings, one PostgreSQL, and databases on it."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from sre_agent.cli.main import run
from sre_agent.embedded_postgres import running
from sre_agent.resources import data_path
from sre_agent.store import Store
from sre_agent.store.migrations import migrate
from tests.chaos.monkey import OwnPostgres

pytest_plugins = ["tests.control_plane.fixtures", "tests.figures"]

USERS_SETTINGS = (
    "AGENT_MODE",
    "CLUSTER_NAME",
    "DATABASE_URL",
    "KUBECONFIG",
    "KUBERNETES_SERVICE_HOST",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "OPENAI_MODEL",
    "SRE_AGENT_API_TOKEN",
    "SRE_AGENT_INVESTIGATE",
    "SRE_AGENT_LINKS",
    "SRE_AGENT_LISTEN",
    "SRE_AGENT_PLANNER",
    "SRE_AGENT_PROMPTS_DIR",
    "SRE_AGENT_VIEWER_TOKEN",
    "SRE_AGENT_VISITORS",
    "SRE_AGENT_WEBHOOK_PASSWORD",
    "SRE_AGENT_WEBHOOK_TOKEN",
    "SRE_AGENT_WEBHOOK_USER",
)


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """A shell's `&` makes what it starts ignore ctrl-C, and what that starts too: not the programs under test."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test sees the user's settings or touches the user's data."""
    with pytest.MonkeyPatch.context() as patch:
        for name in USERS_SETTINGS:
            patch.delenv(name, raising=False)
        patch.setenv("SRE_AGENT_DATA_DIR", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[str]:
    """The conninfo of an embedded PostgreSQL that all workers of this test run share."""
    own = tmp_path_factory.getbasetemp()
    shared = own if worker_id == "master" else own.parent
    with running(shared / "postgres") as conninfo:
        yield conninfo


@pytest.fixture(scope="session")
def migrated_template(postgres: str) -> Iterator[str]:
    """The name of a migrated database that the others are copied from."""
    name = f"sre_template_{uuid4().hex}"
    with psycopg.connect(postgres, autocommit=True) as server:
        server.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        asyncio.run(migrate(make_conninfo(postgres, dbname=name)))
        yield name
        server.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def database(postgres: str, migrated_template: str) -> Iterator[str]:
    """The connection string of an empty database with the current schema."""
    yield from copy_of(postgres, migrated_template)


@pytest.fixture
def blank_database(postgres: str) -> Iterator[str]:
    """The connection string of a database without any schema."""
    yield from copy_of(postgres, "template0")


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
async def store(database: str) -> AsyncIterator[Store]:
    async with Store.open(database) as opened:
        yield opened


@pytest.fixture
async def own_postgres(tmp_path: Path) -> AsyncIterator[OwnPostgres]:
    """A PostgreSQL that may be stopped, with the current schema."""
    postgres = OwnPostgres(tmp_path / "postgres")
    await postgres.start()
    await migrate(postgres.conninfo)
    yield postgres
    await postgres.stop()


def copy_of(postgres: str, template: str) -> Iterator[str]:
    """The connection string of a new database made from another one, dropped afterwards."""
    name = f"sre_{uuid4().hex}"
    with psycopg.connect(postgres, autocommit=True) as server:
        server.execute(sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template)))
        yield make_conninfo(postgres, dbname=name)
        server.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
