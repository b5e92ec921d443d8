"""Moments and durations in the words that people read: one form each, so that two reasons can be compared.

Called by whatever writes a reason. Moments are aware UTC.
"""

from datetime import datetime, timedelta


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
