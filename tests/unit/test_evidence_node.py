"""read_node: one look at a node, its pods and its peers, with few requests; what cannot be read is None."""

import pytest

from sre_agent.cluster.port import Forbidden, Resource, Unavailable
from sre_agent.cluster.recorder import Question, RecordingCluster
from sre_agent.evidence import read_node
from sre_agent.recorder import alert_with
from sre_agent.tools.registry import TOOLS
from tests.unit.node_objects import NODE, NOW, TARGET, RecordedCluster, budget, daemon_set, node, owner, pod

DENIED = Forbidden("not allowed")


def objects():
    return {
        Resource.NODES: [node(), node(name="worker-2")],
        Resource.PODS: [
            pod("a"),
            pod("b", controller=owner("StatefulSet", "db")),
            pod("c", controller=owner("Job", "report", "batch/v1"), on="worker-2"),
            pod("d", controller=None, on=None),
        ],
        Resource.POD_DISRUPTION_BUDGETS: [budget(allowed=1)],
        Resource.DAEMON_SETS: [daemon_set()],
        Resource.REPLICA_SETS: [{"metadata": {"name": "web-1", "namespace": "demo"}}],
        Resource.DEPLOYMENTS: [{"metadata": {"name": "web", "namespace": "demo"}}],
        Resource.NAMESPACES: [{"metadata": {"name": "demo"}}],
        Resource.STATEFUL_SETS: [{"metadata": {"name": "db", "namespace": "demo"}}],
    }


def names(found):
    return None if found is None else [obj["metadata"]["name"] for obj in found]


async def test_a_node_is_read_with_its_pods_peers_and_controllers():
    cluster = RecordedCluster(objects())
    found = await read_node(cluster, TARGET, NOW)
    assert (found.target, found.read_at) == (TARGET, NOW)
    assert found.node["metadata"]["name"] == NODE
    assert names(found.nodes) == [NODE, "worker-2"]
    assert names(found.pods) == ["a", "b"]
    assert names(found.workload_pods) == ["a", "b", "c", "d"]
    assert names(found.budgets) == ["web"]
    assert list(found.daemon_sets) == [("demo", "logs")]
    assert list(found.namespaces) == ["demo"]
    assert list(found.controllers) == [
        ("ReplicaSet", "demo", "web-1"),
        ("Deployment", "demo", "web"),
        ("StatefulSet", "demo", "db"),
    ]


async def test_only_kinds_that_control_pods_of_this_node_are_listed():
    cluster = RecordedCluster(objects())
    await read_node(cluster, TARGET, NOW)
    listed = [resource for verb, resource in cluster.requests if verb == "list"]
    assert len(cluster.requests) == len(listed) == 8
    assert Resource.JOBS not in listed


NODES = Question.list(Resource.NODES, None, None, None)
PODS_HERE = Question.list(Resource.PODS, None, None, {"spec.nodeName": NODE})


@pytest.mark.parametrize(("tool", "asked"), [("cordon_node", [NODES]), ("uncordon_node", [NODES, PODS_HERE])])
async def test_a_change_of_the_node_alone_reads_nothing_of_its_peers_pods(tool, asked):
    cluster = RecordingCluster(RecordedCluster(objects()), most=1000)
    found = await read_node(cluster, TARGET, NOW, looks=TOOLS[tool].looks(alert_with({})))
    assert [answer.question for answer in cluster.answers] == asked
    assert names(found.nodes) == [NODE, "worker-2"]
    assert (found.workload_pods, found.budgets, found.daemon_sets, found.controllers) == (None,) * 4
    assert found.namespaces is None


async def test_a_drain_looks_at_everything():
    cluster = RecordedCluster(objects())
    found = await read_node(cluster, TARGET, NOW, looks=TOOLS["drain_node"].looks(alert_with({})))
    assert found == await read_node(RecordedCluster(objects()), TARGET, NOW)


async def test_an_empty_cluster_is_an_answer():
    found = await read_node(RecordedCluster(), TARGET, NOW)
    assert (found.node, found.nodes, found.pods, found.budgets) == (None, (), (), ())
    assert (found.daemon_sets, found.controllers, found.namespaces) == ({}, {}, {})


@pytest.mark.parametrize(
    ("resource", "missing"),
    [
        pytest.param(Resource.NODES, {"nodes"}, id="nodes"),
        pytest.param(Resource.PODS, {"pods", "workload_pods", "controllers"}, id="pods, and so their controllers"),
        pytest.param(Resource.POD_DISRUPTION_BUDGETS, {"budgets"}, id="budgets"),
        pytest.param(Resource.DAEMON_SETS, {"daemon_sets"}, id="DaemonSets"),
        pytest.param(Resource.STATEFUL_SETS, {"controllers"}, id="one kind of controller"),
        pytest.param(Resource.DEPLOYMENTS, {"controllers"}, id="the Deployments of ReplicaSets"),
        pytest.param(Resource.NAMESPACES, {"namespaces"}, id="namespaces"),
    ],
)
@pytest.mark.parametrize("error", [DENIED, Unavailable("503")])
async def test_a_part_that_cannot_be_read_is_none_and_the_others_are_there(resource, missing, error):
    found = await read_node(RecordedCluster(objects(), failing={("list", resource): error}), TARGET, NOW)
    parts = ("node", "nodes", "pods", "workload_pods", "budgets", "daemon_sets", "controllers", "namespaces")
    assert {part for part in parts if getattr(found, part) is None} == missing


async def test_a_node_that_is_gone_is_none_among_its_peers():
    cluster = RecordedCluster(objects() | {Resource.NODES: [node(name="worker-2")]})
    found = await read_node(cluster, TARGET, NOW)
    assert found.node is None
    assert names(found.nodes) == ["worker-2"]


async def test_a_node_that_is_gone_is_none_where_nodes_cannot_be_listed():
    cluster = RecordedCluster(failing={("list", Resource.NODES): DENIED})
    found = await read_node(cluster, TARGET, NOW)
    assert (found.node, found.nodes) == (None, None)


async def test_a_node_that_cannot_be_read_at_all_is_an_error():
    cluster = RecordedCluster(failing={("list", Resource.NODES): DENIED, ("get", Resource.NODES): DENIED})
    with pytest.raises(Forbidden):
        await read_node(cluster, TARGET, NOW)
