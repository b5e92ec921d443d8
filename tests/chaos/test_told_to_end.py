"""A server that is told to end in the middle of a request to the cluster which takes longer than anybody waits."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from tests.chaos.findings import all_ended, ask, assert_nothing_doubled_or_half, assert_nothing_is_left_behind
from tests.chaos.recorded import begins_to_write, killed, recorded, written
from tests.chaos.replicas import PROMISED_END, Sender, started
from tests.web.servers import payload

pytestmark = pytest.mark.timeout(300)

BY_THE_NEXT = "select attempt, deaths, status from runs"


async def test_it_ends_within_thirty_seconds_and_hands_the_run_to_the_next(
    database: str, tmp_path: Path, writes: Path, client: aiohttp.ClientSession, figure: Callable[[str], None]
) -> None:
    slow = recorded(tmp_path / "slow.log", writes, "serve", DATABASE_URL=database, CHAOS_LINGER="300")
    with started(slow):
        await slow.ready()
        await Sender(client, [slow]).deliver(payload(killed(0)))
        await begins_to_write(slow, writes)
        took = await slow.told_to_end()
    assert took < PROMISED_END
    assert "Traceback" not in slow.said
    assert ask(database, BY_THE_NEXT) == [(1, 0, "queued")]
    assert ask(database, "select status from actions") == [("intended",)]
    assert_nothing_is_left_behind(database)
    with started(follower := recorded(tmp_path / "next.log", writes, "serve", DATABASE_URL=database)):
        await follower.ready()
        await all_ended(database)
        assert await follower.told_to_end() < PROMISED_END
    assert ask(database, BY_THE_NEXT) == [(2, 0, "succeeded")]
    sent = Counter((line["pid"] == follower.process.pid, line["dry_run"]) for line in written(writes))
    assert sent == {(False, True): 1, (True, True): 1, (True, False): 1}
    assert_nothing_doubled_or_half(database, sent=[killed(0)["labels"]["pod"]])
    figure(f"in the middle of a request that hangs: it ended after {took:.1f} s, and the next one finished the run")
