"""Migrations on a real server: from nothing, twice, at once, changed, refused, and without an extension."""

import asyncio
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from sre_agent.errors import BadInput, SreAgentError, Unreachable
from sre_agent.event import EventType
from sre_agent.resources import data_path
from sre_agent.store import Store, migrations
from sre_agent.store.migrations import ChangedMigration, MigrationState, migrate, require_current, status
from sre_agent.store.queries import load
from tests.store.store_builders import execute, rows

SHIPPED = sorted(path.stem for path in (data_path("sql") / "migrations").glob("*.sql"))


async def test_an_empty_database_gets_every_file_in_order(blank_database: str) -> None:
    assert await migrate(blank_database) == SHIPPED
    states = await status(blank_database)
    assert [each.name for each in states] == SHIPPED
    assert {each.state for each in states} == {MigrationState.APPLIED}
    assert all(each.applied_at is not None for each in states)


async def test_a_second_migration_applies_nothing(blank_database: str) -> None:
    await migrate(blank_database)
    assert await migrate(blank_database) == []


async def test_status_of_an_empty_database_is_pending_and_creates_nothing(blank_database: str) -> None:
    assert {each.state for each in await status(blank_database)} == {MigrationState.PENDING}
    assert rows(blank_database, "select to_regclass('schema_migrations')") == [(None,)]


async def test_a_changed_file_is_refused_by_name_and_nothing_pending_is_applied(
    blank_database: str, directory: Path
) -> None:
    await migrate(blank_database, migrations=directory)
    with (directory / "0002_runs_and_actions.sql").open("a") as file:
        file.write("-- a second thought\n")
    (directory / "0900_later.sql").write_text("create table later ();")
    with pytest.raises(ChangedMigration, match=r"0002_runs_and_actions\.sql was changed"):
        await migrate(blank_database, migrations=directory)
    states = {each.name: each.state for each in await status(blank_database, migrations=directory)}
    assert states["0002_runs_and_actions"] is MigrationState.CHANGED
    assert states["0900_later"] is MigrationState.PENDING


async def test_processes_that_start_at_once_apply_each_file_once(blank_database: str) -> None:
    code = (
        "import asyncio, sys; from sre_agent.store.migrations import migrate; print(*asyncio.run(migrate(sys.argv[1])))"
    )

    async def start() -> list[str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, blank_database, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        assert process.returncode == 0
        return out.decode().split()

    applied = await asyncio.gather(start(), start(), start())
    assert sorted(name for names in applied for name in names) == SHIPPED


async def test_tasks_that_start_at_once_apply_each_file_once(blank_database: str) -> None:
    applied = await asyncio.gather(*(migrate(blank_database) for _ in range(5)))
    assert sorted(name for names in applied for name in names) == SHIPPED


async def test_waiting_for_another_migration_ends_with_a_message(
    blank_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "LOCK_WAIT_SECONDS", 0.2)
    with psycopg.connect(blank_database, autocommit=True) as other:
        other.execute("select pg_advisory_lock(7301968524631)")
        with pytest.raises(Unreachable, match="another process has been migrating"):
            await migrate(blank_database)
    assert await migrate(blank_database) == SHIPPED


async def test_a_file_whose_extension_is_missing_is_skipped_and_said_so(blank_database: str, directory: Path) -> None:
    needing = directory / "0900_guesses.sql"
    needing.write_text("-- requires-extension: clairvoyance\ncreate extension clairvoyance;\n")
    assert "0900_guesses" not in await migrate(blank_database, migrations=directory)
    skipped = (await status(blank_database, migrations=directory))[-1]
    assert (skipped.name, skipped.state) == ("0900_guesses", MigrationState.SKIPPED)
    assert skipped.reason == "this server does not offer the extension clairvoyance"
    await require_current(blank_database, migrations=directory)


async def test_a_skipped_file_is_applied_once_its_extension_is_there(
    blank_database: str, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = {**load(data_path("sql") / "queries"), "usable_extensions": b"select 'plpgsql' as name"}
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "query", without.__getitem__)
        assert "0006_summary_embedding" not in await migrate(blank_database, migrations=directory)
    assert await migrate(blank_database, migrations=directory) == ["0006_summary_embedding"]


async def test_a_refused_file_is_named_with_its_line_and_leaves_nothing_behind(
    blank_database: str, directory: Path
) -> None:
    broken = directory / "0900_broken.sql"
    broken.write_text("create table half ();\n\ncreate table oops (a nonsense);\n")
    (directory / "0901_after.sql").write_text("create table after_it ();")
    with pytest.raises(SreAgentError, match=r'0900_broken\.sql, line 3: type "nonsense" does not exist'):
        await migrate(blank_database, migrations=directory)
    assert rows(blank_database, "select to_regclass('half'), to_regclass('after_it')") == [(None, None)]
    broken.write_text("create table half ();")
    assert await migrate(blank_database, migrations=directory) == ["0900_broken", "0901_after"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        pytest.param(["1_short.sql"], "NNNN_name", id="a number without four digits"),
        pytest.param(["0001_a.sql", "0001_b.sql"], "one number each", id="the same number twice"),
    ],
)
async def test_a_malformed_directory_is_refused(
    blank_database: str, tmp_path: Path, names: list[str], message: str
) -> None:
    for name in names:
        (tmp_path / name).write_text("select 1")
    with pytest.raises(BadInput, match=message):
        await migrate(blank_database, migrations=tmp_path)


