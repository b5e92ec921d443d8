"""Moments and durations: what is read, what is refused, and that what is written reads back."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre_agent.times import duration_text, parse_duration, parse_moment

ZERO = "0001-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        pytest.param("2024-01-15T10:30:00Z", datetime(2024, 1, 15, 10, 30, tzinfo=UTC), id="UTC"),
        pytest.param("2024-01-15t10:30:00z", datetime(2024, 1, 15, 10, 30, tzinfo=UTC), id="small letters"),
        pytest.param("2024-01-15T10:30:00.5Z", datetime(2024, 1, 15, 10, 30, 0, 500000, tzinfo=UTC), id="one digit"),
        pytest.param(
            "2020-02-26T07:05:04.989876849Z",
            datetime(2020, 2, 26, 7, 5, 4, 989876, tzinfo=UTC),
            id="nine digits are cut, not rounded",
        ),
        pytest.param("2021-03-30T20:17:50+08:00", datetime(2021, 3, 30, 12, 17, 50, tzinfo=UTC), id="east of UTC"),
        pytest.param("2018-03-07T06:33:21-05:00", datetime(2018, 3, 7, 11, 33, 21, tzinfo=UTC), id="west of UTC"),
        pytest.param("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC), id="the epoch is a time"),
        pytest.param(ZERO, None, id="the zero time"),
        pytest.param("0001-01-01T00:00:00+14:00", None, id="the zero time east of UTC would overflow"),
        pytest.param("0000-12-31T12:00:00-12:00", None, id="the zero time west of UTC"),
    ],
)
def test_a_time_is_read_as_utc(text: str, moment: datetime | None) -> None:
    assert parse_moment(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("2024-01-15", id="a date"),
        pytest.param("2024-01-15 10:30:00Z", id="a space"),
        pytest.param("2024-01-15T10:30:00", id="no zone"),
        pytest.param("2024-01-15T10:30Z", id="no seconds"),
        pytest.param("2024-01-15T10:30:00.Z", id="a point without digits"),
        pytest.param("2024-01-15T10:30:00.1234567890Z", id="ten digits"),
        pytest.param("2024-01-15T10:30:00+0800", id="a zone without colon"),
        pytest.param("2024-01-15T10:30:00+25:00", id="a zone beyond a day"),
        pytest.param("2024-01-15T24:00:00Z", id="hour 24"),
        pytest.param("2024-01-15T10:30:60Z", id="a leap second"),
        pytest.param("2023-02-29T00:00:00Z", id="no such day"),
        pytest.param("0001-13-01T00:00:00Z", id="no such month in the zero year"),
        pytest.param("9999-12-31T23:59:59-05:00", id="beyond the year 9999 in UTC"),
        pytest.param("２０２４-01-15T10:30:00Z", id="digits of another script"),
        pytest.param("2024-01-15T10:30:00Z\n", id="a newline behind"),
    ],
)
def test_another_text_is_not_a_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not an RFC 3339 time|is out of range"):
        parse_moment(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        pytest.param("90s", 90, id="seconds"),
        pytest.param("10m", 600, id="minutes"),
        pytest.param("24h", 86400, id="hours"),
        pytest.param("7d", 604800, id="days"),
        pytest.param("1h30m", 5400, id="two units"),
        pytest.param("1d2h3m4s", 93784, id="all units"),
        pytest.param("0", 0, id="off"),
        pytest.param("0s", 0, id="zero with a unit"),
        pytest.param("3650d", 315360000, id="the longest"),
    ],
)
def test_a_duration_is_read(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("10", id="no unit"),
        pytest.param("s", id="no number"),
        pytest.param("-5m", id="negative"),
        pytest.param("1.5h", id="fraction"),
        pytest.param("5 m", id="space"),
        pytest.param("30m1h", id="wrong order"),
        pytest.param("1w", id="unknown unit"),
        pytest.param("5m\n", id="newline"),
        pytest.param("3651d", id="too long"),
        pytest.param("9" * 5000 + "s", id="far too long"),
    ],
)
def test_another_text_is_not_a_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration such as 90s"):
        parse_duration(text)


@given(st.integers(min_value=0, max_value=3650 * 86400))
def test_a_written_duration_reads_back(seconds: int) -> None:
    assert parse_duration(duration_text(timedelta(seconds=seconds))) == timedelta(seconds=seconds)
