"""Runs that meet a brake: nothing is written past it, one of them tells a person, and all of them come again."""

import asyncio
import signal
import sys
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from sre_agent.cluster.port import Traffic, Write
from sre_agent.event import EventType
from sre_agent.objects import Object
from sre_agent.run import RunRecord, RunStatus, StepStatus
from sre_agent.store import ActiveRun, Braked, Store
from tests.executor import fleet
from tests.executor.evidence_builders import Faulty, played_again, run_on
from tests.executor.fleet import namespaces, nodes, queued, run, run_all, time_of
from tests.store.store_builders import intent, new_action, new_incident, started

MINUTE = timedelta(minutes=1)
OOM, NODE = time_of("oom-killed"), time_of("node-not-ready")


def ends(records: list[RunRecord]) -> Counter[RunStatus]:
    return Counter(record.status for record in records)


def rules(record: RunRecord) -> set[str]:
    return {entry.rule for step in record.steps for entry in step.judgements}


async def escalations(store: Store, records: list[RunRecord]) -> int:
    events = [event for record in records for event in await store.events(record.incident_id or 0)]
    return sum(event.event_type is EventType.ESCALATED for event in events)


async def test_of_many_runs_at_once_the_capped_number_writes_and_one_tells(database: str) -> None:
    async with Store.open(database, max_size=8) as store:
        cluster, alerts = namespaces(12)
        records = await run_all(store, cluster, alerts, OOM)
        assert len(cluster.accepted_writes) == 5
        assert ends(records) == {RunStatus.SUCCEEDED: 11, RunStatus.ESCALATED: 1}
        assert await escalations(store, records) == 1
        held = [record for record in records if record.action_taken is None]
        assert {record.retry_at for record in held} == {OOM + 10 * MINUTE}
        assert {step.status for record in held for step in record.steps if step.judgements} == {StepStatus.REFUSED}


async def test_two_alerts_about_one_workload_are_one_writer_at_a_time(database: str) -> None:
    async with Store.open(database, max_size=8) as store:
        cluster, alerts = namespaces(1)
        both = [alerts[0], fleet.alert_of("oom-killed", namespace="shop-0", alertname="PodOOMKilled")]
        records = await run_all(store, cluster, both, OOM)
        assert len(cluster.accepted_writes) == 1
        held = next(record for record in records if record.action_taken is None)
        # It meets the other's intent, what the other did, or the template that the other left.
        assert rules(held) & {"target-busy", "cooldown", "already-changed"}


async def test_a_storm_writes_nothing_tells_once_and_is_taken_up_after_the_calm(database: str) -> None:
    async with Store.open(database, max_size=8) as store:
        cluster, alerts = namespaces(25)
        records = await run_all(store, cluster, alerts, OOM)
        assert cluster.asked == []
        assert ends(records) == {RunStatus.SUCCEEDED: 24, RunStatus.ESCALATED: 1}
        assert await escalations(store, records) == 1
        assert {record.retry_at for record in records} == {OOM + 5 * MINUTE}
        told = next(record for record in records if record.escalation)
        silent = next(record for record in records if not record.escalation)
        assert silent.notes[0] == (
            f"put off until the brake is over; incident {told.incident_id} escalated for all that met it"
        )
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("update incidents set status = 'resolved', resolved_by = 'person', resolved_at = now()")
        again = replace(fleet.alert_of("oom-killed", namespace="shop-3"), starts_at=OOM + 5 * MINUTE)
        later = await run_all(store, cluster, [again], OOM + 5 * MINUTE)
        assert later[0].action_taken is not None


NODES = [
    pytest.param(60, 30, id="30 of 60 nodes"),
    pytest.param(60, 31, id="31 of 60 nodes"),
    pytest.param(5, 3, id="3 of 5 nodes"),
]


@pytest.mark.parametrize(("total", "down"), NODES)
async def test_many_nodes_that_are_not_ready_are_not_cordoned(database: str, total: int, down: int) -> None:
    async with Store.open(database, max_size=8) as store:
        cluster, alerts = nodes(total, down)
        records = await run_all(store, cluster, alerts, NODE)
        assert cluster.asked == []
        assert await escalations(store, records) == 1
        assert all(record.retry_at is not None for record in records)


async def test_a_workload_is_left_alone_while_most_nodes_are_not_ready(store: Store) -> None:
    objects = fleet.objects_of("oom-killed")
    for node in objects:
        if node["kind"] == "Node":
            node["status"]["conditions"] = [{"type": "Ready", "status": "Unknown"}]
    cluster, alerts = fleet.Fleet(objects), [fleet.alert_of("oom-killed")]
    (record,) = await run_all(store, cluster, alerts, OOM)
    assert cluster.asked == []
    assert rules(record) == {"nodes-not-ready"}


async def test_an_api_server_that_fails_is_not_written_to_and_told_once(database: str) -> None:
    async with Store.open(database, max_size=8) as store:
        traffic = Traffic(requests=100, errors=21, source=uuid4())
        cluster, alerts = namespaces(6, traffic=traffic)
        records = await run_all(store, cluster, alerts, OOM)
        assert cluster.asked == []
        assert await escalations(store, records) == 1
        assert {record.retry_at for record in records} == {OOM + 5 * MINUTE}


async def test_a_paused_agent_writes_nothing_and_wakes_nobody(store: Store) -> None:
    await store.brakes.pause(by="kim", reason="upgrade", until=OOM + 2 * MINUTE, now=OOM - MINUTE)
    cluster, alerts = namespaces(2)
    records = await run_all(store, cluster, alerts, OOM)
    assert cluster.asked == []
    assert ends(records) == {RunStatus.SUCCEEDED: 2}
    assert {record.retry_at for record in records} == {OOM + 2 * MINUTE}
    assert "paused by kim" in (records[0].steps[-1].reason or "")


