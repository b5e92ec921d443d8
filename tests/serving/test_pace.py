"""The figures of `benchmarks/serve.py` in short: what must hold on any machine, however busy it is.

Nothing that was answered with 200 is lost, and no answer waits for a cluster; times are compared with each other.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from sre_agent.store import Store
from tests.serving.serving_builders import alert, body, reception
from tests.serving.test_reception import ask
from tests.web.servers import ServeProcess, payload, until

PATIENCE = 5.0
"""Seconds that the slowest answer may take: what Alertmanager has to wait at most."""


@pytest.fixture
def serving(database: str) -> Iterator[ServeProcess]:
    """`sre-agent serve` with its worker, without a cluster."""
    with ServeProcess(DATABASE_URL=database, HOME="/nonexistent") as running:
        running.wait_until_ready()
        yield running


@pytest.fixture
async def silent_cluster(tmp_path: Path) -> AsyncIterator[Path]:
    """A kubeconfig whose API server says what it serves, and leaves every other question without an answer."""
    served = json.dumps({"kind": "APIResourceList", "resources": [{"name": "pods/eviction", "version": "v1"}]})

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (await reader.readuntil(b"\r\n\r\n")).startswith(b"GET /api/v1 "):
                head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(served)}\r\n\r\n"
                writer.write(f"{head}{served}".encode())
            await reader.read()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    config = {
        "current-context": "silent",
        "contexts": [{"name": "silent", "context": {"cluster": "silent", "user": "silent"}}],
        "clusters": [
            {"name": "silent", "cluster": {"server": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"}}
        ],
        "users": [{"name": "silent", "user": {}}],
    }
    path = tmp_path / "silent.yaml"
    path.write_text(json.dumps(config))
    yield path
    server.close()


async def deliver(url: str, webhooks: int, *, at_once: int) -> tuple[list[int], float]:
    """Sends webhooks of one new alert each: the status codes, and the seconds of the slowest answer."""
    places, slowest, statuses = iter(range(webhooks)), 0.0, []

    async def send_some(client: aiohttp.ClientSession) -> None:
        nonlocal slowest
        for place in places:
            began = time.monotonic()
            async with client.post("/alertmanager", json=payload(alert(f"app-{place}"))) as response:
                statuses.append(response.status)
            slowest = max(slowest, time.monotonic() - began)

    async with aiohttp.ClientSession(url) as client:
        await asyncio.gather(*(send_some(client) for _ in range(at_once)))
    return statuses, slowest


async def test_webhooks_are_taken_while_the_same_process_executes_their_runs(
    serving: ServeProcess, database: str
) -> None:
    statuses, slowest = await deliver(serving.url, 300, at_once=8)
    assert statuses == [200] * 300
    assert slowest < PATIENCE
    assert ask(database, "select count(*) from incidents") == [(300,)]

    async def all_ended() -> bool:
        return ask(database, "select count(*) from runs where finished_at is null") == [(0,)]

    await until(all_ended, seconds=60)
    assert ask(database, "select count(*), max(attempt) from runs") == [(300, 1)]


async def test_a_cluster_that_never_answers_keeps_no_alertmanager_waiting(silent_cluster: Path, database: str) -> None:
    with ServeProcess(DATABASE_URL=database, KUBECONFIG=str(silent_cluster)) as running:
        await asyncio.to_thread(running.wait_until_ready)
        statuses, slowest = await deliver(running.url, 200, at_once=8)

        async def all_hands_wait() -> bool:
            return ask(database, "select count(*) from runs where status = 'running'") == [(4,)]

        await until(all_hands_wait)
    assert statuses == [200] * 200
    assert slowest < PATIENCE
    assert ask(database, "select count(*) from incidents") == [(200,)]


async def test_an_alert_costs_as_much_in_a_large_body_as_in_a_small_one_and_later_as_much_as_at_first(
    store: Store, database: str
) -> None:
    door, numbers = reception(store), iter(range(1_000_000))

    async def seconds(alerts: int) -> float:
        sent = body([alert(f"app-{next(numbers)}") for _ in range(alerts)])
        began = time.perf_counter()
        await door.accept(sent)
        return time.perf_counter() - began

    large = [await seconds(2_000) for _ in range(4)]
    small = [await seconds(200) for _ in range(5)]
    assert large[-1] < 6 * large[0], "what was planned for an empty table does not do for a full one"
    assert min(large) < 25 * min(small), "ten times as many"
    assert ask(database, "select count(*) from runs where status = 'queued'") == [(2_000 * 4 + 200 * 5,)]


async def test_an_alert_of_a_storm_costs_a_fraction_of_what_it_costs_alone(store: Store) -> None:
    door = reception(store)
    alone, storm = [], body([alert(f"storm-{number}") for number in range(2_000)])
    for number in range(40):
        sent = body([alert(f"app-{number}")])
        began = time.perf_counter()
        await door.accept(sent)
        alone.append(time.perf_counter() - began)
    began = time.perf_counter()
    await door.accept(storm)
    assert (time.perf_counter() - began) / 2_000 < sorted(alone)[len(alone) // 2] / 2
