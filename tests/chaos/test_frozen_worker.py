"""A worker process that is frozen past its lease in the middle of a change, and wakes when another one has its run."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from tests.chaos.findings import all_ended, assert_nothing_doubled_or_half
from tests.chaos.recorded import UNBRAKED, asked, begins_to_write, killed, recorded
from tests.chaos.replicas import PROMISED_END, Replica, Sender, started
from tests.serving.test_worker import until
from tests.web.servers import alert, payload

pytestmark = pytest.mark.timeout(300)

TAKEN_OVER = "select count(*) from runs where attempt = 2 and deaths = 1 and status = 'succeeded'"
SLOWLY = {"CHAOS_LINGER": "3"}
"""Long enough for whoever reads what was sent to stop the sender there."""


@pytest.mark.parametrize(
    "rounds", [1, pytest.param(10, marks=[pytest.mark.soak, pytest.mark.timeout(900)])], ids="{} times".format
)
async def test_a_worker_that_wakes_after_its_lease_writes_nothing_and_goes_on(
    rounds: int,
    database: str,
    tmp_path: Path,
    writes: Path,
    client: aiohttp.ClientSession,
    figure: Callable[[str], None],
) -> None:
    door = Replica(tmp_path / "door.log", "serve", "--no-worker", DATABASE_URL=database, **UNBRAKED)
    with started(door):
        await door.ready()
        sender = Sender(client, [door])
        for number in range(rounds):
            sleeper = recorded(tmp_path / f"{number}-a.log", writes, "worker", DATABASE_URL=database, **SLOWLY)
            other = recorded(tmp_path / f"{number}-b.log", writes, "worker", DATABASE_URL=database)
            with started(sleeper):
                await sleeper.ready()
                await sender.deliver(payload(killed(number)))
                await begins_to_write(sleeper, writes)
                os.kill(sleeper.process.pid, signal.SIGSTOP)
                with started(other):
                    await until(database, TAKEN_OVER, is_=[(number + 1,)])
                    os.kill(sleeper.process.pid, signal.SIGCONT)
                    assert await other.told_to_end() < PROMISED_END
                await sender.deliver(payload(alert(pod=f"after-{number}")))
                await all_ended(database)  # it is at work again, alone
                assert await sleeper.told_to_end() < PROMISED_END
            assert [line["dry_run"] for line in asked(sleeper, writes)] == [True]
            assert [line["dry_run"] for line in asked(other, writes)] == [True, False]
            assert "Traceback" not in sleeper.said
    workload_pod = killed(0)["labels"]["pod"]
    assert_nothing_doubled_or_half(database, sent=[workload_pod] * rounds + [f"after-{n}" for n in range(rounds)])
    figure(f"{rounds} worker processes frozen past their lease and woken: 0 writes by them")
