"""One cluster in which every tool has something to do, and each tool done on it up to the server's dry run."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sre_agent import guards
from sre_agent.alert import Alert, AlertStatus
from sre_agent.cluster.port import Cluster, ClusterError
from sre_agent.evidence import read_node, read_workload
from sre_agent.facts import Facts
from sre_agent.objects import Object
from sre_agent.run import Mode, Verdict, worst
from sre_agent.runbook import Runbook, Step
from sre_agent.settings import Settings, load
from sre_agent.stop_switch import StopSwitch
from sre_agent.store import BrakeState
from sre_agent.target import Target
from sre_agent.tools.node_state import CORDONED_BY_US
from sre_agent.tools.registry import TOOLS
from sre_agent.tools.types import RemediationTool, ToolContext
from sre_agent.tools.validate import arguments_for
from tests.control_plane.api import Api

NAMESPACE = "demo"
IMAGE = "registry.example.com/app:1"
SICK, CORDONED, HEALTHY = (
    "worker-1",
    "worker-2",
    ("worker-3", "worker-4", "worker-5", "worker-6", "worker-7", "worker-8", "worker-9"),
)
DONE = "done"
OTHER_KINDS = ("StatefulSet", "DaemonSet", "Job")
OF_DEPLOYMENTS = ("increase_memory_limit", "fix_imagepullbackoff", "delete_pod", "rollback_deployment")
"""Of another kind they say so, once they could look at it."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A tool, what it is used on (`Kind/name`, the pod beside it), and the name of the alert."""

    tool: str
    on: str
    pod: str | None = None
    alert: str = "KubePodOOMKilled"


SCENES = (
    Scene(tool="get_pod_events", on="Deployment/leaky", pod="leaky-1"),
    Scene(tool="get_pod_logs", on="Deployment/waiting", pod="waiting-1"),
    Scene(tool="get_runbook", on="Deployment/leaky", pod="leaky-1"),
    Scene(tool="check_oom", on="Deployment/leaky", pod="leaky-1"),
    *(
        Scene(tool=tool, on=f"{kind}/{kind.lower()}")
        for tool in ("check_oom", "check_imagepullbackoff", "get_rollout_history")
        for kind in OTHER_KINDS
    ),
    *(Scene(tool=tool, on=f"{kind}/{kind.lower()}") for tool in OF_DEPLOYMENTS for kind in OTHER_KINDS),
    Scene(tool="increase_memory_limit", on="Deployment/leaky", pod="leaky-1"),
    Scene(tool="increase_memory_limit", on="Deployment/waiting", pod="waiting-1", alert="KubePodMemoryNearLimit"),
    Scene(tool="check_imagepullbackoff", on="Deployment/mistyped", pod="mistyped-1"),
    Scene(tool="fix_imagepullbackoff", on="Deployment/mistyped", pod="mistyped-1"),
    Scene(tool="delete_pod", on="Deployment/stuck", pod="stuck-1"),
    Scene(tool="get_rollout_history", on="Deployment/released", pod="released-2"),
    Scene(tool="rollback_deployment", on="Deployment/released", pod="released-2"),
    Scene(tool="get_node_ready", on=f"Node/{SICK}"),
    Scene(tool="get_node_conditions", on=f"Node/{SICK}"),
    Scene(tool="cordon_node", on=f"Node/{SICK}"),
    Scene(tool="uncordon_node", on=f"Node/{HEALTHY[0]}"),
    Scene(tool="drain_node", on=f"Node/{CORDONED}"),
)


def build(api: Api) -> dict[str, Object]:
    """Makes everything on an empty cluster without controllers; answers it by `Kind/name`."""
    made: dict[str, Object] = {}

    def put(obj: Object) -> Object:
        found = api.create(obj)
        made[f"{obj['kind']}/{obj['metadata']['name']}"] = found
        return found

    put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    for obj in _nodes():
        put(obj)
        if obj["metadata"]["name"] in HEALTHY:  # a new node has the taint of one that is not ready
            api.patch(obj, {"spec": {"taints": None}})
    _deployment(put, "leaky", _state(last=_ended("OOMKilled", 137)), serving=True)
    _deployment(put, "waiting", None, node=None)
    _deployment(put, "mistyped", _state(waiting=("ImagePullBackOff", f'Back-off pulling image "{IMAGE}"')))
    put(_pull_event(made["Pod/mistyped-1"]))
    _deployment(put, "stuck", _state(waiting=("ContainerCreating", "")), serving=True)
    released = _deployment(put, "released", _state(last=_ended("Error", 1)), revision=2)
    older = put(_replica_set(released, "released-old", revision=1, image="registry.example.com/app:0"))
    put(_pod("released-1", older, _state(ready=True)))
    for kind in ("StatefulSet", "DaemonSet", "Job"):
        owner = put(_workload(kind, kind.lower()))
        put(_pod(f"{kind.lower()}-1", owner, _state(ready=True)))
        put(_pod(f"{kind.lower()}-drained", owner, _state(ready=True), node=CORDONED))
    drained = made["ReplicaSet/stuck"]
    put(_pod("stuck-drained", drained, _state(ready=True), node=CORDONED))
    return made


