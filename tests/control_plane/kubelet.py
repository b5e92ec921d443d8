"""The kubelets of the test's nodes, played by kwok (`stages/`): what a test makes them do, and what they tell.

A node lives while it carries the label kubelet=up. What its containers do is read from their spec; `stages/pods.yaml`
says how.
"""

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar
from urllib.request import urlopen

import yaml

from tests.control_plane.api import Api, Object

STAGES = Path(__file__).parent / "stages"
ALIVE = "kubelet"
PRESSURE = "kubelet-pressure"
LEASE_SECONDS = 4
PATIENCE = 60.0
"""Seconds until something that a test waits for is given up; it never decides how fast anything is."""

T = TypeVar("T")


class Kubelets:
    """All nodes of one control plane."""

    def __init__(self, directory: Path, api: Api, port: int) -> None:
        self._directory = directory
        self._api = api
        self._port = port
        self._logs = directory / "container-logs"

    def arguments(self, kubeconfig: Path) -> list[str]:
        """How kwok is started for these nodes."""
        self._logs.mkdir()
        (self._logs / "container.log").write_text("2026-01-01T00:00:00.000000000Z stdout F listening on :8080\n")
        configuration = self._directory / "container-logs.yaml"
        log = {"logsFile": str(self._logs / "container.log"), "follow": False}
        configuration.write_text(yaml.safe_dump(_of_kwok("ClusterLogs", {"name": "all"}, {"logs": [log]})))
        return [
            f"--kubeconfig={kubeconfig}",
            f"--manage-nodes-with-label-selector={ALIVE}=up",
            f"--node-lease-duration-seconds={LEASE_SECONDS}",
            f"--server-address=127.0.0.1:{self._port}",
            "--node-ip=127.0.0.1",
            f"--node-port={self._port}",
            "--enable-crds=Logs",
            f"--config={configuration}",
            *(f"--config={path}" for path in sorted(STAGES.glob("*.yaml"))),
        ]

    def add_node(self, name: str, *, memory: str = "16Gi", cpu: str = "8", pods: int = 110) -> Object:
        """A node with a living kubelet, returned when it is Ready and pods may be scheduled on it."""
        room = {"memory": memory, "cpu": cpu, "pods": str(pods), "ephemeral-storage": "100Gi"}
        self._api.create(
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": name, "labels": _labels_of(name)},
            },
            at_creation={"capacity": room, "allocatable": room},
        )

        def ready() -> Object | None:
            node = self._api.get("v1", "Node", None, name)
            return node if condition(node, "Ready") == "True" and not node["spec"].get("taints") else None

        return wait_for(f"node {name} is Ready", ready)

    def restore(self, names: Iterable[str]) -> None:
        """Have exactly these nodes, as they were when they were added; for the time between two tests."""
        there = {node["metadata"]["name"]: node for node in self._api.find("v1", "Node")}
        for name, node in there.items():
            if name not in names or not _is_untouched(node):
                self._api.delete(node, grace=0)
                there[name] = {}
        for name in names:
            if not there.get(name):
                self.add_node(name)

    def kill(self, node: str) -> None:
        """The node dies: no more lease, no more words of its pods. The node controller notices after some seconds."""
        self._label(node, ALIVE, None)

    def revive(self, node: str) -> None:
        self._label(node, ALIVE, "up")

    def press(self, node: str, kind: str) -> None:
        """The node comes under `kind`: MemoryPressure, DiskPressure or PIDPressure."""
        self._label(node, PRESSURE, kind)

    def relieve(self, node: str) -> None:
        self._label(node, PRESSURE, None)

    def memory_in_use(self, node: str) -> str:
        """The container metrics of a node as its kubelet tells them, in Prometheus' text format."""
        with urlopen(f"http://127.0.0.1:{self._port}/metrics/nodes/{node}/metrics/cadvisor", timeout=10) as answer:
            told: bytes = answer.read()
        return told.decode()

    def write_log(self, pod: Object, container: str, lines: list[str], *, previous: list[str] | None = None) -> None:
        """Give one container of a pod a log, and one of its previous instance; each line is one line of output."""
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        files = {"logsFile": lines, "previousLogsFile": previous}
        entry: Object = {"containers": [container], "follow": False}
        for field, text in files.items():
            if text is not None:
                path = self._logs / f"{namespace}_{name}_{container}_{field}.log"
                path.write_text("".join(f"2026-01-01T00:00:00.000000000Z stdout F {line}\n" for line in text))
                entry[field] = str(path)
        self._api.create(_of_kwok("Logs", {"name": name, "namespace": namespace}, {"logs": [entry]}))

    def report_memory(self, pod: Object, **containers: str) -> None:
        """What a metrics server would answer about a pod: the memory in use of its containers, by name."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        usages = [{"name": name, "usage": {"cpu": "5m", "memory": memory}} for name, memory in containers.items()]
        about = {"name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"]}
        metrics = {"apiVersion": "metrics.k8s.io/v1beta1", "kind": "PodMetrics", "metadata": about}
        self._api.delete(metrics)
        self._api.create(metrics | {"timestamp": now, "window": "15s", "containers": usages})

    def _label(self, node: str, key: str, value: str | None) -> None:
        about = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}}
        self._api.patch(about, {"metadata": {"labels": {key: value}}})


def condition(obj: Object, kind: str) -> str | None:
    """The status of a condition of a node or a pod."""
    conditions = obj.get("status", {}).get("conditions", [])
    return next((entry["status"] for entry in conditions if entry["type"] == kind), None)


def wait_for(what: str, look: Callable[[], T | None], *, patience: float = PATIENCE) -> T:
    """What `look` sees once it sees something; raises TimeoutError naming what was awaited."""
    until = time.monotonic() + patience
    while not (seen := look()):
        if time.monotonic() > until:
            raise TimeoutError(f"after {patience:.0f} s it is still not so: {what}")
        time.sleep(0.1)
    return seen


def _labels_of(node: str) -> dict[str, str]:
    return {ALIVE: "up", "kubernetes.io/hostname": node}


def _is_untouched(node: Object) -> bool:
    metadata, own = node["metadata"], {"node.alpha.kubernetes.io/ttl"}
    return (
        metadata["labels"] == _labels_of(metadata["name"])
        and set(metadata.get("annotations", ())) <= own
        and not set(node["spec"]) - {"podCIDR", "podCIDRs"}
        and condition(node, "Ready") == "True"
    )


def _of_kwok(kind: str, metadata: Object, spec: Object) -> Object:
    return {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}
