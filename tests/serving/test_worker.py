"""Queued runs and the workers that take them: at once, once, and again when a worker is gone."""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from sre_agent import jobs, worker
from sre_agent.alert import parse
from sre_agent.errors import Unreachable
from sre_agent.run import RunRecord
from sre_agent.store import Store
from sre_agent.worker import RunWorker
from tests.serving.serving_builders import EXAMPLE, alert, body, now, reception, service
from tests.web.servers import until as eventually

PATIENCE = 60.0


@asynccontextmanager
async def at_work(
    store: Store, database: str, *, finished: Callable[[RunRecord], None] | None = None
) -> AsyncIterator[None]:
    """A worker for as long as the block runs; then it is told to stop, and does."""
    stop = asyncio.Event()
    working = asyncio.create_task(RunWorker(service(store, database), concurrency=2, finished=finished).work(stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(working, 30)


async def until(database: str, question: str, *parameters: Any, is_: Any) -> float:
    """Waits until the database answers so, and says for how many seconds."""
    began = time.monotonic()
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        while (answer := await (await connection.execute(question, parameters)).fetchall()) != is_:
            assert time.monotonic() - began < PATIENCE, f"after {PATIENCE:.0f} s {question} answers {answer}"
            await asyncio.sleep(0.02)
    return time.monotonic() - began


async def run_sql(database: str, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """One statement, on a connection that finds the queue's tables as its triggers do."""
    paths = "-c search_path=public,jobs"
    async with await psycopg.AsyncConnection.connect(database, autocommit=True, options=paths) as connection:
        cursor = await connection.execute(statement, parameters)
        return await cursor.fetchall() if cursor.description else []


STATUSES = "select status from runs order by queued_at, id"


async def test_a_received_alert_is_run_at_once_and_its_job_is_gone(store: Store, database: str) -> None:
    ended: list[RunRecord] = []
    payload = parse((EXAMPLE / "payload.json").read_bytes(), source="the test")
    async with at_work(store, database, finished=ended.append):
        await until(database, "select count(*) from jobs.procrastinate_workers", is_=[(1,)])
        await reception(store).accept(payload)
        await until(database, STATUSES, is_=[("succeeded",)])
        await until(database, "select count(*) from jobs.procrastinate_jobs where args ? 'run_id'", is_=[(0,)])
    assert [(record.runbook_id, record.action_recommended) for record in ended] == [
        ("RB_OOM", "patch_memory_limit:shop/checkout/app:128Mi→256Mi")
    ]
    incident = await store.book.find(1)
    assert incident.action_recommended == ended[0].action_recommended
    assert await run_sql(database, "select count(*) from jobs.procrastinate_workers") == [(0,)]


async def test_two_workers_take_each_run_once(store: Store, database: str) -> None:
    ended: list[RunRecord] = []
    async with at_work(store, database, finished=ended.append), at_work(store, database, finished=ended.append):
        await reception(store).accept(body([alert(f"app-{number}") for number in range(30)]))
        await until(database, "select count(*) from runs where finished_at is null", is_=[(0,)])
    assert len(ended) == 30
    assert await run_sql(database, "select distinct attempt, deaths from runs") == [(1, 0)]


async def test_a_run_whose_announcement_was_lost_is_found_by_looking(store: Store, database: str) -> None:
    await run_sql(database, "alter table jobs.procrastinate_jobs disable trigger user")
    async with at_work(store, database):
        await until(database, "select count(*) from jobs.procrastinate_workers", is_=[(1,)])
        await reception(store).accept(body([alert()]))
        await until(database, "select count(*) from runs where finished_at is null", is_=[(0,)])


async def left_behind(store: Store, database: str) -> UUID:
    """A run that a worker which is gone had taken up."""
    (found,) = await reception(store).accept(body([alert()]))
    assert found.run_id is not None
    await store.start_run(found.run_id, now=now())
    await run_sql(
        database,
        "with gone as (insert into jobs.procrastinate_workers (last_heartbeat) values (now() - interval '1 hour') "
        "returning id) update jobs.procrastinate_jobs set status = 'doing', worker_id = gone.id from gone",
    )
    return found.run_id


async def test_the_run_of_a_worker_that_died_is_taken_up_by_another(store: Store, database: str) -> None:
    run_id = await left_behind(store, database)
    async with at_work(store, database):
        await until(database, "select attempt, deaths, finished_at is null from runs", is_=[(2, 1, False)])
    assert (await store.queue.queued(run_id)) is not None


async def test_many_jobs_that_nobody_can_run_do_not_hold_up_the_rescue(store: Store, database: str) -> None:
    await run_sql(
        database,
        "insert into jobs.procrastinate_jobs (queue_name, task_name, args, status) "
        "select 'runs', 'unheard-of', '{}', 'doing' from generate_series(1, 1000)",
    )
    await left_behind(store, database)
    async with at_work(store, database):
        await until(database, "select count(*) from runs where finished_at is null", is_=[(0,)])


async def test_a_job_that_its_own_worker_does_not_know_of_is_freed(store: Store, database: str) -> None:
    await left_behind(store, database)
    await run_sql(database, "update jobs.procrastinate_workers set last_heartbeat = now()")
    await run_sql(database, "update jobs.procrastinate_events set at = now() - interval '11 seconds'")
    ((own,),) = await run_sql(database, "select id from jobs.procrastinate_workers")
    free = store.queue.take_back
    assert await free(own=None, held=(), silence=jobs.SILENCE) == 0
    ((job,),) = await run_sql(database, "select id from jobs.procrastinate_jobs")
    assert await free(own=own, held=(job,), silence=jobs.SILENCE) == 0
    assert await free(own=own, held=(), silence=jobs.SILENCE) == 1
    assert await run_sql(database, "select status::text from jobs.procrastinate_jobs") == [("todo",)]


@pytest.mark.parametrize("ends", ["well", "badly"])
async def test_a_worker_does_not_acknowledge_a_job_that_is_another_ones_by_now(
    store: Store, database: str, ends: str
) -> None:
    """It slept for too long: the job is at work elsewhere, or waits, and stands for the run."""
    begun, woken = asyncio.Event(), asyncio.Event()

    async def execute(run_id: UUID) -> None:
        begun.set()
        await woken.wait()
        if ends == "badly":
            raise Unreachable("the database")

    sleeper = jobs.JobWorker(database, concurrency=1, grace=5, execute=execute, upkeep=no_upkeep)
    working = asyncio.create_task(sleeper.work())
    await reception(store).accept(body([alert()]))
    await asyncio.wait_for(begun.wait(), PATIENCE)
    await run_sql(
        database,
        "with other as (insert into jobs.procrastinate_workers default values returning id) "
        "update jobs.procrastinate_jobs set worker_id = other.id from other where args ? 'run_id'",
    )
    woken.set()
    await until_let_go(sleeper)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    held = "select status::text, worker_id is not null from jobs.procrastinate_jobs where args ? 'run_id'"
    assert await run_sql(database, held) == [("doing", True)]


async def no_run(run_id: UUID) -> None:
    raise AssertionError("there is no run")


async def no_upkeep() -> None:
    """Nothing to do."""


async def until_let_go(worker: jobs.JobWorker) -> None:
    """Waits until it is at work on nothing."""

    async def let_go() -> bool:
        return not worker.held

    await eventually(let_go, seconds=PATIENCE)


async def test_a_run_that_could_not_act_yet_is_followed_by_another_when_its_time_has_come(
    store: Store, database: str
) -> None:
    (found,) = await reception(store).accept(body([alert()]))
    assert found.run_id is not None
    await store.queue.cancel(found.run_id, now=now())
    await run_sql(database, "update runs set retry_at = now() + interval '1 hour'")
    assert await store.queue.queue_due(now=now()) == 0
    later = now() + timedelta(hours=1, minutes=1)
    assert await store.queue.queue_due(now=later) == 1
    assert await store.queue.queue_due(now=later) == 0
    assert await run_sql(database, STATUSES) == [("cancelled",), ("queued",)]
    assert await run_sql(database, "select count(*) from jobs.procrastinate_jobs") == [(2,)]


async def test_a_resolved_incident_is_not_tried_again(store: Store, database: str) -> None:
    (found,) = await reception(store).accept(body([alert()]))
    assert found.run_id is not None
    await store.queue.cancel(found.run_id, now=now())
    await run_sql(database, "update runs set retry_at = now() - interval '1 hour'")
    await reception(store).accept(body([alert(status="resolved")]))
    assert await store.queue.queue_due(now=now()) == 0


async def test_a_run_that_waits_for_an_incident_which_is_over_is_cancelled(store: Store, database: str) -> None:
    door = reception(store)
    await door.accept(body([alert()]))
    await door.accept(body([alert(status="resolved")]))
    async with at_work(store, database):
        await until(database, STATUSES, is_=[("cancelled",)])
    assert [event.event_type for event in await store.events(1)] == ["webhook_received", "resolved"]


async def test_a_live_run_that_no_job_stands_for_is_queued_again_after_a_while(store: Store, database: str) -> None:
    await reception(store).accept(body([alert()]))
    await run_sql(database, "delete from jobs.procrastinate_jobs")
    assert await store.queue.queue_lost(patience=worker.LOST_AFTER) == 0
    await run_sql(database, "update runs set touched_at = now() - interval '1 hour'")
    assert await store.queue.queue_lost(patience=worker.LOST_AFTER) == 1
    assert await store.queue.queue_lost(patience=timedelta(0)) == 0, "now a job stands for it"


async def test_a_worker_outlives_its_connections(store: Store, database: str) -> None:
    others = (
        "select count(pg_terminate_backend(pid)) from pg_stat_activity "
        "where datname = current_database() and pid <> pg_backend_pid()"
    )
    async with at_work(store, database):
        await until(database, "select count(*) from jobs.procrastinate_workers", is_=[(1,)])
        for number in range(3):
            await run_sql(database, others)
            await until(database, "select count(*) > 0 from jobs.procrastinate_workers", is_=[(True,)])
            await accepted(store, f"app-{number}")
            await until(database, "select count(*) from runs where finished_at is null", is_=[(0,)])


async def accepted(store: Store, pod: str) -> None:
    """Sends an alert again until it is taken, as Alertmanager does."""
    for _ in range(50):
        try:
            await reception(store).accept(body([alert(pod)]))
        except Unreachable:
            await asyncio.sleep(0.1)
        else:
            return
    raise AssertionError("the store did not come back")


@pytest.mark.parametrize("when", ["before it begins", "while it connects", "at work"])
async def test_a_worker_that_is_stopped_ends_though_its_cancellation_was_lost(database: str, when: str) -> None:
    idle = jobs.JobWorker(database, concurrency=1, grace=5, execute=no_run, upkeep=no_upkeep)
    if when == "before it begins":
        idle.stop()
    working = asyncio.create_task(idle.work())
    if when == "while it connects":
        await asyncio.sleep(0)
        idle.stop()
    elif when == "at work":
        await until(database, "select count(*) from jobs.procrastinate_workers", is_=[(1,)])
        idle.stop()
    await asyncio.wait_for(working, PATIENCE)
    assert await run_sql(database, "select count(*) from jobs.procrastinate_workers") == [(0,)]


async def stopped_while_it_connects(port: int) -> None:
    """A worker's whole life, at a database that takes connections and says nothing."""

    place = f"host=127.0.0.1 port={port} dbname=sre connect_timeout=600"
    connecting = jobs.JobWorker(place, concurrency=1, grace=5, execute=no_run, upkeep=no_upkeep)
    working = asyncio.create_task(connecting.work())

    async def begun() -> bool:
        return any(task.get_name().startswith("pool-") for task in asyncio.all_tasks())

    await eventually(begun, seconds=PATIENCE)
    working.cancel()
    await asyncio.wait({working})


def test_a_worker_that_is_told_to_stop_while_it_connects_does_not_hold_up_the_end_of_its_process() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        life = threading.Thread(
            target=lambda: asyncio.run(stopped_while_it_connects(mute.getsockname()[1])), daemon=True
        )
        life.start()
        life.join(PATIENCE / 2)
        assert not life.is_alive()


@pytest.mark.parametrize("told", [1, 3])
async def test_a_worker_that_is_told_to_stop_lets_what_is_under_way_finish(
    store: Store, database: str, told: int
) -> None:
    ended: list[RunRecord] = []
    await reception(store).accept(body([alert(f"app-{number}") for number in range(told)]))
    async with at_work(store, database, finished=ended.append):
        await until(database, "select count(*) > 0 from runs where status <> 'queued'", is_=[(True,)])
    assert await run_sql(database, "select count(*) from runs where status = 'running'") == [(0,)]
    assert await run_sql(database, "select count(*) from jobs.procrastinate_jobs where status = 'doing'") == [(0,)]