async def use(scene: Scene, cluster: Cluster, made: dict[str, Object]) -> str:
    """DONE, or why the tool could not do its work, in the words that a person reads."""
    tool, target = TOOLS[scene.tool], _target(scene, made)
    context = _context(scene, target)
    given = tool.input.model_validate(arguments_for(tool, target))
    try:
        if not isinstance(tool, RemediationTool):
            return "; ".join(_unread_in(await tool.run(cluster, given, context))) or DONE
        read = read_node if target.kind == "Node" else read_workload
        evidence = await read(cluster, target, context.now, looks=tool.looks(context.alert))
        assessment = tool.assess(given, evidence, context)
        judgements = assessment.judgements
        if assessment.change is not None:
            judgements += guards.judge(_facts(tool.name, context, evidence), assessment.change)
        for write in assessment.change.writes if assessment.change and worst(judgements) is not Verdict.REFUSE else ():
            await cluster.write(write, dry_run=True)
        return "; ".join(f"{entry.verdict.name} {entry.reason}: {entry.allowed_by}" for entry in judgements) or DONE
    except ClusterError as error:
        return f"{type(error).__name__}: {error}"


def _unread_in(output: Any) -> Iterator[str]:
    """What a diagnostic says that it could not find out."""
    return (reason for reason in getattr(output, "reasons", ()) if "could not be" in reason)


def _target(scene: Scene, made: dict[str, Object]) -> Target:
    obj, pod = made[scene.on], made.get(f"Pod/{scene.pod or scene.on.partition('/')[2] + '-1'}")
    node = obj["kind"] == "Node"
    return Target(
        kind=obj["kind"],
        namespace=None if node else NAMESPACE,
        name=obj["metadata"]["name"],
        uid=obj["metadata"]["uid"],
        container=None if node else "app",
        pod=None if node or pod is None else pod["metadata"]["name"],
        pod_uid=None if node or pod is None else pod["metadata"]["uid"],
    )


def _settings() -> Settings:
    off = timedelta(0)
    return replace(load({}), settle=off, cordon_settle=off, node_ready_for=off)


def _context(scene: Scene, target: Target) -> ToolContext:
    now = datetime.now(UTC) + timedelta(seconds=5)
    alert = Alert(
        index=0,
        status=AlertStatus.FIRING,
        labels={"alertname": scene.alert},
        annotations={},
        starts_at=now,
        ends_at=None,
        fingerprint="f",
        generator_url="",
        group_key=None,
    )
    book = Runbook(
        id="RB_TEST",
        title="t",
        alerts=(),
        fallback_image="registry.example.com/fallback:1",
        fallback_namespaces=(NAMESPACE,),
        workflow=(),
        future_actions=(),
        prose="",
        path=Path("RB_TEST.md"),
        sha256="",
    )
    return ToolContext(alert=alert, target=target, runbook=book, now=now, settings=_settings(), incident_id=1)


def _facts(tool: str, context: ToolContext, evidence: Any) -> Facts:
    """What a tool's own reads are judged by; what every run reads besides has nothing against it."""
    return Facts(
        now=context.now,
        settings=context.settings,
        mode=Mode.AUTO,
        alert=context.alert,
        runbook=context.runbook,
        step=Step(name=tool, tool=tool),
        target=context.target,
        evidence=evidence,
        past_actions=(),
        earlier=(),
        brakes=BrakeState(),
        nodes=(),
        switch=StopSwitch(place="agentic/sre-agent-stop", thrown=False),
        standing=None,
    )


def _now(seconds: int = 0) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _nodes() -> Iterator[Object]:
    for name in (SICK, CORDONED, *HEALTHY):
        ready = "True" if name in HEALTHY else "False"
        cordoned = name in (CORDONED, HEALTHY[0])
        yield {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "annotations": {CORDONED_BY_US: "7"} if cordoned else {}},
            "spec": {"unschedulable": True} if cordoned else {},
            "status": {
                "allocatable": {"memory": "16Gi"},
                "conditions": [
                    {"type": "Ready", "status": ready, "reason": "Kubelet", "lastTransitionTime": _now(-3600)},
                    *({"type": kind, "status": "False"} for kind in ("MemoryPressure", "DiskPressure", "PIDPressure")),
                ],
            },
        }


