"""What PostgreSQL does for a query: EXPLAIN (ANALYZE, BUFFERS), shortened to the tables it reads, with a verdict.

Called by `million.py` with the queries that it measured. A prepared query is planned twice, as the server does it:
for its values, and for any values.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql

from sre_agent.store.queries import query
from sre_agent.store.values import parameters

SMALL = {"alert_counts"}
"""A row for each alert name: the only table that may be read as a whole."""
_READS = re.compile(
    r"((?:Seq|Index|Bitmap|Tid)[\w ]*Scan[\w ]*?(?: using \w+)? on \w+).*?\((actual [^)]*|never executed)"
)
_WHOLE = re.compile(r"Seq Scan on (\w+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How one query was run: `reads` has a line for each table or index, `whole` names the tables read as a whole."""

    reads: tuple[str, ...]
    whole: frozenset[str]
    buffers: str
    milliseconds: float

    def __str__(self) -> str:
        return "\n".join([*self.reads, f"{self.buffers or 'no buffers'}; {self.milliseconds:.1f} ms, explained"])


def explain(connection: psycopg.Connection[Any], name: str, values: dict[str, Any], *, any_values: bool) -> Plan:
    """Runs a named query twice and explains the second time; planned for these values, or for any."""
    mode = "force_generic_plan" if any_values else "force_custom_plan"
    connection.execute(f"set plan_cache_mode = {mode}")
    statement, arguments = numbered(query(name).decode(), parameters(values))
    types = sql.SQL(", ").join(map(sql.SQL, map(type_of, arguments)))
    given = sql.SQL(", ").join(map(sql.Literal, arguments))
    connection.execute(sql.SQL("prepare explained ({}) as {}").format(types, sql.SQL(statement)))
    run = sql.SQL("explain (analyze, buffers) execute explained ({})").format(given)
    connection.execute(run)
    lines = [line for (line,) in connection.execute(run).fetchall()]
    connection.execute("deallocate explained")
    return Plan(
        reads=tuple(reads(lines)),
        whole=frozenset(_WHOLE.findall("\n".join(lines))) - SMALL,
        buffers=next((line.strip() for line in lines if "Buffers: " in line), ""),
        milliseconds=next(float(line.split()[2]) for line in lines if line.startswith("Execution Time")),
    )


def numbered(text: str, values: dict[str, Any]) -> tuple[str, list[Any]]:
    """The statement with $1, $2 … in place of names, and their values in that order."""
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", text)))
    statement = re.sub(r"%\((\w+)\)s", lambda found: f"${names.index(found[1]) + 1}", text)
    return statement.replace("%%", "%").rstrip().rstrip(";"), [values[name] for name in names]


def type_of(value: Any) -> str:
    """As psycopg sends it: texts and nulls leave the type to the server."""
    types = {datetime: "timestamptz", timedelta: "interval", int: "bigint"}
    return types.get(type(value), "unknown")


def reads(lines: list[str]) -> Iterator[str]:
    """The nodes that read tables, each with what it found; a node that ran often gives rows for one time."""
    for line in lines:
        found = _READS.search(line)
        if found and "Bitmap Index" not in found[1]:
            counted = re.search(r"rows=([\d.]+) loops=(\d+)", found[2])
            times = "" if counted is None or counted[2] == "1" else f", {counted[2]} times"
            yield f"{found[1]}: " + ("not needed" if counted is None else f"{float(counted[1]):g} rows{times}")
