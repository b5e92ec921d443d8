"""Two hundred alerts within a minute to three servers that may change the cluster: what they change stays capped."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.chaos.findings import all_ended, ask, assert_nothing_doubled_or_half
from tests.chaos.recorded import PROGRAM, killed, written
from tests.chaos.replicas import PATIENCE, Replica, Sender, started
from tests.web.servers import payload, until

pytestmark = pytest.mark.timeout(300)

ALERTS = 200
CAP = 5
"""SRE_AGENT_WRITES_PER_10M where nobody sets it."""

NEVER_A_STORM = "100000"
ESCALATED = "select count(*) from incident_events where event_type = 'escalated'"


@contextmanager
def in_auto(database: str, directory: Path, writes: Path, **environment: str) -> Iterator[list[Replica]]:
    """Three servers with the brakes that they have by default, on a cluster in which all those workloads are killed."""
    three = [
        Replica(
            directory / f"{number}.log",
            str(writes),
            "serve",
            program=PROGRAM,
            CHAOS_WORKLOADS=str(ALERTS),
            CHAOS_LINGER="0.05",
            AGENT_MODE="auto",
            SRE_AGENT_EVIDENCE_BYTES="0",
            DATABASE_URL=database,
            **environment,
        )
        for number in range(3)
    ]
    with started(*three):
        yield three


async def changed_once(writes: Path) -> bool:
    """Whether anything was changed yet."""
    return any(not line["dry_run"] for line in written(writes))


@pytest.mark.parametrize("seconds", [10, pytest.param(60, marks=pytest.mark.soak)], ids="in {} s".format)
@pytest.mark.parametrize("storm", [None, NEVER_A_STORM], ids=["a storm", "never a storm"])
async def test_of_two_hundred_alerts_the_capped_number_is_acted_on(
    seconds: int,
    storm: str | None,
    database: str,
    tmp_path: Path,
    writes: Path,
    client: aiohttp.ClientSession,
    figure: Callable[[str], None],
) -> None:
    brakes = {} if storm is None else {"SRE_AGENT_STORM": storm}
    with in_auto(database, tmp_path, writes, **brakes) as replicas:
        for replica in replicas:
            await replica.ready()
        sender, sending = Sender(client, replicas), []
        await sender.deliver(payload(killed(0)))
        await until(lambda: changed_once(writes), seconds=PATIENCE)  # it is acted on before there can be a storm
        for number in range(1, ALERTS):
            sending.append(asyncio.create_task(sender.deliver(payload(killed(number)), first=number)))
            await asyncio.sleep(seconds / ALERTS)
        await asyncio.gather(*sending)
        await all_ended(database, patience=120)
        assert [replica.events("request.crashed") for replica in replicas] == [[], [], []]
    changed = Counter(line["namespace"] for line in written(writes) if not line["dry_run"])
    assert set(changed.values()) == {1}
    assert len(changed) == CAP if storm else 1 <= len(changed) <= CAP
    workload_pod = killed(0)["labels"]["pod"]
    assert_nothing_doubled_or_half(database, sent=[workload_pod] * ALERTS)
    told = ask(database, ESCALATED)[0][0]
    assert 1 <= told <= 2, "one for the storm, one for the cap"
    figure(
        f"{ALERTS} alerts in {seconds} s in auto, {'no storm' if storm else 'storm brake on'}: {len(changed)} changes, "
        f"at most {CAP}; {told} told to a person"
    )
