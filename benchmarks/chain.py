"""What the chain of events costs a run: the same incidents with its triggers and without, in turns, in one process.

Run it as `.venv/bin/python benchmarks/chain.py`. The time on the processor (this process and the server's) is the
figure with the limit: the time on the clock is shown beside it, and depends on what else the machine does.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psycopg
from bench import one_run

from sre_agent import embedded_postgres
from sre_agent.store import Store
from sre_agent.store.migrations import migrate

TURNS, RUNS, WARM_UP = 14, 10, 2
LIMIT = 20.0
"""Per cent of a run."""
WITHOUT = """
    create or replace function chain_event() returns trigger language plpgsql as $$
    begin
        new.id := nextval('incident_events_id_seq');
        new.seq := new.id + 1;
        new.prev_hash := '';
        new.hash := '';
        return new;
    end $$;
    alter table incident_events disable trigger move_head"""
"""Rows of the same size, neither locked, linked nor hashed, and no head that moves."""


def main() -> int:
    with (
        tempfile.TemporaryDirectory(prefix="sre-agent-chain-") as directory,
        embedded_postgres.running(Path(directory)) as conninfo,
    ):
        shares = asyncio.run(measure(conninfo))
    for name, share in shares.items():
        print(f"share of a run that chaining its events takes, {name:<22} {share:>5.1f} %")
    return 1 if shares["on the processor"] > LIMIT else 0


async def measure(conninfo: str) -> dict[str, float]:
    """Per cent, by the medians of all runs."""
    await migrate(conninfo)
    taken: dict[str, list[tuple[float, float]]] = {"with": [], "without": []}
    async with (
        Store.open(conninfo) as store,
        await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection,
    ):
        definition = await connection.execute("select pg_get_functiondef('chain_event'::regproc)")
        (chained,) = await definition.fetchone()
        chained += "; alter table incident_events enable trigger move_head"
        for turn in range(TURNS):
            for place, (name, triggers) in enumerate((("without", WITHOUT), ("with", chained))):
                await connection.execute(triggers)
                first = (2 * turn + place) * (WARM_UP + RUNS)
                for number in range(first, first + WARM_UP):
                    await one_run(store, number)
                workers = await backends(connection)
                for number in range(first + WARM_UP, first + WARM_UP + RUNS):
                    before = processor_time(workers)
                    clock = await one_run(store, number)
                    taken[name].append((clock, processor_time(workers) - before))
    names = ("on the clock", "on the processor")
    return {name: share(*([run[which] for run in taken[key]] for key in taken)) for which, name in enumerate(names)}


def share(with_chain: Sequence[float], without: Sequence[float]) -> float:
    return 100 * (1 - statistics.median(without) / statistics.median(with_chain))


async def backends(connection: psycopg.AsyncConnection) -> list[int]:
    """The processes of the server that work for the store."""
    found = await connection.execute(
        "select pid from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
    )
    return [pid for (pid,) in await found.fetchall()]


def processor_time(workers: Sequence[int]) -> float:
    """Seconds that this process and the server's have had so far."""
    of_server = sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in workers)
    return time.process_time() + of_server / 1e9


if __name__ == "__main__":
    sys.exit(main())
