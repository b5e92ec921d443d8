"""The book at a million incidents: fills a scratch database by COPY and measures what people wait for.

Run it as `.venv/bin/python benchmarks/million.py [INCIDENTS]`; the default is 1,000,000 incidents with 5,000,000
events, which takes some ten minutes and 12 GB in the temporary directory, removed at the end. It prints medians
against their limits, for typical incidents and for the busiest subjects, and then what each query reads. It fails
where a limit is passed, a plan reads a whole table, or the generated chains do not verify.
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
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import psycopg
from past import END, NODES, fill
from plans import explain

from sre_agent import embedded_postgres
from sre_agent.analysis import regenerate
from sre_agent.incident import Incident, IncidentStatus, Origin
from sre_agent.store import Store
from sre_agent.store.book import Cursor, IncidentBook, IncidentFilters
from sre_agent.store.database import Database
from sre_agent.store.history import History
from sre_agent.store.migrations import migrate
from sre_agent.views import detail

MILLION = 1_000_000
BYTES_EACH = 12_000
ROUNDS, ROUNDS_OF_A_PAIR = 31, 5
LIMIT, BUSY, REGENERATED = 20.0, 40.0, 60.0
"""Milliseconds, for what people wait for; BUSY for the facts of a subject with thousands of incidents."""
MANY = 2_000
FILTERS: dict[str, tuple[Any, ...]] = {
    "origin": (Origin.LIVE, Origin.REPLAY),
    "status": (IncidentStatus.OPEN, IncidentStatus.RESOLVED),
    "alertname": ("KubePodOOMKilled", "KubeNodeUnschedulable", "KubeNever"),
    "namespace": ("team-0", "team-7"),
    "node": ("worker-0", f"worker-{NODES - 1}"),
    "severity": ("critical", "warning"),
    "runbook_id": ("RB_OOM", "RB_NODE_UNSCHEDULABLE"),
    "since": (END - timedelta(days=7), END - timedelta(days=700)),
}
"""Values of each filter, frequent and rare ones, some of which never come together."""
TEXTS = ("oomkilled", "service-5999", "service-17 oomkilled", "cordon service", "nothing-of-the-kind")
NAMED = (
    {"status": IncidentStatus.OPEN, "namespace": "team-7"},
    {"origin": Origin.LIVE, "alertname": "KubePodOOMKilled"},
    {"namespace": "team-7", "text": "oomkilled"},
    {"since": END - timedelta(days=7), "text": "service-5999"},
)
"""Pairs with a row of their own; the other pairs share one."""
PAIR = "pair, "
SUBJECTS = {
    "workload": "pod is not null and origin = 'live' group by namespace, workload",
    "node": "pod is null and node is not null and origin = 'live' group by node",
    "problem without an object": "pod is null and node is null and origin = 'live' group by dedup_key",
    "replayed workload": "pod is not null and origin = 'replay' group by namespace, workload",
    "alert name": "origin = 'live' group by alertname",
}
FAILED: list[str] = []

Work = Callable[[], Awaitable[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked(Database):
    """A database that remembers each query with its values, for its plan."""

    queries: dict[str, tuple[str, dict[str, Any], bool]] = field(default_factory=dict)
    label: list[str] = field(default_factory=lambda: [""])

    async def rows(self, name: str, *, prepare: bool | None = None, **values: Any) -> Any:
        self.queries.setdefault(f"{self.label[-1]}: {name}", (name, values, prepare is not False))
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
        size = one_row(conninfo, "select pg_size_pretty(pg_database_size(current_database()))")[0]
        print(
            f"{incidents} incidents, {5 * incidents} events by COPY, then indexes: {taken:.0f} s, {size}\n", flush=True
        )
        asyncio.run(measure(conninfo, incidents))
    if FAILED:
        print(f"\nfailed: {', '.join(FAILED)}")
    return 1 if FAILED else 0


async def measure(conninfo: str, incidents: int) -> None:
    async with Store.open(conninfo) as store:
        asked = Asked(pool=store.database.pool, server="here")
        store.book, store.history = IncidentBook(asked), History(asked)
        print(f"{'figure':<66} {'median':>10} {'best':>8}  limit")
        for label, work, limit in chain(lists(store, conninfo, incidents), details(store, conninfo, incidents)):
            asked.label.append(label)
            await row(label, work, limit)
        await pairs(store, asked)
        start = time.perf_counter()
        broken = await store.audit.verify()
        print(f"\ndb verify-audit over all of it: {time.perf_counter() - start:.0f} s, {len(broken)} broken")
        if broken:
            FAILED.append("verify-audit of honest chains")
    asked.queries["events"] = ("events", {"incident_id": incidents // 2}, True)
    plans(conninfo, asked)


def lists(store: Store, conninfo: str, incidents: int) -> Iterator[tuple[str, Work, float | None]]:
    """The list, without and with filters, at several depths."""
    depths = [0, incidents // 1000, incidents // 10, incidents // 2, incidents * 9 // 10]
    for depth in depths:
        yield f"list, 50 behind a cursor, {depth} deep", page(store, {}, cursor=at_depth(conninfo, depth)), LIMIT
    for depth in depths[1:]:
        yield f"list, 50 by offset {depth}", page(store, {}, offset=depth), None
    middle = at_depth(conninfo, incidents // 2)
    for name, values in FILTERS.items():
        for value in values:
            yield f"list, {name}={value}", page(store, {name: value}), LIMIT
            yield f"list, {name}={value}, half way down", page(store, {name: value}, cursor=middle), LIMIT
    for words in TEXTS:
        yield f"list, text {words}", page(store, {"text": words}), None
    for pair in NAMED:
        said = " and ".join(f"{name}={value}" for name, value in pair.items())
        yield f"list, {said}", page(store, pair), None if "text" in pair else LIMIT


def details(store: Store, conninfo: str, incidents: int) -> Iterator[tuple[str, Work, float | None]]:
    """One incident and its past: for incidents that are picked at random, then for the newest of a busy subject."""
    dice = random.Random(5)
    picked = [dice.randint(incidents // 2, incidents) for _ in range(5 * (ROUNDS + 1))]
    yield from of_incidents(store, "typical", picked, LIMIT)
    for subject, condition in SUBJECTS.items():
        newest, count = one_row(
            conninfo, f"select max(id), count(*) from incidents where {condition} order by 2 desc limit 1"
        )
        limit = BUSY if count > MANY else LIMIT
        yield from of_incidents(store, f"busiest {subject}, {count} incidents", [newest] * len(picked), limit)
    smallest, count = one_row(
        conninfo, "select max(id), count(*) from incidents group by cluster order by count(*) limit 1"
    )
    yield from of_incidents(store, f"smallest cluster, {count} incidents", [smallest] * len(picked), LIMIT)


def of_incidents(
    store: Store, whose: str, picked: list[int], facts_limit: float
) -> Iterator[tuple[str, Work, float | None]]:
    """What is asked about each of these incidents, one after the other."""
    known: list[Incident] = []
    ids = iter(picked)

    async def one() -> None:
        known.append(await store.book.find(next(ids)))

    async def similar() -> None:
        await store.history.similar(next(again))

    async def facts() -> None:
        await store.history.facts(next(again), as_of=END)

    async def one_detail() -> None:
        await detail(store, next(ids))

    async def written_again() -> None:
        await regenerate(store, next(ids), now=END)

    yield f"{whose}: one incident", one, LIMIT
    again = iter(known * 2)
    yield f"{whose}: similar incidents", similar, LIMIT
    yield f"{whose}: pattern facts", facts, facts_limit
    yield f"{whose}: detail (incident, events, similar)", one_detail, LIMIT
    yield f"{whose}: an analysis, regenerated and stored", written_again, REGENERATED


async def pairs(store: Store, asked: Asked) -> None:
    """Every pair of two filters: their medians in one row, and the slowest by name."""
    found = {}
    for (one, values), (other, others) in combinations(FILTERS.items(), 2):
        for filters in ({one: value, other: second} for value in values for second in others):
            said = " and ".join(f"{name}={value}" for name, value in filters.items())
            asked.label.append(f"{PAIR}{said}")
            found[said] = statistics.median(await times(page(store, filters), ROUNDS_OF_A_PAIR))
    slow = sorted(found, key=found.__getitem__)[-3:]
    show(f"list, {len(found)} pairs of filters, median of them", statistics.median(found.values()), None, LIMIT)
    for said in reversed(slow):
        show(f"… the slowest: {said}", found[said], None, LIMIT)


def page(store: Store, filters: dict[str, Any], **place: Any) -> Work:
    return lambda: store.book.page(IncidentFilters(**filters), **place)


def at_depth(conninfo: str, depth: int) -> str | None:
    """The cursor behind so many incidents."""
    if depth == 0:
        return None
    found = one_row(
        conninfo,
        f"select updated_at, id from incidents order by updated_at desc, id desc offset {depth - 1} limit 1",
    )
    return str(Cursor(updated_at=found[0], id=found[1]))


def one_row(conninfo: str, question: str) -> tuple[Any, ...]:
    with psycopg.connect(conninfo) as connection:
        return connection.execute(question).fetchone()


async def row(label: str, work: Work, limit: float | None) -> None:
    taken = await times(work, ROUNDS)
    show(label, statistics.median(taken), min(taken), limit)


async def times(work: Work, rounds: int) -> list[float]:
    """Milliseconds of each round, after one that does not count."""
    taken = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        await work()
        taken.append((time.perf_counter() - start) * 1000)
    return taken[1:]


def show(label: str, median: float, best: float | None, limit: float | None) -> None:
    over = limit is not None and median > limit
    if over:
        FAILED.append(label)
    shown = "" if limit is None else f"≤ {limit:g} ms{'  ✗' if over else ''}"
    print(f"{label:<66} {median:>7.2f} ms {'' if best is None else f'{best:>7.2f}'}  {shown}", flush=True)


def plans(conninfo: str, asked: Asked) -> None:
    """What every measured query reads; one that reads a whole large table fails."""
    print("\nwhat the queries read")
    with psycopg.connect(conninfo, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute("set timezone to 'UTC'")
        for label, (name, values, prepared) in asked.queries.items():
            for any_values in (False, True) if prepared else (False,):
                plan = explain(connection, name, values, any_values=any_values)
                if plan.whole or not label.startswith(PAIR):
                    print(f"\n-- {label}{', planned for any values' if any_values else ''}\n{plan}")
                if plan.whole:
                    FAILED.append(f"{label} reads all of {', '.join(sorted(plan.whole))}")


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else MILLION))
