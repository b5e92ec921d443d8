"""Moments and durations as text: read in one place, written in one form, so that two reasons can be compared.

Called by whatever parses one (alerts, objects, settings, runbooks) and by whatever writes a reason. Moments are
aware UTC.
"""

import json
import re
from datetime import UTC, datetime, timedelta

DURATION_FORM = "a duration such as 90s, 10m, 24h, 7d or 1h30m, or 0 for off; at most 3650d"

_DURATION = re.compile(r"0|(?=[0-9])(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?")
_LONGEST = 3650 * 86400
_RFC3339 = re.compile(
    r"(?P<year>[0-9]{4})(?P<rest>-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2})"
    r"(?:\.(?P<fraction>[0-9]{1,9}))?(?P<zone>Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])",
    re.IGNORECASE,
)


def parse_moment(text: str) -> datetime | None:
    """An RFC 3339 time as aware UTC, cut to microseconds; None for the zero year, which means "not set".

    The zero time moved to a zone west of UTC falls into the year 0000 and means the same.
    Raises ValueError for any other text and for a time that UTC's years 1 to 9999 do not hold.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f"{_shown(text)} is not an RFC 3339 time such as 2024-01-15T10:30:00Z")
    zero = match["year"] in {"0000", "0001"}
    fraction = (match["fraction"] or "")[:6].ljust(6, "0")
    zone = match["zone"].upper().replace("Z", "+00:00")
    year = "2000" if zero else match["year"]
    try:
        moment = datetime.fromisoformat(f"{year}{match['rest']}.{fraction}{zone}")
        return None if zero else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{_shown(text)} is out of range") from None


def parse_duration(text: str) -> timedelta:
    """`90s`, `10m`, `24h`, `7d`, `1h30m`, or `0`. Raises ValueError, which says what is allowed."""
    match = _DURATION.fullmatch(text)
    if match is not None and len(text) <= 30:
        days, hours, minutes, seconds = (int(count or 0) for count in match.groups())
        total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
        if total <= _LONGEST:
            return timedelta(seconds=total)
    raise ValueError(f"{text[:40]!r} is not {DURATION_FORM}")


def _shown(text: str) -> str:
    """Text of a stranger in pure ASCII, cut where it is long: safe to print on a terminal."""
    return json.dumps(text[:80])


def moment_text(moment: datetime) -> str:
    """`2026-03-14 03:00:00 UTC`."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def duration_text(duration: timedelta) -> str:
    """`90s` as `1m30s`, `24h`, `7d`: whole days from two on, else hours, minutes and seconds; `0` for none."""
    seconds = int(duration.total_seconds())
    if seconds % 86400 == 0 and seconds > 86400:
        return f"{seconds // 86400}d"
    parts = ((seconds // 3600, "h"), (seconds % 3600 // 60, "m"), (seconds % 60, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0"
