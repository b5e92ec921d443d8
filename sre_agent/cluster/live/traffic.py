"""Counts how the API server answered this process within the last minutes. Called by the live cluster only.

An error is an answer that says nothing about what was asked: none at all, a failing or a busy server. A refusal (404,
409, 403, a budget) is a proper answer.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from sre_agent.cluster.port import ClusterError, TooManyRequests, Traffic, Unavailable, UnknownOutcome

WINDOW_SECONDS = 300
SLICE_SECONDS = 10
"""Requests are counted together for so long, so that a busy hour takes no more memory than a quiet one."""


@dataclass(kw_only=True, slots=True)
class _Slice:
    number: int
    requests: int = 0
    errors: int = 0


@dataclass(kw_only=True, slots=True)
class TrafficCounter:
    """The requests of one process. `seconds` is its clock."""

    seconds: Callable[[], float] = time.monotonic
    source: UUID = field(default_factory=uuid4)
    _slices: deque[_Slice] = field(default_factory=deque)

    def count(self, error: ClusterError | None = None) -> None:
        """One request, and the error that it ended with."""
        number = int(self.seconds() // SLICE_SECONDS)
        if not self._slices or self._slices[-1].number != number:
            self._slices.append(_Slice(number=number))
        newest = self._slices[-1]
        newest.requests += 1
        newest.errors += _no_answer(error)
        self._forget(number)

    @property
    def traffic(self) -> Traffic:
        self._forget(int(self.seconds() // SLICE_SECONDS))
        return Traffic(
            requests=sum(entry.requests for entry in self._slices),
            errors=sum(entry.errors for entry in self._slices),
            source=self.source,
        )

    def _forget(self, number: int) -> None:
        while self._slices and self._slices[0].number <= number - WINDOW_SECONDS // SLICE_SECONDS:
            self._slices.popleft()


def _no_answer(error: ClusterError | None) -> bool:
    if isinstance(error, TooManyRequests):
        return error.budget is None
    return isinstance(error, Unavailable | UnknownOutcome)
