"""What one check found. Made by the checks, shown by the command and the status page."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Self

from sre_agent.redaction import redact_text

MOST_SKEW = 5.0
"""Seconds that two clocks may differ: cool-downs and settle windows are minutes, evidence is at most 60 s old."""


class State(StrEnum):
    """ok: as it should be. warning: the agent works, but not all of it. failed: something needed is missing."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One line: `check` names what was looked at, `what` how it is, `instead` what to do about it, if anything."""

    check: str
    state: State
    what: str
    instead: str | None = None

    @classmethod
    def ok(cls, check: str, what: str) -> Self:
        return cls(check=check, state=State.OK, what=_line(what))

    @classmethod
    def warning(cls, check: str, what: str, instead: str) -> Self:
        return cls(check=check, state=State.WARNING, what=_line(what), instead=instead)

    @classmethod
    def failed(cls, check: str, what: str, instead: str | None = None) -> Self:
        return cls(check=check, state=State.FAILED, what=_line(what), instead=instead)


def compared(check: str, theirs: datetime, before: datetime, after: datetime, *, grain: float = 0.0) -> Finding:
    """Another clock's reading against ours right before and after it. `grain`: seconds that it may be cut off by.

    As long as the request took, and by as much as the reading is cut off, nobody can say who is right.
    """
    fast = (theirs - after).total_seconds()
    slow = (before - theirs).total_seconds() - grain
    skew = max(fast, slow, 0.0)
    if skew <= MOST_SKEW:
        return Finding.ok(check, f"within {MOST_SKEW:g} s of this machine's")
    direction = "ahead of" if fast > slow else "behind"
    return Finding.warning(
        check,
        f"{skew:.0f} s {direction} this machine's: windows and ages are wrong by as much",
        "synchronise both clocks (NTP)",
    )


def _line(text: str) -> str:
    """One line without secrets."""
    return " ".join(redact_text(text).split())
