"""Where a queued run waits until somebody takes it up.

Intake defers into it, a worker takes from it. A replay's runs wait in the replay's own process, so that no server
ever takes them.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID


class Queue(Protocol):
    """Takes runs that are already stored as `queued`."""

    async def defer(self, run_id: UUID) -> None:
        """Hands a queued run to whoever executes runs."""
        ...


@dataclass(kw_only=True, slots=True)
class InlineQueue:
    """First in, first out, in this process."""

    waiting: deque[UUID] = field(default_factory=deque)

    async def defer(self, run_id: UUID) -> None:
        self.waiting.append(run_id)

    def take(self) -> UUID | None:
        """The oldest waiting run, None when nothing waits."""
        return self.waiting.popleft() if self.waiting else None
