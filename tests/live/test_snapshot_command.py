"""`sre-agent snapshot` on a real API server: what it records decides like the cluster did, and holds no secret."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from sre_agent.cli.main import run
from tests.control_plane.kubelet import condition, wait_for
from tests.control_plane.plane import ControlPlane
from tests.control_plane.upkeep import delete_namespace, make_namespace
from tests.live.decisions import decision
from tests.live.workloads import container, deployment, image_is_missing, killed, pod_showing

DEMO = "demo"
SECRET = "s3cr3t-canary-value"


@pytest.fixture
def demo(plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The namespace in which the fallback image is allowed, and a command line that speaks to this cluster."""
    monkeypatch.setenv("KUBECONFIG", str(plane.kubeconfig()))
    monkeypatch.setenv("SRE_AGENT_SETTLE", "0")
    make_namespace(plane.api, DEMO)
    yield plane
    delete_namespace(plane.api, DEMO)


def oom(plane: ControlPlane) -> dict[str, str]:
    leaky = container("--heap", "200Mi", "--db-password", SECRET, memory="128Mi")
    leaky["env"] = [{"name": "GREETING", "value": SECRET}]
    plane.api.create(deployment("leaky", DEMO, replicas=2, containers=[leaky]))
    pod = pod_showing(plane, "leaky", DEMO, killed)
    return {"alertname": "KubePodOOMKilled", "namespace": DEMO, "pod": pod, "container": "app"}


def image_pull(plane: ControlPlane) -> dict[str, str]:
    missing = container(image="registry.example.com/demo/does-not-exist:1.0")
    plane.api.create(deployment("mistyped", DEMO, containers=[missing]))
    pod = pod_showing(plane, "mistyped", DEMO, image_is_missing)
    return {"alertname": "KubePodImagePullBackOff", "namespace": DEMO, "pod": pod, "container": "app"}


def node_not_ready(plane: ControlPlane) -> dict[str, str]:
    plane.api.create(deployment("spread", DEMO, replicas=3))
    node = "worker-1"
    plane.kubelets.kill(node)

    def lost() -> bool:
        return condition(plane.api.get("v1", "Node", None, node), "Ready") == "Unknown"

    wait_for(f"{node} is not Ready", lost)
    return {"alertname": "KubeNodeNotReady", "node": node}


def options(labels: dict[str, str]) -> list[str]:
    return ["--node", labels["node"]] if "node" in labels else ["--namespace", DEMO, "--pod", labels["pod"]]


def payload_about(labels: dict[str, str], directory: Path) -> str:
    path = directory / "payload.json"
    alert = {"labels": labels, "annotations": {"description": f"password={SECRET}"}}
    path.write_text(json.dumps({"alerts": [alert]}))
    return str(path)


