"""Kubernetes JSON decoded as the API server decodes it: null is absent, and every known field has its type.

Called by `normal_form` with the shapes of `shapes`. Protects everybody who reads an object: what passed here can be
read without asking twice. A field that no shape names is kept as it is, without its nulls.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


class Misshapen(Exception):
    """A value is not what its field holds: where in the object, what is there, and what would be right."""

    def __init__(self, path: str, expected: str) -> None:
        super().__init__(f"{path} is not {expected}")
        self.path = path
        self.expected = expected


@dataclass(frozen=True, kw_only=True, slots=True)
class Scalar:
    """A field that holds one value. `read` gives it as the API would print it; ValueError where it is another type."""

    expected: str
    read: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list whose elements all have one shape. A null among them is refused: nobody can know what was meant.

    `key` is the field by which patches tell the elements apart: each must have it.
    """

    element: "Shape"
    key: str | None = None


@dataclass(frozen=True, slots=True)
class MapOf:
    """Free names, each with a value of one shape."""

    value: "Shape"


Shape = Scalar | ListOf | MapOf | Mapping[str, "Shape"]
"""What a field holds; a mapping is an object of whose fields some are known."""

_LARGEST = 2**63


def _text(value: Any) -> str:
    """A number counts as the text that somebody forgot to quote; true and false are refused, for `True` is text."""
    if isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)
    raise ValueError


def _word(value: Any) -> str:
    """A label's value as text: null is empty, true is `true` as the API would print it."""
    if value is None:
        return ""
    if isinstance(value, dict | list):
        raise TypeError
    return str(value).lower() if isinstance(value, bool) else str(value)


def _integer(value: Any) -> int:
    if type(value) is int and -_LARGEST <= value < _LARGEST:
        return value
    raise ValueError


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError


def _quantity(value: Any) -> Any:
    """As it was written: whoever counts with it says what cannot be read, and where that matters."""
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return value
    raise ValueError


def _count_or_share(value: Any) -> Any:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}%", value):
        return value
    return _integer(value)


TEXT = Scalar(expected="text", read=_text)
WORD = Scalar(expected="text", read=_word)
INTEGER = Scalar(expected="a whole number", read=_integer)
FLAG = Scalar(expected="true or false", read=_flag)
QUANTITY = Scalar(expected="a quantity such as 256Mi, 1.5Gi or 100m", read=_quantity)
COUNT_OR_SHARE = Scalar(expected="a whole number or a percentage such as 25%", read=_count_or_share)
ANYTHING = Scalar(expected="anything", read=lambda value: value)

TEXTS = ListOf(TEXT)
QUANTITIES = MapOf(QUANTITY)
WORDS = MapOf(WORD)


def decoded(value: Any, shape: Shape, path: str = "") -> Any:
    """The value without nulls, in the types that its shape names. Raises Misshapen; the argument is not changed."""
    match shape:
        case Scalar():
            try:
                return shape.read(value)
            except (ValueError, TypeError):
                raise Misshapen(path, shape.expected) from None
        case ListOf():
            return _list(value, shape, path)
        case MapOf():
            return _map(value, shape.value, path)
        case _:
            return _object(value, shape, path)


def _list(value: Any, shape: ListOf, path: str) -> list[Any]:
    of_objects = not isinstance(shape.element, Scalar)
    expected = "a list of objects" if of_objects else "a list of text"
    if not isinstance(value, list) or any(entry is None for entry in value):
        raise Misshapen(path, expected)
    if of_objects and not all(isinstance(entry, dict) for entry in value):
        raise Misshapen(path, expected)
    if shape.key is not None and any(entry.get(shape.key) is None for entry in value):
        raise Misshapen(path, f"{expected} that each have a {shape.key}")
    return [decoded(entry, shape.element, f"{path}[{number}]") for number, entry in enumerate(value)]


def _map(value: Any, held: Shape, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Misshapen(path, "an object")
    keeps_null = held in (WORD, ANYTHING)
    return {
        str(name): decoded(entry, held, f"{path}.{name}")
        for name, entry in value.items()
        if entry is not None or keeps_null
    }


def _object(value: Any, fields: Mapping[str, Shape], path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Misshapen(path, "an object")
    return {
        name: decoded(held, fields[name], f"{path}.{name}" if path else name) if name in fields else without_nulls(held)
        for name, held in value.items()
        if held is not None
    }


def without_nulls(value: Any) -> Any:
    """The value without fields that are null; the elements of a list all stay."""
    if isinstance(value, dict):
        return {name: without_nulls(held) for name, held in value.items() if held is not None}
    if isinstance(value, list):
        return [without_nulls(entry) for entry in value]
    return value
