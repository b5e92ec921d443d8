"""A run where there is no cluster: it routes, asks nothing, tells a person, and is written up and kept."""

import pytest

from sre_agent.alert import Alert
from sre_agent.cluster.absent import AbsentCluster
from sre_agent.cluster.port import Cluster, Resource, Unavailable, Write, WriteVerb
from sre_agent.incident import Origin
from sre_agent.run import RunRecord, RunStatus, StepStatus
from sre_agent.store import Store
from tests.executor.evidence_builders import alert_of, played_again, run_on

LOOKED_FOR = "neither a kubeconfig nor a pod's ServiceAccount is there"
WHY = f"no cluster: {LOOKED_FOR}"


async def without_cluster(store: Store, alert: Alert | None = None) -> RunRecord:
    return await run_on(store, AbsentCluster(LOOKED_FOR), alert=alert, origin=Origin.LIVE, scope="live")


async def test_every_step_is_refused_and_a_person_is_told_once(store: Store) -> None:
    record = await without_cluster(store)
    assert (record.runbook_id, record.status, record.escalation) == ("RB_OOM", RunStatus.ESCALATED, WHY)
    assert record.steps
    assert {(step.status, step.reason) for step in record.steps} == {(StepStatus.REFUSED, WHY)}
    assert (record.action_taken, record.action_recommended, record.action_error) == (None, None, None)
    assert (record.barred, record.retry_at, record.writes) == (False, None, ())
    events = [str(event.event_type) for event in await store.events(record.incident_id or 0)]
    assert events == ["webhook_received", *["step"] * len(record.steps), "escalated", "final", "analysis"]


async def test_the_reason_says_what_would_make_it_otherwise(store: Store) -> None:
    record = await without_cluster(store)
    (judgement,) = record.steps[0].judgements
    assert judgement.allowed_by == "a cluster: a context of a kubeconfig (KUBECONFIG), or a pod's ServiceAccount"


async def test_the_analysis_is_written_and_says_why_nothing_was_done(store: Store) -> None:
    record = await without_cluster(store)
    assert record.analysis_markdown is not None
    assert "no cluster" in record.analysis_markdown
    incident = await store.incident(record.incident_id or 0)
    assert incident is not None
    assert incident.summary == f"RB_OOM: nothing done; {WHY}"


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param({"alertname": "Whatever", "namespace": "shop", "pod": "cart-1"}, id="no runbook fits"),
        pytest.param({"alertname": "Whatever"}, id="nothing could be bound anyway"),
        pytest.param({"alertname": "KubeNodeNotReady", "node": "worker-1"}, id="a node"),
    ],
)
async def test_whatever_the_alert_a_person_is_told(store: Store, labels: dict[str, str]) -> None:
    record = await without_cluster(store, alert_of(labels=labels))
    assert (record.status, record.escalation) == (RunStatus.ESCALATED, WHY)


async def test_it_is_played_again_without_a_cluster_too(store: Store) -> None:
    again, different = await played_again(store, await without_cluster(store))
    assert (different, again.status) == ([], RunStatus.ESCALATED)


async def test_every_question_is_refused_with_what_was_looked_for() -> None:
    cluster: Cluster = AbsentCluster(LOOKED_FOR)
    write = Write(verb=WriteVerb.DELETE, resource=Resource.PODS, namespace="shop", name="cart-1", body={})
    for question in (
        cluster.get(Resource.NODES, None, "worker-1"),
        cluster.list(Resource.PODS),
        cluster.pod_logs("shop", "cart-1", "app"),
        cluster.write(write),
        cluster.emit_event({}),
    ):
        with pytest.raises(Unavailable, match=WHY):
            await question
    assert cluster.recorded is False
    await cluster.close()
