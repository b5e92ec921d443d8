"""PostgreSQL goes away and comes back while alerts come in and runs are at work: every run comes to its right end."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from tests.chaos.findings import all_ended, ask, assert_nothing_doubled_or_half
from tests.chaos.monkey import OwnPostgres, restart
from tests.chaos.recorded import UNBRAKED, WORKLOADS, killed, recorded, written
from tests.chaos.replicas import Replica, Sender, started
from tests.web.servers import alert, payload

pytestmark = pytest.mark.timeout(300)

SHORT = pytest.param(30, 3, 5.0, 6.0, id="30 incidents")
LONG = pytest.param(300, 26, 5.0, 40.0, id="300 incidents", marks=[pytest.mark.soak, pytest.mark.timeout(1200)])
ENDS = "select status, count(*) from runs group by 1 order by 1"


@pytest.mark.parametrize(("incidents", "times", "least", "most"), [SHORT, LONG])
async def test_runs_come_to_their_right_end_though_postgresql_is_restarted_all_the_time(
    incidents: int,
    times: int,
    least: float,
    most: float,
    own_postgres: OwnPostgres,
    tmp_path: Path,
    writes: Path,
    client: aiohttp.ClientSession,
    figure: Callable[[str], None],
) -> None:
    database = own_postgres.conninfo
    doors = [
        Replica(tmp_path / f"{number}.log", "serve", "--no-worker", DATABASE_URL=database, **UNBRAKED)
        for number in range(2)
    ]
    worker = recorded(tmp_path / "worker.log", writes, "serve", DATABASE_URL=database)
    with started(*doors, worker):
        for replica in (*doors, worker):
            await replica.ready()
        sender = Sender(client, [*doors, worker])
        chaos = restart(own_postgres, times=times, least=least, most=most, dice=random.Random(20261128))
        restarting = asyncio.create_task(chaos)
        sent = await send_slowly(sender, incidents, seconds=times * (least + most) / 2)
        await restarting
        recovered = await all_ended(database)
        assert [replica.process.poll() for replica in (*doors, worker)] == [None, None, None]
        assert [replica.events("request.crashed") for replica in (*doors, worker)] == [[], [], []]
    assert_nothing_doubled_or_half(database, sent=sent)
    changes = Counter(line["namespace"] for line in written(writes) if not line["dry_run"])
    assert (len(changes), set(changes.values())) == (WORKLOADS, {1})
    taken = "select count(*) from incidents where action_taken like 'patch_memory_limit:shop-%'"
    assert ask(database, taken) == [(WORKLOADS,)]
    assert ask(database, ENDS) == [("succeeded", incidents)]
    tries = ask(database, "select attempt, count(*) from runs group by 1 order by 1")
    figure(
        f"{times} restarts, {incidents} incidents: all at their right end {recovered:.1f} s after the last one, "
        f"0 doubled; runs by attempts {dict(tries)}, answers {dict(sender.answers)}"
    )


async def send_slowly(sender: Sender, incidents: int, *, seconds: float) -> list[str]:
    """Spreads the alerts over the time, those about workloads that are changed evenly among them; their pods."""
    deliveries, sent = [], []
    every = incidents // WORKLOADS
    for number in range(incidents):
        workload = number // every
        told = killed(workload) if number % every == 0 and workload < WORKLOADS else alert(pod=f"app-{number}")
        sent.append(told["labels"]["pod"])
        deliveries.append(asyncio.create_task(sender.deliver(payload(told), first=number)))
        await asyncio.sleep(seconds / incidents)
    await asyncio.gather(*deliveries)
    return sent
