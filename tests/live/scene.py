"""A workload that was killed for memory just now, written into a control plane without controllers, and its alert.

The objects are those of examples/oom-killed; what carries a time carries the present one.
"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from sre_agent.resources import data_path
from tests.control_plane.api import Api, Object

EXAMPLE = data_path("examples") / "oom-killed"
KINDS = ("Deployment", "ReplicaSet", "Pod")
NAMESPACE = "shop"
DEPLOYMENT: Object = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "checkout", "namespace": NAMESPACE},
}
OLD, NEW = "128Mi", "256Mi"


def write_scene(api: Api) -> None:
    """Creates the Deployment with its ReplicaSet and pods; a container of one of them was killed for memory."""
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    documents = [part for part in yaml.safe_load_all((EXAMPLE / "cluster.yaml").read_text()) if part]
    recorded = [obj for part in documents for obj in part.get("items", [part])]
    api.create_all(obj for kind in KINDS for obj in recorded if obj["kind"] == kind)
    kill_again(api)


def kill_again(api: Api) -> None:
    """The controller has seen whatever was changed, and the kill happened after it. Server times are whole seconds."""
    seen = api.get("apps/v1", "Deployment", NAMESPACE, "checkout")["metadata"]["generation"]
    api.patch(DEPLOYMENT, {"status": {"observedGeneration": seen}}, subresource="/status")
    moment = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
    for pod in api.find("v1", "Pod", NAMESPACE):
        if "finishedAt" in json.dumps(pod["status"]):
            api.patch(pod, {"status": _at(pod["status"], moment)}, subresource="/status")


def write_alert(directory: Path) -> Path:
    """The payload of the alert about it, firing since now."""
    payload = json.loads((EXAMPLE / "payload.json").read_text())
    (alert,) = payload["alerts"]
    alert["startsAt"] = _text(datetime.now(UTC))
    del alert["labels"]["uid"], alert["fingerprint"]
    path = directory / "payload.json"
    path.write_text(json.dumps(payload))
    return path


def limit_of(deployment: Object) -> str:
    """The memory limit of the workload's container."""
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    limit: str = container["resources"]["limits"]["memory"]
    return limit


def limit_patch(limit: str) -> Object:
    """A strategic merge patch that sets it."""
    container = {"name": "app", "resources": {"limits": {"memory": limit}}}
    return {"spec": {"template": {"spec": {"containers": [container]}}}}


def _at(value: Any, moment: datetime) -> Any:
    """The object with every kill moved to this moment."""
    if isinstance(value, dict):
        return {key: _text(moment) if key == "finishedAt" else _at(entry, moment) for key, entry in value.items()}
    return [_at(entry, moment) for entry in value] if isinstance(value, list) else value


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ" if moment.microsecond else "%Y-%m-%dT%H:%M:%SZ")
