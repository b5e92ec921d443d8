"""How quick the browser is and what it needs, at 10,000 incidents."""

import time
from collections.abc import Callable
from statistics import median

import pytest

from tests.tui.browsing import LARGE, browsing, listed, opened, until
from tests.tui.conftest import MANY

FIRST_LIST_SECONDS = 0.6
KEY_SECONDS = 0.05

Note = Callable[[str], None]


async def test_the_first_list_is_there_soon(filled: str, figure: Note) -> None:
    async with opened(filled) as source:
        began = time.monotonic()
        async with browsing(source) as pilot:
            await listed(pilot, least=100)
            took = time.monotonic() - began
    figure(f"first list after {took:.2f} s, at most {FIRST_LIST_SECONDS} s")
    assert took <= FIRST_LIST_SECONDS


@pytest.mark.slow
async def test_a_key_is_answered_at_once_in_a_list_of_ten_thousand(filled: str, figure: Note) -> None:
    async with opened(filled) as source, browsing(source, size=LARGE) as pilot:
        table = await listed(pilot)
        while table.listing.next_cursor is not None:
            read = len(table.listing.rows)
            await pilot.press("G")
            await until(pilot, lambda read=read: len(table.listing.rows) > read)
        assert len(table.listing.rows) == MANY
        await pilot.press("g")
        times = []
        for key in ("j",) * 30 + ("space",) * 10 + ("G", "g", "k") * 3:
            began = time.monotonic()
            await pilot.press(key)
            times.append(time.monotonic() - began)
    figure(f"a key is answered in {median(times) * 1000:.0f} ms, the slowest in {max(times) * 1000:.0f} ms")
    assert median(times) <= KEY_SECONDS
