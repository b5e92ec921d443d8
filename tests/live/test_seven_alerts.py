"""The seven alerts on a real control plane: looked at by an account that may only read, then acted upon, then well.

The agent runs as `k8s/` sets it up, under its own ServiceAccount. Windows that a test cannot wait for are switched off:
SRE_AGENT_SETTLE (a template younger than 10 minutes), SRE_AGENT_CORDON_SETTLE (somebody else's cordon younger than an
hour) and SRE_AGENT_NODE_READY_FOR (5 minutes of readiness before a node is given back).
"""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sre_agent.cli.main import run
from sre_agent.execution import EVENT_REASON
from tests.control_plane.audit import Request
from tests.control_plane.kubelet import wait_for
from tests.control_plane.plane import ACCOUNT, ControlPlane
from tests.control_plane.upkeep import delete_namespace
from tests.live.accounts import service_account, wait_until_allowed
from tests.live.alerts import CASES, REQUESTS, Case
from tests.live.broken import (
    APP,
    DEMO,
    NODE,
    Labels,
    about_a_pod,
    dead_node,
    is_empty,
    is_given_back,
    killed_for_memory,
    workload,
)
from tests.live.decisions import Run, decided, decision, replayed
from tests.live.workloads import container, killed
from tests.rbac import K8S

OFF = ("SRE_AGENT_SETTLE", "SRE_AGENT_CORDON_SETTLE", "SRE_AGENT_NODE_READY_FOR")
AUTO = ("--live", "--mode", "auto", "--yes")


@pytest.fixture
def reader(
    plane: ControlPlane, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ControlPlane]:
    """A command line that speaks to this cluster as the agent's account, which may only read."""
    plane.kubectl("apply", "-k", str(K8S / "base"))
    monkeypatch.setenv("KUBECONFIG", str(service_account(plane, tmp_path)))
    monkeypatch.setenv("DATABASE_URL", database)
    for name in OFF:
        monkeypatch.setenv(name, "0")
    default = f"/api/v1/namespaces/{DEMO}/serviceaccounts/default"
    wait_for(f"pods may be made in {DEMO}", lambda: plane.api.code("GET", default) == 200)
    wait_until_allowed(plane, "list", "pods")
    yield plane
    for namespace in (DEMO, "agentic"):
        delete_namespace(plane.api, namespace)


def may_write(plane: ControlPlane) -> None:
    """From now on the account may also change what every guard allows."""
    plane.kubectl("apply", "-k", str(K8S / "overlays" / "auto"))
    wait_until_allowed(plane, "create", "events")


def payload_of(alert: str, runbook: str, labels: Labels, directory: Path, *, age: timedelta = timedelta(0)) -> str:
    """What Alertmanager would post about it."""
    path = directory / f"{alert}.json"
    named = {"alertname": alert, "severity": "warning", "runbook_id": runbook, **labels}
    began = datetime.now(UTC) - age
    firing = {"status": "firing", "labels": named, "annotations": {}, "startsAt": began.isoformat()}
    path.write_text(json.dumps({"alerts": [firing]}))
    return str(path)


def asked_since(plane: ControlPlane, mark: int) -> list[Request]:
    """Every request of the account; none may be one that it has no right to."""
    asked = plane.audit(ACCOUNT, since=mark)
    assert [request for request in asked if request.code in (401, 403)] == []
    return asked


def in_words(request: Request) -> str:
    """`dry patch deployments/web`, `create pods/web-1/eviction`, `create events` (which have generated names)."""
    name = "" if request.resource == "events" else f"/{request.name}"
    subresource = f"/{request.subresource}" if request.subresource else ""
    return f"{'dry ' if request.dry_run else ''}{request.verb} {request.resource}{name}{subresource}"


def expected_for(acted: Run) -> list[str]:
    """One request for each write that the run tells, after its dry run (evictions have none), and the Events."""
    words = []
    for write in acted["writes"]:
        plain = f"{write['verb']} {write['resource']}/{write['name']}"
        words += [f"{plain}/eviction"] if write["subresource"] else [f"dry {plain}", plain]
    return [*words, *["create events"] * len(acted["action_taken"].split("; "))]


