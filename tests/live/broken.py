"""What the seven alerts are about, really broken on the played kubelets, and when it is well again.

Each function that breaks something returns once it shows, with the labels of an alert that would say so.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from tests.control_plane.api import Object
from tests.control_plane.kubelet import condition, wait_for
from tests.control_plane.plane import ControlPlane
from tests.live.workloads import (
    backs_off,
    container,
    deployment,
    image_is_missing,
    is_creating,
    is_ready,
    pod_showing,
)

DEMO = "demo"
APP = "web"
NODE = "worker-1"
MISSING = "registry.example.com/demo/does-not-exist:1.0"
SAFE_SECONDS = 2
"""How long a pod is Ready before it counts: a container that a fault ends does not live that long."""

Labels = dict[str, str]

stays_down = partial(backs_off, restarts=3)
"""A restart would change the Deployment's status, and a write that was judged before it would meet a conflict."""


def workload(plane: ControlPlane, *containers: Object, replicas: int = 1, **pod: Any) -> Object:
    """A Deployment whose pods count once they have been Ready for SAFE_SECONDS."""
    made = deployment(APP, DEMO, replicas=replicas, containers=list(containers), **pod)
    made["spec"]["minReadySeconds"] = SAFE_SECONDS
    return plane.api.create(made)


def about_a_pod(plane: ControlPlane, shows: Callable[[Object], bool], *, beside: str | None = None) -> Labels:
    """The labels of an alert about the pod that shows it, another one than `beside`."""
    return {"namespace": DEMO, "pod": pod_showing(plane, APP, DEMO, shows, beside=beside), "container": "app"}


def missing_image(plane: ControlPlane) -> Labels:
    workload(plane, container(image=MISSING))
    return about_a_pod(plane, image_is_missing)


def killed_for_memory(plane: ControlPlane) -> Labels:
    workload(plane, container("--heap", "200Mi", memory="128Mi"))
    return about_a_pod(plane, stays_down)


def near_its_limit(plane: ControlPlane) -> Labels:
    workload(plane, container("--heap", "120Mi", memory="128Mi"))
    wait_for("its pod counts", lambda: is_available(plane))
    labels = about_a_pod(plane, is_ready)
    plane.kubelets.report_memory(plane.api.get("v1", "Pod", DEMO, labels["pod"]), app="120Mi")
    return labels


def missing_config_map(plane: ControlPlane) -> Labels:
    workload(plane, container(), volumes=[{"name": "config", "configMap": {"name": "settings-missing"}}])
    return about_a_pod(plane, is_creating)


def crash_for_memory(plane: ControlPlane) -> Labels:
    workload(plane, container("--heap", "300Mi", memory="256Mi"))
    return about_a_pod(plane, stays_down)


def crash_since_the_release(plane: ControlPlane) -> Labels:
    """The newest revision crashes, the one before it serves."""
    made = workload(plane, container("serve"))
    wait_for("the first revision serves", lambda: is_available(plane))
    body = {"spec": {"template": {"spec": {"containers": [{"name": "app", "args": ["serve", "--exit=1"]}]}}}}
    plane.api.patch(made, body, kind="application/strategic-merge-patch+json")
    return about_a_pod(plane, backs_off)


def crash_from_the_start(plane: ControlPlane) -> Labels:
    workload(plane, container("serve", "--exit=3"))
    return about_a_pod(plane, backs_off)


def cordoned_node(plane: ControlPlane) -> Labels:
    """A person cordoned the node, and a pod waits for it."""
    plane.kubectl("cordon", NODE)
    workload(plane, container(), nodeSelector={"kubernetes.io/hostname": NODE})
    wait_for("its pod is pending", lambda: [pod for pod in pods(plane) if condition(pod, "PodScheduled") == "False"])
    return {"node": NODE}


def cordoned_sick_node(plane: ControlPlane) -> Labels:
    plane.kubelets.press(NODE, "DiskPressure")
    wait_for("the node says so", lambda: condition(node(plane), "DiskPressure") == "True")
    plane.kubectl("cordon", NODE)
    return {"node": NODE}


def dead_node(plane: ControlPlane) -> Labels:
    """Two pods of six are on the node that dies."""
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "DoNotSchedule",
        "nodeTaintsPolicy": "Honor",
        "labelSelector": {"matchLabels": {"app": APP}},
    }
    workload(plane, container(), replicas=6, topologySpreadConstraints=[spread])
    wait_for("the pods serve", lambda: is_available(plane))
    plane.kubelets.kill(NODE)
    wait_for(f"{NODE} is not Ready", lambda: condition(node(plane), "Ready") == "Unknown")
    taints = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}
    wait_for(
        f"{NODE} is tainted",
        lambda: any(taints.items() <= taint.items() for taint in node(plane)["spec"].get("taints", ())),
    )
    return {"node": NODE}


def node(plane: ControlPlane) -> Object:
    return plane.api.get("v1", "Node", None, NODE)


def pods(plane: ControlPlane) -> list[Object]:
    return plane.api.find("v1", "Pod", DEMO, labelSelector=f"app={APP}")


def is_available(plane: ControlPlane) -> bool:
    """The rollout is complete: all pods are of the newest template and have been Ready long enough."""
    made = plane.api.get("apps/v1", "Deployment", DEMO, APP)
    status, wanted = made.get("status", {}), made["spec"]["replicas"]
    counts = {status.get(field) for field in ("replicas", "updatedReplicas", "availableReplicas")}
    return bool(status.get("observedGeneration") == made["metadata"]["generation"] and counts == {wanted})


def is_replaced(plane: ControlPlane) -> bool:
    """The workload is available, and the pods before are gone."""
    wanted = plane.api.get("apps/v1", "Deployment", DEMO, APP)["spec"]["replicas"]
    return is_available(plane) and len(pods(plane)) == wanted


def is_moved(plane: ControlPlane) -> bool:
    """The node is cordoned, and the workload available without it."""
    there = [pod for pod in pods(plane) if pod["spec"].get("nodeName") == NODE]
    leaving = all("deletionTimestamp" in pod["metadata"] for pod in there)
    return is_available(plane) and leaving and node(plane)["spec"].get("unschedulable", False)


def is_empty(plane: ControlPlane) -> bool:
    """The node is Ready and tainted by nothing but its cordon, and has no pod of the workload."""
    taints = {taint["key"] for taint in node(plane)["spec"].get("taints", ())}
    there = [pod for pod in pods(plane) if pod["spec"].get("nodeName") == NODE]
    return condition(node(plane), "Ready") == "True" and taints == {"node.kubernetes.io/unschedulable"} and not there


def is_given_back(plane: ControlPlane) -> bool:
    """The node takes pods again, and the one that waited for it is Ready."""
    return is_available(plane) and not node(plane)["spec"].get("unschedulable", False)
