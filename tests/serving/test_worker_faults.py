"""What a worker meets that is nobody's plan: an older mode, clocks that disagree, a database that refuses."""

import asyncio
from datetime import timedelta

import psycopg
import pytest
from procrastinate.exceptions import JobAborted

from sre_agent import worker
from sre_agent.alert import parse
from sre_agent.errors import Unreachable
from sre_agent.executor import DEATHS
from sre_agent.jobs import seconds_until_again
from sre_agent.run import Mode, RunRecord
from sre_agent.store import Store
from tests.replay.answers import told
from tests.serving.serving_builders import EXAMPLE, alert, body, now, reception
from tests.serving.test_worker import PATIENCE, STATUSES, at_work, run_sql, until
from tests.web import servers


async def test_a_run_that_was_queued_in_auto_changes_nothing_under_a_worker_in_recommend(
    store: Store, database: str
) -> None:
    """Somebody lowered AGENT_MODE and restarted: what waited from before must not act."""
    ended: list[RunRecord] = []
    await reception(store, mode=Mode.AUTO).accept(parse((EXAMPLE / "payload.json").read_bytes(), source="the test"))
    async with at_work(store, database, finished=ended.append):
        await until(database, STATUSES, is_=[("succeeded",)])
    (record,) = ended
    assert (record.mode, record.action_taken, record.writes) == (Mode.RECOMMEND, None, ())
    assert record.action_recommended is not None
    assert await run_sql(database, "select mode, agent_mode from runs join incidents on true") == [
        ("recommend", "recommend")
    ]
    assert await run_sql(database, "select count(*) from actions") == [(0,)]


async def test_a_run_is_followed_by_one_other_although_the_clock_that_queued_it_was_ahead(
    store: Store, database: str
) -> None:
    (found,) = await reception(store).accept(body([alert()]))
    assert found.run_id is not None
    await run_sql(database, "update runs set queued_at = now() + interval '10 minutes'")
    await store.queue.cancel(found.run_id, now=now())
    await run_sql(database, "update runs set retry_at = now()")
    later = now() + timedelta(seconds=1)
    assert await store.queue.queue_due(now=later) == 1
    ((second,),) = await run_sql(database, "select id from runs where finished_at is null")
    await store.queue.cancel(second, now=later)
    assert await store.queue.queue_due(now=later) == 0


@pytest.mark.parametrize("missing", ["jobs.procrastinate_workers", "public.runs"])
async def test_a_worker_outlives_a_database_that_refuses_its_statements(
    store: Store, database: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, missing: str
) -> None:
    """As it does for a moment while another version changes the schema."""
    monkeypatch.setattr(worker, "ROUND_SECONDS", 0.1)
    schema, _, table = missing.partition(".")
    async with at_work(store, database):
        await until(database, "select count(*) from jobs.procrastinate_workers", is_=[(1,)])
        await run_sql(database, f"alter table {missing} rename to elsewhere")

        async def broke_off() -> bool:
            return "worker.broke_off" in caplog.text

        await servers.until(broke_off, seconds=PATIENCE)
        await run_sql(database, f"alter table {schema}.elsewhere rename to {table}")
        await reception(store).accept(body([alert()]))
        await until(database, "select count(*) from runs where finished_at is null", is_=[(0,)])


async def test_what_is_due_and_a_body_about_the_same_incidents_never_wait_for_each_other_crosswise(
    store: Store, database: str
) -> None:
    await reception(store).accept(body([alert("app-1"), alert("app-2")]))
    await run_sql(database, "update runs set status = 'failed', finished_at = now(), retry_at = now()")
    async with await psycopg.AsyncConnection.connect(database) as webhook:
        requeued = (
            "with known as (select id from incidents where id = %s for no key update) "
            "insert into runs (incident_id, runbook_id, runbook_sha256, mode, queued_at) "
            "select id, 'RB_OOM', '', 'recommend', now() from known "
            "where not exists (select from runs where incident_id = known.id and finished_at is null) "
            "on conflict do nothing"
        )
        await webhook.execute(requeued, [2])
        queued = asyncio.create_task(store.queue.queue_due(now=now() + timedelta(seconds=1)))
        here = "datname = current_database() and wait_event_type = 'Lock'"
        waiting = f"select count(*) from pg_stat_activity where {here}"
        while not queued.done() and await run_sql(database, waiting) == [(0,)]:
            pass
        await webhook.execute(requeued, [1])
        await webhook.commit()
    await queued
    active = "select incident_id from runs where finished_at is null order by 1"
    assert await run_sql(database, active) == [(1,), (2,)]


@pytest.mark.parametrize(
    ("error", "waits"),
    [
        pytest.param(ValueError(), [1, 2, 4, 8, 16, 32, 60, 60], id="what nobody foresaw waits longer each time"),
        pytest.param(Unreachable("the database"), [1] * 8, id="a database that is away is looked for all the time"),
        pytest.param(JobAborted(), [1] * 8, id="what a stopping worker hands back is taken up soon"),
        pytest.param(asyncio.CancelledError(), [1] * 8, id="cancelled"),
    ],
)
def test_how_long_a_job_waits_that_did_not_come_to_its_end(error: BaseException, waits: list[int]) -> None:
    assert [seconds_until_again(error, attempts=attempts) for attempts in range(8)] == waits
    assert seconds_until_again(error, attempts=2**31) == waits[-1]


async def test_a_run_that_cannot_even_be_ended_is_parked_and_told_while_others_go_on(
    store: Store, database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing in the run itself is wrong: the database refuses to store how it ended."""
    await reception(store).accept(body([alert("app-1"), alert("app-2")]))
    await run_sql(
        database,
        "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'not this one'; end $$",
    )
    await run_sql(
        database,
        "create trigger refuse before insert on incident_events for each row "
        "when (new.incident_id = 1 and new.event_type = 'final') execute function refuse()",
    )
    async with at_work(store, database):
        await until(database, "select count(*) from runs where finished_at is not null", is_=[(1,)])
        waited = await until(database, "select count(*) from runs where finished_at is null", is_=[(0,)])
        await until(database, "select count(*) from jobs.procrastinate_jobs where args ? 'run_id'", is_=[(0,)])
    assert waited > 6, "it was taken up again after 1, 2 and 4 seconds"
    assert await run_sql(database, "select status, attempt, deaths from runs where incident_id = 1") == [
        ("escalated", DEATHS + 1, DEATHS)
    ]
    events = await store.events(1)
    assert [event.event_type for event in events] == ["webhook_received", "error", "escalated"]
    assert "not this one" in events[-1].payload["reason"]
    monkeypatch.setenv("DATABASE_URL", database)
    assert "could not be ended" in await asyncio.to_thread(told, capsys, "show", "1")
    parked = await store.book.find(1)
    assert "could not be ended" in (parked.action_error or "")
    assert (parked.summary or "").startswith("RB_OOM: the run broke off 3 times")