async def test_a_pause_between_intent_and_request_stops_the_request(store: Store) -> None:
    class Pausing(Faulty):
        sent = 0

        async def write(self, write: Write, *, dry_run: bool = False) -> Object:
            if dry_run:
                await store.brakes.pause(by="kim", reason=None, until=None, now=OOM)
            else:
                self.sent += 1
            return await super().write(write, dry_run=dry_run)

    cluster = Pausing()
    (assignment,) = await queued(store, [fleet.alert_of("oom-killed")], OOM)
    record = await run(store, cluster, assignment, OOM)
    assert cluster.sent == 0
    assert (record.status, record.action_taken, record.writes) == (RunStatus.SUCCEEDED, None, ())
    assert record.steps[-1].status is StepStatus.REFUSED
    assert record.steps[-1].reason == "paused before it was sent"
    (outcome,) = [
        event.payload for event in await store.events(record.incident_id or 0) if event.event_type is EventType.OUTCOME
    ]
    assert (outcome["outcome"], outcome["detail"]) == ("failed", "paused before it was sent")


async def test_a_pause_in_the_middle_of_a_drain_leaves_the_rest(store: Store) -> None:
    class Pausing(fleet.Fleet):
        async def write(self, write: Write, *, dry_run: bool = False) -> Object:
            answer = await super().write(write, dry_run=dry_run)
            if write.subresource == "eviction":
                await store.brakes.pause(by="kim", reason=None, until=None, now=NODE)
            return answer

    cluster = Pausing(fleet.objects_of("node-not-ready"))
    (record,) = await run_all(store, cluster, [fleet.alert_of("node-not-ready")], NODE)
    evicted = [write.name for write in cluster.accepted_writes if write.subresource == "eviction"]
    assert len(evicted) == 1
    assert record.action_taken == "cordon_node:worker-3; drain_node:worker-3:evicted=1,left=6"
    left = (record.steps[-1].result or {})["left"]
    assert [pod["reason"] for pod in left].count("paused before it was sent") == 1


async def test_a_change_that_another_process_came_before_is_refused_in_the_guards_words(database: str) -> None:
    class Rivalled(Store):
        """Between judgement and intent another run begins to change the namespace."""

        rival: ActiveRun

        async def record_intent(self, run: ActiveRun, *arguments: Any, **values: Any) -> int:
            await super().record_intent(
                self.rival, new_action(target_key="Deployment/shop-0/other"), [intent()], **values
            )
            return await super().record_intent(run, *arguments, **values)

    cluster, alerts = namespaces(1)
    async with Rivalled.open(database) as store:
        store.rival = await started(store, new_incident(dedup_key="rival", runbook_id="RB_OTHER"))
        (record,) = await run_all(store, cluster, alerts, OOM)
        assert cluster.asked == []
        assert record.steps[-1].status is StepStatus.REFUSED
        assert "is being changed by another run (increase_memory_limit" in (record.steps[-1].reason or "")
        assert (record.status, record.retry_at) == (RunStatus.SUCCEEDED, OOM + MINUTE)
        assert (await played_again(store, record))[1] == []


async def test_a_brake_that_is_met_at_the_intent_and_over_at_once_refuses_the_step_all_the_same(database: str) -> None:
    class Slower(Store):
        async def record_intent(self, *arguments: Any, **values: Any) -> int:
            raise Braked("namespace-busy", "another run began")

    cluster, alerts = namespaces(1)
    async with Slower.open(database) as store:
        (record,) = await run_all(store, cluster, alerts, OOM)
    assert cluster.asked == []
    assert record.steps[-1].status is StepStatus.REFUSED
    assert (record.status, record.retry_at) == (RunStatus.SUCCEEDED, OOM + MINUTE)


async def test_a_replay_of_a_held_run_is_held_again(store: Store) -> None:
    await store.brakes.pause(by="kim", reason=None, until=None, now=OOM - MINUTE)
    cluster, alerts = namespaces(1)
    (record,) = await run_all(store, cluster, alerts, OOM)
    await store.brakes.resume(by="kim", now=OOM)
    again, differences = await played_again(store, record)
    assert differences == []
    assert rules(again) == {"pause"}


async def test_pauses_and_storms_of_live_runs_do_not_hold_a_replay(store: Store) -> None:
    await store.brakes.pause(by="kim", reason=None, until=None, now=OOM)
    assert (await run_on(store)).action_taken is not None


FREEZES = [
    pytest.param("oom-killed", "dry run", id="between the dry run and the write"),
    pytest.param("node-not-ready", "eviction", id="in the middle of a drain"),
]


@pytest.mark.parametrize(("example", "at"), FREEZES)
async def test_a_worker_that_was_frozen_past_a_takeover_sends_nothing(
    store: Store, database: str, example: str, at: str
) -> None:
    (assignment,) = await queued(store, [fleet.alert_of(example)], time_of(example))
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.executor.frozen_worker", database, example),
        *(str(assignment.run_id), str(assignment.incident_id)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert worker.stdout is not None
    while (line := (await worker.stdout.readline()).decode().strip()) != at:
        assert line
    worker.send_signal(signal.SIGSTOP)
    await store.start_run(assignment.run_id, now=time_of(example))
    worker.send_signal(signal.SIGCONT)
    rest = (await worker.stdout.read()).decode().split("\n")
    assert await worker.wait() == 0
    assert [line for line in rest if line] == ["LostFence"]
