"""Three servers are restarted one after the other while alerts come in: nothing is lost, nothing is done twice."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from tests.chaos.findings import all_ended, assert_nothing_doubled_or_half, assert_nothing_is_left_behind
from tests.chaos.recorded import WORKLOADS, killed, written
from tests.chaos.replicas import PROMISED_END, Replica, Sender
from tests.web.servers import alert, payload

pytestmark = pytest.mark.timeout(300)

PAUSE_SECONDS = 0.1
"""Between two alerts of the load."""


@pytest.mark.parametrize(
    "times", [1, pytest.param(20, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])], ids="{} times".format
)
async def test_a_rolling_restart_under_load_loses_nothing_and_doubles_nothing(
    times: int,
    recorded_replicas: list[Replica],
    database: str,
    client: aiohttp.ClientSession,
    writes: Path,
    figure: Callable[[str], None],
) -> None:
    for replica in recorded_replicas:
        await replica.ready()
    sender, over = Sender(client, recorded_replicas), asyncio.Event()
    load = asyncio.create_task(send_until(over, sender))
    ends = []
    for replica in recorded_replicas * times:
        ends.append(await replica.told_to_end())
        assert_nothing_is_left_behind(database)
        replica.start()
        await replica.ready()
    over.set()
    sent = await load
    await all_ended(database)
    assert max(ends) < PROMISED_END
    workload_pod = killed(0)["labels"]["pod"]
    assert_nothing_doubled_or_half(database, sent=sent + [workload_pod] * WORKLOADS)
    changes = Counter(line["namespace"] for line in written(writes) if not line["dry_run"])
    assert (len(changes), set(changes.values())) == (WORKLOADS, {1})
    assert [replica.events("request.crashed") for replica in recorded_replicas] == [[], [], []]
    figure(
        f"{len(ends)} ends, the slowest {max(ends):.1f} s, under {len(sent) + WORKLOADS} alerts and {WORKLOADS} "
        f"changes: 0 lost, 0 doubled; answers {dict(sender.answers)}"
    )


async def send_until(over: asyncio.Event, sender: Sender) -> list[str]:
    """Sends alerts until it is over, every third one about a workload that the run changes; the pods of the others.

    However soon it is over, every workload has had its alert.
    """
    deliveries, sent = [], []
    changing = list(range(WORKLOADS))
    for number in itertools.count():
        if over.is_set() and not changing:
            break
        workload = changing.pop() if changing and number % 3 == 0 else None
        if workload is None:
            sent.append(f"app-{number}")
        told = alert(pod=f"app-{number}") if workload is None else killed(workload)
        deliveries.append(asyncio.create_task(sender.deliver(payload(told), first=number)))
        await asyncio.sleep(PAUSE_SECONDS)
    await asyncio.gather(*deliveries)
    return sent
