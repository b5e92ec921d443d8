"""What many pages say of the whole agent, read at most once in a while: the status, the doctor's findings, how
often each runbook ran.

Held by `site`. Protects one rule: however many look, the database and the cluster are asked once.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

STATUS_SECONDS = 2.0
CHECKS_SECONDS = 60.0
COUNTED_SECONDS = 10.0
"""Every run is counted, which takes a quarter of a second where there are a million."""

Read = TypeVar("Read")


class Glance(Generic[Read]):
    """A reading that is good for a while. Whoever comes while it is read waits for the same one."""

    def __init__(
        self, read: Callable[[], Awaitable[Read]], *, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._read = read
        self._seconds = seconds
        self._clock = clock
        self._reading = asyncio.Lock()
        self._kept: tuple[float, Read] | None = None

    def forget(self) -> None:
        """Something was changed here: whoever looks next sees it."""
        self._kept = None

    async def read(self) -> Read:
        """The reading, made anew where it is too old. Raises what reading raises; then nothing is kept."""
        async with self._reading:
            if self._kept is None or self._clock() - self._kept[0] >= self._seconds:
                self._kept = None
                found = await self._read()
                self._kept = (self._clock(), found)
            return self._kept[1]
