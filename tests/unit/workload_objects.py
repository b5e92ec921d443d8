"""A Deployment with its ReplicaSets, pods and events as `kubectl get -o json` prints them, and how tools are asked.

Everything is built healthy; a test spoils what it is about. Times are minutes before NOW.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from sre_agent.alert import Alert, AlertStatus, fingerprint
from sre_agent.cluster.port import Forbidden
from sre_agent.cluster.recording import from_objects
from sre_agent.cluster.snapshot import SnapshotCluster
from sre_agent.evidence import read_workload
from sre_agent.runbook import Runbook
from sre_agent.settings import load
from sre_agent.target import Subject, bind
from sre_agent.tools.registry import TOOLS
from sre_agent.tools.types import ToolContext
from sre_agent.tools.validate import arguments_for

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
IMAGE = "registry.example/app:1.2.3"
FALLBACK = "registry.example/fallback:1.0"
NOT_FOUND = (
    f'Back-off pulling image "{IMAGE}": ErrImagePull: rpc error: code = NotFound desc = failed to pull and unpack '
    f'image "{IMAGE}": failed to resolve reference "{IMAGE}": {IMAGE}: not found'
)


def ago(minutes):
    return (NOW - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def owned_by(owner, *, uid=None):
    return {
        "apiVersion": owner.get("apiVersion", "apps/v1"),
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": uid or owner["metadata"]["uid"],
        "controller": True,
    }


def container(name="app", *, image=IMAGE, limit="256Mi", request="128Mi", **fields):
    amounts = {"limits": limit, "requests": request}
    resources = {field: {"memory": text} for field, text in amounts.items() if text is not None}
    return {"name": name, "image": image, "resources": resources, **fields}


def controller(kind, name="app", *, containers=None, spec=None, owner=None, api_version="apps/v1", **metadata):
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": containers or [container()]}}
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": "demo",
            "uid": f"uid-{name}",
            "resourceVersion": "100",
            "creationTimestamp": ago(9000),
            **({"ownerReferences": [owner]} if owner else {}),
            **metadata,
        },
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": name}}, "template": template, **(spec or {})},
        "status": {},
    }


def deployment(*, revision=2, **fields):
    fields.setdefault("annotations", {"deployment.kubernetes.io/revision": str(revision)})
    return controller("Deployment", **fields)


def replica_set(deployment, *, revision=2, age=600, containers=None):
    name = f"{deployment['metadata']['name']}-{revision}"
    found = controller(
        "ReplicaSet",
        name,
        containers=containers or deployment["spec"]["template"]["spec"]["containers"],
        owner=owned_by(deployment),
        creationTimestamp=ago(age),
        annotations={"deployment.kubernetes.io/revision": str(revision)},
    )
    found["spec"]["template"]["metadata"]["labels"] = {
        **deployment["spec"]["template"]["metadata"]["labels"],
        "pod-template-hash": str(revision),
    }
    return found


def waiting(reason, message="", name="app", **fields):
    return {
        "name": name,
        "ready": False,
        "restartCount": 0,
        "state": {"waiting": {"reason": reason, "message": message}},
    } | fields


def running(name="app", *, ready=True, **fields):
    return {"name": name, "ready": ready, "restartCount": 0, "state": {"running": {"startedAt": ago(5)}}} | fields


def ended(reason="OOMKilled", *, code=137, age=5):
    return {"terminated": {"reason": reason, "exitCode": code, "finishedAt": ago(age)}}


def oom(name="app", *, age=5, ready=False, **fields):
    """A container that was OOMKilled and waits to be started again."""
    back_off = {"waiting": {"reason": "CrashLoopBackOff"}}
    return {"name": name, "ready": ready, "restartCount": 3, "state": back_off, "lastState": ended(age=age)} | fields


def pod(
    name="app-2-a",
    *,
    owner=None,
    containers=None,
    statuses=(),
    init=(),
    init_statuses=(),
    age=300,
    node="n1",
    **metadata,
):
    ready = bool(statuses) and all(status["ready"] for status in statuses)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "demo",
            "uid": f"uid-{name}",
            "resourceVersion": "200",
            "creationTimestamp": ago(age),
            **({"ownerReferences": [owned_by(owner)]} if owner else {}),
            **metadata,
        },
        "spec": {
            "containers": containers or [container()],
            **({"initContainers": list(init)} if init else {}),
            **({"nodeName": node} if node else {}),
        },
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "containerStatuses": list(statuses),
            **({"initContainerStatuses": list(init_statuses)} if init_statuses else {}),
        },
    }


def node(*, name="n1", allocatable="8Gi", pressure="False"):
    status = {"conditions": [{"type": "MemoryPressure", "status": pressure}]}
    if allocatable:
        status["allocatable"] = {"memory": allocatable}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "uid": f"uid-{name}"},
        "spec": {},
        "status": status,
    }


_NUMBERS = iter(range(1, 100_000))


def event(reason, message, *, about="app-2-a", container="app", age=5, kind="Pod", uid=None, **fields):
    path = {"fieldPath": f"spec.containers{{{container}}}"} if container else {}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{about}.{next(_NUMBERS)}", "namespace": "demo"},
        "involvedObject": {"kind": kind, "namespace": "demo", "name": about, "uid": uid or f"uid-{about}", **path},
        "reason": reason,
        "message": message,
        "type": "Warning",
        "count": 1,
        "lastTimestamp": ago(age),
        **fields,
    }


def cluster(*objects, logs=None):
    return SnapshotCluster(from_objects(objects, logs=logs))


class Away:
    """A cluster of which some kinds cannot be read."""

    def __init__(self, objects, *denied):
        self._inner = cluster(*objects)
        self._denied = denied

    recorded = True

    async def get(self, resource, namespace, name):
        if resource in self._denied:
            raise Forbidden(f"get {resource.plural}")
        return await self._inner.get(resource, namespace, name)

    async def list(self, resource, namespace=None, **selectors):
        if resource in self._denied:
            raise Forbidden(f"list {resource.plural}")
        return await self._inner.list(resource, namespace, **selectors)


def alert(name="KubePodOOMKilled", **labels):
    merged = {"alertname": name, "namespace": "demo", **labels}
    merged = {key: value for key, value in merged.items() if value is not None}
    return Alert(
        index=0,
        status=AlertStatus.FIRING,
        labels=merged,
        annotations={},
        starts_at=NOW - timedelta(minutes=5),
        ends_at=None,
        fingerprint=fingerprint(merged),
        generator_url="",
        group_key=None,
    )


def runbook(**fields):
    values = {
        "id": "RB_TEST",
        "title": "test",
        "alerts": (),
        "fallback_image": FALLBACK,
        "fallback_namespaces": ("demo",),
        "workflow": (),
        "future_actions": (),
        "prose": "",
        "path": Path("RB_TEST.md"),
        "sha256": "0",
    }
    return Runbook(**(values | fields))


def context(alert, target, *, book=None, settings=None):
    return ToolContext(alert=alert, target=target, runbook=book or runbook(), now=NOW, settings=settings or load({}))


async def bound(objects, **labels):
    """The target of an alert with these labels; the test needs it bound."""
    name = labels.pop("alertname", "KubePodOOMKilled")
    found = alert(name, **labels)
    on = cluster(*objects) if isinstance(objects, list) else objects
    return found, await bind(found, Subject.WORKLOAD, on), on


async def assess(tool, objects, *, book=None, settings=None, alertname="KubePodOOMKilled", **labels):
    """What a remediation says about these objects, asked as the executor asks it."""
    if not labels:
        labels = {"pod": "app-2-a", "container": "app"}
    found, target, on = await bound(objects, alertname=alertname, **labels)
    asked = TOOLS[tool]
    evidence = await read_workload(on, target, NOW, looks=asked.looks(found))
    arguments = asked.input(**arguments_for(asked, target))
    return asked.assess(arguments, evidence, context(found, target, book=book, settings=settings))


async def diagnose(tool, objects, *, alertname="KubePodOOMKilled", **labels):
    """What a diagnostic answers about these objects."""
    if not labels:
        labels = {"pod": "app-2-a", "container": "app"}
    found, target, on = await bound(objects, alertname=alertname, **labels)
    asked = TOOLS[tool]
    arguments = asked.input(**arguments_for(asked, target))
    return await asked.run(on, arguments, context(found, target))


def rules(assessment):
    """The names of the rules that were not met, without doubles."""
    return sorted({judgement.rule for judgement in assessment.judgements})
