"""Brings the schema up to date: numbered SQL files, each in its own transaction, recorded with its checksum.

Called by `db migrate|status`, by whoever opens the embedded database, and by commands that need a current schema.
Protects two rules: an applied file never changes, and two processes never migrate at once.
"""

import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from importlib import resources
from pathlib import Path

import psycopg
from psycopg.errors import InsufficientPrivilege, LockNotAvailable

from sre_agent.errors import BadInput, SreAgentError, Unreachable
from sre_agent.resources import data_path
from sre_agent.store.connection import Connection, connect, is_away, place
from sre_agent.store.queries import query

LOCK_WAIT_SECONDS = 60
_FILE_NAME = re.compile(r"\d{4}_\w+\.sql")
_REQUIRES_EXTENSION = re.compile(r"-- requires-extension: (\w+)")
_WITH_PROCRASTINATE = re.compile(r"-- with-procrastinate: ([\d._]+)")
"""The queue's own migrations up to this one come before the file, from the installed package, into schema `jobs`."""


class ChangedMigration(BadInput):
    """A file was changed after it had been applied: restore it, and put the change into a new file."""


class MigrationState(StrEnum):
    """pending -> applied; skipped -> applied once its extension is there; applied -> changed is a fault."""

    APPLIED = "applied"
    PENDING = "pending"
    SKIPPED = "skipped"
    CHANGED = "changed"


@dataclass(frozen=True, kw_only=True, slots=True)
class MigrationStatus:
    """One migration file (`0001_incidents`) as this database has it. `reason` says why one was skipped."""

    name: str
    state: MigrationState
    applied_at: datetime | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Migration:
    """One file. `extension` is the PostgreSQL extension without which it is skipped.

    Before it come Procrastinate's own migrations behind `queue_after`, up to `queue_upto`; none where that is empty.
    """

    name: str
    sql: bytes
    sha256: str
    extension: str | None
    queue_after: str = ""
    queue_upto: str = ""


async def migrate(conninfo: str, *, migrations: Path | None = None) -> list[str]:
    """Applies what is pending and returns the applied names, in order.

    Processes that start together wait for each other. Raises ChangedMigration before anything is applied,
    BadInput for a malformed directory or a user who may not create tables, SreAgentError naming the file that
    PostgreSQL refused (the files before it stay applied), Unreachable.
    """
    files = read_migrations(migrations)
    async with connect(conninfo) as connection:
        if _pending(await statuses(connection, files), files) == []:
            return []
        await _wait_for_others(connection, place(conninfo))
        await _create_record(connection, place(conninfo))
        pending = _pending(await statuses(connection, files), files)
        for migration in pending:
            await _apply(connection, migration)
        return [migration.name for migration in pending]


async def status(conninfo: str, *, migrations: Path | None = None) -> list[MigrationStatus]:
    """The state of every file, in order. Changes nothing. Raises Unreachable."""
    files = read_migrations(migrations)
    async with connect(conninfo) as connection:
        return await statuses(connection, files)


async def require_current(conninfo: str, *, migrations: Path | None = None) -> None:
    """Returns when every file is applied or skipped; raises Unreachable naming `sre-agent db migrate` otherwise."""
    states = await status(conninfo, migrations=migrations)
    if missing := [each.name for each in states if each.state is MigrationState.PENDING]:
        raise Unreachable(
            f"the schema of the {place(conninfo)} is not current, {', '.join(missing)} not applied: "
            "run `sre-agent db migrate`"
        )
    if changed := [each.name for each in states if each.state is MigrationState.CHANGED]:
        raise Unreachable(
            f"the schema of the {place(conninfo)} was made by other files than these, {', '.join(changed)} changed: "
            "see `sre-agent db migrate`"
        )


async def statuses(connection: Connection, files: list[Migration]) -> list[MigrationStatus]:
    """The state of each file in the database behind an open connection."""
    applied = {}
    if await (await connection.execute(query("schema_migrations_table"))).fetchone():
        cursor = await connection.execute(query("applied_migrations"))
        applied = {row["name"]: row for row in await cursor.fetchall()}
    extensions: set[str] = set()
    if any(file.extension and file.name not in applied for file in files):
        cursor = await connection.execute(query("usable_extensions"))
        extensions = {row["name"] for row in await cursor.fetchall()}

    def state_of(file: Migration) -> MigrationStatus:
        if (row := applied.get(file.name)) is not None:
            state = MigrationState.APPLIED if row["sha256"] == file.sha256 else MigrationState.CHANGED
            return MigrationStatus(name=file.name, state=state, applied_at=row["applied_at"])
        if file.extension is None or file.extension in extensions:
            return MigrationStatus(name=file.name, state=MigrationState.PENDING)
        reason = f"this server does not offer the extension {file.extension}"
        return MigrationStatus(name=file.name, state=MigrationState.SKIPPED, reason=reason)

    return [state_of(file) for file in files]


