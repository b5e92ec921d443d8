"""The named queries of `sql/queries/*.sql`, read once.

A query begins at a line `-- name: xyz` and ends at the next one or with its file; its parameters are psycopg's
`%(name)s`. Called by the store and its migrations, which hold no SQL of their own.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from sre_agent.resources import data_path

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


def query(name: str) -> bytes:
    """The text of a named query."""
    return _queries()[name]


@cache
def _queries() -> dict[str, bytes]:
    return load(data_path("sql") / "queries")


def load(directory: Path) -> dict[str, bytes]:
    """Every named query below a directory. A name that stands there twice is a ValueError."""
    queries: dict[str, bytes] = {}
    for path in sorted(directory.glob("*.sql")):
        for name, text in _blocks(path.read_text(encoding="utf-8")):
            if name in queries:
                raise ValueError(f"{path}: the query `{name}` is defined twice")
            queries[name] = text.encode()
    return queries


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    _, *parts = _NAME.split(text)
    return ((name, body.strip()) for name, body in zip(parts[::2], parts[1::2], strict=True))
