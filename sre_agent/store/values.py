"""What PostgreSQL cannot hold, replaced at the one border where values become parameters.

Alerts and cluster objects come from outside: they carry NUL characters, halves of surrogate pairs, numbers that
JSON does not have, and names without end. None of these may lose an event or an incident.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from psycopg.types.json import Jsonb

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
INDEXED_BYTES = 512
"""The most that an indexed column takes: three of them still fit one index entry (2704 bytes)."""

_DIGEST_DIGITS = 32
_MOST_BYTES_OF_A_CHARACTER = 4
_UNSTORABLE = {0: REPLACEMENT} | dict.fromkeys(range(0xD800, 0xE000), REPLACEMENT)


def parameters(values: Mapping[str, Any]) -> dict[str, Any]:
    """Query parameters: text without what PostgreSQL refuses, dicts and lists as jsonb."""
    return {name: _parameter(value) for name, value in values.items()}


def indexed(text: str) -> str:
    """A text that fits an index: one that is too long is cut and ends in its SHA-256, so it stays itself."""
    if len(text) <= INDEXED_BYTES // _MOST_BYTES_OF_A_CHARACTER:
        return text
    encoded = _storable_text(text).encode()
    if len(encoded) <= INDEXED_BYTES:
        return text
    kept = encoded[: INDEXED_BYTES - _DIGEST_DIGITS - 1].decode(errors="ignore")
    return f"{kept}~{digest(text)[:_DIGEST_DIGITS]}"


def digest(text: str) -> str:
    """The SHA-256 of a text, in 64 hexadecimal digits."""
    return hashlib.sha256(_storable_text(text).encode()).hexdigest()


def _parameter(value: Any) -> Any:
    if isinstance(value, str):
        return _storable_text(value)
    if isinstance(value, dict | list):
        return Jsonb(value, dumps=json_text)
    return value


def _storable_text(text: str) -> str:
    return text.translate(_UNSTORABLE)


_encode = json.JSONEncoder(allow_nan=False).encode


def json_text(value: Any) -> str:
    """JSON that jsonb takes. The quick look spares nearly every payload the walk."""
    try:
        text = _encode(value)
    except ValueError:
        return json.dumps(_storable(value))
    if "\\u0000" in text or "\\ud" in text:
        return json.dumps(_storable(value))
    return text


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return _storable_text(value)
    if isinstance(value, dict):
        return {_storable(key): _storable(element) for key, element in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(element) for element in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
