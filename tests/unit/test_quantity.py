"""Quantities: the grammar of the Kubernetes API machinery, without loss."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre_agent.quantity import QuantityError, bytes_of, format_bytes, parse

BYTES = st.integers(min_value=-(2**70), max_value=2**70)
SUFFIXES = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "e3", "E-3", "e+2"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("128Mi", 128 * 2**20, id="binary suffix"),
        pytest.param(".5Gi", 2**29, id="no digit before the point"),
        pytest.param("1.Ki", 1024, id="no digit after the point"),
        pytest.param("1.5Gi", 1536 * 2**20, id="decimals with a binary suffix"),
        pytest.param("1Ei", 2**60, id="largest binary suffix"),
        pytest.param("100m", Fraction(1, 10), id="milli"),
        pytest.param("250u", Fraction(1, 4000), id="micro"),
        pytest.param("1n", Fraction(1, 10**9), id="nano"),
        pytest.param("2k", 2000, id="kilo is a small letter"),
        pytest.param("1E", 10**18, id="E alone is exa"),
        pytest.param("1E3", 1000, id="E with digits is an exponent"),
        pytest.param("1e3", 1000, id="small exponent letter"),
        pytest.param("12e-1", Fraction(6, 5), id="negative exponent"),
        pytest.param("1e+2", 100, id="signed exponent"),
        pytest.param("+5", 5, id="plus sign"),
        pytest.param("-1Gi", -(2**30), id="minus sign"),
        pytest.param("0", 0, id="zero"),
        pytest.param("007", 7, id="leading zeros"),
        pytest.param(268435456, 268435456, id="an integer of YAML"),
        pytest.param(0.1, Fraction(1, 10), id="a float of YAML is its shortest decimal"),
        pytest.param(1e22, 10**22, id="a large float"),
    ],
)
def test_a_quantity_has_its_exact_value(text: str | int | float, value: int | Fraction) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(" ", id="blank"),
        pytest.param(" 1Gi", id="space before"),
        pytest.param("1Gi\n", id="newline after"),
        pytest.param("1 Gi", id="space within"),
        pytest.param("Gi", id="no number"),
        pytest.param(".", id="a point alone"),
        pytest.param("1.2.3", id="two points"),
        pytest.param("1ki", id="ki is not a suffix"),
        pytest.param("1K", id="K alone is not a suffix"),
        pytest.param("1GB", id="not a unit of Kubernetes"),
        pytest.param("1e3Mi", id="exponent and suffix"),
        pytest.param("1e", id="exponent without digits"),
        pytest.param("--1", id="two signs"),
        pytest.param("٣", id="digits of another script"),
        pytest.param("1e101", id="exponent out of range"),
        pytest.param("1e999999999", id="exponent that would fill the memory"),
        pytest.param("9" * 5000, id="more digits than an amount has"),
        pytest.param(float("nan"), id="not a number"),
        pytest.param(float("inf"), id="infinite"),
        pytest.param(True, id="a boolean is not a number"),
    ],
)
def test_what_is_no_quantity_is_refused_with_its_text(text: str | float) -> None:
    with pytest.raises(QuantityError, match="is not a quantity such as") as error:
        parse(text)
    assert repr(text)[:20] in str(error.value)
    assert len(str(error.value)) < 250


@pytest.mark.parametrize(
    ("quantity", "count"),
    [
        pytest.param("1Mi", 2**20, id="whole"),
        pytest.param("100m", 1, id="a fraction becomes one byte"),
        pytest.param("1.5", 2, id="rounded up"),
        pytest.param("-1.5", -2, id="away from zero, as Kubernetes does"),
        pytest.param("0.3Gi", 322122548, id="0.3Gi is not a whole number"),
        pytest.param(1024, 1024, id="plain number"),
    ],
)
def test_bytes_are_rounded_as_kubernetes_rounds_them(quantity: str | int, count: int) -> None:
    assert bytes_of(quantity) == count


@pytest.mark.parametrize(
    ("count", "text"),
    [
        pytest.param(2**30, "1Gi", id="the largest binary unit"),
        pytest.param(1536 * 2**20, "1536Mi", id="not a whole gibibyte"),
        pytest.param(256 * 2**20, "256Mi", id="mebibytes"),
        pytest.param(3 * 2**40, "3Ti", id="tebibytes"),
        pytest.param(2_000_000_000, "2G", id="decimal"),
        pytest.param(1_500_000_000, "1500M", id="decimal without loss"),
        pytest.param(128_000, "128k", id="decimal before kibibytes"),
        pytest.param(4096, "4Ki", id="kibibytes"),
        pytest.param(1001, "1001", id="bytes"),
        pytest.param(0, "0", id="zero has no unit"),
        pytest.param(-(2**20), "-1Mi", id="negative"),
    ],
)
def test_bytes_are_written_canonically(count: int, text: str) -> None:
    assert format_bytes(count) == text


@given(BYTES)
def test_what_is_written_reads_back_as_the_same_number(count: int) -> None:
    assert parse(format_bytes(count)) == count


@given(st.integers(min_value=0, max_value=10**12), st.integers(min_value=0, max_value=9), st.sampled_from(SUFFIXES))
def test_no_digit_is_lost_whatever_the_suffix(digits: int, places: int, suffix: str) -> None:
    text = f"{digits // 10**places}.{digits % 10**places:0{places}d}" if places else str(digits)
    assert parse(f"{text}{suffix}") == Fraction(digits, 10**places) * Fraction(parse(f"1{suffix}"))


@given(st.decimals(min_value=-(10**9), max_value=10**9, places=6, allow_nan=False))
def test_a_decimal_never_drifts_as_a_float_would(number: object) -> None:
    assert parse(f"{number}") == Fraction(str(number))
