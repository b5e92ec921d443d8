"""What intake makes of alerts of other clusters, of nodes that are not Ready, and of equal Prometheus servers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sre_agent.agent import load_runbooks
from sre_agent.alert import Alert, AlertStatus
from sre_agent.cluster.port import Cluster, Unavailable
from sre_agent.cluster.recording import from_objects
from sre_agent.cluster.snapshot import SnapshotCluster
from sre_agent.incident import IncidentStatus, Origin
from sre_agent.intake import Admission, Sender, receive
from sre_agent.queue import InlineQueue
from sre_agent.run import Mode
from sre_agent.settings import load as load_settings
from sre_agent.store import Store

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
NODE = {"alertname": "KubeNodeNotReady", "node": "worker-1"}
UNREACHABLE = {"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}


def alert(*, resolved: bool = False, **labels: str) -> Alert:
    given = labels or {"alertname": "KubePodOOMKilled", "namespace": "demo", "pod": "app", "container": "app"}
    return Alert(
        index=0,
        status=AlertStatus.RESOLVED if resolved else AlertStatus.FIRING,
        labels=given,
        annotations={},
        starts_at=NOW,
        ends_at=None,
        fingerprint="d4f0a1b2c3e4f506",
        generator_url="",
        group_key=None,
    )


def node(*, ready: str | None = "True", taints: tuple[dict[str, str], ...] = ()) -> Cluster:
    conditions = [] if ready is None else [{"type": "Ready", "status": ready}]
    found = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "worker-1"},
        "spec": {"taints": list(taints)},
        "status": {"conditions": conditions},
    }
    return SnapshotCluster(from_objects([found]))


class Away(SnapshotCluster):
    async def get(self, *arguments: Any) -> dict[str, Any]:
        raise Unavailable("connection refused")


async def admit(
    store: Store, *alerts: Alert, cluster: Cluster | None = None, now: datetime = NOW, **environment: str
) -> list[Admission]:
    return await receive(
        alerts,
        sender=Sender(origin=Origin.LIVE, scope="live", mode=Mode.RECOMMEND),
        store=store,
        queue=InlineQueue(),
        runbooks=load_runbooks(load_settings({})),
        settings=load_settings(environment),
        cluster=cluster,
        now=now,
    )


def of_cluster(cluster: str | None, found: Alert) -> Alert:
    return found if cluster is None else replace(found, labels=found.labels | {"cluster": cluster})


@pytest.mark.parametrize("ours", [pytest.param("east", id="ours is named"), pytest.param(None, id="ours is not named")])
async def test_the_alert_of_another_cluster_has_an_incident_of_its_own(store: Store, ours: str | None) -> None:
    environment = {"CLUSTER_NAME": ours} if ours else {}
    first, foreign, again = await admit(store, alert(), of_cluster("west", alert()), alert(), **environment)
    assert foreign.run_id is not None
    assert foreign.incident_id not in {None, first.incident_id}
    assert again.incident_id == first.incident_id
    assert foreign.incident_id is not None
    stored = await store.incident(foreign.incident_id)
    assert stored is not None
    assert stored.cluster == "west"
    assert (await store.events(foreign.incident_id))[0].payload["cluster"] == "west"


async def test_the_label_of_our_own_cluster_changes_nothing(store: Store) -> None:
    first, labelled = await admit(store, alert(), of_cluster("east", alert()), CLUSTER_NAME="east")
    assert labelled.incident_id == first.incident_id


async def test_a_foreign_resolved_notification_leaves_our_incident_open(store: Store) -> None:
    ours, foreign = await admit(store, alert(), of_cluster("west", alert(resolved=True)), CLUSTER_NAME="east")
    assert (foreign.incident_id, foreign.reason) == (None, "resolved: no incident is open for it")
    assert ours.incident_id is not None
    still = await store.incident(ours.incident_id)
    assert still is not None
    assert still.status is IncidentStatus.OPEN
    theirs, closed = await admit(
        store, of_cluster("west", alert()), of_cluster("west", alert(resolved=True)), CLUSTER_NAME="east"
    )
    assert closed.incident_id == theirs.incident_id


NOT_READY = [
    pytest.param(node(ready="False"), id="Ready is False"),
    pytest.param(node(ready="Unknown"), id="Ready is Unknown"),
    pytest.param(node(ready=None), id="there is no Ready condition"),
    pytest.param(node(taints=(UNREACHABLE,)), id="a stale Ready beside the unreachable taint"),
    pytest.param(Away(from_objects([])), id="the cluster does not answer"),
]


@pytest.mark.parametrize("cluster", NOT_READY)
async def test_a_resolved_notification_for_a_node_that_is_not_ready_leaves_its_trace(
    store: Store, cluster: Cluster
) -> None:
    (opened,) = await admit(store, alert(**NODE))
    later = NOW + timedelta(minutes=7)
    (kept,) = await admit(store, alert(resolved=True, **NODE), cluster=cluster, now=later)
    assert kept.incident_id == opened.incident_id
    assert kept.reason == f"resolved, but node worker-1 is not Ready: incident {opened.incident_id} stays open"
    assert opened.incident_id is not None
    incident = await store.incident(opened.incident_id)
    assert incident is not None
    assert (incident.status, incident.updated_at) == (IncidentStatus.OPEN, later)
    events = await store.events(opened.incident_id)
    assert [(event.event_type, event.ts) for event in events] == [
        ("webhook_received", NOW),
        ("webhook_received", later),
    ]


async def test_without_an_open_incident_nothing_is_said_to_stay_open(store: Store) -> None:
    (kept,) = await admit(store, alert(resolved=True, **NODE), cluster=node(ready="False"))
    assert kept.incident_id is None
    assert kept.reason == "resolved, but node worker-1 is not Ready: no incident is open for it"


@pytest.mark.parametrize(
    ("labels", "cluster"),
    [
        pytest.param(NODE, node(), id="the node is Ready"),
        pytest.param(NODE, SnapshotCluster(from_objects([])), id="the node is gone"),
        pytest.param(NODE, None, id="there is no cluster to ask"),
        pytest.param(NODE | {"cluster": "west"}, node(ready="False"), id="the node is another cluster's"),
        pytest.param(
            {"alertname": "KubePodOOMKilled", "namespace": "demo", "pod": "app", "node": "worker-1"},
            node(ready="False"),
            id="the alert is about a pod there",
        ),
    ],
)
async def test_other_resolved_notifications_close_the_incident(
    store: Store, labels: dict[str, str], cluster: Cluster | None
) -> None:
    (opened,) = await admit(store, alert(**labels), CLUSTER_NAME="east")
    (closed,) = await admit(store, alert(resolved=True, **labels), cluster=cluster, CLUSTER_NAME="east")
    assert closed.incident_id == opened.incident_id
    assert closed.reason == f"resolved: incident {opened.incident_id} closed"


@pytest.mark.parametrize("label", ["replica", "__replica__", "prometheus_replica"])
async def test_two_equal_prometheus_servers_open_one_incident(store: Store, label: str) -> None:
    labels = {"alertname": "TargetDown", "job": "api"}
    one, other = await admit(store, alert(**labels, **{label: "a"}), alert(**labels, **{label: "b"}))
    assert other.incident_id == one.incident_id


async def test_a_secret_in_a_label_is_not_repeated_in_the_reason(store: Store) -> None:
    labels = {"alertname": "KubePodOOMKilled", "namespace": "demo", "pod": "Bearer AKIAIOSFODNN7EXAMPLE"}
    (opened,) = await admit(store, alert(**labels))
    assert "AKIA" not in opened.reason
