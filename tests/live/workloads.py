"""Deployments for the kubelets of tests/control_plane: what their containers do stands in their spec."""

from typing import Any

from tests.control_plane.api import Object

IMAGE = "registry.example.com/demo/app:1.0"


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
