"""What many pages say of the whole agent is read once for all of them, for a while."""

import asyncio

import pytest

from sre_agent.errors import Unreachable
from sre_agent.web.glance import Glance


class Source:
    def __init__(self) -> None:
        self.read_so_often = 0
        self.away = False
        self.now = 0.0

    async def read(self) -> int:
        self.read_so_often += 1
        await asyncio.sleep(0)
        if self.away:
            raise Unreachable("the database is away")
        return self.read_so_often


async def test_whoever_comes_at_once_waits_for_one_reading() -> None:
    source = Source()
    glance = Glance(source.read, seconds=2, clock=lambda: source.now)
    assert await asyncio.gather(*(glance.read() for _ in range(50))) == [1] * 50


async def test_a_reading_is_made_anew_when_it_is_too_old_or_forgotten() -> None:
    source = Source()
    glance = Glance(source.read, seconds=2, clock=lambda: source.now)
    found = []
    for source.now in (0.0, 1.9, 2.0, 3.9):
        found.append(await glance.read())
    glance.forget()
    assert [*found, await glance.read()] == [1, 1, 2, 2, 3]


async def test_a_reading_that_fails_is_not_kept() -> None:
    source = Source()
    glance = Glance(source.read, seconds=2, clock=lambda: source.now)
    source.away = True
    for _ in range(2):
        with pytest.raises(Unreachable):
            await glance.read()
    source.away = False
    assert await glance.read() == 3
