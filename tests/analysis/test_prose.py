"""Numbers are read in one form, however they are written."""

import pytest

from sre_agent.analysis.prose import plain_prose

SPELLINGS = [
    pytest.param("six times", "6 times", id="a word"),
    pytest.param("Seventy-two hours", "72 hours", id="two words"),
    pytest.param("nineteen hundred", "1900", id="hundreds"),
    pytest.param("a dozen days", "12 days", id="a dozen"),
    pytest.param("thrice", "3 times", id="thrice"),
    pytest.param("the sixth time", "the 6 time", id="an ordinal of times"),
    pytest.param("the third party", "the third party", id="another ordinal"),
    pytest.param("one time, then the one before", "1 time, then the one before", id="one before a noun only"),
    pytest.param("\N{ARABIC-INDIC DIGIT SIX} times", "6 times", id="another script"),
    pytest.param("1\N{ZERO WIDTH SPACE}2 times", "12 times", id="what nobody sees"),
    pytest.param("5/6 occurrences", "5 of 6 occurrences", id="a fraction"),
    pytest.param("demo/app/1.2/3", "demo/app/1.2/3", id="a path"),
    pytest.param("1,000 requests", "1000 requests", id="thousands"),
    pytest.param("512 MiB", "512Mi", id="a unit"),
    pytest.param("2 gigabytes", "2Gi", id="a unit in words"),
    pytest.param("a 3-week span", "a 3 week span", id="a hyphen"),
    pytest.param("6x", "6 times", id="a factor"),
    pytest.param("50 percent", "50%", id="per cent"),
    pytest.param("March 3rd", "March 3", id="a day of the month"),
]


@pytest.mark.parametrize(("written", "read"), SPELLINGS)
def test_a_number_is_read_in_digits(written: str, read: str) -> None:
    assert plain_prose(written) == read
