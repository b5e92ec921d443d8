"""Bytes of a stranger to a JSON document, with the place of whatever is wrong with it.

Called by `alert` for every webhook body. Keeps what Python's decoder would lose: keys that stand twice, integers
beyond a float, and where in the bytes a fault is.
"""

import json
import re
from decimal import Decimal
from itertools import islice
from typing import Any, NoReturn

MAX_BYTES = 32 * 2**20
"""The largest body that is read, in bytes."""

MOST_VALUES = 2_000_000
"""The most values of a document: more than 50,000 alerts have. Small ones take fifty times the memory of their text."""

LONGEST_SHOWN = 80
"""The most characters of a key or a value that a message repeats."""


class Fault(Exception):
    """What is wrong, and where: a JSON path or a byte position."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class _Repeated(dict[str, Any]):
    """A JSON object in which `key` stands more than once."""

    key = ""


def decode(body: bytes) -> tuple[Any, bool]:
    """The JSON document, and whether any object in it repeats a key. Integers come as Decimal where they are long."""
    if len(body) > MAX_BYTES:
        raise Fault("body", f"{len(body)} bytes; at most {MAX_BYTES} ({MAX_BYTES >> 20} MiB) are taken")
    if body.count(b",") > MOST_VALUES and _holds_more_values(body, MOST_VALUES):
        raise Fault("body", f"more than {MOST_VALUES} values, which is no payload")
    bom = 3 if body.startswith(b"\xef\xbb\xbf") else 0
    try:
        text = body[bom:].decode()
    except UnicodeDecodeError as error:
        raise Fault(f"byte {error.start + bom}", f"not UTF-8 text ({error.reason})") from None
    if not text.strip():
        raise Fault("body", "empty; send the JSON object of an Alertmanager webhook")
    repeated = False

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal repeated
        found = dict(pairs)
        if len(found) == len(pairs):
            return found
        repeated = True
        return _with_repeated_key(pairs)

    def refuse_constant(name: str) -> NoReturn:
        raise Fault(_place(text, _constant_at(text), bom), f"{name} is not a JSON value")

    try:
        return (
            json.loads(text, object_pairs_hook=members, parse_int=_integer, parse_constant=refuse_constant),
            repeated,
        )
    except json.JSONDecodeError as error:
        raise Fault(_place(text, error.pos, bom), f"not JSON: {error.msg}") from None
    except RecursionError:
        raise Fault("body", "nested too deeply to be a payload") from None


_STRING_OR_COMMA = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|,', re.DOTALL)


def _holds_more_values(body: bytes, most: int) -> bool:
    """By the commas outside of strings: those of a long text are none."""
    commas = (match for match in _STRING_OR_COMMA.finditer(body) if match[0] == b",")
    return next(islice(commas, most, None), None) is not None


def _integer(text: str) -> int | Decimal:
    """An int takes the square of its length to read, and a small one no memory."""
    return int(text) if len(text) < 20 else Decimal(text)


def _with_repeated_key(pairs: list[tuple[str, Any]]) -> _Repeated:
    found = _Repeated()
    for name, value in pairs:
        if name in found:
            found.key = name
        found[name] = value
    return found


_STRING_OR_CONSTANT = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|(NaN|-?Infinity)', re.DOTALL)


def _constant_at(text: str) -> int:
    """Where the first NaN or Infinity outside a string stands; called when the decoder has met one."""
    return next(match.start(1) for match in _STRING_OR_CONSTANT.finditer(text) if match[1])


def _place(text: str, position: int, bom: int) -> str:
    line = text.count("\n", 0, position) + 1
    column = position - text.rfind("\n", 0, position)
    return f"byte {len(text[:position].encode()) + bom} (line {line}, column {column})"


def refuse_repeated_keys(value: Any, path: str, *, without: str | None = None) -> None:
    """Raises for a repeated key anywhere in `value`, but for the member `without` of the outermost object."""
    pending = [(path, value)]
    while pending:
        at, value = pending.pop()
        if isinstance(value, _Repeated):
            raise Fault(at, f"the key {shown(value.key)} stands there twice")
        if isinstance(value, dict):
            skipped = without if at == path else None
            pending += [(member(at, key), held) for key, held in value.items() if key != skipped]
        elif isinstance(value, list):
            pending += [(f"{at}[{place}]", held) for place, held in enumerate(value)]


def member(path: str, key: str) -> str:
    """The JSON path of a member; a key that is long is cut."""
    key = key[:LONGEST_SHOWN]
    return f"{path}.{key}" if key.isidentifier() and key.isascii() else f"{path}[{shown(key)}]"


def shown(value: Any) -> str:
    """A value as JSON in pure ASCII, cut where it is long: safe to print on a terminal."""
    text = json.dumps(value, default=str)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def kind_of(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case str():
            return "a string"
        case list():
            return "a list"
        case dict():
            return "an object"
        case _:
            return "a number"
