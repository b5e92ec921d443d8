"""Deployments for the kubelets of tests/control_plane: what their containers do stands in their spec, then shows."""

from collections.abc import Callable
from typing import Any

from tests.control_plane.api import Object
from tests.control_plane.kubelet import wait_for
from tests.control_plane.plane import ControlPlane

IMAGE = "registry.example.com/demo/app:1.0"
SYMPTOM_PATIENCE = 120.0
"""Seconds until a symptom is given up: the third restart of a crashing container takes half a minute by itself."""


def deployment(name: str, namespace: str, *, replicas: int = 1, **pod: Any) -> Object:
    """A Deployment whose pod template holds what `pod` says beside its labels; see `container`."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [container()], "automountServiceAccountToken": False} | pod,
            },
        },
    }


def container(
    *args: str, name: str = "app", image: str = IMAGE, memory: str | None = None, probed: bool = False
) -> Object:
    """A container with these arguments, with a memory limit and a readiness probe if wanted."""
    made: Object = {"name": name, "image": image, "args": list(args)}
    if memory:
        made["resources"] = {"limits": {"memory": memory}}
    if probed:
        made["readinessProbe"] = {"httpGet": {"path": "/ready", "port": 8080}}
    return made


def pod_showing(
    plane: ControlPlane, app: str, namespace: str, shows: Callable[[Object], bool], *, beside: str | None = None
) -> str:
    """The name of a pod of this app, once the status of one of its containers shows it; another one than `beside`."""

    def look() -> str | None:
        pods = plane.api.find("v1", "Pod", namespace, labelSelector=f"app={app}")
        names = (pod["metadata"]["name"] for pod in pods if any(map(shows, _statuses(pod))))
        return next((name for name in names if name != beside), None)

    return wait_for(f"a pod of {app} with its symptom", look, patience=SYMPTOM_PATIENCE)


def _statuses(pod: Object) -> list[Object]:
    found: list[Object] = pod.get("status", {}).get("containerStatuses", [])
    return found


def killed(status: Object) -> bool:
    """It was killed for memory."""
    return any(
        status.get(state, {}).get("terminated", {}).get("reason") == "OOMKilled" for state in ("state", "lastState")
    )


def image_is_missing(status: Object) -> bool:
    """Its image cannot be pulled."""
    return bool(status["state"].get("waiting", {}).get("reason") == "ImagePullBackOff")


def is_creating(status: Object) -> bool:
    """It has not been created yet."""
    return bool(status["state"].get("waiting", {}).get("reason") == "ContainerCreating")


def backs_off(status: Object, *, restarts: int = 2) -> bool:
    """It crashed, and waits: for 20 s after the second restart, for 40 s after the third."""
    waits = status["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff"
    return bool(waits and status["restartCount"] >= restarts)


def is_ready(status: Object) -> bool:
    """It runs and is ready."""
    return bool(status["ready"])
