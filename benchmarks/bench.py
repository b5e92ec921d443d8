"""`make bench`: the figures that the project promises, measured in one run on this machine.

Medians; every limit that is a ratio is measured against its base in the same run, because machines are noisy.
Run it as `.venv/bin/python benchmarks/bench.py`; it needs nothing but the package and stops by itself.
"""

import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from sre_agent import embedded_postgres
from sre_agent.agent import load_runbooks
from sre_agent.alert import parse
from sre_agent.cluster.recording import load as load_recording
from sre_agent.cluster.snapshot import SnapshotCluster
from sre_agent.executor import Assignment, run_incident
from sre_agent.incident import Origin
from sre_agent.intake import Sender, receive
from sre_agent.planner.scripted import ScriptedPlanner
from sre_agent.queue import InlineQueue
from sre_agent.run import Mode, RunStatus
from sre_agent.settings import load as load_settings
from sre_agent.store import Store
from sre_agent.store.migrations import migrate

ROOT = Path(__file__).resolve().parent.parent
COMMAND = Path(sys.executable).parent / "sre-agent"
EXAMPLE = ROOT / "examples" / "crash-loop-oom"
ROUNDS = 7
RUNS = 40
AT_ONCE = 16
WARM_UP = 6
FAILED: list[str] = []


def main() -> int:
    print(f"{'figure':<58} {'measured':>16}  limit")
    startup()
    linting()
    with tempfile.TemporaryDirectory(prefix="sre-agent-bench-") as directory:
        postgres(Path(directory))
        with embedded_postgres.running(Path(directory) / "runs") as conninfo:
            asyncio.run(runs(conninfo))
    memory()
    if FAILED:
        print(f"\nabove its limit: {', '.join(FAILED)}")
    return 1 if FAILED else 0


def row(name: str, measured: float, unit: str, limit: float | None = None) -> None:
    over = limit is not None and measured > limit
    if over:
        FAILED.append(name)
    shown = "" if limit is None else f"≤ {limit:g} {unit}{'  ✗' if over else ''}"
    print(f"{name:<58} {f'{measured:.3g} {unit}':>16}  {shown}", flush=True)


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def process(*arguments: str) -> Callable[[], object]:
    return lambda: subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def startup() -> None:
    base = process(sys.executable, "-c", "import typer, rich, rich.console")
    help_ = process(str(COMMAND), "--help")
    base(), help_()
    pairs = [(seconds(base), seconds(help_)) for _ in range(ROUNDS)]
    row("importing typer and rich", statistics.median(pair[0] for pair in pairs), "s")
    row("sre-agent --help, against that import", statistics.median(b / a for a, b in pairs), "x", 1.4)


def linting() -> None:
    lint = process(str(COMMAND), "lint")
    lint()
    row("sre-agent lint, the seven runbooks", statistics.median(seconds(lint) for _ in range(ROUNDS)), "s", 0.7)


def postgres(directory: Path) -> None:
    def cycle(data: Path) -> float:
        start = time.perf_counter()
        with embedded_postgres.running(data):
            return time.perf_counter() - start

    row("embedded PostgreSQL ready, cold", statistics.median(cycle(directory / str(n)) for n in range(3)), "s", 1.5)
    row("embedded PostgreSQL ready, warm", statistics.median(cycle(directory / "0") for _ in range(ROUNDS)), "s", 0.3)


