"""Incidents of nodes whose alert is over: closed once the node is seen Ready, by one of those who see it."""

import asyncio
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from sre_agent.agent import load_runbooks
from sre_agent.alert import parse
from sre_agent.cluster.absent import AbsentCluster
from sre_agent.cluster.port import Cluster, ClusterError, Forbidden, Resource
from sre_agent.cluster.recording import from_objects
from sre_agent.cluster.snapshot import SnapshotCluster
from sre_agent.incident import IncidentStatus, Origin
from sre_agent.intake import Sender
from sre_agent.objects import Object
from sre_agent.reception import Reception
from sre_agent.recovery import FEW, resolve_recovered
from sre_agent.run import Mode
from sre_agent.settings import load
from sre_agent.store import Disposition, NewIncident, Store
from tests.store.store_builders import NOW, execute, new_incident, problem, receive, received, rows, types_of
from tests.unit.guard_cases import node, tainted

MINUTE = timedelta(minutes=1)
UNREACHABLE = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}
CAME = "the resolved notification came"


class Counted(SnapshotCluster):
    """A snapshot that counts what it is asked, and fails as told."""

    def __init__(self, nodes: Sequence[Object], fault: ClusterError | None = None) -> None:
        super().__init__(from_objects([{"apiVersion": "v1", **entry} for entry in nodes]))
        self.asked: list[str] = []
        self.fault = fault

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        self.asked.append(f"get {name}")
        if self.fault is not None:
            raise self.fault
        return await super().get(resource, namespace, name)

    async def list(self, resource: Resource, *arguments: Any, **selectors: Any) -> list[Object]:
        self.asked.append("list")
        return await super().list(resource, *arguments, **selectors)


def of_node(name: str = "worker-1", **changed: Any) -> NewIncident:
    values = {"alertname": "KubeNodeNotReady", "namespace": None, "pod": None, "container": None, "node": name}
    return new_incident(**{**values, "dedup_key": f"KubeNodeNotReady:{name}", **changed})


async def over(store: Store, new: NewIncident | None = None) -> int:
    """An open incident whose alert is over."""
    new = new or of_node()
    receipt = await receive(store, new)
    assert await store.note(new.problem, received(), now=NOW + MINUTE) == receipt.incident_id
    return receipt.incident_id


async def closed_by(store: Store, cluster: Cluster, **environment: str) -> list[int]:
    settings = load({"HOME": "/", "CLUSTER_NAME": "prod", **environment})
    return await resolve_recovered(store, cluster, settings=settings, now=NOW + 2 * MINUTE)


async def status_of(store: Store, incident_id: int) -> IncidentStatus:
    incident = await store.incident(incident_id)
    assert incident is not None
    return incident.status


@pytest.mark.parametrize(
    ("cluster", "reason"),
    [
        pytest.param(Counted([node("worker-1")]), f"{CAME}, and node worker-1 is Ready", id="Ready"),
        pytest.param(
            Counted([node("worker-1", unschedulable=True)]), f"{CAME}, and node worker-1 is Ready", id="Ready, cordoned"
        ),
        pytest.param(Counted([node("worker-2")]), f"{CAME}, and there is no node worker-1 any more", id="gone"),
        pytest.param(
            AbsentCluster("none"), f"{CAME}, and there is no cluster in which to look", id="no cluster to look at"
        ),
    ],
)
async def test_the_incident_is_closed_by_alertmanager_with_the_reason(
    store: Store, cluster: Cluster, reason: str
) -> None:
    incident_id = await over(store)
    assert await closed_by(store, cluster) == [incident_id]
    incident = await store.incident(incident_id)
    assert incident is not None
    assert (incident.status, incident.resolved_at) == (IncidentStatus.RESOLVED, NOW + 2 * MINUTE)
    last = (await store.events(incident_id))[-1]
    assert (str(last.event_type), last.payload) == ("resolved", {"by": "alertmanager", "reason": reason})
    assert await closed_by(store, cluster) == []


@pytest.mark.parametrize(
    "cluster",
    [
        pytest.param(Counted([node("worker-1", ready="False")]), id="not Ready"),
        pytest.param(Counted([node("worker-1", ready="Unknown")]), id="unknown"),
        pytest.param(Counted([tainted("worker-1", UNREACHABLE)]), id="Ready by its word, and unreachable"),
        pytest.param(Counted([node("worker-1")], Forbidden("may not get nodes")), id="not to be read"),
    ],
)
async def test_a_node_that_is_not_seen_ready_keeps_its_incident_open(store: Store, cluster: Cluster) -> None:
    incident_id = await over(store)
    assert await closed_by(store, cluster) == []
    assert await status_of(store, incident_id) is IncidentStatus.OPEN


async def test_an_alert_that_fires_again_is_waited_for_no_more_until_it_is_over_again(store: Store) -> None:
    incident_id, cluster = await over(store), Counted([node("worker-1")])
    await receive(store, of_node(), now=NOW + MINUTE)
    assert await closed_by(store, cluster) == []
    assert cluster.asked == []
    await store.note(of_node().problem, received(), now=NOW + MINUTE)
    assert await closed_by(store, cluster) == [incident_id]


