"""Processes that use the embedded PostgreSQL, and questions about the processes of the server."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import psycopg

USER = """
import sys
from pathlib import Path
from sre_agent.embedded_postgres import running
from sre_agent.errors import Unreachable
try:
    with running(Path(sys.argv[1])) as conninfo:
        print(conninfo, flush=True)
        sys.stdin.read()
except Unreachable as error:
    print(error, flush=True)
"""


class User:
    """A process that uses the server until it is told to leave, or killed."""

    def __init__(self, home: Path, *, through: Sequence[str] = (), program: str = USER) -> None:
        self.process = subprocess.Popen(
            [*through, sys.executable, "-c", program, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def says(self) -> str:
        """The conninfo as soon as the server answers; everything that it had to say if it never does."""
        assert self.process.stdout is not None
        first = self.process.stdout.readline()
        return first.strip() if first.startswith("host=") else first + self.process.stdout.read()

    def leave(self) -> None:
        with self.process:  # closes its stdin, which it waits for
            pass

    def kill(self) -> None:
        self.process.kill()
        self.leave()


class StartUser(Protocol):
    """What the fixture `user` gives: starts one more process that uses the server."""

    def __call__(self, home: Path, *, through: Sequence[str] = (), program: str = USER) -> User: ...


def processes_of(home: Path) -> list[int]:
    """The living processes of the server: supervisor, postmaster and initdb name the directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (process / "cmdline").read_bytes()
            if str(home).encode() in command and b"print(conninfo" not in command:
                found.append(int(process.name))
    return found


def supervisor_of(home: Path) -> int:
    return next(pid for pid in processes_of(home) if b"supervisor.py" in Path(f"/proc/{pid}/cmdline").read_bytes())


def postmaster_of(home: Path) -> int:
    return int((home / "data" / "postmaster.pid").read_text().split()[0])


def eventually_nothing_runs_in(home: Path) -> bool:
    deadline = time.monotonic() + 5
    while processes_of(home) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not processes_of(home)


def answer(conninfo: str, query: str = "select 42") -> object:
    with psycopg.connect(conninfo) as connection:
        row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


def remember(conninfo: str) -> None:
    with psycopg.connect(conninfo) as connection:
        connection.execute("create table remembered as select 42 as value")
