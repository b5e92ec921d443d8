"""The book at a million incidents: fills a scratch database by COPY and measures what people wait for.

Run it as `.venv/bin/python benchmarks/million.py [INCIDENTS]`; the default is 1,000,000 incidents with 5,000,000
events, which takes some minutes and 12 GB in the temporary directory, removed at the end. It prints medians against
their limits, and the plans of all queries; it fails where a limit is passed or a plan reads a whole table.
"""

import asyncio
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
from past import END, fill

from sre_agent import embedded_postgres
from sre_agent.analysis import regenerate
from sre_agent.incident import IncidentStatus, Origin
from sre_agent.store import Store
from sre_agent.store.book import Cursor, IncidentBook, IncidentFilters
from sre_agent.store.database import Database
from sre_agent.store.history import History
from sre_agent.store.migrations import migrate
from sre_agent.store.queries import query
from sre_agent.store.values import parameters
from sre_agent.views import detail

MILLION = 1_000_000
BYTES_EACH = 12_000
ROUNDS = 31
LIMIT, REGENERATED = 20.0, 60.0
"""Milliseconds, for what people wait for."""
FAILED: list[str] = []


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked(Database):
    """A database that remembers each query with its values, for its plan."""

    queries: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    label: list[str] = field(default_factory=list)

    async def rows(self, name: str, *, prepare: bool | None = None, **values: Any) -> Any:
        self.queries.setdefault(f"{self.label[-1]}: {name}", (name, values))
        return await Database.rows(self, name, prepare=prepare, **values)


def main(incidents: int) -> int:
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if free < incidents * BYTES_EACH:
        raise SystemExit(
            f"{incidents} incidents need {incidents * BYTES_EACH / 1e9:.0f} GB in {tempfile.gettempdir()}, "
            f"{free / 1e9:.0f} GB are free: set TMPDIR, or give a smaller number"
        )
    with (
        tempfile.TemporaryDirectory(prefix="sre-agent-million-") as directory,
        embedded_postgres.running(Path(directory)) as conninfo,
    ):
        asyncio.run(migrate(conninfo))
        start = time.perf_counter()
        fill(conninfo, incidents)
        taken = time.perf_counter() - start
        print(f"{incidents} incidents, {5 * incidents} events by COPY, then indexes: {taken:.0f} s")
        with psycopg.connect(conninfo) as connection:
            (size,) = connection.execute("select pg_size_pretty(pg_database_size(current_database()))").fetchone()
        print(f"size of the database: {size}\n")
        asyncio.run(measure(conninfo, incidents))
    if FAILED:
        print(f"\nfailed: {', '.join(FAILED)}")
    return 1 if FAILED else 0


