"""The small forms that an analysis is written in: references, quotes, moments, counts. `checker` reads them back.

Protects one rule: what comes from outside stands only inside a quote (a code span on one line), so that it can
neither forge a reference nor a heading.
"""

from datetime import datetime, timedelta

QUOTE_LENGTH = 160
"""The longest quote, in characters: a reason is said, a stack trace is not. Commands and actions are never cut."""
CUT = "…"

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def reference(*event_ids: int | None) -> str:
    """` [event 3] [event 9]` with its leading space, each id once; empty where the events are not there any more."""
    known = dict.fromkeys(event_id for event_id in event_ids if event_id is not None)
    return "".join(f" [event {event_id}]" for event_id in known)


def quote(text: object, *, whole: bool = False) -> str:
    """A code span: on one line, without backticks, cut at QUOTE_LENGTH unless it is of use as a whole only."""
    plain = plainly(str(text))
    return f"`{plain if whole or len(plain) <= QUOTE_LENGTH else plain[: QUOTE_LENGTH - 1].rstrip() + CUT}`"


def plainly(text: str) -> str:
    """A text as quotes hold it: white space is one space, a backtick an apostrophe."""
    return " ".join(text.replace("`", "'").split()) or "(empty)"


def moment(value: datetime) -> str:
    """`2026-03-17 14:22 UTC`."""
    return f"{value:%Y-%m-%d %H:%M} UTC"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """`1 time`, `3 times`."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def span(duration: timedelta) -> str:
    """`19 days`, below two days `30 hours`, below two hours `45 minutes`: whole ones, rounded down."""
    minutes = int(duration.total_seconds()) // 60
    if minutes >= 48 * 60:
        return counted(minutes // 1440, "day")
    return counted(minutes // 60, "hour") if minutes >= 120 else counted(minutes, "minute")
