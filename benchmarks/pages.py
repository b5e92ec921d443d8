"""The pages at a million incidents: a real server process over a filled database, asked as a browser asks.

Run it as `.venv/bin/python benchmarks/pages.py [INCIDENTS]`; the default is 1,000,000 incidents with 5,000,000 events,
which takes some ten minutes and 12 GB in the temporary directory, removed at the end. It prints medians from the
request to the last byte, and what a page weighs with styles and script. It exits 1 where a limit is passed.
"""

import gzip
import http.client
import os
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from million import BUSY, MANY, MILLION, SUBJECTS, at_depth, one_row
from past import fill
from serve import Server

from sre_agent import embedded_postgres
from sre_agent.store.migrations import migrate

ROUNDS = 51
LIMIT = 20.0
"""Milliseconds."""
WEIGHT = 100_000
"""Bytes, compressed."""
WORDS = ("oomkilled", "service-5999")
FAILED: list[str] = []


def main(incidents: int) -> int:
    import asyncio

    with (
        tempfile.TemporaryDirectory(prefix="sre-agent-pages-") as directory,
        embedded_postgres.running(Path(directory) / "postgres") as conninfo,
    ):
        asyncio.run(migrate(conninfo))
        start = time.perf_counter()
        fill(conninfo, incidents)
        taken = time.perf_counter() - start
        load = os.getloadavg()[0]
        print(f"{incidents} incidents filled in {taken:.0f} s; {os.cpu_count()} cores, load {load:.1f}", flush=True)
        command = ("-m", "sre_agent", "serve", "--no-worker", "--port", "0")
        with Server(Path(directory), *command, DATABASE_URL=conninfo) as server:
            print(f"{'page':<66} {'median':>10} {'best':>8} {'gzip':>9}  limit")
            for label, paths, limit in asked(conninfo, incidents):
                measure(server.port, label, paths, limit)
            weigh(server.port, f"/incident/{incidents}")
    if FAILED:
        print(f"\nfailed: {', '.join(FAILED)}")
    return 1 if FAILED else 0


def asked(conninfo: str, incidents: int) -> Iterator[tuple[str, list[str], float | None]]:
    """What is measured: a name, the paths that are asked for in turn, and a limit in milliseconds."""
    yield "list", ["/"], LIMIT
    for depth in (incidents // 10, incidents * 9 // 10):
        yield f"list, {depth} deep", [f"/?cursor={quote(at_depth(conninfo, depth) or '')}"], LIMIT
    for query in ("status=open", "severity=critical", "namespace=team-7", "runbook=RB_OOM&status=resolved"):
        yield f"list, {query}", [f"/?{query}"], LIMIT
    for word in WORDS:
        yield f"list, q={word}", [f"/?q={word}"], None
    dice = random.Random(5)
    yield "incident, picked at random", [f"/incident/{dice.randint(1, incidents)}" for _ in range(ROUNDS + 1)], LIMIT
    yield (
        "incident, of the newest 1000",
        [f"/incident/{dice.randint(incidents - 1000, incidents)}" for _ in range(52)],
        LIMIT,
    )
    for subject, condition in SUBJECTS.items():
        newest, count = one_row(
            conninfo, f"select max(id), count(*) from incidents where {condition} order by 2 desc limit 1"
        )
        limit = BUSY if count > MANY else LIMIT
        yield f"incident, busiest {subject}, {count} incidents", [f"/incident/{newest}"], limit
    for path in ("/runbooks", "/runbook/RB_OOM", "/status"):
        yield path, [path], None


def measure(port: int, label: str, paths: list[str], limit: float | None) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    taken, sizes = [], []
    for number in range(ROUNDS + 1):
        start = time.perf_counter()
        body = get(connection, paths[number % len(paths)])
        taken.append((time.perf_counter() - start) * 1000)
        sizes.append(len(body))
    connection.close()
    median = statistics.median(taken[1:])
    over = limit is not None and median > limit
    if over:
        FAILED.append(label)
    shown = "" if limit is None else f"≤ {limit:g} ms{'  ✗' if over else ''}"
    print(f"{label:<66} {median:>7.2f} ms {min(taken):>7.2f} {statistics.median(sizes):>9.0f}  {shown}", flush=True)


def weigh(port: int, path: str) -> None:
    """A page and all that it loads, as sent to a browser that takes gzip."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    page = get(connection, path)
    parts = {path: len(page)}
    for place in re.findall(r'(?:src|href)="(/static/[^"]+)"', gzip.decompress(page).decode()):
        parts[place.partition("?")[0]] = len(get(connection, place))
    connection.close()
    total = sum(parts.values())
    if total > WEIGHT:
        FAILED.append("weight")
    said = ", ".join(f"{place} {size}" for place, size in parts.items())
    print(f"weight: {total} bytes of at most {WEIGHT} ({said})")


def get(connection: http.client.HTTPConnection, path: str) -> bytes:
    connection.request("GET", path, headers={"Accept": "text/html", "Accept-Encoding": "gzip"})
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise SystemExit(f"{path} was answered with {answer.status}")
    return body


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else MILLION))
