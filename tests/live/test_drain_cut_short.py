"""A drain that waits for a budget and ends before its time: its caller leaves, its node comes back or is given back."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from sre_agent.objects import Object
from tests.control_plane.fixtures import MakeNamespace
from tests.control_plane.kubelet import condition, wait_for
from tests.control_plane.plane import ControlPlane
from tests.live.workloads import deployment

COMMAND = str(Path(sys.executable).parent / "sre-agent")
SPACE, NODE = "held", "worker-1"
REPLICAS = 3
PATIENCE = 60

Start = Callable[..., "subprocess.Popen[str]"]


def hears_signals() -> None:
    """In the started process: what nohup or a shell's `&` made it ignore is heard again."""
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture
def held(
    plane: ControlPlane, make_namespace: MakeNamespace, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Start]:
    """A dead node whose pods a budget keeps, and `replay --live` of the alert about it."""
    monkeypatch.setenv("KUBECONFIG", str(plane.kubeconfig()))
    monkeypatch.setenv("DATABASE_URL", database)
    make_namespace(SPACE)
    plane.api.create(deployment("web", SPACE, replicas=REPLICAS, nodeSelector={"kubernetes.io/hostname": NODE}))
    plane.api.create(
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "web", "namespace": SPACE},
            "spec": {"minAvailable": REPLICAS - 1, "selector": {"matchLabels": {"app": "web"}}},
        }
    )
    wait_for("the pods are ready", lambda: len(ready(plane)) == REPLICAS)
    plane.kubelets.kill(NODE)
    wait_for("the node is lost", lambda: node_is(plane, "Unknown") and not ready(plane))
    alert = {"labels": {"alertname": "KubeNodeNotReady", "node": NODE}, "startsAt": datetime.now(UTC).isoformat()}
    payload = tmp_path / "payload.json"
    payload.write_text(json.dumps({"alerts": [{"status": "firing", **alert}]}))
    started = []

    def start(*arguments: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [COMMAND, "replay", str(payload), "--live", "--json", *arguments],
            env=os.environ,
            preexec_fn=hears_signals,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def node_is(plane: ControlPlane, ready_status: str) -> bool:
    return condition(plane.api.get("v1", "Node", None, NODE), "Ready") == ready_status


def pods(plane: ControlPlane) -> list[Object]:
    return [pod for pod in plane.api.find("v1", "Pod", SPACE) if "deletionTimestamp" not in pod["metadata"]]


def ready(plane: ControlPlane) -> list[Object]:
    return [pod for pod in pods(plane) if condition(pod, "Ready") == "True"]


def uids(plane: ControlPlane) -> set[str]:
    return {pod["metadata"]["uid"] for pod in pods(plane)}


def draining(plane: ControlPlane, start: Start) -> "subprocess.Popen[str]":
    """The drain, once every pod was asked for and kept."""
    mark = plane.audit_mark()
    process = start("--mode", "auto", "--yes")

    def refused() -> bool:
        asked = [request for request in plane.audit(since=mark, writes=True) if request.subresource == "eviction"]
        return {request.code for request in asked} == {429} and len(asked) >= REPLICAS

    wait_for("the evictions are refused", refused)
    return process


def come_back(plane: ControlPlane) -> None:
    """The kubelet speaks again, and says of its pods that they are ready: the budget has room for one then."""
    plane.kubelets.revive(NODE)
    wait_for("the node is back", lambda: node_is(plane, "True"))
    for pod in pods(plane):
        conditions = [entry | {"status": "True"} for entry in pod["status"]["conditions"]]
        plane.api.patch(pod, {"status": {"conditions": conditions}}, subresource="/status")

    def has_room() -> bool:
        budget = plane.api.get("policy/v1", "PodDisruptionBudget", SPACE, "web")
        return bool(budget["status"]["disruptionsAllowed"])

    wait_for("the budget has room", has_room)


def give_back(plane: ControlPlane) -> None:
    plane.kubectl("uncordon", NODE)


@pytest.mark.parametrize(
    ("end", "why"),
    [
        pytest.param(come_back, "the node is Ready again", id="the node is Ready again"),
        pytest.param(give_back, "the node was uncordoned meanwhile", id="somebody uncordons it"),
    ],
)
def test_pods_that_had_to_wait_stay_on_a_node_that_needs_no_drain_any_more(
    plane: ControlPlane, held: Start, end: Callable[[ControlPlane], None], why: str
) -> None:
    before = uids(plane)
    process = draining(plane, held)
    end(plane)
    out, errors = process.communicate(timeout=PATIENCE)
    (run,) = json.loads(out)["runs"]
    drain = run["steps"][-1]
    assert uids(plane) == before, errors
    assert len(drain["result"]["left"]) == REPLICAS
    assert all(why in pod["reason"] for pod in drain["result"]["left"])
    assert (drain["result"]["evicted"], [write["subresource"] for write in run["writes"]]) == ([], [None])


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_settles_the_drain_says_where_it_stopped_and_the_next_call_looks_again(
    plane: ControlPlane, held: Start, database: str, ending: signal.Signals
) -> None:
    process = draining(plane, held)
    process.send_signal(ending)
    out, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (130, "")
    assert "interrupted at drain_node" in errors
    assert "Traceback" not in errors
    with psycopg.connect(database, autocommit=True) as connection:
        runs = connection.execute("select status from runs").fetchall()
        evictions = connection.execute("select status, detail from evictions").fetchall()
        (incident,) = connection.execute("select action_taken, action_error from incidents").fetchall()
    assert runs == [("failed",)]
    assert [status for status, _ in evictions] == ["failed"] * REPLICAS
    assert all("until the interruption" in detail and "disruption budget web" in detail for _, detail in evictions)
    assert incident[0] == f"cordon_node:{NODE}"
    assert incident[1].startswith(f"interrupted at drain_node: drain_node:{NODE}:evicted=0,left={REPLICAS}")
    again = held()
    out, _ = again.communicate(timeout=PATIENCE)
    assert [step["step"] for step in json.loads(out)["runs"][0]["steps"]][-1] == "drain_node"
