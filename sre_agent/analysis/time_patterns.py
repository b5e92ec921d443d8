"""The patterns of when an alert comes: flapping, time of day, day of the week. Called by `patterns`."""

from sre_agent.analysis.facts import CaseFacts
from sre_agent.analysis.pattern import Pattern
from sre_agent.analysis.texts import WEEKDAYS, counted, moment, reference
from sre_agent.times import duration_text

FLAPS = 4
"""So many incidents within the flapping window, each of them begun after those before had ended."""


def flapping(case: CaseFacts) -> Pattern | None:
    """The alert comes and goes."""
    recent = case.past.recent
    if recent is None or recent.times < FLAPS:
        return None
    return Pattern(
        name="flapping",
        sentence=(
            f"The alert flapped: it came {counted(recent.times, 'time')} within "
            f"{duration_text(case.past.windows.flapping)}, the first of them at {moment(recent.first_at)}"
            f"{reference(recent.event_id)}."
        ),
        hypothesis="A state that changes by itself so often lies near a threshold, or a probe or a link is unsteady.",
        advice=("Look for what alternates: heartbeats, probes, network, load; a longer wait in the rule hides it.",),
    )


SAME_HOURS, SAME_HOURS_SHARE, SAME_HOURS_DAYS = 5, 0.8, 4


def time_of_day(case: CaseFacts) -> Pattern | None:
    """Most occurrences begin in the same two hours, on several days."""
    tally, total = case.past.hours, case.past.occurrences
    if tally is None or tally.times < SAME_HOURS or tally.days < SAME_HOURS_DAYS:
        return None
    if tally.times < SAME_HOURS_SHARE * total:
        return None
    return Pattern(
        name="time_of_day",
        sentence=(
            f"{tally.times} of {counted(total, 'occurrence')} began between {tally.hour:02}:00 and "
            f"{(tally.hour + 2) % 24:02}:00 UTC, on {counted(tally.days, 'day')}{reference(tally.event_id)}."
        ),
        hypothesis="A time of day points to something scheduled, or to the daily load.",
        advice=("Look for what runs at that time: CronJobs, backups, batch imports, a daily peak of traffic.",),
    )


SAME_WEEKDAY, SAME_WEEKDAY_SHARE, SAME_WEEKDAY_WEEKS = 4, 0.8, 3


def day_of_week(case: CaseFacts) -> Pattern | None:
    """Most occurrences begin on the same day of the week, in several weeks."""
    tally, total = case.past.weekday, case.past.occurrences
    if tally is None or tally.times < SAME_WEEKDAY or tally.weeks < SAME_WEEKDAY_WEEKS:
        return None
    if tally.times < SAME_WEEKDAY_SHARE * total:
        return None
    return Pattern(
        name="day_of_week",
        sentence=(
            f"{tally.times} of {counted(total, 'occurrence')} began on a {WEEKDAYS[tally.weekday - 1]} (UTC), in "
            f"{counted(tally.weeks, 'week')}{reference(tally.event_id)}."
        ),
        hypothesis="A day of the week points to something scheduled, or to the weekly load.",
        advice=("Look for what happens on that day: weekly jobs, reports, releases, maintenance.",),
    )
