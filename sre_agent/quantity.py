"""Kubernetes resource quantities, exactly: integers and fractions, no floats.

Called by the settings, by the tools that compute a memory limit and by the guards that bound it. Protects the
rule that a limit is never rounded on its way from an object to a patch.
"""

import math
import re
from fractions import Fraction

Quantity = int | Fraction
"""A number without loss: an int where it is whole."""

_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}
_DECIMAL = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18}
_SMALL = {"n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 10**3)}
_FACTORS: dict[str, Quantity] = {"": 1, **_BINARY, **_DECIMAL, **_SMALL}

_GRAMMAR = re.compile(
    r"(?P<sign>[+-]?)(?:(?P<whole>[0-9]+)(?:\.(?P<part>[0-9]*))?|\.(?P<only_part>[0-9]+))"
    r"(?:[eE](?P<exponent>[+-]?[0-9]{1,9})|(?P<suffix>[KMGTPE]i|[numkMGTPE])?)"
)
# Kubernetes itself caps at 2^63-1 and rounds below 1n; past these bounds a text is an attack, not an amount.
_MAX_LENGTH = 100
_MAX_EXPONENT = 100


class QuantityError(ValueError):
    """The text is not a quantity; the message holds it and says what one looks like."""


def parse(text: str | int | float) -> Quantity:
    """The exact value of a quantity: `128Mi`, `.5Gi`, `100m`, `1e3`, `2E`, or a plain number of YAML.

    A float means the shortest decimal that stands for it (0.1 is one tenth). Raises QuantityError.
    """
    if isinstance(text, bool):
        raise _not_a_quantity(text)
    if isinstance(text, int):
        return text
    match = _GRAMMAR.fullmatch(text if isinstance(text, str) else repr(text))
    if match is None or len(match[0]) > _MAX_LENGTH or abs(int(match["exponent"] or 0)) > _MAX_EXPONENT:
        raise _not_a_quantity(text)
    part = match["part"] or match["only_part"] or ""
    digits = int(f"{match['sign']}{match['whole'] or ''}{part}")
    power = int(match["exponent"] or 0)
    value = Fraction(digits * 10 ** max(power, 0), 10 ** (len(part) + max(-power, 0)))
    value *= _FACTORS[match["suffix"] or ""]
    return value.numerator if value.denominator == 1 else value


def _not_a_quantity(text: object) -> QuantityError:
    shown = repr(text) if len(repr(text)) <= _MAX_LENGTH else f"{repr(text)[:_MAX_LENGTH]}…"
    return QuantityError(f"{shown} is not a quantity such as 256Mi, 1.5Gi, 500M, 100m or 1e9")


def bytes_of(quantity: str | int | float) -> int:
    """The quantity in whole bytes, a fraction rounded away from zero, as Kubernetes does."""
    value = parse(quantity)
    return math.ceil(value) if value >= 0 else math.floor(value)


def format_bytes(count: int) -> str:
    """The shortest lossless way to write a number of bytes: `1Gi`, `1536Mi`, `1500M`, `4Ki`, `1001`.

    Whole mebibytes are written in binary units; then decimal units are tried before kibibytes.
    """
    if count % _BINARY["Mi"] == 0:
        return _in_largest_unit(count, _BINARY)
    if count % _DECIMAL["k"] == 0:
        return _in_largest_unit(count, _DECIMAL)
    return _in_largest_unit(count, {"Ki": _BINARY["Ki"]})


def _in_largest_unit(count: int, units: dict[str, int]) -> str:
    """`count` in the largest of `units` that divides it, without a unit where none does. Zero has no unit."""
    fitting = [suffix for suffix, factor in units.items() if count and count % factor == 0]
    return f"{count // units[fitting[-1]]}{fitting[-1]}" if fitting else str(count)
