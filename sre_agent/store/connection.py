"""Connections to PostgreSQL, and what their failures mean to whoever is told of them.

Called by the store and its migrations. Protects one rule: a message names host, port and database, and never the
password.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection, Error, OperationalError, ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import InsufficientPrivilege
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from sre_agent.errors import BadInput, Unreachable
from sre_agent.store.queries import query

Connection = AsyncConnection[DictRow]
Pool = AsyncConnectionPool[Connection]

_CONNECT_TIMEOUT = 10
_NETWORK = {
    "connect_timeout": _CONNECT_TIMEOUT,
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 50_000,
}
"""For a connection string that does not say, in seconds and milliseconds. A server whose machine is gone says nothing
any more, not even that it is gone: after 50 seconds its connections count as broken, and others are made."""
_RECONNECT_SECONDS = 5.0
"""After so long a pool begins anew to look for a server that is away. Left alone it pauses twice as long after each
look: of one that was away for 78 seconds it heard 38 seconds after its return."""
_LOST = ("08", "53300", "57P", "58")
"""SQLSTATEs of a server that is away: connection, too many clients, shutting down, its own system errors."""
_DISK_FULL = "53100"


class NotPermitted(BadInput):
    """The database role lacks a right: grant it, or connect as another role. The message names both."""


def place(conninfo: str) -> str:
    """Where a connection string leads, for people: `database sre at db.example:5432 as user agent`.

    Raises BadInput for a text that is no connection string, without repeating it.
    """
    try:
        parts = conninfo_to_dict(conninfo)
    except ProgrammingError:
        raise BadInput(
            "DATABASE_URL is not a connection string; expected postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
        ) from None
    host = str(parts.get("host") or parts.get("hostaddr") or "the default host")
    if "@" in host and not host.startswith("@"):
        raise BadInput("DATABASE_URL: the user name or password holds an @; write it as %40")
    server = host if host.startswith(("/", "@")) else f"{host}:{parts.get('port') or 5432}"
    user = f" as user {parts['user']}" if "user" in parts else ""
    return f"database {parts.get('dbname') or parts.get('user') or 'of that user'} at {server}{user}"


@contextmanager
def reaching(server: str) -> Iterator[None]:
    """Says what was tried (`place`) when the server is away or full, or the role lacks a right; other errors pass."""
    try:
        yield
    except InsufficientPrivilege as error:
        raise NotPermitted(
            f"{server}: {error.diag.message_primary}; let its owner grant what this role lacks, or connect as another"
        ) from error
    except Error as error:
        if not is_away(error):
            raise
        if error.sqlstate == _DISK_FULL:
            raise Unreachable(
                f"PostgreSQL ({server}) has no disk space left, nothing was stored: {_said(error)}. "
                "Free some space on the server, then try again"
            ) from error
        raise Unreachable(
            f"cannot reach PostgreSQL ({server}): {_said(error)}. Check DATABASE_URL and that the server runs"
        ) from error


def is_away(error: Error) -> bool:
    """Whether an error means that the server is not there or full, rather than that it refused a statement."""
    return isinstance(error, OperationalError) and (
        error.sqlstate is None or error.sqlstate.startswith((*_LOST, _DISK_FULL))
    )


@asynccontextmanager
async def connect(conninfo: str) -> AsyncIterator[Connection]:
    """One connection in autocommit, with rows as dicts and times in UTC. Raises Unreachable, BadInput."""
    with reaching(place(conninfo)):
        connection: Connection = await AsyncConnection.connect(conninfo, **_options(conninfo))
        async with connection:
            await _configure(connection)
            yield connection


async def server_time(conninfo: str) -> datetime:
    """The server's clock. Raises Unreachable, BadInput."""
    async with connect(conninfo) as connection:
        row = await (await connection.execute(query("server_time"))).fetchone()
        moment: datetime = (row or {})["now"]
        return moment


@asynccontextmanager
async def open_pool(conninfo: str, *, max_size: int) -> AsyncIterator[Pool]:
    """A pool of such connections, after one of them was tried. Raises Unreachable, BadInput."""
    async with connect(conninfo):
        pass
    pool: Pool = AsyncConnectionPool(
        conninfo,
        kwargs=_options(conninfo),
        configure=_configure,
        min_size=1,
        max_size=max_size,
        timeout=_CONNECT_TIMEOUT,
        reconnect_timeout=_RECONNECT_SECONDS,
        reconnect_failed=_look_again,
        open=False,
    )
    async with pool:
        yield pool


async def _look_again(pool: AsyncConnectionPool[Any]) -> None:
    """Also where nobody asks, or who asks waits already."""
    await pool.check()


async def _configure(connection: Connection) -> None:
    await connection.execute(query("configure_session"))


@asynccontextmanager
async def open_jobs_pool(conninfo: str, *, max_size: int) -> AsyncIterator[AsyncConnectionPool[Any]]:
    """A pool of connections to the queue's tables. It opens without waiting: nothing can interrupt it half open."""
    pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
        conninfo,
        kwargs=network_options(conninfo),
        configure=enter_jobs,
        check=AsyncConnectionPool.check_connection,
        min_size=1,
        max_size=max_size,
        timeout=_CONNECT_TIMEOUT,
        reconnect_timeout=_RECONNECT_SECONDS,
        reconnect_failed=_look_again,
        open=False,
    )
    async with pool:
        yield pool


async def enter_jobs(connection: AsyncConnection[Any]) -> None:
    """Makes a connection one of the queue's, whose tables stand in a schema of their own."""
    await connection.set_autocommit(True)
    await connection.execute(query("use_jobs"))


def network_options(conninfo: str) -> dict[str, Any]:
    """How long a connection waits for the network, as far as its connection string leaves that open."""
    given = conninfo_to_dict(conninfo)
    return {name: value for name, value in _NETWORK.items() if name not in given}


def _options(conninfo: str) -> dict[str, Any]:
    return {
        "autocommit": True,
        "row_factory": dict_row,
        "fallback_application_name": "sre-agent",
        **network_options(conninfo),
    }


def _said(error: Error) -> str:
    """The server's or the client's own words, on one line."""
    return "; ".join(line.strip() for line in str(error).splitlines() if line.strip())