@pytest.mark.parametrize("happens", [oom, image_pull, node_not_ready])
def test_a_snapshot_decides_as_the_live_cluster_did(
    happens: Callable[[ControlPlane], dict[str, str]],
    demo: ControlPlane,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    labels = happens(demo)
    payload, recorded = payload_about(labels, tmp_path), str(tmp_path / "recorded")
    assert run(["snapshot", *options(labels), "-o", recorded]) == 0
    capsys.readouterr()
    live = decision(capsys, payload, "--live")
    assert live["action_recommended"] is not None
    assert decision(capsys, payload, "--snapshot", recorded) == live


def test_a_snapshot_with_its_payload_is_an_example_without_secrets(
    demo: ControlPlane, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": DEMO}}
    demo.api.create({**secret, "stringData": {"password": SECRET}})
    payload = payload_about(oom(demo), tmp_path)
    example, mark = tmp_path / "example", demo.audit_mark()
    assert run(["snapshot", "--payload", payload, "-o", str(example), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    asked = demo.audit("admin", since=mark)
    assert {request.resource for request in asked} >= {"pods", "events", "nodes", "deployments", "replicasets"}
    assert [request for request in asked if request.resource == "secrets" or request.write] == []
    assert {entry["path"] for entry in told["files"]} == {
        str(path.relative_to(example)) for path in example.rglob("*") if path.is_file()
    }
    assert (told["unread"], told["unbound"], told["replay"]) == ([], [], f"sre-agent replay {example}")
    assert SECRET not in "".join(path.read_text() for path in example.rglob("*") if path.is_file())
    assert decision(capsys, str(example)) == decision(capsys, payload, "--live")
    (pods,) = yaml.safe_load_all((example / "pods.yaml").read_text())
    assert all(pod["metadata"]["managedFields"] for pod in pods["items"])


def test_logs_are_recorded_current_and_previous(demo: ControlPlane, tmp_path: Path) -> None:
    pod = oom(demo)["pod"]
    about = {"metadata": {"namespace": DEMO, "name": pod}}
    demo.kubelets.write_log(about, "app", [f"token={SECRET}", "ready"], previous=["out of memory"])
    assert run(["snapshot", "-n", DEMO, "--workload", "deployment/leaky", "-o", str(tmp_path / "r")]) == 0
    logs = tmp_path / "r" / "logs" / DEMO / pod
    assert (logs / "app.previous.log").read_text() == "out of memory\n"
    current = (logs / "app.log").read_text()
    assert (current.endswith("ready\n"), SECRET in current) == (True, False)


def test_a_reader_without_every_right_records_what_it_may_and_names_the_rest(
    demo: ControlPlane, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = oom(demo)
    grant(demo, [rule for rule in READER if "resourcequotas" not in rule["resources"]])
    monkeypatch.setenv("KUBECONFIG", str(demo.kubeconfig("reader")))
    payload, recorded = payload_about(labels, tmp_path), str(tmp_path / "recorded")
    assert run(["snapshot", *options(labels), "-o", recorded]) == 0
    assert "could not be read: listing resourcequotas in demo" in capsys.readouterr().err
    live = decision(capsys, payload, "--live")
    assert live["action_recommended"] is None
    assert decision(capsys, payload, "--snapshot", recorded) == live


READER = (
    {
        "apiGroups": [""],
        "resources": ["pods", "events", "nodes", "namespaces", "limitranges"],
        "verbs": ["get", "list"],
    },
    {"apiGroups": [""], "resources": ["resourcequotas"], "verbs": ["list"]},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    {"apiGroups": ["apps"], "resources": ["deployments", "replicasets"], "verbs": ["get", "list"]},
    {
        "apiGroups": ["autoscaling", "autoscaling.k8s.io", "metrics.k8s.io", "policy"],
        "resources": ["*"],
        "verbs": ["get", "list"],
    },
)


def grant(plane: ControlPlane, rules: list[dict[str, list[str]]]) -> None:
    group = "rbac.authorization.k8s.io"
    head = {"apiVersion": f"{group}/v1", "metadata": {"name": "partly"}}
    plane.api.create({**head, "kind": "ClusterRole", "rules": rules})
    reference = {"apiGroup": group, "kind": "ClusterRole", "name": "partly"}
    subjects = [plane.subject("reader")]
    plane.api.create({**head, "kind": "ClusterRoleBinding", "roleRef": reference, "subjects": subjects})


REFUSED = [
    pytest.param(["--pod", "p"], 2, "--pod needs --namespace", id="a pod without its namespace"),
    pytest.param(["--node", "n", "--pod", "p"], 2, "one of --pod, --workload, --node", id="two targets"),
    pytest.param([], 2, "say what to record", id="nothing"),
    pytest.param(["-n", DEMO, "--node", "n"], 2, "--namespace belongs to", id="a node in a namespace"),
    pytest.param(["-n", DEMO, "--workload", "app"], 2, "Deployment/NAME", id="a workload without its kind"),
    pytest.param(["-n", DEMO, "--pod", "absent"], 2, "there is no pod demo/absent", id="a pod that is not there"),
    pytest.param(["--node", "absent"], 2, "there is no node absent", id="a node that is not there"),
    pytest.param(["--node", "worker-1", "--context", "other"], 3, "other", id="another context"),
]


@pytest.mark.parametrize(("arguments", "code", "said"), REFUSED)
def test_what_cannot_be_recorded_is_refused_and_nothing_is_written(
    arguments: list[str], code: int, said: str, demo: ControlPlane, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["snapshot", *arguments, "-o", str(tmp_path / "r")]) == code
    assert said in capsys.readouterr().err
    assert not (tmp_path / "r").exists()