def intents_of(capsys: pytest.CaptureFixture[str], incident: int) -> list[str]:
    """The actions that were committed before they were sent."""
    assert run(["show", str(incident), "--json"]) == 0
    events = json.loads(capsys.readouterr().out)["events"]
    return [event["payload"]["action"] for event in events if event["event_type"] == "intent"]


def shown_by_kubectl(plane: ControlPlane, acted: Run) -> str:
    """`kubectl describe` of what was changed."""
    node = acted["target"]["kind"] == "Node"
    return plane.kubectl("describe", *(("node", NODE) if node else ("--namespace", DEMO, "deployment", APP)))


def recommends(
    case: Case, plane: ControlPlane, payload: str, recorded: Path, capsys: pytest.CaptureFixture[str]
) -> list[Request]:
    """The reader recommends and writes nothing, and a snapshot taken just before decides the same."""
    assert run(["snapshot", "--payload", payload, "-o", str(recorded)]) == 0
    capsys.readouterr()
    mark = plane.audit_mark()
    (live,) = replayed(capsys, payload, "--live")["runs"]
    asked = asked_since(plane, mark)
    assert [in_words(request) for request in asked if request.write] == []
    assert (live["action_recommended"], live["action_error"], live["status"]) == (case.action, None, "succeeded")
    assert (live["runbook_id"], bool(live["planned_writes"])) == (case.runbook, case.action is not None)
    assert decision(capsys, str(recorded)) == decided(live)
    return asked


def acts(case: Case, plane: ControlPlane, payload: str, capsys: pytest.CaptureFixture[str]) -> list[Request]:
    """The writer does what was recommended: each intent is sent once, and told in an Event. Or nothing, and why."""
    mark = plane.audit_mark()
    (acted,) = replayed(capsys, payload, *AUTO)["runs"]
    asked = asked_since(plane, mark)
    sent = [in_words(request) for request in asked if request.write]
    assert (acted["status"], acted["action_error"]) == ("succeeded", None)
    if case.healed is None:
        assert (sent, acted["action_taken"], acted["action_recommended"]) == ([], None, case.action)
        assert case.why in reasons(acted)
        return asked
    assert (acted["action_taken"], acted["action_recommended"]) == (case.action, None)
    assert sorted(sent) == sorted(expected_for(acted))
    assert {request.code for request in asked if request.write} <= {200, 201}
    actions = acted["action_taken"].split("; ")
    assert intents_of(capsys, acted["incident_id"]) == actions
    described = shown_by_kubectl(plane, acted)
    assert [f"{action} (incident {acted['incident_id']})" in described for action in actions] == [True] * len(actions)
    assert described.count(EVENT_REASON) == len(actions)
    return asked


