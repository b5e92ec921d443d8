"""What a run leaves as evidence: complete, without secrets, each object once, bounded, and never in the run's way."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from sre_agent.cluster.port import (
    Conflict,
    Refused,
    Resource,
    TooManyRequests,
    UnknownOutcome,
    Write,
    WriteVerb,
)
from sre_agent.cluster.recording import from_objects, load
from sre_agent.cluster.snapshot import SnapshotCluster
from sre_agent.incident import Origin
from sre_agent.kept_evidence import RunRecorder, read_back
from sre_agent.objects import Object
from sre_agent.run import Mode, RunRecord, RunStatus
from sre_agent.settings import load as load_settings
from sre_agent.store import Store
from sre_agent.store.evidence import KeptEvidence, Sealed
from tests.executor.evidence_builders import (
    CANARY,
    EPOCH,
    EXAMPLE,
    Faulty,
    alert_of,
    play_once,
    played_again,
    rows,
    run_on,
)


def everything_kept(database: str) -> str:
    """All text of the evidence tables, unpacked."""
    objects = [Sealed(sha256=key, body=body).open() for key, body in rows(database, "select * from evidence_objects")]
    records = rows(database, "select record::text, missing from evidence")
    return json.dumps([objects, records])


def pods_label(kept: KeptEvidence) -> str:
    """The label `token` of the only pod as it is kept."""
    (pod,) = (sealed.open() for sealed in kept.objects)
    label: str = pod["metadata"]["labels"]["token"]
    return label


FAULTS = [
    pytest.param({}, RunStatus.SUCCEEDED, id="nothing"),
    pytest.param({"faults": [Refused("exceeded quota: mem")]}, RunStatus.FAILED, id="a refused write"),
    pytest.param({"faults": [UnknownOutcome("reset")]}, RunStatus.ESCALATED, id="a write without an answer"),
    pytest.param(
        {"faults": [TooManyRequests("busy", budget="pdb", retry_after=7)]}, RunStatus.FAILED, id="a busy server"
    ),
    pytest.param({"faults": [Conflict("resourceVersion")]}, RunStatus.SUCCEEDED, id="a conflict"),
    pytest.param({"unreadable": [Resource.RESOURCE_QUOTAS]}, RunStatus.ESCALATED, id="quotas that cannot be read"),
    pytest.param({"unreadable": [Resource.PODS]}, RunStatus.FAILED, id="pods that cannot be read"),
]


@pytest.mark.parametrize(("faults", "status"), FAULTS)
async def test_a_run_is_played_again_with_all_that_went_wrong(
    store: Store, faults: dict[str, Any], status: RunStatus
) -> None:
    record = await run_on(store, Faulty(**faults))
    assert record.status is status
    again, different = await played_again(store, record)
    assert different == []
    assert again.status is status
    assert len(again.writes) == len(record.writes)


async def test_a_cool_down_of_then_still_holds(store: Store) -> None:
    scope = str(uuid4())
    await run_on(store, scope=scope)
    other = alert_of(labels=alert_of().labels | {"alertname": "PodOOMKilled"})
    held = await run_on(store, alert=other, scope=scope)
    assert [judgement.rule for judgement in held.steps[-1].judgements] == ["cooldown"]
    again, different = await played_again(store, held)
    assert different == []
    assert again.retry_at == held.retry_at
    assert (await played_again(store, again))[1] == []


async def test_what_was_done_to_another_target_is_unknown_and_nothing_is_done_to_it(store: Store) -> None:
    kept = await store.evidence.newest((await run_on(store)).incident_id or 0)
    assert kept is not None
    assert list(kept.record["past"]) == ["Deployment/shop/checkout"]
    elsewhere: dict[str, list[Any]] = {"Deployment/shop/other": []}
    again, _ = await play_once(store, replace(kept, record=kept.record | {"past": elsewhere}))
    assert again.status is RunStatus.FAILED
    assert again.writes == ()
    assert "does not say what had been done to Deployment/shop/checkout" in (again.steps[-1].reason or "")
    copied = await store.evidence.newest(again.incident_id or 0)
    assert copied is not None
    assert copied.record["past"] == {}


async def test_the_last_run_with_evidence_is_told_from_later_ones_without(store: Store) -> None:
    record = await run_on(store, scope="live", origin=Origin.LIVE)
    kept = await store.evidence.newest(record.incident_id or 0)
    assert kept is not None
    assert kept.later_runs == 0
    moment = datetime(2026, 3, 17, 16, tzinfo=UTC)
    lost = await run_on(store, scope="live", origin=Origin.LIVE, now=moment, SRE_AGENT_EVIDENCE_BYTES="0")
    kept = await store.evidence.newest(lost.incident_id or 0)
    assert kept is not None
    assert (lost.incident_id, lost.run_id != record.run_id) == (record.incident_id, True)
    assert (str(kept.run_id), kept.later_runs) == (record.run_id, 1)


async def test_a_live_incident_that_is_replayed_stays_as_it_is(store: Store) -> None:
    record = await run_on(store, origin=Origin.LIVE, scope="live")
    assert record.incident_id is not None
    assert record.target is not None
    where: dict[str, Any] = {"scope": "live", "cluster": "unknown", "target_key": record.target.key, "since": EPOCH}
    before = await store.incident(record.incident_id), await store.past_actions(**where)
    events = await store.events(record.incident_id)
    again, different = await played_again(store, record)
    assert different == []
    assert (await store.incident(record.incident_id), await store.past_actions(**where)) == before
    assert await store.events(record.incident_id) == events
    copy = await store.incident(again.incident_id or 0)
    assert copy is not None
    assert (copy.origin, copy.id) == (Origin.REPLAY, again.incident_id) != (Origin.REPLAY, record.incident_id)


async def test_secrets_do_not_reach_the_evidence(store: Store, database: str) -> None:
    recording = load(EXAMPLE / "cluster.yaml")
    told = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "told", "namespace": "shop"},
        "involvedObject": {"kind": "Pod", "name": alert_of().labels["pod"], "namespace": "shop"},
        "message": f"connecting with password={CANARY} failed",
    }
    for obj in recording.objects:
        metadata = obj["metadata"]
        metadata.setdefault("annotations", {})["kubectl.kubernetes.io/last-applied-configuration"] = CANARY
        metadata["annotations"]["vault-token"] = CANARY
        for spec in (obj.get("spec") or {}, ((obj.get("spec") or {}).get("template") or {}).get("spec") or {}):
            for container in spec.get("containers") or ():
                container["env"] = [{"name": "GREETING", "value": CANARY}]
                container["args"] = ["--db-password", CANARY]
    cluster = SnapshotCluster(replace(recording, objects=(*recording.objects, told)))
    alert = alert_of(annotations={"description": f"postgres://sre:{CANARY}@db/sre"}, generator_url=f"?token={CANARY}")
    record = await run_on(
        store, cluster, alert=alert, DATABASE_URL=f"postgresql://u:{CANARY}@h/d", OPENAI_API_KEY=CANARY
    )
    assert record.status is RunStatus.SUCCEEDED
    text = everything_kept(database)
    assert "[redacted:env:" in text
    assert CANARY not in text
    assert (await played_again(store, record))[1] == []
    assert CANARY not in everything_kept(database)


async def test_a_selector_that_looks_like_a_secret_finds_its_objects_again(store: Store, database: str) -> None:
    pods = [{"kind": "Pod", "metadata": {"name": "a", "namespace": "shop", "labels": {"token": CANARY}}}]
    watched = RunRecorder(uuid4(), cluster=SnapshotCluster(from_objects(pods)), clock=lambda: EPOCH, limit=2**20)
    watched.clock()
    await watched.cluster.list(Resource.PODS, "shop", labels={"token": CANARY})
    record = await run_on(store)
    taken = watched.evidence(record, runbook_sha256="", settings=load_settings({"HOME": "/"}))
    assert CANARY not in json.dumps([taken.record, [sealed.open() for sealed in taken.objects]])
    cluster = read_back(taken, load_settings({"HOME": "/"})).cluster
    (found,) = await cluster.list(Resource.PODS, "shop", labels={"token": pods_label(taken)})
    assert found["metadata"]["name"] == "a"


async def test_logs_errors_and_rejected_writes_leave_no_secret(store: Store) -> None:
    class Leaking(Faulty):
        async def pod_logs(self, *_place: str, **_which: Any) -> str:
            return f"login with token={CANARY}\n"

        async def write(self, write: Write, *, dry_run: bool = False) -> Object:
            raise Refused(f"denied: password={CANARY}")

    recorder = RunRecorder(uuid4(), cluster=Leaking(unreadable=[Resource.JOBS]), clock=lambda: EPOCH, limit=2**20)
    recorder.clock()
    assert CANARY in await recorder.cluster.pod_logs("shop", "a", "app")
    body = {"spec": {"containers": [{"name": "app", "env": [{"name": "GREETING", "value": CANARY}]}]}}
    with pytest.raises(Refused):
        await recorder.cluster.write(
            Write(verb=WriteVerb.PATCH, resource=Resource.PODS, namespace="shop", name="a", body=body)
        )
    taken = recorder.evidence(await run_on(store), runbook_sha256="", settings=load_settings({"HOME": "/"}))
    kept = json.dumps([taken.record, [sealed.open() for sealed in taken.objects]])
    assert CANARY not in kept
    assert kept.count("[redacted:") == 3


async def test_a_question_that_is_asked_again_and_again_is_kept_once(store: Store) -> None:
    kept = await store.evidence.newest((await run_on(store)).incident_id or 0)
    assert kept is not None
    questions = [json.dumps(answer["question"], sort_keys=True) for answer in kept.record["answers"]]
    assert len(questions) == len(set(questions))
    assert max(answer.get("times", 1) for answer in kept.record["answers"]) > 1


async def test_two_runs_that_read_the_same_objects_store_them_once(store: Store, database: str) -> None:
    await run_on(store)
    ((once,),) = rows(database, "select count(*) from evidence_objects")
    await run_on(store)
    assert rows(database, "select count(*) from evidence_objects") == [(once,)]
    assert rows(database, "select count(distinct evidence_id), count(*) from evidence_parts") == [(2, 2 * once)]
    assert once > 3


async def test_sixteen_runs_at_once_keep_the_same_objects_while_others_are_swept(database: str) -> None:
    async with Store.open(database, max_size=18) as store:
        alerts = [alert_of(labels=alert_of().labels | {"place": str(place)}) for place in range(16)]
        *records, _ = await asyncio.gather(*(run_on(store, alert=alert) for alert in alerts), sweep_often(store))
        for record in records:
            assert record is not None
            assert (await played_again(store, record))[1] == []


async def sweep_often(store: Store) -> None:
    for _ in range(50):
        await store.evidence.sweep()


@pytest.mark.parametrize("limit", [300, 2048, 4096])
async def test_the_bound_is_kept_and_what_is_missing_is_said(store: Store, database: str, limit: int) -> None:
    record = await run_on(store, SRE_AGENT_EVIDENCE_BYTES=str(limit))
    ((total, missing),) = rows(database, "select bytes, missing from evidence")
    ((stored,),) = rows(database, "select coalesce(sum(octet_length(body)), 0) from evidence_objects")
    assert total == stored <= limit
    assert "not kept" in missing
    assert any(missing in note for note in record.notes)
    assert record.status is RunStatus.SUCCEEDED
    again, _ = await played_again(store, record)
    assert again.writes == ()


@pytest.mark.parametrize(("bound", "kept"), [(2**20, 200), (4096, 0)])
async def test_many_objects_are_kept_all_or_not_at_all(bound: int, kept: int) -> None:
    pods = [
        {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": f"p{n}", "namespace": "shop", "uid": str(uuid4())}}
        for n in range(200)
    ]
    now = datetime(2026, 1, 1, tzinfo=UTC)
    recorder = RunRecorder(uuid4(), cluster=SnapshotCluster(from_objects(pods)), clock=lambda: now, limit=2**20)
    await recorder.cluster.list(Resource.PODS)
    await recorder.cluster.list(Resource.PODS, "shop")
    recorder._limit = bound
    recorder.clock()
    run = RunRecord(
        incident_id=1,
        run_id=None,
        alert=alert_of(),
        target=None,
        runbook_id="RB_OOM",
        route_reason="",
        mode=Mode.AUTO,
        status=RunStatus.SUCCEEDED,
        steps=(),
    )
    taken = recorder.evidence(run, runbook_sha256="", settings=load_settings({"HOME": "/"}))
    assert len(taken.objects) == kept
    assert (taken.missing is None) is bool(kept)


async def test_with_a_bound_of_0_nothing_is_kept(store: Store, database: str) -> None:
    record = await run_on(store, SRE_AGENT_EVIDENCE_BYTES="0")
    assert record.status is RunStatus.SUCCEEDED
    assert rows(database, "select count(*) from evidence") == [(0,)]
    assert await store.evidence.newest(record.incident_id or 0) is None
    assert await store.evidence.runs_by_status(record.incident_id or 0) == {"succeeded": 1}


async def test_everything_else_waits_for_the_disk(database: str) -> None:
    async with Store.open(database, max_size=1) as store:
        await run_on(store)
        async with store.evidence.database.connection() as connection:
            shown = await (await connection.execute("show synchronous_commit")).fetchone()
    assert shown == {"synchronous_commit": "on"}


async def test_evidence_that_cannot_be_kept_fails_no_run(
    store: Store, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("alter table evidence add check (bytes < 0)")
    record = await run_on(store)
    assert record.status is RunStatus.SUCCEEDED
    assert record.action_taken is not None
    assert "evidence.not_kept" in caplog.text
    assert "final" in [str(event.event_type) for event in await store.events(record.incident_id or 0)]


async def test_evidence_goes_with_its_run_and_the_sweep_takes_what_nobody_refers_to(
    store: Store, database: str
) -> None:
    record = await run_on(store)
    other = await run_on(store, SRE_AGENT_EVIDENCE_BYTES="2048")
    assert await store.evidence.sweep() == 0
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("delete from actions where incident_id = %s", (record.incident_id,))
        connection.execute("set session_replication_role = replica")
        connection.execute("delete from incident_events where incident_id = %s", (record.incident_id,))
        connection.execute("set session_replication_role = origin")
        connection.execute("delete from runs where incident_id = %s", (record.incident_id,))
    assert await store.evidence.newest(record.incident_id or 0) is None
    assert await store.evidence.sweep() > 0
    assert await store.evidence.newest(other.incident_id or 0) is not None
    assert rows(database, "select count(distinct sha256) from evidence_parts") == rows(
        database, "select count(*) from evidence_objects"
    )
