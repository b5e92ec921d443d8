"""What a run is given, with a death in every asynchronous call that it makes, before the call or after it."""

import inspect
from dataclasses import dataclass, field
from typing import Any

PARTS = {"store.queue", "store.history", "store.evidence", "store.brakes"}


class Killed(BaseException):
    """The process is gone."""


@dataclass(kw_only=True)
class Death:
    """Comes at the call of this number, None never; every call has two: before it is made, and when it is done."""

    at: int | None = None
    calls: list[str] = field(default_factory=list)

    def passes(self, what: str) -> None:
        self.calls.append(what)
        if len(self.calls) == self.at:
            raise Killed(what)


class Mortal:
    """Whatever a run is given, with its death in every asynchronous call, of its parts too."""

    def __init__(self, held: Any, death: Death, path: str) -> None:
        self._held, self._death, self._path = held, death, path

    def __getattr__(self, name: str) -> Any:
        found, path = getattr(self._held, name), f"{self._path}.{name}"
        if inspect.iscoroutinefunction(found):

            async def call(*args: Any, **kwargs: Any) -> Any:
                self._death.passes(f"before {path}")
                answer = await found(*args, **kwargs)
                self._death.passes(f"after {path}")
                return answer

            return call
        return Mortal(found, self._death, path) if path in PARTS else found