async def test_an_old_schema_is_refused_with_the_command_that_mends_it(blank_database: str, directory: Path) -> None:
    await migrate(blank_database)
    await require_current(blank_database)
    (directory / "0900_later.sql").write_text("create table later ();")
    with pytest.raises(Unreachable, match="0900_later not applied: run `sre-agent db migrate`"):
        await require_current(blank_database, migrations=directory)
    with (directory / "0001_incidents.sql").open("a") as file:
        file.write("-- changed\n")
    (directory / "0900_later.sql").unlink()
    with pytest.raises(Unreachable, match="0001_incidents changed"):
        await require_current(blank_database, migrations=directory)


async def test_the_store_knows_whether_its_schema_is_current(database: str, store: Store) -> None:
    assert await store.schema_is_current()
    execute(database, "delete from schema_migrations where name = '0005_approvals'")
    assert not await store.schema_is_current()


def test_the_database_accepts_the_event_types_of_the_code_and_no_others(database: str) -> None:
    [(definition,)] = rows(
        database,
        "select pg_get_constraintdef(oid) from pg_constraint where conname = 'incident_events_event_type_check'",
    )
    assert {part for part in definition.split("'") if part.isidentifier() and part != "text"} == set(EventType)


async def test_a_database_in_another_encoding_is_refused(blank_database: str) -> None:
    with psycopg.connect(blank_database, autocommit=True) as server:
        server.execute("create database latin_one template template0 encoding 'LATIN1' locale 'C'")
        try:
            with pytest.raises(SreAgentError, match=r"encoded in LATIN1; create it with encoding UTF8"):
                await migrate(make_conninfo(blank_database, dbname="latin_one"))
        finally:
            server.execute("drop database latin_one with (force)")


async def test_a_user_who_may_not_create_tables_is_told_so(blank_database: str) -> None:
    execute(blank_database, "create role reader login")
    try:
        with pytest.raises(BadInput, match="permission denied for schema public; let its owner grant"):
            await migrate(make_conninfo(blank_database, user="reader"))
    finally:
        execute(blank_database, "drop role reader")


async def test_a_server_that_goes_away_during_a_migration_is_unreachable(blank_database: str, directory: Path) -> None:
    (directory / "0900_last_words.sql").write_text("select pg_terminate_backend(pg_backend_pid());")
    with pytest.raises(Unreachable, match="cannot reach PostgreSQL"):
        await migrate(blank_database, migrations=directory)
    assert [each.state for each in await status(blank_database, migrations=directory)].count("pending") == 1
