"""What the played kubelets show of a broken workload, and what cures it."""

import json
import re
from typing import Any

import pytest

from sre_agent.cluster.live import LOG_BYTES, open_cluster
from tests.control_plane.api import Object
from tests.control_plane.kubelet import condition, wait_for
from tests.control_plane.plane import ControlPlane
from tests.live.workloads import IMAGE, container, deployment

BACK_OFF = "CrashLoopBackOff"


class Workload:
    """A Deployment of one namespace and its newest pod, as the API shows them."""

    def __init__(self, plane: ControlPlane, made: Object) -> None:
        self.plane = plane
        self.made = plane.api.create(made)
        self.name, self.namespace = made["metadata"]["name"], made["metadata"]["namespace"]

    def patch(self, **pod: Any) -> None:
        """A strategic merge patch of the pod template's spec."""
        body = {"spec": {"template": {"spec": pod}}}
        self.plane.api.patch(self.made, body, kind="application/strategic-merge-patch+json")

    def pods(self) -> list[Object]:
        found = self.plane.api.find("v1", "Pod", self.namespace, labelSelector=f"app={self.name}")
        return sorted(found, key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]))

    def waits_with(self, reason: str, *, kind: str = "containerStatuses", restarts: int = 0) -> Object:
        """The first pod with a container that waits for this reason, once there is one."""

        def look() -> Object | None:
            for pod in self.pods():
                for status in pod["status"].get(kind, []):
                    if status["state"].get("waiting", {}).get("reason") == reason:
                        return pod if status["restartCount"] >= restarts else None
            return None

        return wait_for(f"a pod of {self.name} waits with {reason}", look)

    def is_healthy(self) -> Object:
        """The Deployment's only pod, once the rollout is complete and it is Ready without a restart."""

        def look() -> Object | None:
            spec = self.plane.api.request("GET", self.plane.api.path_of(self.made))
            status, pods = spec["status"], self.pods()
            complete = status.get("observedGeneration") == spec["metadata"]["generation"]
            if not complete or status.get("updatedReplicas") != 1 or len(pods) != 1:
                return None
            return pods[0] if condition(pods[0], "Ready") == "True" else None

        return wait_for(f"{self.name} is healthy", look)

    def events(self, reason: str) -> list[str]:
        """The messages of the events of this reason about its pods."""
        found = self.plane.api.find("v1", "Event", self.namespace, fieldSelector=f"reason={reason}")
        names = {pod["metadata"]["name"] for pod in self.pods()}
        return [event["message"] for event in found if event["involvedObject"]["name"] in names]

    def told(self, reason: str, words: str) -> str:
        """The message of an event with these words in it, once there is one."""

        def look() -> str | None:
            return next((message for message in self.events(reason) if words in message), None)

        return wait_for(f"an event {reason} of {self.name} says {words!r}", look)


def status_of(pod: Object, kind: str = "containerStatuses") -> Object:
    status: Object = pod["status"][kind][0]
    return status


def memory_in_use(plane: ControlPlane, pod: Object) -> float | None:
    """What the node tells about the only container of a pod, in bytes; None while it tells nothing of it."""
    told = plane.kubelets.memory_in_use(pod["spec"]["nodeName"])
    of_the_pod = rf'^container_memory_working_set_bytes\{{.*pod="{pod["metadata"]["name"]}"\}} (\S+)$'
    found = re.search(of_the_pod, told, re.MULTILINE)
    return float(found[1]) if found else None


def test_a_healthy_pod_runs_and_is_ready(plane: ControlPlane, namespace: str) -> None:
    pod = Workload(plane, deployment("web", namespace)).is_healthy()
    status = status_of(pod)
    assert pod["status"]["phase"] == "Running"
    assert re.fullmatch(r"registry\.example\.com/demo/app@sha256:[0-9a-f]{64}", status["imageID"])
    assert re.fullmatch(r"containerd://[0-9a-f]{64}", status["containerID"])
    assert (status["ready"], status["started"], status["restartCount"]) == (True, True, 0)
    assert set(status["state"]) == {"running"}
    assert {entry["type"] for entry in pod["status"]["conditions"]} >= {
        "Initialized",
        "PodScheduled",
        "ContainersReady",
    }


