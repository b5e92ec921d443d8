"""What the played nodes show when they die, suffer or are cordoned."""

import pytest

from tests.control_plane.api import Object
from tests.control_plane.kubelet import condition, wait_for
from tests.control_plane.plane import ControlPlane
from tests.live.workloads import container, deployment

NODE = "worker-2"


def node_of(plane: ControlPlane) -> Object:
    return plane.api.get("v1", "Node", None, NODE)


def taints_of(plane: ControlPlane) -> dict[str, str]:
    return {taint["key"]: taint["effect"] for taint in node_of(plane)["spec"].get("taints", [])}


def test_three_workers_are_ready_with_room_for_pods(plane: ControlPlane) -> None:
    nodes = plane.api.find("v1", "Node")
    assert [node["metadata"]["name"] for node in nodes] == ["worker-1", "worker-2", "worker-3"]
    assert {condition(node, "Ready") for node in nodes} == {"True"}
    assert {node["status"]["allocatable"]["memory"] for node in nodes} == {"16Gi"}


def test_a_dead_node_becomes_unknown_and_its_pods_do_not_end(plane: ControlPlane, namespace: str) -> None:
    made = plane.api.create(deployment("web", namespace, nodeName=NODE, containers=[container()]))

    def ready_pod() -> Object | None:
        pods = plane.api.find("v1", "Pod", namespace)
        return pods[0] if pods and condition(pods[0], "Ready") == "True" else None

    pod = wait_for("the pod runs", ready_pod)
    plane.kubelets.kill(NODE)
    wait_for("the node is unknown", lambda: condition(node_of(plane), "Ready") == "Unknown")
    wait_for("the node is tainted", lambda: "node.kubernetes.io/unreachable" in taints_of(plane))
    plane.api.delete(made)
    wait_for(
        "the pod shall end", lambda: "deletionTimestamp" in plane.api.request("GET", plane.api.path_of(pod))["metadata"]
    )
    plane.kubelets.revive(NODE)
    wait_for("the node is back", lambda: condition(node_of(plane), "Ready") == "True")
    wait_for("the pod is gone", lambda: plane.api.code("GET", plane.api.path_of(pod)) == 404)


@pytest.mark.parametrize(
    ("kind", "taint", "message"),
    [
        ("MemoryPressure", "node.kubernetes.io/memory-pressure", "kubelet has insufficient memory available"),
        ("DiskPressure", "node.kubernetes.io/disk-pressure", "kubelet has disk pressure"),
        ("PIDPressure", "node.kubernetes.io/pid-pressure", "kubelet has insufficient PID available"),
    ],
)
def test_a_node_under_pressure_says_so_and_is_tainted(plane: ControlPlane, kind: str, taint: str, message: str) -> None:
    plane.kubelets.press(NODE, kind)
    wait_for(f"the node is tainted {taint}", lambda: taints_of(plane) == {taint: "NoSchedule"})
    node = node_of(plane)
    assert [entry["message"] for entry in node["status"]["conditions"] if entry["type"] == kind] == [message]
    assert condition(node, "Ready") == "True"
    plane.kubelets.relieve(NODE)
    wait_for("the taint is gone", lambda: taints_of(plane) == {})
    assert condition(node_of(plane), kind) == "False"


def test_a_node_that_a_person_cordoned_is_tainted_with_the_time(plane: ControlPlane) -> None:
    plane.kubectl("cordon", NODE)
    wait_for("the node is tainted", lambda: taints_of(plane) == {"node.kubernetes.io/unschedulable": "NoSchedule"})
    (taint,) = node_of(plane)["spec"]["taints"]
    assert taint["timeAdded"]
    managers = {
        entry["manager"]
        for entry in node_of(plane)["metadata"]["managedFields"]
        if "f:unschedulable" in entry["fieldsV1"].get("f:spec", {})
    }
    assert managers == {"kubectl"}


def test_nodes_are_whole_again_for_the_next_test(plane: ControlPlane) -> None:
    plane.kubectl("cordon", NODE)
    plane.kubelets.add_node("worker-9")
    plane.kubelets.restore(("worker-1", "worker-2", "worker-3"))
    nodes = plane.api.find("v1", "Node")
    assert [node["metadata"]["name"] for node in nodes] == ["worker-1", "worker-2", "worker-3"]
    assert [node["spec"].get("unschedulable", False) for node in nodes] == [False, False, False]
