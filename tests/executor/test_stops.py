"""A run that is stopped from outside: by the ConfigMap, by a silence, by an Alertmanager that nobody can ask."""

import json
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web

from sre_agent import leave
from sre_agent.alert import parse
from sre_agent.cluster.port import ClusterError, Conflict, Forbidden, Resource, Unavailable, Write
from sre_agent.cluster.recording import from_objects, load, newest_time
from sre_agent.cluster.snapshot import SnapshotCluster
from sre_agent.objects import Object
from sre_agent.resources import data_path
from sre_agent.run import RunRecord, RunStatus, StepStatus
from sre_agent.store import Store
from tests.alertmanager.answering import answering, body
from tests.executor.evidence_builders import EXAMPLE, alert_of, play_once, played_again, run_on

SWITCH: Object = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "sre-agent-stop", "namespace": "agentic"},
}
SILENCED = {"state": "suppressed", "silencedBy": ["s1"], "inhibitedBy": []}


class Stopped(SnapshotCluster):
    """The cluster of the example with a stop switch that may be unreadable; `live` says that it can heal."""

    def __init__(self, switch: Object | None = None, fault: ClusterError | None = None, *, live: bool = False) -> None:
        objects = load(EXAMPLE / "cluster.yaml").objects
        super().__init__(from_objects([*objects, *([switch] if switch else [])]))
        self.fault = fault
        self.live = live
        self.thrown: Object | None = None
        self.sent: list[Write] = []

    @property
    def recorded(self) -> bool:
        return not self.live

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        if resource is Resource.CONFIG_MAPS and self.fault is not None:
            raise self.fault
        if resource is Resource.CONFIG_MAPS and self.thrown is not None:
            return self.thrown
        return await super().get(resource, namespace, name)

    async def write(self, write: Write, *, dry_run: bool = False) -> Object:
        self.sent.append(write)
        return await super().write(write, dry_run=dry_run)


def rules(record: RunRecord) -> list[str]:
    return [judgement.rule for step in record.steps for judgement in step.judgements]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({}, id="without data"),
        pytest.param({"data": {"stop": "true"}}, id="that says true"),
        pytest.param({"data": {"reason": "migration"}}, id="with a reason"),
        pytest.param({"data": {"stop": "no"}}, id="that says anything but false"),
        pytest.param({"data": "broken"}, id="whose data is no mapping"),
    ],
)
async def test_a_stop_switch_refuses_the_change_and_nothing_is_sent(store: Store, data: dict[str, Any]) -> None:
    cluster = Stopped(SWITCH | data)
    record = await run_on(store, cluster)
    assert (record.status, rules(record), cluster.sent) == (RunStatus.SUCCEEDED, ["stop-switch"], [])
    assert (record.retry_at is not None, record.action_taken, record.action_recommended) == (True, None, None)
    assert (await played_again(store, record))[1] == []


async def test_a_switch_that_is_thrown_after_the_dry_run_keeps_the_write_back(store: Store) -> None:
    class Late(Stopped):
        async def write(self, write: Write, *, dry_run: bool = False) -> Object:
            answer = await super().write(write, dry_run=dry_run)
            self.thrown = SWITCH
            return answer

    cluster = Late()
    record = await run_on(store, cluster)
    assert (rules(record), len(cluster.sent), record.writes) == (["stop-switch"], 1, ())
    assert (record.status, record.retry_at is not None) == (RunStatus.SUCCEEDED, True)
    assert (await played_again(store, record))[1] == []