@pytest.mark.parametrize(
    ("image", "words"),
    [
        pytest.param(
            "registry.example.com/demo/does-not-exist:1.0",
            "code = NotFound desc = failed to pull and unpack image",
            id="the registry does not have it",
        ),
        pytest.param(
            "registry.example.com/demo/registry-down:1.0",
            'Head "https://registry.example.com/v2/demo/registry-down/manifests/1.0": dial tcp 203.0.113.40:443: i/o '
            "timeout",
            id="the registry does not answer",
        ),
    ],
)
def test_a_pod_whose_image_cannot_be_pulled_waits_in_back_off(
    plane: ControlPlane, namespace: str, image: str, words: str
) -> None:
    broken = Workload(plane, deployment("web", namespace, containers=[container(image=image)]))
    pod = broken.waits_with("ImagePullBackOff")
    status = status_of(pod)
    assert pod["status"]["phase"] == "Pending"
    assert status["imageID"] == ""
    assert status["state"]["waiting"]["message"].startswith(
        f'Back-off pulling image "{image}": ErrImagePull: rpc error'
    )
    assert words in status["state"]["waiting"]["message"]
    assert words in broken.told("Failed", f'Failed to pull image "{image}"')
    assert broken.told("Failed", "Error: ImagePullBackOff")
    assert broken.told("BackOff", f'Back-off pulling image "{image}"')


def test_only_another_image_cures_a_missing_one(plane: ControlPlane, namespace: str) -> None:
    missing = "registry.example.com/demo/does-not-exist"
    broken = Workload(plane, deployment("web", namespace, containers=[container(image=f"{missing}:1.0")]))
    first = broken.waits_with("ImagePullBackOff")
    broken.patch(containers=[{"name": "app", "resources": {"limits": {"memory": "1Gi"}}}])
    wait_for(
        "the pod of the wrong patch waits too",
        lambda: [
            pod
            for pod in broken.pods()
            if pod["metadata"]["uid"] != first["metadata"]["uid"] and "ImagePullBackOff" in json.dumps(pod["status"])
        ],
    )
    broken.patch(containers=[{"name": "app", "image": IMAGE}])
    assert status_of(broken.is_healthy())["image"] == IMAGE


def test_a_missing_image_of_an_init_container_holds_the_others_back(plane: ControlPlane, namespace: str) -> None:
    first = [
        container(name="prepare"),
        container(name="migrate", image="registry.example.com/demo/does-not-exist:1.0"),
    ]
    broken = Workload(plane, deployment("web", namespace, initContainers=first))
    pod = broken.waits_with("ImagePullBackOff", kind="initContainerStatuses")
    prepare, migrate = pod["status"]["initContainerStatuses"]
    assert prepare["state"]["terminated"]["reason"] == "Completed"
    assert migrate["state"]["waiting"]["reason"] == "ImagePullBackOff"
    assert status_of(pod)["state"]["waiting"] == {"reason": "PodInitializing"}
    assert condition(pod, "Initialized") == "False"
    assert broken.told("Failed", "Failed to pull image")
    broken.patch(containers=[{"name": "app", "image": "registry.example.com/demo/app:2.0"}])
    wait_for("the wrong container was patched", lambda: len(broken.pods()) > 1)
    broken.patch(initContainers=[{"name": "migrate", "image": "registry.example.com/demo/migrate:1.0"}])
    assert condition(broken.is_healthy(), "Initialized") == "True"


def test_a_container_above_its_memory_limit_is_killed_until_the_limit_is_high_enough(
    plane: ControlPlane, namespace: str
) -> None:
    hungry = container("--heap", "200Mi", memory="128Mi", probed=True)
    broken = Workload(plane, deployment("web", namespace, containers=[hungry]))
    pod = broken.waits_with(BACK_OFF)
    status = status_of(pod)
    ended = status["lastState"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)
    assert ended["startedAt"] <= ended["finishedAt"]
    assert status["restartCount"] == 1
    about = "pod={name}_{namespace}({uid})".format(**pod["metadata"])
    assert status["state"]["waiting"]["message"] == f"back-off 10s restarting failed container=app {about}"
    assert broken.told("BackOff", "Back-off restarting failed container app in pod")
    node = pod["spec"]["nodeName"]
    killed = plane.api.find("v1", "Event", "default", fieldSelector="reason=OOMKilling")
    assert {event["involvedObject"]["name"] for event in killed} == {node}
    broken.patch(containers=[{"name": "app", "resources": {"limits": {"memory": "192Mi"}}}])
    wait_for(
        "a limit that is still too low does not help",
        lambda: sum("OOMKilled" in json.dumps(pod["status"]) for pod in broken.pods()) == 2,
    )
    broken.patch(containers=[{"name": "app", "resources": {"limits": {"memory": "256Mi"}}}])
    assert status_of(broken.is_healthy())["restartCount"] == 0


def test_a_crashing_container_is_restarted_again_and_again(plane: ControlPlane, namespace: str) -> None:
    broken = Workload(plane, deployment("web", namespace, containers=[container("serve", "--exit=3")]))
    status = status_of(broken.waits_with(BACK_OFF, restarts=2))
    assert (status["lastState"]["terminated"]["reason"], status["lastState"]["terminated"]["exitCode"]) == ("Error", 3)
    assert status["state"]["waiting"]["message"].startswith("back-off 20s restarting")
    broken.patch(containers=[{"name": "app", "args": ["serve"]}])
    assert status_of(broken.is_healthy())["lastState"] == {}


