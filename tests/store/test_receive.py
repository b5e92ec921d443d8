"""What becomes of a firing alert, in every disposition, alone and in a crowd."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from sre_agent.incident import Incident, IncidentStatus, Origin
from sre_agent.run import RunStatus
from sre_agent.store import Disposition, Store
from tests.store.store_builders import (
    COOLDOWN,
    NOW,
    execute,
    finish,
    new_incident,
    problem,
    receive,
    received,
    rows,
    started,
    types_of,
)

HOUR = timedelta(hours=1)


async def incident(store: Store, incident_id: int) -> Incident:
    read = await store.incident(incident_id)
    assert read is not None
    return read


async def test_the_first_alert_opens_an_incident_and_queues_a_run(store: Store, database: str) -> None:
    new = new_incident(workload="Deployment/app", node="worker-1")
    receipt = await receive(store, new)
    assert receipt.disposition is Disposition.OPENED
    opened = await incident(store, receipt.incident_id)
    assert opened == Incident(
        id=receipt.incident_id,
        origin=Origin.LIVE,
        scope="live",
        cluster="prod",
        fingerprint=new.fingerprint,
        dedup_key=new.problem.dedup_key,
        alertname=new.alertname,
        namespace="demo",
        pod=new.pod,
        container="app",
        node="worker-1",
        workload="Deployment/app",
        severity="warning",
        runbook_id="RB_OOM",
        status=IncidentStatus.OPEN,
        agent_mode="auto",
        summary=None,
        action_taken=None,
        action_recommended=None,
        action_error=None,
        labels=new.labels,
        annotations=new.annotations,
        suppressed_count=0,
        starts_at=new.starts_at,
        created_at=NOW,
        updated_at=NOW,
        resolved_at=None,
    )
    assert rows(database, "select id, incident_id, runbook_id, mode, status, attempt from runs") == [
        (receipt.run_id, receipt.incident_id, "RB_OOM", "auto", "queued", 0)
    ]
    [event] = await store.events(receipt.incident_id)
    assert event.payload == received().as_json()
    assert event.ts == NOW


async def test_a_repeat_while_a_run_is_active_is_suppressed_and_said_once_a_run(store: Store) -> None:
    first = await receive(store)
    later = NOW + timedelta(minutes=4)
    repeats = [await receive(store, now=later) for _ in range(3)]
    assert {each.disposition for each in repeats} == {Disposition.SUPPRESSED}
    assert {each.incident_id for each in repeats} == {first.incident_id}
    assert {each.run_id for each in repeats} == {None}
    joined = await incident(store, first.incident_id)
    assert (joined.suppressed_count, joined.updated_at) == (3, later)
    assert await types_of(store, first.incident_id) == [
        "webhook_received",
        "webhook_received",
        "suppressed",
        "webhook_received",
        "webhook_received",
    ]
    said = (await store.events(first.incident_id))[2]
    assert said.run_id == first.run_id
    assert said.payload == {"reason": "a run of this incident is active", "fingerprint": "d4f0a1b2c3e4f506"}


async def test_a_waiting_run_is_an_active_one(store: Store) -> None:
    run = await started(store)
    await finish(store, run, status=RunStatus.WAITING_APPROVAL)
    assert (await receive(store, now=NOW + HOUR)).disposition is Disposition.SUPPRESSED


@pytest.mark.parametrize(
    ("after", "disposition"),
    [
        pytest.param(timedelta(0), Disposition.JOINED, id="at once"),
        pytest.param(COOLDOWN, Disposition.JOINED, id="when the cool-down is just over"),
        pytest.param(COOLDOWN + timedelta(seconds=1), Disposition.REQUEUED, id="a second later"),
    ],
)
async def test_a_repeat_after_a_run_queues_a_new_one_once_the_cool_down_is_over(
    store: Store, after: timedelta, disposition: Disposition
) -> None:
    run = await started(store)
    await finish(store, run, now=NOW)
    receipt = await receive(store, now=NOW + after)
    assert receipt.incident_id == run.incident_id
    assert receipt.disposition is disposition
    assert (receipt.run_id is not None) == (disposition is Disposition.REQUEUED)


async def test_joining_takes_over_annotations_and_a_new_run_its_runbook_and_mode(store: Store) -> None:
    run = await started(store)
    await finish(store, run)
    changed = new_incident(
        annotations={"summary": "again"}, labels={"other": "labels"}, runbook_id="RB_CRASHLOOP", mode="recommend"
    )
    await receive(store, changed, now=NOW + timedelta(minutes=3))
    joined = await incident(store, run.incident_id)
    assert joined.annotations == {"summary": "again"}
    assert joined.labels == new_incident().labels
    assert (joined.runbook_id, joined.agent_mode) == ("RB_OOM", "auto")
    await receive(store, changed, now=NOW + HOUR)
    requeued = await incident(store, run.incident_id)
    assert (requeued.runbook_id, requeued.agent_mode) == ("RB_CRASHLOOP", "recommend")


async def test_a_muted_incident_notes_the_alert_and_queues_nothing(store: Store, database: str) -> None:
    run = await started(store)
    await finish(store, run)
    execute(database, "update incidents set status = 'suppressed'")
    receipt = await receive(store, now=NOW + HOUR)
    assert (receipt.disposition, receipt.run_id) == (Disposition.MUTED, None)
    assert receipt.incident_id == run.incident_id
    assert (await types_of(store, run.incident_id))[-1] == "webhook_received"


async def test_firing_after_the_resolved_notification_opens_a_new_incident(store: Store) -> None:
    run = await started(store)
    await finish(store, run)
    closed = await store.resolve(problem(), now=NOW + HOUR, by="alertmanager", reason="it came")
    assert closed == run.incident_id
    before = await incident(store, run.incident_id)
    assert (before.status, before.resolved_at) == (IncidentStatus.RESOLVED, NOW + HOUR)
    assert (await store.events(run.incident_id))[-1].payload == {"by": "alertmanager", "reason": "it came"}
    again = await receive(store, now=NOW + HOUR)
    assert again.disposition is Disposition.OPENED
    assert again.incident_id != run.incident_id
    assert again.run_id is not None


async def test_resolving_what_is_not_open_closes_nothing(store: Store) -> None:
    assert await store.resolve(problem(), now=NOW, by="alertmanager", reason="it came") is None


BEGAN = NOW - timedelta(minutes=5)


@pytest.mark.parametrize(
    ("starts_at", "disposition"),
    [
        pytest.param(BEGAN, Disposition.CLOSED_BY_PERSON, id="the same firing"),
        pytest.param(BEGAN - HOUR, Disposition.CLOSED_BY_PERSON, id="an earlier one"),
        pytest.param(None, Disposition.CLOSED_BY_PERSON, id="one that does not say when it began"),
        pytest.param(BEGAN + timedelta(microseconds=1), Disposition.OPENED, id="a later one"),
    ],
)
async def test_what_a_person_resolved_opens_again_only_for_a_later_firing(
    store: Store, starts_at: datetime | None, disposition: Disposition
) -> None:
    run = await started(store)
    await finish(store, run)
    await store.resolve(problem(), now=NOW, by="person", reason="known")
    receipt = await receive(store, new_incident(starts_at=starts_at), now=NOW + HOUR)
    assert receipt.disposition is disposition
    assert (receipt.incident_id == run.incident_id) == (disposition is Disposition.CLOSED_BY_PERSON)
    if disposition is Disposition.CLOSED_BY_PERSON:
        assert receipt.run_id is None
        assert (await incident(store, run.incident_id)).status is IncidentStatus.RESOLVED
        assert (await types_of(store, run.incident_id))[-1] == "webhook_received"


async def test_a_person_resolves_every_firing_that_had_joined(store: Store) -> None:
    await receive(store)
    joined = new_incident(starts_at=NOW + HOUR)
    await receive(store, joined, now=NOW + HOUR)
    await store.resolve(problem(), now=NOW + HOUR, by="person", reason="known")
    assert (await receive(store, joined, now=NOW + 2 * HOUR)).disposition is Disposition.CLOSED_BY_PERSON


async def test_who_resolved_is_one_of_three(store: Store) -> None:
    await receive(store)
    with pytest.raises(Exception, match="incidents_resolved_by_check"):
        await store.resolve(problem(), now=NOW, by="the weather", reason="rain")
    assert await store.resolve(problem(), now=NOW, by="person", reason="known") is not None


async def test_twenty_at_once_make_one_incident_and_one_run(database: str) -> None:
    async with Store.open(database, max_size=20) as store:
        receipts = await asyncio.gather(*(receive(store) for _ in range(20)))
        [opened] = [each for each in receipts if each.disposition is Disposition.OPENED]
        assert {each.incident_id for each in receipts} == {opened.incident_id}
        assert [each.run_id for each in receipts if each.run_id] == [opened.run_id]
        assert (await incident(store, opened.incident_id)).suppressed_count == 19
        assert (await types_of(store, opened.incident_id)).count("suppressed") == 1
    assert rows(database, "select count(*) from incidents") == [(1,)]
    assert rows(database, "select count(*) from runs") == [(1,)]


async def test_alerts_of_one_name_are_counted_by_incident(store: Store, database: str) -> None:
    await asyncio.gather(*(receive(store, new_incident(dedup_key=f"key-{n}")) for n in range(8)))
    await receive(store, new_incident(dedup_key="key-0"), now=NOW + HOUR)
    await receive(store, new_incident(dedup_key="key-9"), now=NOW + HOUR)
    counted = rows(database, "select origin, cluster, alertname, incidents, first_at, last_at from alert_counts")
    assert counted == [("live", "prod", "KubePodOOMKilled", 9, NOW, NOW + HOUR)]


async def test_clusters_have_incidents_of_their_own(store: Store) -> None:
    first = await receive(store)
    other = await receive(store, new_incident(cluster="staging"))
    assert other.disposition is Disposition.OPENED
    assert other.incident_id != first.incident_id


async def test_a_noted_alert_leaves_its_trace_on_the_open_incident_and_changes_nothing_else(store: Store) -> None:
    run = await started(store)
    await finish(store, run)
    before = await incident(store, run.incident_id)
    assert await store.note(problem(), received(), now=NOW + HOUR) == run.incident_id
    assert await incident(store, run.incident_id) == replace(before, updated_at=NOW + HOUR)
    last = (await store.events(run.incident_id))[-1]
    assert (last.event_type, last.ts, last.payload) == ("webhook_received", NOW + HOUR, received().as_json())


async def test_a_note_never_turns_updated_at_back(store: Store, database: str) -> None:
    run = await started(store)
    execute(database, f"update incidents set updated_at = '{NOW + HOUR}'")
    await store.note(problem(), received(), now=NOW)
    incident = await store.incident(run.incident_id)
    assert incident is not None
    assert incident.updated_at == NOW + HOUR
    assert await types_of(store, run.incident_id) == ["webhook_received", "webhook_received"]


async def test_an_alert_without_an_open_incident_is_noted_nowhere(store: Store, database: str) -> None:
    assert await store.note(problem(), received(), now=NOW) is None
    receipt = await receive(store)
    await store.resolve(problem(), now=NOW, by="alertmanager", reason="it came")
    assert await store.note(problem(), received(), now=NOW) is None
    assert await types_of(store, receipt.incident_id) == ["webhook_received", "resolved"]


async def test_an_incident_that_does_not_exist_is_none_and_has_no_events(store: Store) -> None:
    assert await store.incident(4711) is None
    assert await store.events(4711) == []
