"""One listener of a process for all of its streams: hears each change once and hands it to whoever watches.

Protects two rules: a watcher that does not keep up is let go, and costs nobody else anything; and a database that was
away costs time, not changes: what was missed is read by event id.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sre_agent.errors import Unreachable
from sre_agent.log import get_logger
from sre_agent.store import Change
from sre_agent.store.changes import Changes

MOST_WATCHERS = 100
MOST_WAITING = 1000
"""Changes that may wait for one watcher."""
MOST_MISSED = 1000
"""Changes that are read again for somebody who missed them; beyond, the list is to be read anew."""

LOOK_BACK = 100
"""How many ids before the last one are read again: events get their ids before they are committed, in any order."""

AGAIN_SECONDS = 1.0
PATIENCE_SECONDS = 5.0
"""How long who comes while nothing is heard waits for it, before he is told to come again."""

log = get_logger(__name__)


class Full(Exception):
    """So many watch already that another one has to wait."""


class Watcher:
    """What waits for one stream. `None` in it is the end: it did not keep up, or the server stops."""

    def __init__(self) -> None:
        self.waiting: asyncio.Queue[Change | None] = asyncio.Queue(MOST_WAITING)

    def give(self, changes: Sequence[Change]) -> None:
        """Hands changes over; one that is too many ends the watch."""
        for change in changes:
            if self.waiting.full():
                self.end()
                return
            self.waiting.put_nowait(change)

    def end(self) -> None:
        """Whatever waits is given up: whoever watches comes again and says where he was."""
        while not self.waiting.empty():
            self.waiting.get_nowait()
        self.waiting.put_nowait(None)


class Hub:
    """The listener and its watchers."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._watchers: set[Watcher] = set()
        self._last: int | None = None
        self._hearing = asyncio.Event()

    async def listen(self) -> None:
        """Hears changes until it is cancelled, through every restart of the database."""
        try:
            while True:
                try:
                    with self._changes.listening():
                        await self._hear()
                except Unreachable as error:
                    log.warning("stream.database_away", error=str(error))
                finally:
                    self._hearing.clear()
                await asyncio.sleep(AGAIN_SECONDS)
        finally:
            self.close()

    async def hears(self) -> bool:
        """Whether changes are heard; a listener that is just beginning is waited for."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await self._hearing.wait()
        except TimeoutError:
            return False

    @contextmanager
    def watch(self) -> Iterator[Watcher]:
        """A watcher that is given every change from now on. Raises Full."""
        if len(self._watchers) >= MOST_WATCHERS:
            raise Full(f"{MOST_WATCHERS} streams are open, which is the most: try again later")
        watcher = Watcher()
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    async def missed_since(self, event_id: int) -> list[Change] | None:
        """What came after an event, some of it perhaps told before; None where it is too much. Raises Unreachable."""
        changes = await self._changes.after(max(0, event_id - LOOK_BACK), most=MOST_MISSED + LOOK_BACK)
        return None if len(changes) == MOST_MISSED + LOOK_BACK else changes

    def close(self) -> None:
        """Ends every stream."""
        for watcher in self._watchers:
            watcher.end()

    async def _hear(self) -> None:
        async with self._changes.announced() as batches:
            if self._last is None:
                self._last = await self._changes.newest()
            else:
                await self._catch_up(self._last)
            self._hearing.set()
            async for event_ids in batches:
                if self._watchers:
                    self._give(await self._changes.of_events(event_ids))
                self._last = max(self._last, *event_ids)

    async def _catch_up(self, last: int) -> None:
        """After a time without a connection: what was missed, or the end for all where that is too much."""
        missed = await self.missed_since(last) if self._watchers else []
        if missed is None:
            self.close()
        else:
            self._give(missed)
        self._last = await self._changes.newest()

    def _give(self, changes: Sequence[Change]) -> None:
        for watcher in self._watchers:
            watcher.give(changes)
