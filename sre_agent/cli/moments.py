"""Moments as people type them after `--since`, `--before` and `--until`."""

from datetime import UTC, datetime

from sre_agent.errors import BadInput
from sre_agent.times import parse_duration

ALLOWED = (
    "a date such as 2026-11-23, a date and time such as 2026-11-23T03:00 (UTC, or with an offset), "
    "or how long ago such as 7d, 12h or 1h30m"
)


ALLOWED_END = (
    "a date such as 2026-11-23, a date and time such as 2026-11-23T03:00 (UTC, or with an offset), "
    "or for how long such as 90m, 2h or 1h30m"
)


def parse_moment(text: str, *, option: str, now: datetime) -> datetime:
    """A date (its first moment), a date and time, or how long ago; without an offset it is UTC.

    Raises BadInput naming the option, the text and what is allowed.
    """
    try:
        return now - parse_duration(text)
    except ValueError:
        return _parse_date(text, option, ALLOWED)


def parse_end(text: str, *, option: str, now: datetime) -> datetime:
    """A date (its first moment), a date and time, or for how long from now on. Raises BadInput, also for the past."""
    try:
        end = now + parse_duration(text)
    except ValueError:
        end = _parse_date(text, option, ALLOWED_END)
    if end <= now:
        raise BadInput(f"{option} {text[:40]!r} is over already: give {ALLOWED_END}")
    return end


def _parse_date(text: str, option: str, allowed: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadInput(f"{option} {text[:40]!r} cannot be read: give {allowed}") from None
