"""A border for work that may fail without harm to what it serves.

Used where something only adds to a run: a model's answer, a planner's proposal, the kept evidence. Protects one rule:
an error that nobody foresaw is logged with its traceback and ends there.
"""

from types import TracebackType
from typing import Self

from sre_agent.log import get_logger

log = get_logger(__name__)


class Border:
    """`with Border("evidence.not_kept", run_id=run_id) as border:`; afterwards `border.error` says what went wrong.

    Exceptions of the types `passing` go through, and so does whatever is no Exception, such as a cancellation.
    """

    def __init__(self, event: str, /, *, passing: tuple[type[Exception], ...] = (), **fields: object) -> None:
        self.error: str | None = None
        self._event = event
        self._passing = passing
        self._fields = fields

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception) or isinstance(error, self._passing):
            return False
        self.error = f"{type(error).__name__}: {error}"
        log.exception(self._event, **self._fields)
        return True
