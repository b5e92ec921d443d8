"""The leave to send: how it is asked for, and that an old answer does not count."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from sre_agent import leave as module
from sre_agent.draining import Leave
from sre_agent.leave import SEND_WITHIN, leave_for
from sre_agent.run import Change
from sre_agent.stop_switch import StopSwitch
from sre_agent.store import ActiveRun, Braked
from tests.unit.guard_cases import NOW, change, drain_of

OPEN_FOR = timedelta(minutes=15)
RUN = ActiveRun(id=uuid4(), incident_id=1, attempt=1)


class Answering:
    """The part of a store that is asked. Each answer takes as long as told, by a clock of its own."""

    def __init__(self, *took: float) -> None:
        self.brakes = self
        self.took = list(took)
        self.seconds = 0.0
        self.asked: list[tuple[timedelta, datetime]] = []

    async def require_leave(self, run: ActiveRun, action_id: int, *, scope: str, within: timedelta, now: Any) -> None:
        assert (run, action_id, scope) == (RUN, 7, "live")
        self.asked.append((within, now))
        self.seconds += self.took.pop(0)


class Switch:
    """A stop switch that is read by the clock of a store; thrown from the reading `thrown` on, counted from 1."""

    def __init__(self, store: Answering, *, thrown: int | None = None) -> None:
        self.store = store
        self.thrown = thrown
        self.readings: list[float] = []

    async def __call__(self) -> StopSwitch:
        self.readings.append(self.store.seconds)
        thrown = self.thrown is not None and len(self.readings) >= self.thrown
        return StopSwitch(place="agentic/sre-agent-stop", thrown=thrown, why="upgrade" if thrown else None)


def leave_of(monkeypatch: pytest.MonkeyPatch, store: Answering, wanted: Change, switch: Switch | None = None) -> Leave:
    monkeypatch.setattr(module, "monotonic", lambda: store.seconds)
    asked: Any = store
    return leave_for(
        RUN,
        7,
        wanted,
        store=asked,
        scope="live",
        open_for=OPEN_FOR,
        clock=lambda: NOW,
        switch=switch or Switch(store),
    )


async def asked(monkeypatch: pytest.MonkeyPatch, store: Answering, wanted: Change) -> list[timedelta]:
    await leave_of(monkeypatch, store, wanted)()
    assert {now for _, now in store.asked} == {NOW}
    return [within for within, _ in store.asked]


@pytest.mark.parametrize(
    ("wanted", "within"),
    [
        pytest.param(change(), SEND_WITHIN, id="a single write leaves soon"),
        pytest.param(drain_of("cart-1"), OPEN_FOR, id="a drain as long as it holds its node"),
    ],
)
async def test_a_request_leaves_within_the_time_of_its_intent(
    monkeypatch: pytest.MonkeyPatch, wanted: Change, within: timedelta
) -> None:
    assert await asked(monkeypatch, Answering(0.1), wanted) == [within]


async def test_an_answer_that_is_old_when_it_comes_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(await asked(monkeypatch, Answering(90.0, 2.0, 1.9), change())) == 3


async def test_a_thrown_switch_is_told_and_the_store_is_not_even_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Answering()
    leave = leave_of(monkeypatch, store, change(), Switch(store, thrown=1))
    with pytest.raises(Braked, match="the ConfigMap agentic/sre-agent-stop stops the agent: upgrade"):
        await leave()
    assert store.asked == []


async def test_the_evictions_of_a_drain_share_a_reading_of_the_switch_for_two_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = Answering(0.5, 0.5, 0.9, 0.2)
    switch = Switch(store, thrown=2)
    leave = leave_of(monkeypatch, store, drain_of("cart-1"), switch)
    for _ in range(4):
        await leave()
    with pytest.raises(Braked):
        await leave()
    assert switch.readings == [0.0, pytest.approx(2.1)]
    assert len(store.asked) == 4
