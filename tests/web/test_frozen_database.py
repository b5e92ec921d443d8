"""A database that takes connections and says nothing: every answer of the server still comes, within its patience."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from sre_agent import reception
from sre_agent.agent import POSTGRES_DIRECTORY
from sre_agent.embedded_postgres import running
from sre_agent.store.migrations import migrate
from sre_agent.web import patience
from tests.web.servers import alert, payload, served, until

MOST_SECONDS = 10.0


@contextmanager
def frozen(conninfo: str) -> Iterator[None]:
    """Every process of the server is stopped, as on a machine whose disk hangs."""
    with psycopg.connect(conninfo) as connection:
        (held,) = connection.execute("select pg_read_file('postmaster.pid')").fetchone() or ("",)
    server = int(held.split()[0])
    os.kill(server, signal.SIGSTOP)  # first, so that no other session begins meanwhile
    children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    pids = [server, *map(int, children)]
    for pid in pids[1:]:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in reversed(pids):
            os.kill(pid, signal.SIGCONT)


async def test_every_machine_that_asks_is_answered(embedded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(reception, "PATIENCE_SECONDS", 0.5)
    with running(embedded / POSTGRES_DIRECTORY) as conninfo:
        await migrate(conninfo)
        async with served(conninfo, {}) as server:
            assert (await server.deliver(payload(alert(pod="early")))).status == 200
            with frozen(conninfo):
                async with asyncio.timeout(MOST_SECONDS):
                    lost = await asyncio.gather(*(server.deliver(payload(alert(pod="silent"))) for _ in range(3)))
                    assert [answer.status for answer in lost] == [503] * 3
                    assert "did not answer within" in lost[0].error["message"]
                    assert (await server.get("/healthz")).status == 503
                    assert (await server.get("/livez")).status == 200
                    metrics = await server.get("/metrics")
                    assert (metrics.status, "sre_agent_database_up 0.0" in metrics.body) == (200, True)

            async def taken() -> bool:
                return (await server.deliver(payload(alert(pod="silent")))).status == 200

            await until(taken, seconds=30)
            pods = [entry["pod"] for entry in (await server.get("/api/incidents")).body["incidents"]]
            assert (pods.count("early"), pods.count("silent")) == (1, 1)
