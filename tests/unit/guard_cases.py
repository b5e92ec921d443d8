"""Facts and changes that no guard has anything against, and small ways to spoil them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from sre_agent.alert import Alert, AlertStatus
from sre_agent.cluster.port import Resource, Write, WriteVerb
from sre_agent.evidence import NodeEvidence, WorkloadEvidence
from sre_agent.facts import Facts
from sre_agent.objects import Object
from sre_agent.run import Change, FieldChange, Mode, StepRecord, StepStatus
from sre_agent.runbook import Runbook, Step
from sre_agent.settings import load
from sre_agent.stop_switch import StopSwitch
from sre_agent.store import BrakeState, PastAction
from sre_agent.target import Target

MINUTES, HOURS, DAYS = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NOW = datetime(2026, 3, 14, 3, 0, tzinfo=UTC)
WORKLOAD = Target(
    kind="Deployment", namespace="shop", name="cart", container="app", pod="cart-1", uid="uid-cart", pod_uid="uid-pod"
)
NODE = Target(kind="Node", namespace=None, name="worker-1", uid="uid-node")


def text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def alert(**fields: Any) -> Alert:
    values: dict[str, Any] = {
        "index": 0,
        "status": AlertStatus.FIRING,
        "labels": {"alertname": "KubePodOOMKilled", "namespace": "shop", "pod": "cart-1"},
        "annotations": {},
        "starts_at": NOW - timedelta(minutes=5),
        "ends_at": None,
        "fingerprint": "00",
        "generator_url": "",
        "group_key": None,
    }
    return Alert(**(values | fields))


def runbook(**fields: Any) -> Runbook:
    values: dict[str, Any] = {
        "id": "RB_OOM",
        "title": "OOM",
        "alerts": (),
        "fallback_image": "registry.example/fallback:1.0",
        "fallback_namespaces": ("demo",),
        "workflow": (),
        "future_actions": (),
        "prose": "",
        "path": Path("RB_OOM.md"),
        "sha256": "0",
    }
    return Runbook(**(values | fields))


def deployment(**metadata: Any) -> Object:
    return {
        "kind": "Deployment",
        "metadata": {"name": "cart", "namespace": "shop", "uid": "uid-cart", **metadata},
        "spec": {
            "replicas": 2,
            "template": {
                "spec": {"containers": [{"name": "app", "resources": {"limits": {"memory": "256Mi"}}}]},
            },
        },
    }


def pod(name: str = "cart-1", *, ready: bool = True, **metadata: Any) -> Object:
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "uid": "uid-pod", **metadata},
        "status": {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]},
    }


def node(name: str, *, ready: str = "True", unschedulable: bool = False, **metadata: Any) -> Object:
    return {
        "kind": "Node",
        "metadata": {"name": name, "uid": "uid-node", **metadata},
        "spec": {"unschedulable": True} if unschedulable else {},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


def replica_set(age: timedelta) -> Object:
    return {"kind": "ReplicaSet", "metadata": {"name": "cart-7", "creationTimestamp": text(NOW - age)}}


def workload_evidence(**fields: Any) -> WorkloadEvidence:
    values: dict[str, Any] = {
        "target": WORKLOAD,
        "read_at": NOW,
        "pod": pod(),
        "controller": deployment(),
        "replica_sets": (replica_set(timedelta(hours=5)),),
        "pods": (pod(),),
        "namespace": {"kind": "Namespace", "metadata": {"name": "shop"}},
    }
    return WorkloadEvidence(**(values | fields))


def node_evidence(**fields: Any) -> NodeEvidence:
    values: dict[str, Any] = {
        "target": NODE,
        "read_at": NOW,
        "node": node("worker-1", ready="Unknown"),
        "nodes": (node("worker-1", ready="Unknown"), node("worker-2"), node("worker-3"), node("worker-4")),
    }
    return NodeEvidence(**(values | fields))


def facts(evidence: WorkloadEvidence | NodeEvidence | None = None, **fields: Any) -> Facts:
    """Facts of an `auto` run on the workload, or on the node when `evidence` is a node's."""
    environment = fields.pop("environment", {})
    found = evidence or workload_evidence()
    values: dict[str, Any] = {
        "now": NOW,
        "settings": load(environment),
        "mode": Mode.AUTO,
        "alert": alert(),
        "runbook": runbook(),
        "step": Step(name="increase_memory_limit", tool="increase_memory_limit"),
        "target": found.target,
        "evidence": found,
        "past_actions": (),
        "earlier": (),
        "switch": switch(False),
        "standing": None,
        "brakes": BrakeState(),
        "nodes": (node("worker-2"), node("worker-3")),
    }
    return Facts(**(values | fields))


def switch(thrown: bool | None, **fields: Any) -> StopSwitch:
    return StopSwitch(place="agentic/sre-agent-stop", thrown=thrown, **fields)