async def runs(conninfo: str) -> None:
    await migrate(conninfo)
    async with Store.open(conninfo, max_size=AT_ONCE) as store:
        raw = await raw_commit(conninfo)
        one = [await one_run(store, number) for number in range(RUNS)]
        median = statistics.median(one[5:])
        commits = await commits_of(conninfo, one_run(store, RUNS))
        row("one raw insert-commit", raw * 1000, "ms")
        row("a run of RB_CRASHLOOP in auto, stored, intake included", median * 1000, "ms", 20)
        row(f"… against its {commits} commits as raw ones", median / (commits * raw), "x", 2.5)
        row("… runs a second, one at a time", 1 / median, "/s")
        row("… share of it that numbering and chaining its events takes", await chain_share(conninfo, store), "%", 20)
        pairs = [
            (await one_run(store, 3000 + n, SRE_AGENT_EVIDENCE_BYTES="0"), await one_run(store, 4000 + n))
            for n in range(RUNS)
        ]
        row("… of it keeping the evidence", statistics.median(b - a for a, b in pairs) * 1000, "ms", 5)
        # The pool opens its connections, and each prepares a statement at its sixth use: that is not measured.
        await rounds(store, WARM_UP, first=RUNS + 1)
        # Counted are whole incidents, from the payload's bytes to the stored end of the run, AT_ONCE of them started
        # together and the next ones when the last of these is done; the seconds are those of all rounds.
        start = time.perf_counter()
        count = await rounds(store, RUNS * 2 // AT_ONCE, first=RUNS + 1 + WARM_UP * AT_ONCE)
        row(f"… runs a second, {AT_ONCE} at once", count / (time.perf_counter() - start), "/s")


async def rounds(store: Store, number: int, *, first: int) -> int:
    """Plays so many rounds of AT_ONCE incidents, numbered from `first`; gives how many incidents that were."""
    for start in range(first, first + number * AT_ONCE, AT_ONCE):
        await asyncio.gather(*(one_run(store, start + offset) for offset in range(AT_ONCE)))
    return number * AT_ONCE


async def one_run(store: Store, number: int, **environment: str) -> float:
    """Intake and run of one incident on a fresh recording, in seconds."""
    settings, runbooks = load_settings({"HOME": "/", **environment}), RUNBOOKS
    recording = load_recording(EXAMPLE / "cluster.yaml") if not RECORDING else RECORDING[0]
    RECORDING[:] = [recording]
    cluster = SnapshotCluster(recording)
    payload = parse((EXAMPLE / "payload.json").read_bytes(), source="bench")
    alert = replace(payload.alerts[0], labels=payload.alerts[0].labels | {"bench": str(number)})
    now, queue, scope = payload.alerts[0].starts_at, InlineQueue(), str(uuid4())
    start = time.perf_counter()
    (admission,) = await receive(
        [alert],
        sender=Sender(origin=Origin.REPLAY, scope=scope, mode=Mode.AUTO),
        store=store,
        queue=queue,
        runbooks=runbooks,
        settings=settings,
        cluster=cluster,
        now=now,
    )
    record = await run_incident(
        Assignment(run_id=queue.take(), incident_id=admission.incident_id, alert=alert, scope=scope, mode=Mode.AUTO),
        store=store,
        cluster=cluster,
        planner=ScriptedPlanner(),
        runbooks=runbooks,
        settings=settings,
        clock=lambda: now,
    )
    taken = time.perf_counter() - start
    if record.status is not RunStatus.SUCCEEDED or not record.action_taken:
        raise SystemExit(f"the benchmark's run ended {record.status}: {record.steps}")
    return taken


async def chain_share(conninfo: str, store: Store) -> float:
    """By how many per cent a run is shorter without the chain: the same inserts, neither locked, linked nor hashed."""
    import psycopg

    unchained = """
        create sequence if not exists bench_seq start 1000000;
        create or replace function chain_event() returns trigger language plpgsql as $$
        begin
            new.id := nextval('incident_events_id_seq');
            new.seq := nextval('bench_seq');
            new.prev_hash := '';
            new.hash := '';
            return new;
        end $$"""
    times: dict[str, list[float]] = {"chained": [], "unchained": []}
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        definition = await connection.execute("select pg_get_functiondef('chain_event'::regproc)")
        (chained,) = await definition.fetchone()
        for number in range(8):
            for name, function in (("unchained", unchained), ("chained", chained)):
                await connection.execute(function)
                taken = [await one_run(store, 5000 + number * 100 + place) for place in range(12)]
                times[name] += taken[2:]
    with_chain, without = statistics.median(times["chained"]), statistics.median(times["unchained"])
    return 100 * (with_chain - without) / with_chain


async def raw_commit(conninfo: str) -> float:
    """The median of single-row inserts, each its own commit, in seconds."""
    import psycopg

    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        await connection.execute("create table if not exists bench (id bigserial primary key, payload jsonb)")
        times = []
        body = json.dumps({"labels": {"alertname": "x" * 200}})
        for _ in range(300):
            start = time.perf_counter()
            await connection.execute("insert into bench (payload) values (%s)", (body,))
            times.append(time.perf_counter() - start)
    return statistics.median(times)


async def commits_of(conninfo: str, work: object) -> int:
    """How many transactions that wrote one run takes, counted by the transaction ids it uses up."""
    import psycopg

    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        query = "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
        before = (await (await connection.execute(query)).fetchone())[0]
        await work
        return (await (await connection.execute(query)).fetchone())[0] - before


def memory() -> None:
    """Peak memory of replaying a body of 79 alerts, 19 of them different, on a recording."""
    with tempfile.TemporaryDirectory(prefix="sre-agent-bench-") as directory:
        payload = Path(directory) / "payload.json"
        payload.write_text(json.dumps(body_of_79()))
        environment = os.environ | {"SRE_AGENT_DATA_DIR": f"{directory}/data"}
        environment.pop("DATABASE_URL", None)
        snapshot = EXAMPLE / "cluster.yaml"
        child = subprocess.Popen(
            [str(COMMAND), "replay", str(payload), "--snapshot", str(snapshot), "--json"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        document = json.loads(child.communicate()[0])
        if (len(document["runs"]), len(document["skipped"])) != (19, 60):
            raise SystemExit("the body of 79 alerts did not give 19 runs and 60 joined alerts")
        _, _, usage = (0, 0, resource.getrusage(resource.RUSAGE_CHILDREN))
    row("replay of 79 alerts, peak memory of any process started", usage.ru_maxrss / 1024, "MB", 150)


def body_of_79() -> dict[str, object]:
    labels = [
        {"alertname": "KubePodCrashLooping", "namespace": f"team-{n}", "pod": f"api-{n}", "container": "api"}
        for n in range(19)
    ]
    return {"alerts": [{"labels": labels[n % 19]} for n in range(79)]}


RECORDING: list[object] = []
RUNBOOKS = load_runbooks(load_settings({}))

if __name__ == "__main__":
    sys.exit(main())