def test_a_crash_that_began_with_the_newest_revision_is_cured_by_the_one_before(
    plane: ControlPlane, namespace: str
) -> None:
    workload = Workload(plane, deployment("web", namespace, containers=[container("serve", probed=True)]))
    good = workload.is_healthy()
    workload.patch(containers=[{"name": "app", "args": ["serve", "--exit=1"]}])
    bad = workload.waits_with(BACK_OFF)
    assert bad["metadata"]["labels"]["pod-template-hash"] != good["metadata"]["labels"]["pod-template-hash"]
    serving = [pod["metadata"]["uid"] for pod in workload.pods() if condition(pod, "Ready") == "True"]
    assert serving == [good["metadata"]["uid"]]
    plane.kubectl("--namespace", namespace, "rollout", "undo", "deployment/web")
    assert workload.is_healthy()["metadata"]["uid"] == good["metadata"]["uid"]


def test_a_pod_whose_configmap_is_missing_stays_in_container_creating(plane: ControlPlane, namespace: str) -> None:
    volume = {"name": "config", "configMap": {"name": "web-missing"}}
    broken = Workload(plane, deployment("web", namespace, volumes=[volume]))
    pod = broken.waits_with("ContainerCreating")
    message = 'MountVolume.SetUp failed for volume "config" : configmap "web-missing" not found'
    assert broken.told("FailedMount", "configmap") == message
    assert condition(pod, "PodReadyToStartContainers") == "False"
    broken.patch(containers=[{"name": "app", "image": "registry.example.com/demo/app:2.0"}])
    wait_for("another image does not help", lambda: len(broken.pods()) == 2 and len(broken.events("FailedMount")) == 2)
    broken.patch(volumes=[{"name": "config", "configMap": {"name": "web-config"}}])
    broken.is_healthy()


def test_a_kubelet_tells_how_much_memory_is_in_use(plane: ControlPlane, namespace: str) -> None:
    near = container("--heap", "120Mi", memory="128Mi")
    pod = Workload(plane, deployment("web", namespace, containers=[near])).is_healthy()
    assert wait_for("the node tells it", lambda: memory_in_use(plane, pod)) == 120 * 2**20
    plane.kubelets.report_memory(pod, app="120Mi")
    (metrics,) = plane.api.find("metrics.k8s.io/v1beta1", "PodMetrics", namespace)
    assert metrics["containers"] == [{"name": "app", "usage": {"cpu": "5m", "memory": "120Mi"}}]


def test_a_container_has_a_log_and_one_of_its_previous_instance(plane: ControlPlane, namespace: str) -> None:
    pod = Workload(plane, deployment("web", namespace, containers=[container("--exit=1")])).waits_with(BACK_OFF)
    plane.kubelets.write_log(pod, "app", ["starting"], previous=["starting", "fatal: no database"])
    logs = ("--namespace", namespace, "logs", pod["metadata"]["name"])
    wait_for("the log is there", lambda: plane.kubectl(*logs) == "starting\n")
    assert plane.kubectl(*logs, "--previous") == "starting\nfatal: no database\n"


async def test_of_a_log_that_is_too_long_the_agent_reads_the_end(
    plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = Workload(plane, deployment("web", namespace)).is_healthy()
    lines = [f"line {number} {'.' * 12_000}" for number in range(300)]
    plane.kubelets.write_log(pod, "app", [*lines, "fatal: no database"])
    logs = ("--namespace", namespace, "logs", pod["metadata"]["name"], "--tail=1")
    wait_for("the log is there", lambda: plane.kubectl(*logs) == "fatal: no database\n")
    monkeypatch.setenv("KUBECONFIG", str(plane.kubeconfig()))
    async with open_cluster() as cluster:
        text = await cluster.pod_logs(namespace, pod["metadata"]["name"], "app", tail_lines=200)
    read = text.splitlines()
    assert read == [*lines, "fatal: no database"][-len(read) :]
    assert LOG_BYTES - 13_000 < len(text) <= LOG_BYTES


def test_a_container_that_was_never_restarted_has_no_previous_log(plane: ControlPlane, namespace: str) -> None:
    pod = Workload(plane, deployment("web", namespace)).is_healthy()
    answer = plane.run_kubectl("--namespace", namespace, "logs", pod["metadata"]["name"], "--previous")
    assert (answer.returncode, answer.stdout) == (1, "")
    assert "BadRequest" in answer.stderr