def change(**fields: Any) -> Change:
    values: dict[str, Any] = {
        "tool": "increase_memory_limit",
        "action": "patch_memory_limit:shop/cart/app:256Mi→512Mi",
        "target": WORKLOAD,
        "writes": (
            Write(
                verb=WriteVerb.PATCH, resource=Resource.DEPLOYMENTS, namespace="shop", name="cart", body={"spec": {}}
            ),
        ),
        "diff": (FieldChange(path="limits.memory", before="256Mi", after="512Mi"),),
        "kubectl": "kubectl -n shop set resources deployment/cart",
        "value": "512Mi",
    }
    return Change(**(values | fields))


def node_change(tool: str = "cordon_node", **fields: Any) -> Change:
    """A cordon, an uncordon, or a drain of nothing."""
    write = Write(
        verb=WriteVerb.PATCH,
        resource=Resource.NODES,
        namespace=None,
        name="worker-1",
        body={"spec": {"unschedulable": tool == "cordon_node"}},
    )
    writes = () if tool == "drain_node" else (write,)
    return change(
        **(
            {"tool": tool, "action": f"{tool}:worker-1", "target": NODE, "value": None, "diff": (), "writes": writes}
            | fields
        )
    )


def past(tool: str, ago: timedelta, **fields: Any) -> PastAction:
    values: dict[str, Any] = {
        "id": 1,
        "incident_id": 7,
        "run_id": uuid4(),
        "tool": tool,
        "action": f"{tool}:earlier",
        "target_key": WORKLOAD.key,
        "value": None,
        "near_limit": False,
        "status": "done",
        "intended_at": NOW - ago,
        "finished_at": NOW - ago,
    }
    return PastAction(**(values | fields))


def workload(**fields: Any) -> Facts:
    return facts(workload_evidence(**fields))


def labelled_namespace(value: str) -> dict[str, Any]:
    return {"kind": "Namespace", "metadata": {"name": "shop", "labels": {"sre-agent/mode": value}}}


def managed(manager: str, ago: timedelta, *, template: bool = True) -> dict[str, Any]:
    fields = {"f:spec": {"f:template": {}}} if template else {"f:spec": {"f:replicas": {}}}
    return {"manager": manager, "time": text(NOW - ago), "fieldsV1": fields}


def autoscaler(*, kind: str = "Deployment", name: str = "cart", metric: dict[str, Any] | None = None) -> dict[str, Any]:
    metrics = [metric] if metric else []
    return {
        "metadata": {"name": "scaler"},
        "spec": {"scaleTargetRef": {"kind": kind, "name": name}, "metrics": metrics},
    }


def vertical(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "vpa"}, "spec": {"targetRef": {"kind": "Deployment", "name": "cart"}, **spec}}


def spoiled_template(**strategy: Any) -> dict[str, Any]:
    made = deployment()
    made["spec"]["strategy"] = strategy
    made["spec"]["replicas"] = 1
    return made


def drain_of(*names: str) -> Change:
    return node_change(
        "drain_node",
        writes=tuple(
            Write(
                verb=WriteVerb.CREATE,
                resource=Resource.PODS,
                namespace="shop",
                name=name,
                subresource="eviction",
                body={},
            )
            for name in names
        ),
    )


def owned(name: str, *, ready: bool, on: str) -> dict[str, Any]:
    made = pod(name, ready=ready)
    made["metadata"]["uid"] = f"uid-{name}"
    made["metadata"]["ownerReferences"] = [
        {"kind": "ReplicaSet", "name": "cart-7", "uid": "uid-rs", "controller": True, "apiVersion": "apps/v1"}
    ]
    made["spec"] = {"nodeName": on}
    return made


def of_another(made: Object, *, namespace: str) -> Object:
    """The same pod in another namespace, and of another owner."""
    made["metadata"] |= {"namespace": namespace, "uid": "uid-other"}
    made["metadata"]["ownerReferences"][0] |= {"name": "other-7", "uid": "uid-other-rs"}
    return made


def on_a_node(wanted: Change | None = None, **fields: Any) -> tuple[Facts, Change]:
    """A cordon, or the change given, with the evidence of its node."""
    wanted = wanted or node_change()
    return facts(node_evidence(**fields), step=Step(name=wanted.tool, tool=wanted.tool)), wanted


def done(tool: str, status: StepStatus = StepStatus.DONE) -> StepRecord:
    made = node_change(tool) if tool.endswith("_node") else change(tool=tool)
    return StepRecord(step=tool, tool=tool, status=status, change=made)


def tainted(name: str, taint: dict[str, str]) -> dict[str, Any]:
    return node(name) | {"spec": {"taints": [taint]}}


def image_change(value: str | None) -> Change:
    return change(tool="fix_imagepullbackoff", action="patch_image:shop/cart/app:x", value=value)


__all__ = [
    "DAYS",
    "HOURS",
    "MINUTES",
    "NODE",
    "NOW",
    "WORKLOAD",
    "alert",
    "autoscaler",
    "change",
    "deployment",
    "done",
    "drain_of",
    "facts",
    "image_change",
    "labelled_namespace",
    "managed",
    "node",
    "node_change",
    "node_evidence",
    "of_another",
    "on_a_node",
    "owned",
    "past",
    "pod",
    "replace",
    "replica_set",
    "runbook",
    "spoiled_template",
    "switch",
    "tainted",
    "text",
    "vertical",
    "workload",
    "workload_evidence",
]
