"""Nodes, pods and budgets as `kubectl get -o json` prints them, and what the node tools are called with."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sre_agent.alert import Alert, AlertStatus
from sre_agent.cluster.port import NotFound
from sre_agent.evidence import NodeEvidence
from sre_agent.run import StepRecord
from sre_agent.runbook import Runbook
from sre_agent.settings import load
from sre_agent.target import Target
from sre_agent.tools.types import NodeInput, ToolContext

NOW = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
NODE = "worker-1"
ARGUMENTS = NodeInput(node=NODE)
HEALTHY = {"MemoryPressure": "False", "DiskPressure": "False", "PIDPressure": "False"}


def ago(**delta):
    return (NOW - timedelta(**delta)).strftime("%Y-%m-%dT%H:%M:%SZ")


def node(
    *,
    ready="True",
    since=None,
    others=HEALTHY,
    taints=(),
    labels=None,
    annotations=None,
    unschedulable=None,
    managed=(),
    deleted=False,
    name=NODE,
):
    conditions = [{"type": kind, "status": status, "reason": f"Kubelet{kind}"} for kind, status in others.items()]
    if ready is not None:
        transition = {} if since is None else {"lastTransitionTime": since}
        conditions.append({"type": "Ready", "status": ready, "reason": "KubeletReady", **transition})
    spec = {} if unschedulable is None else {"unschedulable": unschedulable}
    if taints:
        spec["taints"] = [
            taint if isinstance(taint, dict) else {"key": taint, "effect": "NoSchedule"} for taint in taints
        ]
    metadata = {"name": name, "uid": f"uid-{name}", "resourceVersion": "77", "labels": labels or {}}
    if annotations is not None:
        metadata["annotations"] = annotations
    if managed:
        metadata["managedFields"] = list(managed)
    if deleted:
        metadata["deletionTimestamp"] = ago(minutes=1)
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": metadata,
        "spec": spec,
        "status": {"conditions": conditions},
    }


def owner(kind, name, api_version="apps/v1", uid=None):
    return {
        "apiVersion": api_version,
        "kind": kind,
        "name": name,
        "uid": uid or f"uid-{kind}-{name}",
        "controller": True,
    }


REPLICA_SET = owner("ReplicaSet", "web-1")


def pod(
    name="web-a",
    namespace="demo",
    *,
    controller=REPLICA_SET,
    phase="Running",
    ready=True,
    labels=None,
    annotations=None,
    volumes=(),
    tolerations=(),
    deleted=False,
    on=NODE,
):
    metadata = {"name": name, "namespace": namespace, "uid": f"uid-{namespace}-{name}", "labels": labels or {}}
    if annotations:
        metadata["annotations"] = annotations
    if controller:
        metadata["ownerReferences"] = [controller]
    if deleted:
        metadata["deletionTimestamp"] = ago(minutes=1)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"nodeName": on, "volumes": list(volumes), "tolerations": list(tolerations)},
        "status": {"phase": phase, "conditions": [{"type": "Ready", "status": str(bool(ready))}]},
    }


EMPTY_DIR = {"name": "scratch", "emptyDir": {}}


def budget(
    name="web",
    namespace="demo",
    *,
    allowed,
    needs=1,
    has=2,
    selector=None,
    policy=None,
    generation=1,
    observed=1,
    disrupted=0,
    conditions=(),
):
    spec = {"selector": {"matchLabels": {"app": "web"}} if selector is None else selector}
    if policy:
        spec["unhealthyPodEvictionPolicy"] = policy
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": namespace, "generation": generation},
        "spec": spec,
        "status": {
            "disruptionsAllowed": allowed,
            "desiredHealthy": needs,
            "currentHealthy": has,
            "observedGeneration": observed,
            "disruptedPods": {f"pod-{number}": ago(minutes=1) for number in range(disrupted)},
            "conditions": list(conditions),
        },
    }


def daemon_set(name="logs", namespace="demo"):
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": name, "namespace": namespace}}


TARGET = Target(kind="Node", namespace=None, name=NODE, uid=f"uid-{NODE}")


def evidence(of_node, pods=(), **parts):
    pods = None if pods is None else tuple(pods)
    parts.setdefault("workload_pods", pods)
    parts.setdefault("daemon_sets", {})
    parts.setdefault("controllers", {})
    parts.setdefault("namespaces", {})
    return NodeEvidence(
        target=TARGET,
        read_at=NOW,
        node=of_node,
        nodes=() if of_node is None else (of_node,),
        pods=pods,
        **parts,
    )


def context(*, incident_id=42, earlier: tuple[StepRecord, ...] = (), **limits):
    return ToolContext(
        alert=Alert(
            index=0,
            status=AlertStatus.FIRING,
            labels={"alertname": "KubeNodeNotReady", "node": NODE},
            annotations={},
            starts_at=NOW,
            ends_at=None,
            fingerprint="0" * 16,
            generator_url="",
            group_key=None,
        ),
        target=TARGET,
        runbook=Runbook(
            id="RB_NODE_NOTREADY",
            title="Node not ready",
            alerts=(),
            fallback_image=None,
            fallback_namespaces=(),
            workflow=(),
            future_actions=(),
            prose="",
            path=Path("RB_NODE_NOTREADY.md"),
            sha256="",
        ),
        now=NOW,
        settings=replace(load({}), **limits),
        incident_id=incident_id,
        earlier=earlier,
    )


def verdicts(assessment):
    return {judgement.rule: judgement.verdict.name for judgement in assessment.judgements}


class RecordedCluster:
    """A `Cluster` that only reads what it was given, counts, and fails where it is told to."""

    recorded = True

    def __init__(self, objects=None, failing=None):
        self.objects = objects or {}
        self.failing = failing or {}
        self.requests = []

    async def get(self, resource, namespace, name):
        self.requests.append(("get", resource))
        if ("get", resource) in self.failing:
            raise self.failing["get", resource]
        for obj in self.objects.get(resource, ()):
            if obj["metadata"]["name"] == name:
                return obj
        raise NotFound(f"{resource.plural} {name} not found")

    async def list(self, resource, namespace=None, *, labels=None, fields=None):
        self.requests.append(("list", resource))
        if ("list", resource) in self.failing:
            raise self.failing["list", resource]
        return list(self.objects.get(resource, ()))
