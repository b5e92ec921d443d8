"""The pods that a drain evicts, leaves and stops at, against the real kubectl on the same objects: 500 random nodes."""

import random
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from sre_agent.cluster.live import open_cluster
from sre_agent.evidence import NodeEvidence, read_node
from sre_agent.objects import Object
from sre_agent.target import Target
from sre_agent.tools.drain_filters import Fate, Filtered, KubectlFlags, Surroundings, kubectl_judges, pod_key
from tests.control_plane.plane import ControlPlane

NODES = 500
NAMESPACES = ("red", "green", "blue")
FLAGS = (
    KubectlFlags(),
    KubectlFlags(ignore_daemonsets=True),
    KubectlFlags(ignore_daemonsets=True, delete_emptydir_data=True),
    KubectlFlags(ignore_daemonsets=True, delete_emptydir_data=True, force=True),
    KubectlFlags(force=True),
)
OWNERS = (None, "ReplicaSet", "StatefulSet", "Job", "ReplicationController", "DaemonSet", "AbsentDaemonSet")
GROUPS = {"Job": "batch/v1", "ReplicationController": "v1"}


@dataclass(frozen=True, kw_only=True)
class Drained:
    """What one side makes of a node: pods as `namespace/name`. With errors nothing is evicted."""

    evicted: frozenset[str]
    errors: dict[str, frozenset[str]] = field(default_factory=dict)


@pytest.fixture
def nodes(bare_plane: ControlPlane) -> tuple[ControlPlane, dict[str, KubectlFlags]]:
    """Random nodes with their pods, each with the flags that it is drained with. The seed is the test's own."""
    chance = random.Random(19)
    api = bare_plane.api
    api.create_all([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in NAMESPACES])
    api.create_all([daemon_set(space) for space in NAMESPACES])
    flags = {f"node-{number}": chance.choice(FLAGS) for number in range(NODES)}
    for name in flags:
        api.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {"unschedulable": True}})
        for number in range(chance.randrange(8)):
            made = api.create(random_pod(chance, f"{name}-{number}", name))
            if chance.random() < 0.1:
                api.delete(made, grace=30)
    return bare_plane, flags


def daemon_set(namespace: str) -> Object:
    labels = {"app": "logs"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "logs:1"}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "logs", "namespace": namespace},
        "spec": {"selector": {"matchLabels": labels}, "template": pod},
    }


def random_pod(chance: random.Random, name: str, node: str) -> Object:
    """A pod of any owner kind, mirror or not, with or without emptyDir, in any phase."""
    metadata: Object = {"name": name, "namespace": chance.choice(NAMESPACES), "labels": {"app": "web"}}
    kind = chance.choice(OWNERS)
    if kind is not None:
        real = kind.removeprefix("Absent")
        metadata["ownerReferences"] = [
            {
                "apiVersion": GROUPS.get(real, "apps/v1"),
                "kind": real,
                "name": "logs" if kind == "DaemonSet" else "absent",
                "uid": "0e8b8f4e-0000-4000-8000-000000000001",
                "controller": chance.random() < 0.95,
            }
        ]
    if chance.random() < 0.05:
        metadata["annotations"] = {"kubernetes.io/config.mirror": "static"}
    spec: Object = {"nodeName": node, "containers": [{"name": "app", "image": "web:1"}]}
    if chance.random() < 0.25:
        spec["volumes"] = [chance.choice(({"name": "v", "emptyDir": {}}, {"name": "v", "hostPath": {"path": "/v"}}))]
    phase = chance.choices(("Running", "Pending", "Succeeded", "Failed"), (7, 1, 1, 1))[0]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": {"phase": phase}}


def kubectls(plane: ControlPlane, node: str, flags: KubectlFlags) -> Drained:
    """`kubectl drain --dry-run=client`: its filters really run and its DaemonSets are really read."""
    given = {
        "--ignore-daemonsets": flags.ignore_daemonsets,
        "--delete-emptydir-data": flags.delete_emptydir_data,
        "--force": flags.force,
    }
    wanted = [flag for flag, set_ in given.items() if set_]
    done = plane.run_kubectl("drain", node, "--dry-run=client", *wanted)
    evicted = frozenset(re.findall(r"^evicting pod (\S+) \(dry run\)", done.stdout + done.stderr, re.MULTILINE))
    errors: dict[str, frozenset[str]] = {}
    if done.returncode:
        said = re.search(r"unable to drain node .*? due to error: ?(.*?), continuing command", done.stderr, re.DOTALL)
        assert said, done.stderr
        errors = parse_errors(said[1])
    return Drained(evicted=evicted, errors=errors)


def parse_errors(text: str) -> dict[str, frozenset[str]]:
    """`[cannot delete MESSAGE: a/b, c/d, cannot delete ...]` by message."""
    found = {}
    for part in re.split(r"(?:^|, )cannot delete ", text.strip("[]"))[1:]:
        message, _, pods = part.rpartition(": ")
        found[message] = frozenset(pods.split(", "))
    return found


def ours(evidence: NodeEvidence, flags: KubectlFlags) -> Drained:
    """The same from this agent's filters over the evidence of the live cluster."""
    around = Surroundings(
        daemon_sets=evidence.daemon_sets,
        controllers=evidence.controllers or {},
        namespaces=evidence.namespaces or {},
        flags=flags,
        agent_namespace="agentic",
        unreachable=False,
    )
    judged: list[Filtered] = [kubectl_judges(pod, around) for pod in evidence.pods or ()]
    errors: dict[str, set[str]] = {}
    for entry in judged:
        if entry.fate is Fate.FORBIDDEN:
            errors.setdefault(entry.error, set()).add(pod_key(entry.pod))
    evicted = {pod_key(entry.pod) for entry in judged if entry.fate is Fate.EVICTED and not errors}
    return Drained(evicted=frozenset(evicted), errors={error: frozenset(pods) for error, pods in errors.items()})


@pytest.mark.timeout(900)
async def test_five_hundred_random_nodes_are_drained_as_kubectl_drains_them(
    nodes: tuple[ControlPlane, dict[str, KubectlFlags]], monkeypatch: pytest.MonkeyPatch, figure: Callable[[str], None]
) -> None:
    plane, flags = nodes
    monkeypatch.setenv("KUBECONFIG", str(plane.kubeconfig()))
    with ThreadPoolExecutor(2) as both:
        kubectl = dict(zip(flags, both.map(lambda node: kubectls(plane, node, flags[node]), flags), strict=True))
    async with open_cluster() as cluster:
        for node, chosen in flags.items():
            evidence = await read_node(cluster, Target(kind="Node", namespace=None, name=node), datetime.now(UTC))
            assert ours(evidence, chosen) == kubectl[node], node
    stopped = sum(bool(drained.errors) for drained in kubectl.values())
    evicted = sum(len(drained.evicted) for drained in kubectl.values())
    figure(f"{len(flags)} nodes, {stopped} refused, {evicted} pods evicted on the others, every set as kubectl's")
    assert stopped > NODES // 10
    assert evicted > NODES
