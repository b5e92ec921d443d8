"""How soon the browser shows something, at 10,000 incidents; keys and memory are measured in a real terminal."""

import time
from collections.abc import Callable

from tests.tui.browsing import browsing, listed, opened

FIRST_LIST_SECONDS = 0.6
ROUNDS = 3
"""The quietest counts: the machine does other things too."""

Note = Callable[[str], None]


async def test_the_first_list_is_there_soon(filled: str, figure: Note) -> None:
    took = []
    for _ in range(ROUNDS):
        async with opened(filled) as source:
            began = time.monotonic()
            async with browsing(source) as pilot:
                await listed(pilot, least=100)
                took.append(time.monotonic() - began)
    figure(f"first list after {min(took):.2f} s, at most {FIRST_LIST_SECONDS} s")
    assert min(took) <= FIRST_LIST_SECONDS
