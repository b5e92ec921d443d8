"""A drain on a real control plane: budgets that forbid it, budgets that come free, and its time against kubectl's."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import pytest

from sre_agent.cluster.live import LiveCluster, open_cluster
from sre_agent.cluster.port import Resource, Write, WriteVerb
from sre_agent.draining import Fate, Settled, drain
from sre_agent.evidence import read_node
from sre_agent.objects import Object
from sre_agent.target import Target
from tests.control_plane.fixtures import MakeNamespace
from tests.control_plane.kubelet import wait_for
from tests.control_plane.plane import ControlPlane
from tests.live.workloads import deployment

SPACE = "drained"
FROM, TO = "drain-a", "drain-b"
PODS = 100
ROUNDS = 5


@pytest.fixture
async def cluster(
    plane: ControlPlane, make_namespace: MakeNamespace, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[LiveCluster]:
    monkeypatch.setenv("KUBECONFIG", str(plane.kubeconfig()))
    make_namespace(SPACE)
    for name in (FROM, TO):
        plane.kubelets.add_node(name, pods=2 * PODS + 50, cpu="64", memory="256Gi")
    async with open_cluster() as opened:
        yield opened


def cordon(plane: ControlPlane, node: str, wanted: bool) -> None:
    plane.kubectl("cordon" if wanted else "uncordon", node)


def web(plane: ControlPlane, *, replicas: int, node: str = FROM) -> None:
    """A Deployment whose pods all run on one node now; afterwards only the other drain node takes new ones."""
    spread = [{"key": "kubernetes.io/hostname", "operator": "In", "values": [FROM, TO]}]
    affinity = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": spread}]}}
    cordon(plane, TO if node == FROM else FROM, True)
    plane.api.create(deployment("web", SPACE, replicas=replicas, affinity={"nodeAffinity": affinity}))
    wait_for("all pods run", lambda: len(running(plane, node)) == replicas)
    cordon(plane, TO, False)
    cordon(plane, FROM, True)


def running(plane: ControlPlane, node: str) -> list[Object]:
    """The ready pods of a node in the namespace."""
    pods = plane.api.find("v1", "Pod", SPACE, fieldSelector=f"spec.nodeName={node}")
    return [
        pod
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"] and pod.get("status", {}).get("phase") == "Running"
    ]


def budget(plane: ControlPlane, least: int) -> Object:
    """A PodDisruptionBudget over the web pods that its controller has seen."""
    made = plane.api.create(
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "web", "namespace": SPACE},
            "spec": {"minAvailable": least, "selector": {"matchLabels": {"app": "web"}}},
        }
    )
    wait_for(
        "the budget is counted",
        lambda: (
            plane.api.get("policy/v1", "PodDisruptionBudget", SPACE, "web")["status"].get("currentHealthy") == least
        ),
    )
    return made


def evictions(pods: list[Object]) -> list[Write]:
    return [
        Write(
            verb=WriteVerb.CREATE,
            resource=Resource.PODS,
            namespace=SPACE,
            name=pod["metadata"]["name"],
            subresource="eviction",
            uid=pod["metadata"]["uid"],
            body={
                "apiVersion": "policy/v1",
                "kind": "Eviction",
                "metadata": {"name": pod["metadata"]["name"], "namespace": SPACE},
            },
        )
        for pod in pods
    ]


async def settle(_pod: Settled) -> None:
    """Nobody keeps a record here."""


async def given() -> None:
    """Every request may leave."""


def never(_node: Object) -> None:
    """These nodes are Ready and drained all the same."""


async def test_a_budget_at_zero_keeps_every_pod_until_the_deadline_and_is_named(
    plane: ControlPlane, cluster: LiveCluster, figure: Callable[[str], None]
) -> None:
    web(plane, replicas=3)
    budget(plane, 3)
    pods, deadline, began = running(plane, FROM), 8.0, time.monotonic()
    mark = plane.audit_mark()
    settled = await drain(
        cluster,
        FROM,
        evictions(pods),
        within=timedelta(seconds=deadline),
        over=never,
        awaited=True,
        settle=settle,
        leave=given,
    )
    took = time.monotonic() - began
    figure(
        f"budget at 0, deadline {deadline:.0f} s: ended after {took:.1f} s, {len(running(plane, FROM))} of 3 pods there"
    )
    assert {pod.fate for pod in settled} == {Fate.STAYS}
    assert all("The disruption budget web needs 3 healthy pods and has 3 currently" in pod.reason for pod in settled)
    assert {pod["metadata"]["uid"] for pod in running(plane, FROM)} == {pod["metadata"]["uid"] for pod in pods}
    assert not [request for request in plane.audit(since=mark, writes=True) if request.verb == "delete"]
    assert took < deadline + 2


async def test_a_drain_goes_on_when_the_budget_comes_free(
    plane: ControlPlane, cluster: LiveCluster, figure: Callable[[str], None]
) -> None:
    web(plane, replicas=3)
    held = budget(plane, 3)
    draining = asyncio.create_task(
        drain(
            cluster,
            FROM,
            evictions(running(plane, FROM)),
            within=timedelta(minutes=2),
            over=never,
            awaited=True,
            settle=settle,
            leave=given,
        )
    )
    await asyncio.sleep(2)
    assert not draining.done()
    plane.api.patch(held, {"spec": {"minAvailable": 0}})
    freed = time.monotonic()
    settled = await draining
    took = time.monotonic() - freed
    figure(f"budget freed: the drain was done {took:.1f} s later")
    assert {pod.fate for pod in settled} == {Fate.GONE}
    assert took < 10


@pytest.mark.timeout(900)
async def test_a_drain_takes_no_longer_than_kubectls(
    plane: ControlPlane, cluster: LiveCluster, figure: Callable[[str], None]
) -> None:
    web(plane, replicas=PODS)
    node, other = FROM, TO
    times: dict[str, list[float]] = {"kubectl": [], "sre-agent": []}
    for _ in range(ROUNDS):
        for tool in ("kubectl", "sre-agent"):
            began = time.monotonic()
            if tool == "kubectl":
                await asyncio.to_thread(plane.kubectl, "drain", node, "--ignore-daemonsets")
            else:
                await _drain(cluster, node)
            times[tool].append(time.monotonic() - began)
            assert not running(plane, node)
            _wait_for_pods(plane, other)
            cordon(plane, node, False)
            cordon(plane, other, True)
            node, other = other, node
    ours, kubectls = statistics.median(times["sre-agent"]), statistics.median(times["kubectl"])
    figure(f"{PODS} pods, median of {ROUNDS}: {ours:.2f} s, kubectl {kubectls:.2f} s, {ours / kubectls:.2f} x")
    assert ours <= 1.1 * kubectls


def _wait_for_pods(plane: ControlPlane, node: str) -> None:
    wait_for("the pods run elsewhere", lambda: len(running(plane, node)) == PODS)


async def _drain(cluster: LiveCluster, node: str) -> None:
    """What a run does: reads the node with everything around it, then evicts and waits."""
    evidence = await read_node(cluster, Target(kind="Node", namespace=None, name=node), datetime.now(UTC))
    pods = [pod for pod in evidence.pods or () if pod["metadata"]["namespace"] == SPACE]
    settled = await drain(
        cluster,
        node,
        evictions(pods),
        within=timedelta(minutes=5),
        over=never,
        awaited=True,
        settle=settle,
        leave=given,
    )
    assert {pod.fate for pod in settled} == {Fate.GONE}
