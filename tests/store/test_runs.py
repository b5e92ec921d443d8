"""Runs behind their fence: taking up, intent, outcome, end, and what a worker that lost it may still write."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from sre_agent.errors import SreAgentError
from sre_agent.incident import IncidentStatus
from sre_agent.run import Outcome, RunStatus
from sre_agent.store import LostFence, Store
from tests.store.store_builders import (
    NOW,
    UNLIMITED,
    finish,
    intended,
    intent,
    new_action,
    outcome,
    receive,
    rows,
    started,
    step,
    types_of,
)

DAY = timedelta(days=1)


async def test_taking_a_run_up_counts_the_attempt(store: Store, database: str) -> None:
    receipt = await receive(store)
    assert receipt.run_id is not None
    first = await store.start_run(receipt.run_id, now=NOW)
    second = await store.start_run(receipt.run_id, now=NOW + DAY)
    assert (first.incident_id, first.attempt, second.attempt) == (receipt.incident_id, 1, 2)
    assert rows(database, "select status, started_at from runs") == [("running", NOW)]


@pytest.mark.parametrize("status", [RunStatus.SUCCEEDED, RunStatus.CANCELLED, RunStatus.WAITING_APPROVAL])
async def test_a_run_that_has_ended_or_waits_cannot_be_taken_up(store: Store, status: RunStatus) -> None:
    run = await started(store)
    await finish(store, run, status=status)
    with pytest.raises(LostFence, match="neither queued nor running"):
        await store.start_run(run.id, now=NOW)


async def test_a_run_that_does_not_exist_cannot_be_taken_up(store: Store) -> None:
    with pytest.raises(LostFence):
        await store.start_run(uuid4(), now=NOW)


async def test_an_intent_is_committed_with_the_events_before_it(store: Store, database: str) -> None:
    run = await started(store)
    action_id = await store.record_intent(
        run,
        new_action(),
        [step("get_pod_events"), step("check_oom"), intent()],
        scope="live",
        cluster="prod",
        limits=UNLIMITED,
        now=NOW,
    )
    events = await store.events(run.incident_id)
    assert [event.event_type for event in events] == ["webhook_received", "step", "step", "intent"]
    assert [event.payload.get("step") for event in events[1:3]] == ["get_pod_events", "check_oom"]
    assert events[3].payload["action_id"] == action_id
    assert {event.run_id for event in events[1:]} == {run.id}
    assert rows(database, "select id, attempt, status, body from actions") == [
        (action_id, 1, "intended", new_action().body)
    ]


async def test_a_worker_that_lost_its_run_cannot_record_an_intent(store: Store, database: str) -> None:
    lost = await started(store)
    holder = await store.start_run(lost.id, now=NOW)
    before = await store.events(lost.incident_id)
    with pytest.raises(LostFence, match="attempt 1 no longer holds it"):
        await intended(store, lost)
    assert rows(database, "select count(*) from actions") == [(0,)]
    assert await store.events(lost.incident_id) == before
    await intended(store, holder)


async def test_steps_are_stored_before_the_end_and_are_there_for_the_next_attempt(store: Store) -> None:
    run = await started(store)
    await store.record_steps(run, [step("get_pod_logs")], now=NOW)
    holder = await store.start_run(run.id, now=NOW)
    await store.record_steps(holder, [step("check_oom")], now=NOW)
    assert [kept["step"] for kept in await store.queue.steps_so_far(holder)] == ["get_pod_logs", "check_oom"]


async def test_a_worker_that_lost_its_run_cannot_store_steps(store: Store) -> None:
    lost = await started(store)
    holder = await store.start_run(lost.id, now=NOW)
    before = await store.events(lost.incident_id)
    with pytest.raises(LostFence, match="attempt 1 no longer holds it"):
        await store.record_steps(lost, [step("get_pod_logs")], now=NOW)
    assert await store.events(lost.incident_id) == before
    await finish(store, holder)
    with pytest.raises(LostFence):
        await store.record_steps(holder, [step("get_pod_logs")], now=NOW)


async def test_a_worker_that_lost_its_run_cannot_end_it(store: Store, database: str) -> None:
    lost = await started(store)
    holder = await store.start_run(lost.id, now=NOW)
    before = await store.incident(lost.incident_id), await store.events(lost.incident_id)
    with pytest.raises(LostFence):
        await finish(store, lost, action_taken="patched")
    assert (await store.incident(lost.incident_id), await store.events(lost.incident_id)) == before
    assert rows(database, "select status from runs") == [("running",)]
    await finish(store, holder)


async def test_a_run_that_has_ended_takes_no_intent(store: Store) -> None:
    run = await started(store)
    await finish(store, run)
    with pytest.raises(LostFence):
        await intended(store, run)


async def test_an_intent_that_waits_for_a_takeover_loses(store: Store, database: str) -> None:
    run = await started(store)
    with psycopg.connect(database) as rival:
        rival.execute("update runs set attempt = attempt + 1")
        waiting = asyncio.create_task(intended(store, run))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        rival.commit()
    with pytest.raises(LostFence):
        await waiting
    assert rows(database, "select count(*) from actions") == [(0,)]


@pytest.mark.parametrize("came", list(Outcome))
async def test_an_outcome_is_recorded_with_its_events(store: Store, database: str, came: Outcome) -> None:
    run = await started(store)
    action_id = await intended(store, run)
    await store.record_outcome(run, action_id, came, "said", [outcome(action_id, came)], now=NOW + DAY)
    assert rows(database, "select status, detail, finished_at from actions") == [(came, "said", NOW + DAY)]
    assert (await types_of(store, run.incident_id))[-1] == "outcome"


async def test_an_outcome_is_recorded_even_when_the_run_was_lost(store: Store, database: str) -> None:
    lost = await started(store)
    action_id = await intended(store, lost)
    await store.start_run(lost.id, now=NOW)
    await store.record_outcome(lost, action_id, Outcome.UNKNOWN, "no answer", [outcome(action_id)], now=NOW)
    assert rows(database, "select status from actions") == [("unknown",)]
    assert (await types_of(store, lost.incident_id))[-1] == "outcome"


async def test_an_outcome_needs_an_intent_of_the_same_run(store: Store) -> None:
    run = await started(store)
    with pytest.raises(SreAgentError, match="no recorded intent 99"):
        await store.record_outcome(run, 99, Outcome.DONE, None, [outcome(99)], now=NOW)
    assert await types_of(store, run.incident_id) == ["webhook_received"]


async def test_the_end_of_a_run_stands_in_run_incident_and_events(store: Store, database: str) -> None:
    run = await started(store)
    later = NOW + DAY
    await finish(
        store,
        run,
        status=RunStatus.ESCALATED,
        action_taken="patched",
        action_recommended="drain",
        action_error="refused",
        summary="what happened",
        workload="Deployment/app",
        node="worker-1",
        retry_at=later + DAY,
        events=[step("one"), step("two")],
        now=later,
    )
    assert rows(database, "select status, finished_at, retry_at from runs") == [("escalated", later, later + DAY)]
    incident = await store.incident(run.incident_id)
    assert incident is not None
    assert (incident.action_taken, incident.action_recommended, incident.action_error) == (
        "patched",
        "drain",
        "refused",
    )
    assert (incident.summary, incident.workload, incident.node) == ("what happened", "Deployment/app", "worker-1")
    assert (incident.status, incident.updated_at) == (IncidentStatus.OPEN, later)
    events = await store.events(run.incident_id)
    assert [event.payload.get("step") for event in events] == [None, "one", "two"]


async def test_a_later_run_keeps_what_was_done_and_replaces_what_was_advised(store: Store) -> None:
    first = await started(store)
    await finish(
        store, first, action_taken="patched", action_recommended="drain", summary="a", workload="Deployment/app"
    )
    again = await receive(store, now=NOW + DAY)
    assert again.run_id is not None
    second = await store.start_run(again.run_id, now=NOW + DAY)
    await finish(store, second, action_error="quota")
    incident = await store.incident(first.incident_id)
    assert incident is not None
    assert (incident.action_taken, incident.action_recommended, incident.action_error) == ("patched", None, "quota")
    assert (incident.summary, incident.workload) == ("a", "Deployment/app")


async def test_a_run_that_waits_for_a_person_is_not_finished(store: Store, database: str) -> None:
    run = await started(store)
    await finish(store, run, status=RunStatus.WAITING_APPROVAL)
    assert rows(database, "select status, finished_at from runs") == [("waiting_approval", None)]


@pytest.mark.parametrize("status", [RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.PLANNED])
async def test_a_run_ends_in_a_final_status(store: Store, status: RunStatus) -> None:
    run = await started(store)
    with pytest.raises(ValueError, match="does not end as"):
        await finish(store, run, status=status)


async def test_a_run_without_events_ends_all_the_same(store: Store, database: str) -> None:
    run = await started(store)
    await finish(store, run, events=[])
    assert rows(database, "select status from runs") == [("succeeded",)]


async def test_past_actions_are_those_since_a_moment_newest_first(store: Store) -> None:
    run = await started(store)
    target = "Deployment/demo/app"
    before = await intended(store, run, now=NOW - DAY)
    first = await intended(store, run, new_action(near_limit=True), now=NOW)
    second = await intended(store, run, now=NOW + timedelta(seconds=1))
    await intended(store, run, new_action(target_key="Node//worker-1", value=None), now=NOW + DAY)
    await store.record_outcome(run, first, Outcome.FAILED, "409", [], now=NOW + DAY)

    on_target = await store.past_actions(scope="live", cluster="prod", target_key=target, since=NOW)
    assert [(each.id, each.status) for each in on_target] == [(second, "intended"), (first, "failed")]
    assert [each.near_limit for each in on_target] == [False, True]
    assert (on_target[1].intended_at, on_target[1].finished_at) == (NOW, NOW + DAY)
    assert (on_target[1].incident_id, on_target[1].run_id) == (run.incident_id, run.id)
    earlier = await store.past_actions(scope="live", cluster="prod", target_key=target, since=NOW - DAY)
    assert [each.id for each in earlier] == [second, first, before]


async def test_every_write_for_a_run_shows_that_somebody_works_on_it(store: Store, database: str) -> None:
    run = await started(store)

    def age() -> bool:
        [(old,)] = rows(
            database,
            "with was as (select touched_at from runs), aged as (update runs set touched_at = '2020-01-01')"
            " select touched_at < clock_timestamp() - interval '1 minute' from was",
        )
        return bool(old)

    age()
    action_id = await intended(store, run)
    assert not age()
    await store.record_outcome(run, action_id, Outcome.DONE, None, [], now=NOW)
    assert not age()
    await finish(store, run)
    assert not age()