async def test_a_switch_that_is_thrown_in_a_drain_ends_the_evictions(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Drained(SnapshotCluster):
        evicted = 0

        async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
            if resource is Resource.CONFIG_MAPS and self.evicted:
                return SWITCH
            return await super().get(resource, namespace, name)

        async def write(self, write: Write, *, dry_run: bool = False) -> Object:
            self.evicted += write.subresource == "eviction"
            return await super().write(write, dry_run=dry_run)

    monkeypatch.setattr(leave, "SWITCH_SECONDS", 0.0)
    example = data_path("examples") / "node-not-ready"
    recording = load(example / "cluster")
    cluster = Drained(recording)
    alert = parse((example / "payload.json").read_bytes(), source="test").alerts[0]
    record = await run_on(store, cluster, alert=alert, scope="drained", now=newest_time(recording))
    drained = record.steps[-1]
    assert drained.change is not None
    assert len(drained.change.writes) > 1
    assert cluster.evicted == 1
    assert "stops the agent" in str((drained.result or {})["left"])
    assert (drained.status, record.status) == (StepStatus.DONE, RunStatus.SUCCEEDED)
    assert str(record.action_taken).endswith("drain_node:worker-3:evicted=1,left=6")
    assert (rules(record), record.retry_at) == (["stop-switch"], drained.judgements[0].retry_at)
    assert record.retry_at is not None
    drain, _cordon = await store.past_actions(
        scope="drained",
        cluster="unknown",
        target_key=drained.change.target.key,
        since=record.retry_at - timedelta(days=1),
    )
    assert record.retry_at >= drain.intended_at + timedelta(minutes=30), "the drain's own cool-down is over then"


async def test_a_switch_that_says_false_and_one_elsewhere_stop_nothing(store: Store) -> None:
    released = SWITCH | {"data": {"stop": "false"}}
    elsewhere = SWITCH | {"metadata": {"name": "sre-agent-stop", "namespace": "shop"}}
    for switch in (released, elsewhere):
        record = await run_on(store, Stopped(switch))
        assert (record.status, len(record.writes)) == (RunStatus.SUCCEEDED, 1)


async def test_the_switch_is_looked_for_in_the_agents_own_namespace(store: Store) -> None:
    moved = SWITCH | {"metadata": {"name": "sre-agent-stop", "namespace": "ops"}}
    record = await run_on(store, Stopped(moved), SRE_AGENT_NAMESPACE="ops")
    assert rules(record) == ["stop-switch"]


@pytest.mark.parametrize(
    ("fault", "passes"),
    [
        pytest.param(Forbidden("may not get configmaps"), False, id="forbidden"),
        pytest.param(Unavailable("no answer"), True, id="unreachable"),
    ],
)
async def test_a_switch_that_cannot_be_read_counts_as_thrown(store: Store, fault: ClusterError, passes: bool) -> None:
    cluster = Stopped(fault=fault)
    record = await run_on(store, cluster)
    assert (record.status, rules(record), cluster.sent) == (RunStatus.ESCALATED, ["stop-switch"], [])
    assert str(fault) in (record.steps[-1].reason or "")
    assert (record.retry_at is not None) is passes
    again, different = await played_again(store, record)
    assert (different, rules(again)) == ([], ["stop-switch"])


async def test_a_switch_thrown_while_a_change_is_judged_again_is_seen(store: Store) -> None:
    class Rival(Stopped):
        async def write(self, write: Write, *, dry_run: bool = False) -> Object:
            if dry_run:
                return await SnapshotCluster.write(self, write, dry_run=True)
            self.sent.append(write)
            self.fault = Forbidden("somebody took the right away")
            raise Conflict("somebody else was first")

    cluster = Rival()
    record = await run_on(store, cluster)
    assert (rules(record), len(cluster.sent), record.writes) == (["stop-switch"], 1, ())


async def test_evidence_from_before_there_was_a_switch_knows_of_none(store: Store) -> None:
    record = await run_on(store, Stopped())
    kept = await store.evidence.newest(record.incident_id or 0)
    assert kept is not None
    answers = [entry for entry in kept.record["answers"] if entry["question"]["resource"] != "configmaps"]
    assert len(answers) == len(kept.record["answers"]) - 1
    del kept.record["standing"]
    kept.record["answers"] = answers
    again, different = await play_once(store, kept)
    assert (different, again.status, len(again.writes)) == ([], RunStatus.SUCCEEDED, 1)


def entry(status: dict[str, Any]) -> dict[str, Any]:
    return {"labels": alert_of().labels, "status": status}


async def test_a_silenced_alert_changes_nothing_and_wakes_nobody_and_replays_without_asking(store: Store) -> None:
    cluster, asked = Stopped(live=True), list[web.Request]()
    async with answering(body([entry(SILENCED)], asked=asked)) as url:
        record = await run_on(store, cluster, SRE_AGENT_ALERTMANAGER_URL=url)
        again, different = await played_again(store, record)
    assert (record.status, rules(record), cluster.sent) == (RunStatus.SUCCEEDED, ["alertmanager"], [])
    assert (len(asked), different, rules(again)) == (1, [], ["alertmanager"])


async def test_an_alert_that_is_active_is_acted_upon_however_old_it_is(store: Store) -> None:
    began = alert_of().starts_at
    assert began is not None
    old = alert_of(starts_at=began - timedelta(days=9))
    async with answering(body([entry({"state": "active"})])) as url:
        asking = await run_on(store, Stopped(live=True), alert=old, now=began, SRE_AGENT_ALERTMANAGER_URL=url)
    without = await run_on(store, Stopped(live=True), alert=old, now=began)
    assert [step.status for step in asking.steps][-1:] == [StepStatus.DONE]
    assert rules(without) == ["old-alert"]
    assert (await played_again(store, asking))[1] == []


async def test_an_alertmanager_that_does_not_answer_refuses_and_is_asked_again_later(store: Store) -> None:
    cluster = Stopped(live=True)
    async with answering(body({"error": "busy"}, 503)) as url:
        record = await run_on(store, cluster, SRE_AGENT_ALERTMANAGER_URL=url)
    assert (record.status, rules(record), cluster.sent) == (RunStatus.ESCALATED, ["alertmanager"], [])
    assert record.retry_at is not None


async def test_a_recording_is_never_asked_about(store: Store) -> None:
    asked: list[web.Request] = []
    async with answering(body([], asked=asked)) as url:
        record = await run_on(store, Stopped(), SRE_AGENT_ALERTMANAGER_URL=url)
    assert (asked, record.status, len(record.writes)) == ([], RunStatus.SUCCEEDED, 1)


async def test_neither_address_nor_password_is_kept_with_the_evidence(store: Store) -> None:
    async with answering(body([entry(SILENCED)])) as url:
        record = await run_on(
            store,
            Stopped(live=True),
            SRE_AGENT_ALERTMANAGER_URL=f"{url}/am",
            SRE_AGENT_ALERTMANAGER_USER="ada",
            SRE_AGENT_ALERTMANAGER_TOKEN="pa55w0rd-of-ada",
        )
    kept = await store.evidence.newest(record.incident_id or 0)
    assert kept is not None
    assert kept.record["standing"] == {"state": "silenced", "detail": "s1"}
    assert [word for word in ("/am", "ada", "pa55w0rd") if word in json.dumps(kept.record)] == []