def _pull_event(pod: Object) -> Object:
    """Says what the status does not: why the image is not there."""
    metadata = pod["metadata"]
    about = {key: metadata[key] for key in ("name", "namespace", "uid")}
    reference = (
        f'"{IMAGE}": rpc error: code = NotFound desc = failed to resolve reference "{IMAGE}": {IMAGE}: not found'
    )
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "mistyped-pull", "namespace": NAMESPACE},
        "involvedObject": {"apiVersion": "v1", "kind": "Pod", **about, "fieldPath": "spec.containers{app}"},
        "type": "Warning",
        "reason": "Failed",
        "message": f"Failed to pull image {reference}",
        "source": {"component": "kubelet"},
        "firstTimestamp": _now(),
        "lastTimestamp": _now(),
        "count": 1,
    }


def _spec(image: str = IMAGE) -> Object:
    resources = {"limits": {"memory": "128Mi"}, "requests": {"memory": "64Mi"}}
    return {"containers": [{"name": "app", "image": image, "resources": resources}]}


def _template(name: str, image: str = IMAGE, restart: str = "Always") -> Object:
    return {"metadata": {"labels": {"app": name}}, "spec": {**_spec(image), "restartPolicy": restart}}


def _workload(kind: str, name: str, *, owner: Object | None = None, image: str = IMAGE, revision: int = 0) -> Object:
    metadata: Object = {"name": name, "namespace": NAMESPACE}
    if owner is not None:
        metadata["ownerReferences"] = [_reference(owner)]
    if revision:
        metadata["annotations"] = {"deployment.kubernetes.io/revision": str(revision)}
    spec: Object = {"template": _template(name, image, "Never" if kind == "Job" else "Always")}
    if kind != "Job":
        spec["selector"] = {"matchLabels": {"app": name}}
    if kind == "StatefulSet":
        spec["serviceName"] = name
    version = "batch/v1" if kind == "Job" else "apps/v1"
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def _replica_set(deployment: Object, name: str, *, revision: int, image: str = IMAGE) -> Object:
    made = _workload("ReplicaSet", name, owner=deployment, image=image, revision=revision)
    made["spec"]["selector"] = made["spec"]["template"]["metadata"] = {}
    labels = {"app": deployment["metadata"]["name"], "pod-template-hash": name}
    made["spec"]["selector"] = {"matchLabels": labels}
    made["spec"]["template"]["metadata"] = {"labels": labels}
    return made


def _deployment(
    put: Any,
    name: str,
    state: Object | None,
    *,
    serving: bool = False,
    revision: int = 1,
    node: str | None = HEALTHY[1],
) -> Object:
    """A Deployment with its ReplicaSet of the same name, a pod NAME-REVISION in this state, and a serving one."""
    deployment: Object = put(_workload("Deployment", name, revision=revision))
    replica_set = put(_replica_set(deployment, name, revision=revision))
    put(_pod(f"{name}-{revision}", replica_set, state, node=node))
    if serving:
        put(_pod(f"{name}-serving", replica_set, _state(ready=True)))
    return deployment


def _pod(name: str, owner: Object, state: Object | None, *, node: str | None = HEALTHY[1]) -> Object:
    ready = bool(state and state["ready"])
    labels = owner["spec"]["template"]["metadata"].get("labels", {})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": labels,
            "ownerReferences": [_reference(owner)],
        },
        "spec": {**_spec(owner["spec"]["template"]["spec"]["containers"][0]["image"])}
        | ({"nodeName": node} if node else {}),
        "status": {
            "phase": "Running" if state else "Pending",
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "containerStatuses": [state] if state else [],
        },
    }


def _reference(owner: Object) -> Object:
    metadata = owner["metadata"]
    about = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": metadata["name"]}
    return {**about, "uid": metadata["uid"], "controller": True}


def _ended(reason: str, code: int) -> Object:
    return {"terminated": {"reason": reason, "exitCode": code, "startedAt": _now(), "finishedAt": _now(2)}}


def _state(*, ready: bool = False, waiting: tuple[str, str] | None = None, last: Object | None = None) -> Object:
    reason, message = waiting or ("CrashLoopBackOff", "back-off")
    now: Object = {"running": {"startedAt": _now()}} if ready else {"waiting": {"reason": reason, "message": message}}
    return {
        "name": "app",
        "image": IMAGE,
        "imageID": "",
        "ready": ready,
        "restartCount": 3 if last else 0,
        "state": now,
        "lastState": last or {},
    }
