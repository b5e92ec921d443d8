"""A server that is away, full or killed: what is said, and that nothing half-written stays."""

import asyncio
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from sre_agent.errors import BadInput, Unreachable
from sre_agent.store import Store
from sre_agent.store.connection import connect, network_options, open_pool, place
from sre_agent.store.database import Database
from sre_agent.store.migrations import migrate
from tests.chaos.monkey import OwnPostgres
from tests.store.store_builders import NOW, execute, finish, receive, rows, started
from tests.web.servers import until


@pytest.mark.parametrize(
    ("conninfo", "said"),
    [
        pytest.param(
            "postgresql://agent:s3cret@db.example:6432/sre",
            "database sre at db.example:6432 as user agent",
            id="url",
        ),
        pytest.param(
            "host=/run/pg user=agent dbname=sre password=s3cret",
            "database sre at /run/pg as user agent",
            id="socket",
        ),
        pytest.param("host=db", "database of that user at db:5432", id="hardly anything"),
        pytest.param("user=me", "database me at the default host:5432 as user me", id="only a user"),
    ],
)
def test_a_place_is_named_without_the_password(conninfo: str, said: str) -> None:
    assert place(conninfo) == said


@pytest.mark.parametrize(
    ("conninfo", "said"),
    [
        pytest.param("s3cret", "not a connection string", id="no connection string"),
        pytest.param("postgresql://agent:p@s3cret@db/sre", "write it as %40", id="an @ in the password"),
    ],
)
def test_a_malformed_connection_string_is_not_repeated(conninfo: str, said: str) -> None:
    with pytest.raises(BadInput, match=said) as refused:
        place(conninfo)
    assert "s3cret" not in str(refused.value)


async def test_a_server_whose_machine_is_gone_is_given_up_after_a_while(database: str) -> None:
    async with connect(database) as connection:
        used = connection.info.get_parameters()
    assert (used["keepalives_idle"], used["tcp_user_timeout"], used["connect_timeout"]) == ("20", "50000", "10")
    assert "connect_timeout" not in network_options(make_conninfo(database, connect_timeout=3))


async def test_an_unreachable_server_is_named_without_the_password(unused_tcp_port: int) -> None:
    conninfo = f"postgresql://agent:s3cret@127.0.0.1:{unused_tcp_port}/sre"
    with pytest.raises(Unreachable) as refused:
        async with Store.open(conninfo):
            pass
    assert f"database sre at 127.0.0.1:{unused_tcp_port} as user agent" in str(refused.value)
    assert "s3cret" not in str(refused.value)
    with pytest.raises(Unreachable):
        await migrate(conninfo)


async def test_a_socket_without_a_server_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=f"at {tmp_path}"):
        async with Store.open(f"host={tmp_path} user=postgres connect_timeout=2"):
            pass


async def test_a_database_that_does_not_exist_is_named(database: str) -> None:
    with pytest.raises(Unreachable, match='database "missing" does not exist'):
        async with Store.open(psycopg.conninfo.make_conninfo(database, dbname="missing")):
            pass


async def test_times_are_utc_whatever_the_server_thinks(database: str) -> None:
    execute(database, f"alter database {rows(database, 'select current_database()')[0][0]} set timezone = 'Asia/Tokyo'")
    async with Store.open(database) as store:
        incident = await store.incident((await receive(store)).incident_id)
        assert incident is not None
        assert incident.created_at.utcoffset() == NOW.utcoffset()


async def test_a_killed_connection_in_the_middle_leaves_nothing_half_written(database: str) -> None:
    async with Store.open(database, max_size=1) as store:
        run = await started(store)
        before = await store.incident(run.incident_id), await store.events(run.incident_id)
        with psycopg.connect(database) as other:
            other.execute("select from incidents for update")  # the end of the run stops at its second table
            ending = asyncio.create_task(finish(store, run, action_taken="patched"))
            await asyncio.sleep(0.2)
            assert not ending.done()
            execute(
                database,
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and wait_event_type = 'Lock'",
            )
            with pytest.raises(Unreachable, match="cannot reach PostgreSQL"):
                await ending
        assert (await store.incident(run.incident_id), await store.events(run.incident_id)) == before
        assert rows(database, "select status from runs") == [("running",)]
        await finish(store, run, action_taken="patched")


async def test_a_full_disk_is_said_and_leaves_nothing_half_written(database: str, store: Store) -> None:
    execute(
        database,
        "create function full_disk() returns trigger language plpgsql as"
        " $$ begin raise disk_full using message = 'could not extend file'; end $$;"
        "create trigger full_disk after insert on incident_events execute function full_disk()",
    )
    with pytest.raises(Unreachable, match="no disk space left, nothing was stored: could not extend file"):
        await receive(store)
    assert rows(database, "select (select count(*) from incidents), (select count(*) from runs)") == [(0, 0)]
    execute(database, "drop trigger full_disk on incident_events")
    await receive(store)


async def test_what_is_no_fault_of_the_server_passes_unchanged(database: str) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable):
        async with connect(database) as connection:
            await connection.execute("select from nothing_of_the_kind")


async def test_a_pool_that_has_no_free_connection_says_so(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sre_agent.store.connection._CONNECT_TIMEOUT", 1)
    async with open_pool(database, max_size=1) as pool, pool.connection():
        with pytest.raises(Unreachable, match="couldn't get a connection"):
            await Store(pool, place(database), database).incident(1)


async def test_a_role_without_a_right_is_told_which_and_where(store: Store, database: str) -> None:
    incident_id = (await receive(store)).incident_id
    name = f"stranger_{uuid4().hex[:8]}"
    execute(database, f"create role {name} login; grant select on incidents to {name}")
    try:
        async with Store.open(make_conninfo(database, user=name)) as limited:
            assert await limited.incident(incident_id) is not None
            with pytest.raises(BadInput, match=f"as user {name}: permission denied for table incident_events; let its"):
                await limited.events(incident_id)
    finally:
        execute(database, f"drop owned by {name}; drop role {name}")


BACK_SECONDS = 15.0


async def test_a_server_that_was_away_for_long_is_found_soon_after_it_is_back(
    own_postgres: OwnPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool's own pause between two attempts, as it has become after minutes."""
    monkeypatch.setattr("psycopg_pool.base.AttemptWithBackoff.INITIAL_DELAY", 300.0)
    async with open_pool(own_postgres.conninfo, max_size=2) as pool:
        database = Database(pool=pool, server="the test's")
        await own_postgres.stop()
        for _ in range(2):
            with pytest.raises(Unreachable):
                await database.rows("server_time", connect_within=0.5)
        await own_postgres.start()

        async def found() -> bool:
            try:
                return bool(await database.rows("server_time", connect_within=0.5))
            except Unreachable:
                return False

        await until(found, seconds=BACK_SECONDS)
