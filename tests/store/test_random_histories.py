"""Random histories: three processes at once never pass a cap, and guards judge by what the transaction holds to."""

import asyncio
import os
import random
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from sre_agent.guards import brakes, history
from sre_agent.guards.brakes import refused
from sre_agent.run import Judgement, Outcome
from sre_agent.settings import load
from sre_agent.store import Braked, Store
from sre_agent.target import Target
from tests.store.random_histories import MINUTE, NODES, PROCESSES, TARGETS, Made, prepare, read, violations
from tests.store.store_builders import NOW, execute, intended, new_action, new_incident, started
from tests.store.test_brakes import LIMITS as USUAL
from tests.unit.guard_cases import change, facts

HISTORIES = int(os.environ.get("SRE_AGENT_TEST_HISTORIES", "200"))
SEED = int(os.environ.get("SRE_AGENT_TEST_SEED", "20261123"))
DECISIONS = 1200
LIMITS = replace(USUAL, writes=3)
GUARDS = (
    brakes.writes,
    brakes.target_busy,
    brakes.namespace_busy,
    brakes.one_drain,
    brakes.drain_pause,
    history.cooldown,
    history.daily_cap,
)


async def played(database: str, histories: int) -> list[list[Made]]:
    """Random histories, each played by all processes at once."""
    prepare(database, histories)
    execute(database, "create table meetings (place integer, worker integer)")
    program = [sys.executable, "-W", "error", "-m", "tests.store.random_histories", database, str(SEED)]
    processes = [
        await asyncio.create_subprocess_exec(*program, str(worker), "0", str(histories)) for worker in range(PROCESSES)
    ]
    assert [await process.wait() for process in processes] == [0] * PROCESSES
    return list(read(database).values())


@pytest.mark.slow
@pytest.mark.timeout(120 + HISTORIES)
async def test_in_no_history_of_three_processes_a_cap_is_passed_or_a_target_has_two_writers(database: str) -> None:
    histories = await played(database, HISTORIES)
    assert len(histories) == HISTORIES
    assert [found for made in histories for found in violations(made)] == []
    shared = [len({one.run for one in made}) for made in histories]
    assert sum(shared) / HISTORIES > 2  # they did meet: what one process did was there for the others


@pytest.mark.slow
async def test_without_brakes_the_same_histories_break_every_rule(database: str) -> None:
    execute(
        database,
        "create or replace function braked(holder uuid, wanted actions, limits brake_limits, moment timestamptz,"
        " out rule text, out retry_at timestamptz) language sql as 'select null::text, null::timestamptz'",
    )
    broken = [found for made in await played(database, 30) for found in violations(made)]
    assert {found.partition(":")[0] for found in broken} >= {
        *(f"two writers on {target}" for target in TARGETS),
        "two writers in namespace a",
        "two drains",
        "more than 3 writes",
        "no cool-down",
        "more than two a day",
        "no pause between drains",
    }


@pytest.mark.slow
async def test_guards_say_no_exactly_where_the_transaction_would(store: Store) -> None:
    dice, now, said = random.Random(SEED), NOW, set[str]()
    run, key = await started(store, new_incident(dedup_key="first")), TARGETS[0]
    for number in range(DECISIONS):
        now += dice.choice((0, 1, 2, 4, 11, 14, 25, 200)) * MINUTE * dice.choice((0, 0, 1))
        if dice.random() < 0.7:
            run = await started(store, new_incident(dedup_key=f"problem-{number}"))
            key = dice.choice(TARGETS + NODES)  # a run has one target for its whole life
        tool = "drain_node" if key in NODES else "increase_memory_limit"
        expected = {(entry.rule, entry.retry_at) for entry in await judged(store, run.id, tool, key, now)}
        try:
            action_id = await intended(
                store, run, new_action(tool=tool, target_key=key, value=None), limits=LIMITS, now=now
            )
        except Braked as braked:
            found = {(braked.rule, refused(braked, now).retry_at)}
        else:
            found = set[tuple[str, datetime | None]]()
            if dice.random() < 0.6:
                came = dice.choice((Outcome.DONE, Outcome.DONE, Outcome.FAILED))
                took = dice.choice((0, 0, 3)) * MINUTE
                await store.record_outcome(run, action_id, came, None, [], now=now + took)
        assert (found <= expected, bool(found)) == (True, bool(expected))
        said |= {rule for rule, _ in found}
    assert said == {
        "writes",
        "target-busy",
        "namespace-busy",
        "drain-busy",
        "drain-pause",
        "cooldown",
        "daily-cap",
    }


async def judged(store: Store, run_id: UUID, tool: str, key: str, now: datetime) -> list[Judgement]:
    """What the guards say of a change, over what is read for them."""
    kind, namespace, name = key.split("/")
    target = Target(kind=kind, namespace=namespace or None, name=name)
    state = await store.brakes.state(scope="live", cluster="prod", limits=LIMITS, now=now)
    past = await store.past_actions(scope="live", cluster="prod", target_key=key, since=now - timedelta(days=1))
    given = facts(
        now=now,
        settings=load({"SRE_AGENT_WRITES_PER_10M": "3"}),
        target=target,
        brakes=state.apart_from(run_id, key),
        past_actions=tuple(entry for entry in past if not (entry.finished_at is None and entry.run_id == run_id)),
    )
    wanted = change(tool=tool, target=target)
    return [found for guard in GUARDS if (found := guard(given, wanted)) is not None]
