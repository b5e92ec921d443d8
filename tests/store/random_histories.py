"""Random histories of writes by several processes at once, and what must hold in each of them, whatever happened.

Run as a program it is one of the processes: `python -m tests.store.random_histories DATABASE SEED WORKER FIRST LAST`.
Each history has a scope of its own, in which all processes want to write at the same time; they wait for each other
now and then, so that none of them has a history for itself.
"""

import asyncio
import random
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import psycopg

from sre_agent.run import Outcome
from sre_agent.store import ActiveRun, Braked, Limits, Store
from tests.store.store_builders import NOW, intended, new_action, outcome

PROCESSES = 3
RUNS = 4
"""How many runs each process has in a history, one after the other."""
TOGETHER = 50
"""Histories between two meetings of the processes."""

MINUTE = timedelta(minutes=1)
NAMES = UUID(int=6)
TARGETS = ("Deployment/a/one", "Deployment/a/two", "Deployment/b/one", "Deployment/c/one", "Deployment/d/one")
NODES = ("Node//n1", "Node//n2")
LIMITS = Limits(
    cooldown=8 * MINUTE,
    action_window=60 * MINUTE,
    actions_per_day=2,
    writes=3,
    writes_window=10 * MINUTE,
    drain_pause=10 * MINUTE,
    storm=1000,
    storm_window=timedelta(0),
    actionable=(),
    open_for=600 * MINUTE,
)


def run_id(history: int, worker: int, number: int) -> UUID:
    return uuid5(NAMES, f"{history}/{worker}/{number}")


def prepare(database: str, histories: int) -> None:
    """An incident with a running run for each run of each history, in one go."""
    made = [
        (f"h{history}", run_id(history, worker, number))
        for history in range(histories)
        for worker in range(PROCESSES)
        for number in range(RUNS)
    ]
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "with given as (select * from unnest(%s::text[], %s::uuid[]) as g (scope, run_id)), "
            "opened as (insert into incidents (origin, scope, cluster, fingerprint, dedup_key, alertname, agent_mode,"
            " labels, annotations, created_at, updated_at) select 'replay', scope, 'prod', '', run_id::text, 'A',"
            " 'auto', '{}', '{}', %s, %s from given returning id, dedup_key)"
            "insert into runs (id, incident_id, runbook_id, runbook_sha256, mode, status, attempt, queued_at)"
            " select dedup_key::uuid, id, 'RB_OOM', '', 'auto', 'running', 1, %s from opened",
            ([scope for scope, _ in made], [run for _, run in made], NOW, NOW, NOW),
        )


async def play(store: Store, seed: int, worker: int, history: int) -> None:
    """One process's part of one history: each of its runs wants one or two writes, and mostly says what came of it."""
    dice = random.Random(f"{seed}/{worker}/{history}")
    now = NOW
    for number in range(RUNS):
        now += dice.choice((0, 0, 1, 3, 9, 11)) * MINUTE
        run = ActiveRun(id=run_id(history, worker, number), incident_id=0, attempt=1)
        for _ in range(dice.choice((1, 1, 2))):
            target = dice.choice(TARGETS + NODES)
            tool = dice.choice(("cordon_node", "drain_node")) if target in NODES else "increase_memory_limit"
            action = new_action(tool=tool, target_key=target, value=None)
            try:
                action_id = await intended(store, run, action, scope=f"h{history}", limits=LIMITS, now=now)
            except Braked:
                continue
            if dice.random() < 0.9:  # else it was cut off
                now += dice.choice((0, 0, 0, 2)) * MINUTE
                came = dice.choice((Outcome.DONE, Outcome.DONE, Outcome.FAILED, Outcome.UNKNOWN))
                await store.record_outcome(run, action_id, came, None, [outcome(action_id, came)], now=now)


async def main(database: str, seed: int, worker: int, first: int, last: int) -> None:
    async with Store.open(database, max_size=1) as store:
        with psycopg.connect(database, autocommit=True) as meeting:
            for begin in range(first, last, TOGETHER):
                meet(meeting, begin, worker)
                for history in range(begin, min(begin + TOGETHER, last)):
                    await play(store, seed, worker, history)


def meet(connection: psycopg.Connection[Any], place: int, worker: int) -> None:
    """Returns when every process is here."""
    connection.execute("insert into meetings (place, worker) values (%s, %s)", (place, worker))
    connection.execute("listen met")
    connection.execute("notify met")
    arrived = "select count(*) from meetings where place = %s"
    while connection.execute(arrived, (place,)).fetchone() != (PROCESSES,):
        next(connection.notifies(timeout=60, stop_after=1), None)


@dataclass(frozen=True)
class Made:
    """One intent that was committed. `begun` and `ended` order what happened; `ended` is None where it was cut off."""

    run: UUID
    tool: str
    target: str
    status: str
    at: datetime
    finished_at: datetime | None
    begun: int
    ended: int | None

    @property
    def write(self) -> tuple[UUID, str, str]:
        return self.run, self.tool, self.target


def read(database: str) -> dict[str, list[Made]]:
    """The committed intents of each scope, in the order of their commits."""
    histories: dict[str, list[Made]] = defaultdict(list)
    statement = (
        "select a.scope, a.run_id, a.tool, a.target_key, a.status, a.intended_at, a.finished_at, begun.id, ended.id"
        " from actions a join incident_events begun on begun.event_type = 'intent'"
        " and (begun.payload ->> 'action_id')::bigint = a.id and begun.incident_id = a.incident_id"
        " left join incident_events ended on ended.event_type = 'outcome'"
        " and (ended.payload ->> 'action_id')::bigint = a.id and ended.incident_id = a.incident_id order by begun.id"
    )
    with psycopg.connect(database) as connection:
        for scope, *values in connection.execute(statement):
            histories[scope].append(Made(*values))
    return histories


def violations(made: Sequence[Made], limits: Limits = LIMITS) -> Iterator[str]:
    """What must never be, told of each intent by those that were committed before it."""
    for number, one in enumerate(made):
        before = [other for other in made[:number] if other.run != one.run]
        busy = [other for other in before if other.ended is None or other.ended > one.begun]
        if any(other.target == one.target for other in busy):
            yield f"two writers on {one.target}: {one}"
        if space(one) and any(space(other) == space(one) for other in busy):
            yield f"two writers in namespace {space(one)}: {one}"
        if one.tool == "drain_node" and any(other.tool == "drain_node" for other in busy):
            yield f"two drains: {one}"
        counted = [other for other in made[: number + 1] if not (other.status == "failed" and ended_before(other, one))]
        recent = {other.write for other in counted if timedelta(0) <= one.at - other.at < limits.writes_window}
        if len(recent) > limits.writes:
            yield f"more than {limits.writes} writes: {one}"
        same = [other for other in counted[:-1] if (other.tool, other.target) == (one.tool, one.target)]
        same = [other for other in same if not (other.run == one.run and other.ended is None)]
        if any(timedelta(0) <= one.at - other.at < limits.cooldown for other in same):
            yield f"no cool-down: {one}"
        if len([other for other in same if timedelta(0) <= one.at - other.at < limits.action_window]) >= 2:
            yield f"more than two a day: {one}"
        drains = [other.finished_at for other in counted[:-1] if other.tool == "drain_node" and other.finished_at]
        if one.tool == "drain_node" and any(timedelta(0) <= one.at - end < limits.drain_pause for end in drains):
            yield f"no pause between drains: {one}"


def space(made: Made) -> str:
    return made.target.split("/")[1]


def ended_before(other: Made, one: Made) -> bool:
    return other.ended is not None and other.ended < one.begun


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:])))
