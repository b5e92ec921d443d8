"""A pause at any moment of a drain: nothing is sent later than five seconds after it, in a hundred trials."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import pytest

from sre_agent.cluster.port import NotFound, Resource, TooManyRequests, Write
from sre_agent.draining import Fate, Settled, drain
from sre_agent.leave import leave_for
from sre_agent.run import Outcome
from sre_agent.stop_switch import StopSwitch
from sre_agent.store import ActiveRun, Store
from tests.store.store_builders import intended, new_action, started
from tests.unit.guard_cases import drain_of

TRIALS = 100
PODS = 12
SOON = 0.005
PROMISED_SECONDS = 5.0


class Busy:
    """A cluster whose budgets let an eviction pass now and then. `sent` is when each was asked for."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.sent: list[float] = []
        self.gone: set[str] = set()

    async def write(self, write: Write, *, dry_run: bool = False) -> dict[str, Any]:
        self.sent.append(monotonic())
        await asyncio.sleep(0)
        if self.dice.random() < 0.97:
            raise TooManyRequests("the budget has no room", budget="web", retry_after=SOON)
        self.gone.add(write.name)
        return {}

    async def get(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any]:
        if name in self.gone:
            raise NotFound(name)
        return {"metadata": {"namespace": "shop", "name": name}}


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_nothing_is_sent_later_than_five_seconds_after_a_pause(store: Store) -> None:
    dice, run = random.Random(20261123), await started(store)
    late, cut_short = [], 0
    for _ in range(TRIALS):
        cluster, paused_at, settled = await trial(store, run, dice)
        late.append(max(cluster.sent) - paused_at)
        cut_short += any(pod.fate is Fate.STAYS for pod in settled)
        assert [pod.reason for pod in settled if pod.fate is Fate.STAYS] == ["paused before it was sent"] * sum(
            pod.fate is Fate.STAYS for pod in settled
        )
    assert max(late) < PROMISED_SECONDS
    assert cut_short > TRIALS / 2  # most pauses came in the middle


async def trial(store: Store, run: ActiveRun, dice: random.Random) -> tuple[Busy, float, list[Settled]]:
    """One drain and one pause at a moment of its own; when the pause was there."""
    cluster, wanted = Busy(dice), drain_of(*(f"pod-{number}" for number in range(PODS)))
    action = new_action(tool="drain_node", target_key="Node//worker-1", value=None)
    action_id = await intended(store, run, action, now=now())
    leave = leave_for(
        run,
        action_id,
        wanted,
        store=store,
        scope="live",
        open_for=timedelta(minutes=15),
        clock=now,
        switch=released,
    )

    async def settle(_pod: Settled) -> None:
        return None

    async def pause() -> float:
        await asyncio.sleep(dice.random() * 0.3)
        await store.brakes.pause(by="kim", reason=None, until=None, now=now())
        return monotonic()

    settled, paused_at = await asyncio.gather(
        drain(
            cluster,
            "worker-1",
            wanted.writes,
            within=timedelta(seconds=60),
            over=lambda _node: None,
            awaited=False,
            settle=settle,
            leave=leave,
        ),
        pause(),
    )
    await store.brakes.resume(by="kim", now=now())
    await store.record_outcome(run, action_id, Outcome.DONE, None, [], now=now())
    return cluster, paused_at, settled


async def released() -> StopSwitch:
    return StopSwitch(place="agentic/sre-agent-stop", thrown=False)


def now() -> datetime:
    return datetime.now(UTC)
