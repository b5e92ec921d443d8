"""Servers as the tests use them: what they are made of, and what a sender sends them."""

import asyncio
import io
import json
import os
import queue
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp import web

from sre_agent import agent
from sre_agent.agent import Service, load_runbooks
from sre_agent.cluster.absent import WHERE_FROM, AbsentCluster
from sre_agent.cluster.port import Cluster
from sre_agent.incident import Origin
from sre_agent.intake import Sender
from sre_agent.reception import Reception
from sre_agent.run import Mode
from sre_agent.settings import Address, load
from sre_agent.store import Store
from sre_agent.web.access import Access
from sre_agent.web.app import make_app
from sre_agent.web.listening import bound, listening, place_of
from sre_agent.web.site import SITE, Site

READY_SECONDS = 30


@dataclass(frozen=True, kw_only=True)
class Served:
    """A server in this process, and a client that speaks to it."""

    url: str
    port: int
    app: web.Application
    client: aiohttp.ClientSession
    store: Store

    @property
    def site(self) -> Site:
        return self.app[SITE]

    async def get(self, path: str, **headers: str) -> "Answer":
        async with self.client.get(path, headers=headers) as response:
            return await Answer.of(response)

    async def post(self, path: str, body: bytes | str = b"", **headers: str) -> "Answer":
        sent = io.BytesIO(body.encode() if isinstance(body, str) else body)
        async with self.client.post(path, data=sent, headers=headers) as response:
            return await Answer.of(response)

    async def deliver(self, payload: Mapping[str, Any], **headers: str) -> "Answer":
        return await self.post("/alertmanager", json.dumps(payload), **headers)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back. `body` is the document of a JSON answer, else the text."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @classmethod
    async def of(cls, response: aiohttp.ClientResponse) -> Self:
        text = await response.text()
        body = json.loads(text) if response.content_type == "application/json" else text
        return cls(status=response.status, headers=response.headers, body=body)

    @property
    def error(self) -> Mapping[str, str]:
        assert set(self.body) == {"error"}
        error: Mapping[str, str] = self.body["error"]
        return error


@asynccontextmanager
async def served(
    conninfo: str, environment: Mapping[str, str], *, loopback: bool = True, cluster: Cluster | None = None
) -> AsyncIterator[Served]:
    """A server over a database. It always listens on loopback; `loopback=False` treats it as if it did not."""
    settings = load({"HOME": "/", **environment})
    runbooks = load_runbooks(settings)
    with bound(Address(host="127.0.0.1", port=0)) as sockets:
        port = place_of(sockets[0]).port
        async with Store.open(conninfo, max_size=8) as store, agent._open_minds(settings, store) as minds:
            service = Service(
                store=store,
                minds=minds,
                runbooks=lambda: runbooks,
                cluster=cluster or AbsentCluster(WHERE_FROM),
                place="none" if cluster is None else "a recording",
                settings=settings,
                database=conninfo,
            )
            reception = Reception(
                store,
                sender=Sender(origin=Origin.LIVE, scope="live", mode=Mode(settings.agent_mode)),
                runbooks=service.runbooks,
                settings=settings,
                clock=lambda: datetime.now(UTC),
            )
            app = make_app(
                service,
                reception,
                access=Access.of(settings, loopback=loopback, insecure=False),
                runbooks_fault=lambda: None,
            )
            url = f"http://127.0.0.1:{port}"
            async with listening(app, sockets, None), aiohttp.ClientSession(url) as client:
                yield Served(url=url, port=port, app=app, client=client, store=store)


class ServeProcess:
    """`sre-agent serve` on a free port, ended when the block ends; keywords are its environment."""

    def __init__(self, *arguments: str, port: int = 0, **environment: str) -> None:
        self._command = [sys.executable, "-m", "sre_agent", "serve", *arguments, "--port", str(port)]
        self._environment = {**os.environ, **environment}
        self.url = ""
        self.started: Mapping[str, Any] = {}

    def __enter__(self) -> Self:
        self._said: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.process = subprocess.Popen(self._command, env=self._environment, stderr=subprocess.PIPE, text=True)
        self._hearing = threading.Thread(target=self._hear, daemon=True)
        self._hearing.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._hearing.join()

    def _hear(self) -> None:
        """Takes what it says: a pipe that nobody reads fills up, and then the server stands still."""
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                self._said.put(line)
        self._said.put(None)

    def wait_until_ready(self) -> None:
        """Reads the log up to the line that says where it listens."""
        while (line := self._said.get(timeout=READY_SECONDS)) is not None:
            event = json.loads(line)
            if event["event"] == "server.started":
                self.started, self.url = event, event["listening"].split(", ")[0]
                return
        raise AssertionError(f"it ended with {self.process.wait()} before it listened")

    def ended(self) -> tuple[int, str]:
        """Waits for the end: the exit code, and what was said meanwhile."""
        code = self.process.wait(READY_SECONDS)
        self._hearing.join()
        return code, "".join(iter(self._said.get, None))

    def get(self, path: str) -> tuple[int, Any]:
        """A plain request."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=READY_SECONDS) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)


def alert(**labels: str) -> dict[str, Any]:
    """A firing alert about a pod; keywords add labels or replace them."""
    given = {"alertname": "KubePodOOMKilled", "namespace": "demo", "pod": "app-1", "container": "app"}
    return {
        "status": "firing",
        "labels": given | {"severity": "warning"} | labels,
        "annotations": {"summary": "was killed"},
        "startsAt": "2026-11-23T03:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example/graph",
    }


def payload(*alerts: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A webhook body of Alertmanager."""
    return {"version": "4", "receiver": "sre-agent", "status": "firing", "alerts": list(alerts) or [alert()], **more}


async def until(condition: Any, *, seconds: float = 10.0) -> None:
    """Waits until an awaited condition is true."""
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, "it did not become true in time"
        await asyncio.sleep(0.02)
