"""What a run leaves as evidence: complete, without secrets, each object once, bounded, and never in the run's way."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from sre_agent.agent import Agent, load_runbooks
from sre_agent.alert import Alert, parse
from sre_agent.cluster.port import (
    ClusterError,
    Conflict,
    Forbidden,
    Refused,
    Resource,
    TooManyRequests,
    UnknownOutcome,
    Write,
)
from sre_agent.cluster.recording import from_objects, load
from sre_agent.cluster.snapshot import SnapshotCluster
from sre_agent.decision import decision, differences
from sre_agent.errors import BadInput, SreAgentError
from sre_agent.executor import Assignment, run_incident
from sre_agent.incident import Origin
from sre_agent.intake import Sender, receive
from sre_agent.objects import Object
from sre_agent.planner.scripted import ScriptedPlanner
from sre_agent.queue import InlineQueue
from sre_agent.replay import play
from sre_agent.replay_incident import part_of
from sre_agent.resources import data_path
from sre_agent.run import Mode, RunRecord, RunStatus
from sre_agent.settings import load as load_settings
from sre_agent.store import Store
from sre_agent.store.evidence import Sealed
from sre_agent.testimony import Watch, recall

EXAMPLE = data_path("examples") / "oom-killed"
RUNBOOKS = load_runbooks(load_settings({}))
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CANARY = "c4n4ry-d0-n0t-k33p"


class Faulty(SnapshotCluster):
    """A snapshot whose next real writes fail as told, and whose kinds named in `unreadable` cannot be listed."""

    def __init__(self, faults: Sequence[ClusterError] = (), unreadable: Sequence[Resource] = ()) -> None:
        super().__init__(load(EXAMPLE / "cluster.yaml"))
        self.faults = list(faults)
        self.unreadable = unreadable

    async def list(self, resource: Resource, *arguments: Any, **selectors: Any) -> list[Object]:
        if resource in self.unreadable:
            raise Forbidden(f"may not list {resource.plural}")
        return await super().list(resource, *arguments, **selectors)

    async def write(self, write: Write, *, dry_run: bool = False) -> Object:
        if self.faults and not dry_run:
            raise self.faults.pop(0)
        return await super().write(write, dry_run=dry_run)


class Ticking:
    """A clock that is a second later each time it is read."""

    def __init__(self, start: datetime) -> None:
        self.now = start

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


def alert_of(**changed: Any) -> Alert:
    return replace(parse((EXAMPLE / "payload.json").read_bytes(), source="test").alerts[0], **changed)


async def run_on(
    store: Store,
    cluster: SnapshotCluster | None = None,
    *,
    alert: Alert | None = None,
    scope: str | None = None,
    origin: Origin = Origin.REPLAY,
    **environment: str,
) -> RunRecord:
    alert, settings, queue = alert or alert_of(), load_settings({"HOME": "/", **environment}), InlineQueue()
    assert alert.starts_at is not None
    now, scope = alert.starts_at, scope or str(uuid4())
    (admission,) = await receive(
        [alert],
        sender=Sender(origin=origin, scope=scope, mode=Mode.AUTO),
        store=store,
        queue=queue,
        runbooks=RUNBOOKS,
        settings=settings,
        cluster=None,
        now=now,
    )
    run_id = queue.take()
    assert run_id is not None
    assert admission.incident_id is not None
    return await run_incident(
        Assignment(run_id=run_id, incident_id=admission.incident_id, alert=alert, scope=scope, mode=Mode.AUTO),
        store=store,
        cluster=cluster or Faulty(),
        planner=ScriptedPlanner(),
        runbooks=RUNBOOKS,
        settings=settings,
        clock=Ticking(now),
    )


async def played_again(store: Store, record: RunRecord) -> tuple[RunRecord, list[str]]:
    """The run once more on its evidence, and what is different."""
    kept = await store.evidence.newest(record.incident_id or 0)
    assert kept is not None
    settings = load_settings({"HOME": "/"})
    stored = recall(kept, settings)
    agent = Agent(store=store, planner=ScriptedPlanner(), runbooks=RUNBOOKS, settings=settings)
    (found,) = [result async for result in play(part_of(stored), agent, stored.cluster, str(uuid4()), stored.mode)]
    assert isinstance(found, RunRecord)
    now = decision(found, runbook_sha256=RUNBOOKS[found.runbook_id].sha256)
    return found, [entry.what for entry in differences(stored.decision, now)]


def rows(database: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database, autocommit=True) as connection:
        return connection.execute(statement.encode()).fetchall()


def everything_kept(database: str) -> str:
    """All text of the evidence tables, unpacked."""
    objects = [Sealed(sha256=key, body=body).open() for key, body in rows(database, "select * from evidence_objects")]
    records = rows(database, "select record::text, missing from evidence")
    return json.dumps([objects, records])


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


async def test_two_runs_that_read_the_same_objects_store_them_once(store: Store, database: str) -> None:
    await run_on(store)
    ((once,),) = rows(database, "select count(*) from evidence_objects")
    await run_on(store)
    assert rows(database, "select count(*) from evidence_objects") == [(once,)]
    assert rows(database, "select count(distinct evidence_id), count(*) from evidence_parts") == [(2, 2 * once)]
    assert once > 3


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
    watch = Watch(uuid4(), cluster=SnapshotCluster(from_objects(pods)), clock=lambda: now, limit=2**20)
    await watch.cluster.list(Resource.PODS)
    await watch.cluster.list(Resource.PODS, "shop")
    watch._limit = bound
    watch.clock()
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
    taken = watch.take_down(run, runbook_sha256="", settings=load_settings({"HOME": "/"}))
    assert len(taken.objects) == kept
    assert (taken.missing is None) is bool(kept)


async def test_with_a_bound_of_0_nothing_is_kept(store: Store, database: str) -> None:
    record = await run_on(store, SRE_AGENT_EVIDENCE_BYTES="0")
    assert record.status is RunStatus.SUCCEEDED
    assert rows(database, "select count(*) from evidence") == [(0,)]
    assert await store.evidence.newest(record.incident_id or 0) is None
    assert await store.evidence.runs_by_status(record.incident_id or 0) == {"succeeded": 1}


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


async def test_a_changed_object_is_told_and_not_replayed(store: Store, database: str) -> None:
    record = await run_on(store)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("update evidence_objects set body = %s", (Sealed.of({"kind": "Pod"}).body,))
    kept = await store.evidence.newest(record.incident_id or 0)
    assert kept is not None
    with pytest.raises(SreAgentError, match="was changed after it had been kept"):
        recall(kept, load_settings({"HOME": "/"}))


UNREADABLE = [
    pytest.param({"format": 2}, "format 2", id="another format"),
    pytest.param({"answers": [{}]}, "KeyError", id="answers of another shape"),
    pytest.param({"moments": ["yesterday"]}, "ValueError", id="no moment"),
    pytest.param({"settings": None}, "TypeError", id="no settings"),
    pytest.param({"actions": [7]}, "TypeError", id="an action of another shape"),
]


@pytest.mark.parametrize(("changed", "words"), UNREADABLE)
async def test_a_record_that_cannot_be_read_is_refused_in_words(
    store: Store, changed: dict[str, Any], words: str
) -> None:
    record = await run_on(store)
    kept = await store.evidence.newest(record.incident_id or 0)
    assert kept is not None
    with pytest.raises(BadInput, match=words) as refused:
        recall(replace(kept, record=kept.record | changed), load_settings({"HOME": "/"}))
    assert f"incident {record.incident_id}" in str(refused.value)


@pytest.mark.parametrize("body", [b"", b"nonsense", Sealed.of("x" * 100).body[:-3]])
def test_sealed_bytes_that_are_broken_are_refused(body: bytes) -> None:
    with pytest.raises(SreAgentError):
        Sealed(sha256=Sealed.of("x" * 100).sha256, body=body).open()


def test_equal_values_are_sealed_alike_whatever_the_order_of_their_keys() -> None:
    assert Sealed.of({"a": 1, "b": "é\ud800"}) == Sealed.of({"b": "é\ud800", "a": 1})
    assert Sealed.of({"a": ["é", None]}).open() == {"a": ["é", None]}
