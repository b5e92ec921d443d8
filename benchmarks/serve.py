"""The figures of `sre-agent serve`: real server processes over a PostgreSQL of their own, everything on loopback.

Run it as `.venv/bin/python benchmarks/serve.py [--seconds 60]`; it needs nothing but the package, takes some three
minutes and stops by itself. `--kubeconfig FILE` lets the runs look at a real cluster; without it they have none, and a
run is its records alone. It exits 1 where an alert that was answered with 200 is not stored, or an answer is not 200:
a busy machine is no excuse for that. Times are printed with their limits, `✗` where one is missed.
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psycopg
from processes import Kept, Server
from psycopg.conninfo import make_conninfo
from traffic import Line, Traffic, as_fast_as_it_goes, at_rate, bodies, longest_silence

from sre_agent import embedded_postgres

PARTS = ("working", "black-hole", "storm", "sustained", "first-step", "idle")
STORM = 5_000
PING = 0.005
RUNS = 40
IDLE_SECONDS = 20
FAILED: list[str] = []


def main() -> int:
    if sys.argv[1:] == ["--parse-only"]:
        parse_only()
        return 0
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60, help="how long the steady rates last (default: 60)")
    parser.add_argument("--kubeconfig", help="a cluster for the runs to look at")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part of the table; may be repeated")
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} cores, load before {os.getloadavg()[0]:.1f}")
    print(f"{'figure':<70} {'measured':>16}  limit")
    with tempfile.TemporaryDirectory(prefix="sre-agent-bench-") as directory, ExitStack() as opened:
        bench = Bench(opened, Path(directory), arguments.seconds, arguments.kubeconfig)
        for part in arguments.part or PARTS:
            asyncio.run(getattr(bench, part.replace("-", "_"))())
    print(f"load afterwards {os.getloadavg()[0]:.1f}")
    if FAILED:
        print(f"\nlost: {', '.join(FAILED)}")
    return 1 if FAILED else 0


def row(name: str, measured: float, unit: str, *, below: float | None = None, least: float | None = None) -> None:
    missed = (below is not None and measured >= below) or (least is not None and measured < least)
    limit = f"< {below:g} {unit}" if below is not None else f"≥ {least:g} {unit}" if least is not None else ""
    print(f"{name:<70} {f'{measured:.4g} {unit}':>16}  {limit}{'  ✗' if missed else ''}", flush=True)


def demand(name: str, lost: int) -> None:
    """What has no excuse: there is nothing of it."""
    if lost:
        FAILED.append(name)
    row(name, lost, "", below=1)


class Bench:
    """The parts of the table. Each has a database and a server of its own, so that none pays for another."""

    def __init__(self, opened: ExitStack, directory: Path, seconds: float, kubeconfig: str | None) -> None:
        self._directory, self._seconds, self._kubeconfig = directory, seconds, kubeconfig
        self._postgres = opened.enter_context(embedded_postgres.running(directory / "postgres"))
        self._databases = 0

    @contextmanager
    def _serving(self, *arguments: str, **environment: str) -> Iterator[tuple[Server, "Kept"]]:
        self._databases += 1
        name = f"bench_{self._databases}"
        with psycopg.connect(self._postgres, autocommit=True) as connection:
            connection.execute(f"create database {name}")
        conninfo = make_conninfo(self._postgres, dbname=name)
        command = ("-m", "sre_agent", "serve", "--port", "0", *arguments)
        with Server(self._directory, *command, DATABASE_URL=conninfo, **environment) as server, Kept(conninfo) as kept:
            yield server, kept

    async def working(self) -> None:
        """Webhooks at a steady rate while the worker of the same process executes what they queue."""
        environment = {"KUBECONFIG": self._kubeconfig} if self._kubeconfig else {}
        with self._serving(**environment) as (server, kept):
            await warm_up(server)
            sent = await at_rate(server.port, 200, self._seconds)
            waiting = kept.number("select count(*) from runs where finished_at is null")
            ended = kept.number("select count(*) from runs where finished_at is not null")
            row(f"200 webhooks/s for {self._seconds:g} s, runs executed meanwhile: median", ms(sent, 50), "ms")
            row("… p99", ms(sent, 99), "ms", below=25)
            row("… the longest", ms(sent, 100), "ms")
            row("… runs ended", ended / sent.took, "/s")
            row("… backlog at the end", waiting, "runs")
            tell_lost("…", sent, kept)

    async def black_hole(self) -> None:
        """A cluster that was there when the server started, and answers nothing any more."""
        silent = await asyncio.start_server(answer_once_and_be_silent, "127.0.0.1", 0, backlog=1024)
        config = self._directory / "black-hole.yaml"
        config.write_text(json.dumps(kubeconfig(silent.sockets[0].getsockname()[1])))
        serving = self._serving(KUBECONFIG=str(config))
        server, kept = await asyncio.to_thread(serving.__enter__)
        try:
            await warm_up(server)
            sent = await at_rate(server.port, 100, self._seconds)
            row(
                f"100 webhooks/s for {self._seconds:g} s, a cluster that never answers: p99",
                ms(sent, 99),
                "ms",
                below=250,
            )
            row("… the longest", ms(sent, 100), "ms")
            tell_lost("…", sent, kept)
        finally:
            await asyncio.to_thread(serving.__exit__, None, None, None)
            silent.close()

    async def storm(self) -> None:
        """One body with thousands of alerts."""
        with self._serving("--no-worker") as (server, kept):
            await warm_up(server)
            body, line, sent = next(bodies(STORM)), await Line.to(server.port), Traffic()
            silence = asyncio.create_task(longest_silence(server.port, lambda: bool(sent.statuses), PING))
            await asyncio.sleep(0.2)
            with told_cost(server, kept, sent):
                began = time.perf_counter()
                status = await line.post(body)
                sent.add(status, time.perf_counter() - began, STORM)
                row(f"{STORM} alerts in one body of {len(body) / 1e6:.1f} MB, until 200", sent.seconds[0], "s", below=2)
            row("… the event loop held meanwhile, at most", await silence * 1000, "ms", below=50)
            tell_lost("…", sent, kept)

    async def sustained(self) -> None:
        """What goes through at most, against a handler that only parses."""
        seconds = min(10.0, self._seconds)
        for connections, least in ((16, 0.3), (64, 0.45)):
            with Server(self._directory, __file__, "--parse-only") as parsing:
                await warm_up(parsing)
                base = Traffic()
                await as_fast_as_it_goes(parsing.port, connections, 1, seconds, base)
            with self._serving("--no-worker") as (server, kept):
                await warm_up(server)
                sent = Traffic()
                with told_cost(server, kept, sent):
                    await as_fast_as_it_goes(server.port, connections, 1, seconds, sent)
                    row(f"one-alert webhooks on {connections} connections, only parsed", base.rate, "/s")
                    row("… stored", sent.rate, "/s")
                    row("… stored, against only parsed", sent.rate / base.rate, "x", least=least)
                tell_lost("…", sent, kept)
        with self._serving("--no-worker") as (server, kept):
            await warm_up(server)
            sent = Traffic()
            with told_cost(server, kept, sent):
                await as_fast_as_it_goes(server.port, 4, 100, seconds, sent)
                row("webhooks of 100 alerts on 4 connections", sent.rate, "alerts/s", least=3000)
            tell_lost("…", sent, kept)

    async def first_step(self) -> None:
        """How long a run waits for an idle worker."""
        with self._serving() as (server, kept):
            await warm_up(server)
            row("from 200 to the run at work, median", await delay(server, kept), "ms", below=50)
            kept.do("alter table jobs.procrastinate_jobs disable trigger user")
            row("… when the notification was lost", await delay(server, kept), "ms", below=1000)

    async def idle(self) -> None:
        """A server with its worker, and nothing to do."""
        with self._serving() as (server, _):
            await asyncio.sleep(5)
            before, began = server.cpu_seconds(), time.perf_counter()
            await asyncio.sleep(IDLE_SECONDS)
            share = (server.cpu_seconds() - before) / (time.perf_counter() - began)
            row("idle server: resident memory", server.memory(), "MB", below=150)
            row(f"… of one core, over {IDLE_SECONDS} s", 100 * share, "%", below=1)


@contextmanager
def told_cost(server: Server, kept: Kept, sent: Traffic) -> Iterator[None]:
    """Prints the processor time of an alert, which a busy machine changes least."""
    before = server.cpu_seconds(), kept.cpu_seconds()
    yield
    alerts = max(1, sent.alerts)
    row("… processor time of an alert: server", 1000 * (server.cpu_seconds() - before[0]) / alerts, "ms")
    row("… and PostgreSQL", 1000 * (kept.cpu_seconds() - before[1]) / alerts, "ms")


def tell_lost(name: str, sent: Traffic, kept: Kept) -> None:
    """Every alert that was answered with 200 has its incident, and every answer is 200."""
    stored = kept.number("select count(*) from incidents") - WARM
    demand(f"{name} alerts that were answered with 200 and are not stored", max(0, sent.alerts - stored))
    demand(f"{name} answers that are not 200", sum(status != 200 for status in sent.statuses))


WARM = 64


async def warm_up(server: Server) -> None:
    """Connections are opened and statements prepared before anything is timed."""
    lines, source = [await Line.to(server.port) for _ in range(8)], bodies(1)
    for _ in range(WARM // len(lines)):
        await asyncio.gather(*(line.post(next(source)) for line in lines))


async def delay(server: Server, kept: Kept) -> float:
    """The median time from the answer to the moment a worker has taken the run up, in milliseconds."""
    await quiet(kept)
    line, source, answered = await Line.to(server.port), bodies(1), []
    newest = kept.number("select coalesce(max(incident_id), 0) from runs")
    for _ in range(RUNS):
        await line.post(next(source))
        answered.append(time.time())
        await quiet(kept)
    began = kept.number(
        "select array_agg(extract(epoch from started_at)::float8 order by incident_id) from runs "
        f"where incident_id > {newest}"
    )
    return 1000 * statistics.median(b - a for a, b in zip(answered, began, strict=True))


async def quiet(kept: Kept) -> None:
    """Waits until no run waits or is at work."""
    deadline = time.monotonic() + 60
    while kept.number("select count(*) from runs where finished_at is null"):
        if time.monotonic() > deadline:
            raise SystemExit("runs did not end within a minute")
        await asyncio.sleep(0.01)


def ms(sent: Traffic, percent: float) -> float:
    return sent.percentile(percent) * 1000


async def answer_once_and_be_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An API server that says what it serves, and leaves every other question without an answer."""
    served = json.dumps({"kind": "APIResourceList", "resources": [{"name": "pods/eviction", "version": "v1"}]}).encode()
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while (await reader.readuntil(b"\r\n\r\n")).startswith(b"GET /api/v1 "):
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(served)}\r\n\r\n"
            writer.write(head.encode() + served)
        await reader.read()
    writer.close()


def kubeconfig(port: int) -> dict[str, object]:
    """A kubeconfig for an API server on this machine."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "bench",
        "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
        "clusters": [{"name": "bench", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "bench", "user": {}}],
    }


def parse_only() -> None:
    """The handler that everything is measured against: it reads a body, parses it, and answers."""
    from aiohttp import web

    from sre_agent.alert import MAX_BYTES, parse
    from sre_agent.settings import Address
    from sre_agent.web.listening import bound, listening, place_of

    async def receive(request: web.Request) -> web.Response:
        parse(await request.read(), source="body")
        return web.Response()

    async def serve() -> None:
        app = web.Application(client_max_size=MAX_BYTES)
        app.router.add_post("/alertmanager", receive)
        stopped = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
        with bound(Address(host="127.0.0.1", port=0)) as sockets:
            async with listening(app, sockets, None):
                print(json.dumps({"listening": f"http://{place_of(sockets[0])}"}), file=sys.stderr, flush=True)
                await stopped.wait()

    asyncio.run(serve())


if __name__ == "__main__":
    sys.exit(main())
