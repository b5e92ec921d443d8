"""Processes of `sre-agent` that are ended, killed and started again, what they said, and a sender that insists."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

PATIENCE = 60.0
PROMISED_END = 30.0
"""Seconds from SIGTERM to the end of a process: what a pod is given."""

PROGRAM = ("-m", "sre_agent")
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0


class Replica:
    """One process, ended with the block; keywords are its environment.

    A server takes a free port when it first starts, and keeps it when it starts again.
    """

    def __init__(self, log: Path, *arguments: str, program: Sequence[str] = PROGRAM, **environment: str) -> None:
        self._log = log
        self._arguments = [*program, *arguments]
        self._environment = {**os.environ, "HOME": str(log.parent), **environment}
        self._began_at = 0
        self.url = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def start(self) -> None:
        port = ["--port", self.url.rpartition(":")[2] or "0"] if "serve" in self._arguments else []
        with self._log.open("ab") as log:
            self._began_at = log.tell()
            self.process = subprocess.Popen(
                [sys.executable, *self._arguments, *port],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def ready(self) -> None:
        """Waits until it says that it has started."""
        deadline = time.monotonic() + PATIENCE
        while (started := self._started()) is None:
            assert self.process.poll() is None, f"it ended before it started:\n{self.said}"
            assert time.monotonic() < deadline, f"it does not start:\n{self.said}"
            await asyncio.sleep(0.05)
        if "listening" in started:
            self.url = started["listening"]

    async def told_to_end(self) -> float:
        """SIGTERM, and the seconds until it has ended in order."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(self.process.wait, PATIENCE) == 0, self.said
        return time.monotonic() - began

    @property
    def said(self) -> str:
        """Everything that it has said so far, in all its lives."""
        return self._log.read_text()

    def events(self, name: str) -> list[dict[str, Any]]:
        """What it logged under this name."""
        return [event for event in _events(self.said) if event["event"] == name]

    def _started(self) -> dict[str, Any] | None:
        said = self._log.read_bytes()[self._began_at :].decode()
        return next((event for event in _events(said) if event["event"].endswith(".started")), None)


@contextmanager
def started(*replicas: Replica) -> Iterator[None]:
    """All of them, at once."""
    with ExitStack() as begun:
        for replica in replicas:
            begun.enter_context(replica)
        yield


class Sender:
    """Sends as Alertmanager does through a Service: what met 5xx or nobody is sent again, to the next replica.

    `answers` counts the statuses, None for a connection that broke or was not made.
    """

    def __init__(self, client: aiohttp.ClientSession, replicas: Sequence[Replica]) -> None:
        self._client = client
        self._replicas = replicas
        self.answers: Counter[int | None] = Counter()

    async def deliver(self, body: Mapping[str, Any], *, first: int = 0) -> int:
        """Until it is acknowledged; the number of times that it was sent."""
        deadline, pause, data = time.monotonic() + PATIENCE, FIRST_PAUSE, json.dumps(body).encode()
        for tried in range(1_000_000):
            status = await self._send(self._replicas[(first + tried) % len(self._replicas)].url, data)
            self.answers[status] += 1
            if status == 200:
                return tried + 1
            assert status is None or status >= 500, f"{status} is final for Alertmanager"
            assert time.monotonic() < deadline, f"it was never taken: {self.answers}"
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 1.5)
        raise AssertionError("the deadline comes first")

    async def _send(self, url: str, data: bytes) -> int | None:
        try:
            async with self._client.post(f"{url}/alertmanager", data=data) as response:
                await response.read()
                return response.status
        except (aiohttp.ClientError, OSError, TimeoutError):
            return None


def _events(said: str) -> Iterator[dict[str, Any]]:
    for line in said.splitlines():
        if line.startswith("{") and line.endswith("}"):
            yield json.loads(line)