async def test_a_notification_between_looking_and_closing_keeps_the_incident_open(store: Store) -> None:
    incident_id = await over(store)
    (waiting,) = await store.nodes.all(cluster="prod")
    await receive(store, of_node(), now=NOW + MINUTE)
    assert await store.nodes.close(waiting, reason="x", now=NOW + 2 * MINUTE) is False
    await store.note(of_node().problem, received(), now=NOW + MINUTE)
    assert await store.nodes.close(waiting, reason="x", now=NOW + 2 * MINUTE) is False
    assert "resolved" not in await types_of(store, incident_id)


async def test_a_muted_incident_is_closed_too_and_one_that_a_person_closed_stays_as_it_is(store: Store) -> None:
    muted, resolved = await over(store), await over(store, of_node("worker-2"))
    await store.book.suppress(muted, by="ada", reason=None, now=NOW + MINUTE)
    await store.book.resolve(resolved, by="ada", reason=None, now=NOW + MINUTE)
    assert await closed_by(store, Counted([node("worker-1"), node("worker-2")])) == [muted]


async def test_incidents_of_replays_and_of_other_clusters_are_not_looked_at(store: Store) -> None:
    await over(store, of_node(origin=Origin.REPLAY, scope="a"))
    elsewhere = await over(store, of_node("worker-2", cluster="east"))
    ready = Counted([node("worker-1"), node("worker-2")])
    assert await closed_by(store, ready) == []
    assert await closed_by(store, ready, CLUSTER_NAME="") == [elsewhere]


async def test_few_nodes_are_read_one_by_one_and_many_at_once(store: Store) -> None:
    names = [f"worker-{number}" for number in range(FEW + 1)]
    cluster = Counted([node(name, ready="False") for name in names])
    for name in names[:-1]:
        await over(store, of_node(name))
    await over(store, of_node("worker-0", alertname="KubeNodeUnreachable", dedup_key="KubeNodeUnreachable:worker-0"))
    assert await closed_by(store, cluster) == []
    assert sorted(cluster.asked) == sorted(f"get {name}" for name in names[:-1])
    cluster.asked.clear()
    last = await over(store, of_node(names[-1]))
    assert await closed_by(store, cluster) == []
    assert cluster.asked == ["list"]
    assert await closed_by(store, Counted([node(name, ready="False") for name in names[:-1]])) == [last]


async def test_of_several_replicas_one_closes_and_a_firing_at_the_same_moment_is_never_lost(
    store: Store, database: str
) -> None:
    async with Store.open(database) as second, Store.open(database) as third:
        for trial in range(20):
            new = of_node(f"worker-{trial}")
            incident_id, cluster = await over(store, new), Counted([node(f"worker-{trial}")])
            *closed, receipt = await asyncio.gather(
                closed_by(store, cluster),
                closed_by(second, cluster),
                closed_by(third, cluster),
                receive(store, new, now=NOW + 3 * MINUTE),
            )
            resolved = (await types_of(store, incident_id)).count("resolved")
            assert sum(incident_id in ids for ids in closed) == resolved
            was_closed = await status_of(store, incident_id) is IncidentStatus.RESOLVED
            assert (resolved, receipt.disposition is Disposition.OPENED) == (int(was_closed), was_closed)
            execute(database, "update incidents set status = 'resolved', resolved_at = now(), resolved_by = 'person'")


def body(status: str) -> bytes:
    alert = {
        "status": status,
        "labels": {"alertname": "KubeNodeNotReady", "node": "worker-1"},
        "startsAt": "2026-11-23T02:55:00Z",
        "endsAt": "2026-11-23T02:58:00Z",
    }
    return json.dumps({"version": "4", "alerts": [alert]}).encode()


async def test_a_webhook_that_calls_a_nodes_alert_over_is_answered_without_a_cluster_and_closed_later(
    store: Store, database: str
) -> None:
    settings = load({"HOME": "/"})
    runbooks = load_runbooks(settings)
    reception = Reception(
        store,
        sender=Sender(origin=Origin.LIVE, scope="live", mode=Mode.AUTO),
        runbooks=lambda: runbooks,
        settings=settings,
        clock=lambda: NOW,
    )
    (fired,) = await reception.accept(parse(body("firing"), source="test"))
    (ended,) = await reception.accept(parse(body("resolved"), source="test"))
    assert ended.incident_id == fired.incident_id
    assert await closed_by(store, Counted([node("worker-1", ready="False")]), CLUSTER_NAME="") == []
    assert await closed_by(store, Counted([node("worker-1")]), CLUSTER_NAME="") == [fired.incident_id]
    assert rows(database, "select status, resolved_by from incidents") == [("resolved", "alertmanager")]
    assert await store.audit.verify() == []


async def test_a_pods_alert_that_is_over_waits_for_nobody(store: Store) -> None:
    await receive(store)
    assert await store.resolve(problem(), now=NOW + MINUTE, by="alertmanager", reason=CAME) is not None
    assert await store.nodes.all(cluster=None) == []