def does_nothing_more(case: Case, plane: ControlPlane, payload: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The same alert once more: a person is not held up by the cool-down, and the symptom is gone."""
    mark = plane.audit_mark()
    (again,) = replayed(capsys, payload, *AUTO)["runs"]
    assert [in_words(request) for request in asked_since(plane, mark) if request.write] == []
    assert (again["action_taken"], again["status"]) == (None, "succeeded")
    assert case.why in reasons(again)


def reasons(one: Run) -> str:
    """Why each step was not done, or what its gate said."""
    return "; ".join(f"{step['step']} {step['status']}: {step['reason'] or step['gate']}" for step in one["steps"])


def test_each_of_the_seven_alerts_is_played() -> None:
    assert len({case.alert for case in CASES}) == 7


@pytest.mark.timeout(300)
@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_an_alert_is_looked_at_then_acted_upon_and_what_was_broken_is_well(
    case: Case,
    reader: ControlPlane,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    figure: Callable[[str], None],
) -> None:
    payload = payload_of(case.alert, case.runbook, case.breaks(reader), tmp_path)
    looked = recommends(case, reader, payload, tmp_path / "recorded", capsys)
    may_write(reader)
    asked = acts(case, reader, payload, capsys)
    if healed := case.healed:
        wait_for(f"what was broken is well: {case.id}", lambda: healed(reader))
    does_nothing_more(case, reader, payload, capsys)
    counted = len(looked), len(asked)
    assert counted == REQUESTS[case.id], [in_words(request) for request in (*looked, *asked)]
    writes = [in_words(request) for request in asked if request.write]
    figure(
        f"{case.alert}: {counted[0]} requests, 0 writes; auto {counted[1]} requests: {', '.join(writes) or 'no write'}"
    )


def test_a_limit_that_did_not_help_is_not_raised_again_within_the_cool_down(
    reader: ControlPlane, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    may_write(reader)
    workload(reader, container("--heap", "600Mi", memory="128Mi"))
    first = about_a_pod(reader, killed)
    (raised,) = replayed(capsys, payload_of("KubePodOOMKilled", "RB_OOM", first, tmp_path), *AUTO)["runs"]
    assert raised["action_taken"] == f"patch_memory_limit:{DEMO}/{APP}/app:128Mi→256Mi"
    second = about_a_pod(reader, killed, beside=first["pod"])
    mark = reader.audit_mark()
    (refused,) = replayed(capsys, payload_of("KubePodOOMKilled", "RB_OOM", second, tmp_path), *AUTO)["runs"]
    assert [in_words(request) for request in asked_since(reader, mark) if request.write] == []
    assert (refused["status"], refused["action_taken"], refused["action_recommended"]) == ("escalated", None, None)
    assert "less than 30m ago" in reasons(refused)
    assert refused["retry_at"] is not None


def test_a_person_who_says_that_an_old_alert_still_fires_is_not_asked_again(
    reader: ControlPlane, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    may_write(reader)
    old = payload_of("KubePodOOMKilled", "RB_OOM", killed_for_memory(reader), tmp_path, age=timedelta(days=3))
    mark = reader.audit_mark()
    assert run(["replay", old, *AUTO]) == 2
    assert "--assume-firing" in capsys.readouterr().err
    assert asked_since(reader, mark) == []
    (raised,) = replayed(capsys, old, *AUTO, "--assume-firing")["runs"]
    assert (raised["action_taken"], raised["action_recommended"]) == (
        f"patch_memory_limit:{DEMO}/{APP}/app:128Mi→256Mi",
        None,
    )


@pytest.mark.timeout(300)
def test_a_node_that_came_back_is_given_back_unless_its_cordon_is_a_day_young(
    reader: ControlPlane, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent's own cordon need not settle. Doing and undoing within SRE_AGENT_OPPOSITE_PAUSE is a person's."""
    monkeypatch.delenv("SRE_AGENT_CORDON_SETTLE")
    may_write(reader)
    lost = payload_of("KubeNodeNotReady", "RB_NODE_NOTREADY", dead_node(reader), tmp_path)
    (drained,) = replayed(capsys, lost, *AUTO)["runs"]
    assert drained["action_taken"].startswith(f"cordon_node:{NODE}; drain_node:{NODE}")
    reader.kubelets.revive(NODE)
    wait_for(f"{NODE} is Ready and empty", lambda: is_empty(reader))
    back = payload_of("KubeNodeUnschedulable", "RB_NODE_UNSCHEDULABLE", {"node": NODE}, tmp_path)
    mark = reader.audit_mark()
    (refused,) = replayed(capsys, back, *AUTO)["runs"]
    assert [in_words(request) for request in asked_since(reader, mark) if request.write] == []
    assert refused["status"] == "escalated"
    assert "the opposite, was done" in reasons(refused)
    monkeypatch.setenv("SRE_AGENT_OPPOSITE_PAUSE", "0")
    (given_back,) = replayed(capsys, back, *AUTO)["runs"]
    assert given_back["action_taken"] == f"uncordon_node:{NODE}"
    wait_for("the node is given back, and its pods serve", lambda: is_given_back(reader))
