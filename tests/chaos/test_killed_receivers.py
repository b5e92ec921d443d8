"""Servers that are killed at a point of a webhook: what they acknowledged is there, the rest is taken when it comes."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest

from tests.chaos.dying_receiver import POINTS, PROGRAM
from tests.chaos.findings import ask, assert_nothing_doubled_or_half, pods
from tests.chaos.monkey import held_up
from tests.chaos.replicas import PATIENCE, Replica, Sender
from tests.web.servers import alert, payload, until

pytestmark = pytest.mark.timeout(300)

BODIES = 10
PASSED = 4
"""So many bodies pass the point before one of them meets the death there."""

ROUNDS = [1, pytest.param(100, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])]


@pytest.fixture
async def survivor(database: str, tmp_path: Path) -> AsyncIterator[Replica]:
    """A server that lives on, without a worker: every run stays where it was queued."""
    with Replica(tmp_path / "survivor.log", "serve", "--no-worker", DATABASE_URL=database) as replica:
        await replica.ready()
        yield replica


@pytest.mark.parametrize("rounds", ROUNDS, ids="{} times".format)
async def test_what_a_killed_receiver_acknowledged_is_there_and_the_rest_is_taken_once(
    rounds: int,
    survivor: Replica,
    database: str,
    tmp_path: Path,
    client: aiohttp.ClientSession,
    figure: Callable[[str], None],
) -> None:
    sent: list[str] = []
    for number in range(rounds):
        for place, point in enumerate(POINTS):
            told = [f"app-{number}-{place}-{body}" for body in range(BODIES)]
            log = tmp_path / f"{number}-{place}.log"
            command = (point, str(PASSED), "serve", "--no-worker")
            with Replica(log, *command, program=PROGRAM, DATABASE_URL=database) as victim:
                await victim.ready()
                await told_to(victim, survivor, told, client, database)
                assert await asyncio.to_thread(victim.process.wait, PATIENCE) == -signal.SIGKILL, point
            sent += told
            assert_nothing_doubled_or_half(database, sent=sent)
    figure(f"{len(sent)} alerts through {rounds * len(POINTS)} killed receivers: 0 lost, 0 doubled")


async def told_to(
    victim: Replica, survivor: Replica, told: list[str], client: aiohttp.ClientSession, database: str
) -> None:
    """Sends each body to the victim first; as soon as one is acknowledged, its incident must be there."""
    sender = Sender(client, [victim, survivor])

    async def one(pod: str) -> None:
        await sender.deliver(payload(alert(pod=pod)))
        assert pod in pods(database)

    for pair in zip(told[::2], told[1::2], strict=True):  # two at a time, so that a death meets a neighbour too
        await asyncio.gather(*map(one, pair))


async def waits_for_the_lock(database: str) -> None:
    """Until a statement does."""
    asked = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"

    async def waits() -> bool:
        return ask(database, asked) != [(0,)]

    await until(waits, seconds=PATIENCE)


async def test_a_receiver_that_is_killed_during_its_commit_has_taken_the_body_in_once(
    survivor: Replica, database: str, tmp_path: Path, client: aiohttp.ClientSession
) -> None:
    """The statement is under way when its client dies, and nobody was told whether it was committed."""
    with Replica(tmp_path / "victim.log", "serve", "--no-worker", DATABASE_URL=database) as victim:
        await victim.ready()
        sender = Sender(client, [victim, survivor])
        with held_up(database):
            sending = asyncio.create_task(sender.deliver(payload()))
            await waits_for_the_lock(database)
            victim.process.kill()
        assert await sending == 2
    assert sender.answers == {None: 1, 200: 1}
    assert_nothing_doubled_or_half(database, sent=["app-1"])