async def measure(conninfo: str, incidents: int) -> None:
    async with Store.open(conninfo) as store:
        asked = Asked(pool=store._pool, server="here")
        store.book, store.history = IncidentBook(asked), History(asked)
        print(f"{'figure':<64} {'median':>10} {'worst':>10}  limit")
        for label, work, limit in [*lists(store, conninfo, incidents), *details(store, conninfo, incidents)]:
            asked.label.append(label)
            await row(label, work, limit)
        asked.label.append("detail")
        asked.queries.update(
            {f"detail: {name}": (name, {"incident_id": incidents // 2}) for name in ("incident", "events")}
        )
        start = time.perf_counter()
        broken = await store.audit.verify()
        print(f"\ndb verify-audit over all of it: {time.perf_counter() - start:.0f} s, {len(broken)} broken")
        if broken:
            FAILED.append("verify-audit of honest chains")
    plans(conninfo, asked)


def lists(
    store: Store, conninfo: str, incidents: int
) -> Iterator[tuple[str, Callable[[], Awaitable[Any]], float | None]]:
    """The list, without and with filters, at several depths."""
    everything = IncidentFilters()
    depths = [0, incidents // 1000, incidents // 10, incidents // 2, incidents * 9 // 10]
    for depth in depths:
        cursor = at_depth(conninfo, depth)
        yield f"list, 50 behind a cursor, {depth} deep", page(store, everything, cursor=cursor), LIMIT
    for depth in depths[1:]:
        yield f"list, 50 by offset {depth}", page(store, everything, offset=depth), None
    middle = at_depth(conninfo, incidents // 2)
    for name, filters in {
        "origin=live": IncidentFilters(origin=Origin.LIVE),
        "origin=replay": IncidentFilters(origin=Origin.REPLAY),
        "status=open": IncidentFilters(status=IncidentStatus.OPEN),
        "alert=KubePodOOMKilled": IncidentFilters(alertname="KubePodOOMKilled"),
        "an alert that never was": IncidentFilters(alertname="KubeNever"),
        "namespace=team-7": IncidentFilters(namespace="team-7"),
        "node=worker-7": IncidentFilters(node="worker-7"),
        "severity=critical": IncidentFilters(severity="critical"),
        "runbook=RB_NODE_UNSCHEDULABLE": IncidentFilters(runbook_id="RB_NODE_UNSCHEDULABLE"),
        "since 7d": IncidentFilters(since=END - timedelta(days=7)),
        "alert and node": IncidentFilters(alertname="KubePodOOMKilled", node="worker-7"),
    }.items():
        yield f"list, {name}", page(store, filters), LIMIT
        yield f"list, {name}, half way down", page(store, filters, cursor=middle), LIMIT
    for words in ("service-5999", "service-17 oomkilled", "oomkilled"):
        yield f"list, text {words}", page(store, IncidentFilters(text=words)), None


def details(
    store: Store, conninfo: str, incidents: int
) -> Iterator[tuple[str, Callable[[], Awaitable[Any]], float | None]]:
    """One incident, and its past, for incidents that are picked at random."""
    dice = random.Random(5)
    picked = [dice.randint(incidents // 2, incidents) for _ in range(ROUNDS + 1)]

    async def one_detail() -> None:
        await detail(store, next(ids))

    async def similar() -> None:
        await store.history.similar(known[next(ids)])

    async def facts() -> None:
        await store.history.facts(known[next(ids)], as_of=END)

    async def facts_of_busiest() -> None:
        await store.history.facts(await store.book.find(busiest), as_of=END)

    async def written_again() -> None:
        await regenerate(store, next(ids), now=END)

    async def known_one() -> None:
        incident_id = next(ids)
        known[incident_id] = await store.book.find(incident_id)

    known: dict[int, Any] = {}
    busiest, count = busiest_workload(conninfo)
    ids = iter([number for _ in range(5) for number in picked])
    yield "incident", known_one, LIMIT
    yield "detail: incident, events, similar", one_detail, LIMIT
    yield "similar incidents", similar, LIMIT
    yield "pattern facts", facts, LIMIT
    yield f"pattern facts of the busiest workload, {count} incidents", facts_of_busiest, None
    yield "an analysis, regenerated and stored", written_again, REGENERATED


def page(store: Store, filters: IncidentFilters, **place: Any) -> Callable[[], Awaitable[Any]]:
    return lambda: store.book.page(filters, **place)


def busiest_workload(conninfo: str) -> tuple[int, int]:
    """The newest incident of the workload that has most, and how many those are."""
    with psycopg.connect(conninfo) as connection:
        return connection.execute(
            "select max(id), count(*) from incidents where pod is not null and origin = 'live'"
            " group by namespace, workload order by 2 desc limit 1"
        ).fetchone()


def at_depth(conninfo: str, depth: int) -> str | None:
    """The cursor behind so many incidents."""
    if depth == 0:
        return None
    with psycopg.connect(conninfo) as connection:
        found = connection.execute(
            "select updated_at, id from incidents order by updated_at desc, id desc offset %s limit 1", (depth - 1,)
        ).fetchone()
    return str(Cursor(updated_at=found[0], id=found[1]))


async def row(label: str, work: Callable[[], Awaitable[Any]], limit: float | None) -> None:
    await work()
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        await work()
        times.append((time.perf_counter() - start) * 1000)
    median = statistics.median(times)
    over = limit is not None and median > limit
    if over:
        FAILED.append(label)
    shown = "" if limit is None else f"≤ {limit:g} ms{'  ✗' if over else ''}"
    print(f"{label:<64} {median:>7.2f} ms {max(times):>7.1f} ms  {shown}", flush=True)


def plans(conninfo: str, asked: Asked) -> None:
    """The plan of every query that has a limit; one that reads a whole large table fails."""
    print("\nplans")
    with psycopg.connect(conninfo, cursor_factory=psycopg.ClientCursor) as connection:
        for label, (name, values) in asked.queries.items():
            lines = connection.execute(b"explain (costs off) " + query(name), parameters(values)).fetchall()
            print(f"\n-- {label}\n" + "\n".join(line for (line,) in lines))
            scanned = [line for (line,) in lines if "Seq Scan on" in line and "alert_counts" not in line]
            if scanned and "offset" not in label and "text" not in label:
                FAILED.append(f"{label} reads a whole table")


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else MILLION))
