"""Moments as people type them: what is read, and what is said about the rest."""

from datetime import UTC, datetime

import pytest

from sre_agent.cli.moments import parse_end, parse_moment
from sre_agent.errors import BadInput

MOMENTS = [
    pytest.param("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC), id="a date"),
    pytest.param("2026-11-20T03:00", datetime(2026, 11, 20, 3, tzinfo=UTC), id="a date and time"),
    pytest.param("2026-11-20T03:00:00Z", datetime(2026, 11, 20, 3, tzinfo=UTC), id="UTC"),
    pytest.param("2026-11-20 03:00+02:00", datetime(2026, 11, 20, 1, tzinfo=UTC), id="an offset"),
    pytest.param("7d", datetime(2026, 11, 16, tzinfo=UTC), id="days ago"),
    pytest.param("1h30m", datetime(2026, 11, 22, 22, 30, tzinfo=UTC), id="hours and minutes ago"),
]


@pytest.mark.parametrize(("text", "expected"), MOMENTS)
def test_a_moment_is_a_date_a_time_or_how_long_ago(text: str, expected: datetime) -> None:
    assert parse_moment(text, option="--since", now=datetime(2026, 11, 23, tzinfo=UTC)) == expected


@pytest.mark.parametrize("text", ["", "-7d", "99999d", "0001-01-01T00:00+14:00", "2026-11-20T25:00"])
def test_a_moment_that_cannot_be_read_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(BadInput, match=r"--since .+ cannot be read: give a date such as 2026-11-23"):
        parse_moment(text, option="--since", now=datetime(2026, 11, 23, tzinfo=UTC))


ENDS = [
    pytest.param("2026-11-24", datetime(2026, 11, 24, tzinfo=UTC), id="a date"),
    pytest.param("2026-11-23 03:00+02:00", datetime(2026, 11, 23, 1, tzinfo=UTC), id="an offset"),
    pytest.param("1h30m", datetime(2026, 11, 23, 1, 30, tzinfo=UTC), id="for so long"),
]


@pytest.mark.parametrize(("text", "expected"), ENDS)
def test_an_end_is_a_date_a_time_or_for_how_long(text: str, expected: datetime) -> None:
    assert parse_end(text, option="--until", now=datetime(2026, 11, 23, tzinfo=UTC)) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("2026-11-23", "is over already", id="now"),
        pytest.param("0", "is over already", id="for no time"),
        pytest.param("tomorrow", "cannot be read", id="a word"),
    ],
)
def test_an_end_that_is_over_or_cannot_be_read_is_refused(text: str, said: str) -> None:
    with pytest.raises(BadInput, match=rf"--until .+ {said}: give a date .+ or for how long such as 90m"):
        parse_end(text, option="--until", now=datetime(2026, 11, 23, tzinfo=UTC))