def read_migrations(directory: Path | None = None) -> list[Migration]:
    """The files of a directory (default: the shipped ones), in order. Raises BadInput for a name out of place."""
    paths = sorted((directory or data_path("sql") / "migrations").glob("*.sql"))
    for path in paths:
        if not _FILE_NAME.fullmatch(path.name):
            raise BadInput(f"{path}: a migration is named NNNN_name.sql, with four digits")
    numbers = Counter(path.name[:4] for path in paths)
    if doubled := [path.name for path in paths if numbers[path.name[:4]] > 1]:
        raise BadInput(f"migrations {', '.join(doubled)}: one number each")
    migrations: list[Migration] = []
    for path in paths:
        migrations.append(_read(path, queue_at=max((each.queue_upto for each in migrations), default="")))
    return migrations


def _read(path: Path, *, queue_at: str) -> Migration:
    """One file; `queue_at` is the queue's newest migration that the files before it bring."""
    sql = path.read_bytes()
    required = _REQUIRES_EXTENSION.match(sql.decode())
    queue = _WITH_PROCRASTINATE.match(sql.decode())
    return Migration(
        name=path.stem,
        sql=sql,
        sha256=hashlib.sha256(sql).hexdigest(),
        extension=required[1] if required else None,
        queue_after=queue_at,
        queue_upto=queue[1] if queue else "",
    )


def _pending(states: list[MigrationStatus], files: list[Migration]) -> list[Migration]:
    """The files to apply. One that was changed after it was applied refuses them all."""
    if changed := [each.name for each in states if each.state is MigrationState.CHANGED]:
        raise ChangedMigration(
            f"migration {', '.join(f'{name}.sql' for name in changed)} was changed after it had been applied: "
            "restore the file, and put the change into a new one"
        )
    pending = {each.name for each in states if each.state is MigrationState.PENDING}
    return [file for file in files if file.name in pending]


async def _wait_for_others(connection: Connection, server: str) -> None:
    await connection.execute(query("limit_waiting"), {"milliseconds": str(LOCK_WAIT_SECONDS * 1000)})
    try:
        await connection.execute(query("wait_for_migrations"))
    except LockNotAvailable as error:
        raise Unreachable(
            f"another process has been migrating the {server} for {LOCK_WAIT_SECONDS} s: "
            "wait until it is done, or end it, and try again"
        ) from error


async def _create_record(connection: Connection, server: str) -> None:
    try:
        await connection.execute(query("create_schema_migrations"))
    except InsufficientPrivilege as error:
        raise BadInput(
            f"{server}: {error.diag.message_primary}; let its owner grant this user CREATE on the schema, "
            "or migrate as the owner"
        ) from error


async def _apply(connection: Connection, migration: Migration) -> None:
    try:
        async with connection.transaction():
            if migration.queue_upto:
                await connection.execute(query("enter_jobs"))
                await connection.execute(_of_procrastinate(migration.queue_after, migration.queue_upto))
                await connection.execute(query("leave_jobs"))
            await connection.execute(migration.sql)
            record = {"name": migration.name, "sha256": migration.sha256}
            await connection.execute(query("record_migration"), record)
    except psycopg.Error as error:
        if is_away(error):
            raise
        position = int(error.diag.statement_position or 1) - 1
        line = migration.sql.decode()[:position].count("\n") + 1
        raise SreAgentError(
            f"migration {migration.name}.sql, line {line}: {error.diag.message_primary or error}; "
            "it was rolled back, the files before it stay applied"
        ) from error


def _of_procrastinate(after: str, upto: str) -> bytes:
    """The queue's released migrations, which never change: ours names them, so its checksum covers them."""
    package = resources.files("procrastinate") / "sql" / "migrations"
    named = sorted((entry.name, entry) for entry in package.iterdir() if entry.name.endswith(".sql"))
    chosen = [entry for name, entry in named if after < name[: len(upto)] <= upto]
    if not chosen or not chosen[-1].name.startswith(upto):
        raise SreAgentError(f"the installed Procrastinate lacks its migration {upto}: install the pinned version")
    return b"\n".join(entry.read_bytes() for entry in chosen)
