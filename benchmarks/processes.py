"""The processes that a benchmark looks at: a server on a free port, and what it has stored.

Used by `serve`. Processor times are in seconds, as the kernel counts them.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import psycopg


class Server:
    """A process on a free port, ended with its block."""

    def __init__(self, directory: Path, *command: str, **environment: str) -> None:
        self._log = directory / f"{time.monotonic_ns()}.log"
        usual = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "KUBECONFIG"}}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *command],
                env={**usual, "HOME": str(directory), **environment},
                stderr=log,
                start_new_session=True,
            )
        self.port = 0

    def __enter__(self) -> Self:
        while self.process.poll() is None and not self.port:
            for line in self._log.read_text().splitlines(keepends=True):
                if '"listening"' in line and line.endswith("\n"):
                    self.port = int(json.loads(line)["listening"].rpartition(":")[2])
            time.sleep(0.02)
        if not self.port:
            raise SystemExit(f"the server did not start:\n{self._log.read_text()}")
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60)

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.process.pid)

    def memory(self) -> float:
        """Resident memory in MB."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


class Kept:
    """What a server has stored."""

    def __init__(self, conninfo: str) -> None:
        self._connection = psycopg.connect(conninfo, autocommit=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def do(self, statement: str) -> None:
        self._connection.execute(statement)

    def cpu_seconds(self) -> float:
        """Processor time of the connections that the server has to PostgreSQL."""
        others = "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        return sum(cpu_seconds(pid) for (pid,) in self._connection.execute(others).fetchall())

    def number(self, question: str) -> Any:
        (row,) = self._connection.execute(question).fetchall()
        return row[0]


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
