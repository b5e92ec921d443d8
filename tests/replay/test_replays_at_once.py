"""What a replay prints depends on its payload and recording alone: not on other replays, earlier or at work now."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sre_agent.cli.main import run
from sre_agent.resources import data_path

COMMAND = str(Path(sys.executable).parent / "sre-agent")
RECORDING = str(data_path("examples") / "crash-loop-oom" / "cluster.yaml")
ALERTS, DISTINCT = 79, 19
RUN_KEYS = ("alertname", "fingerprint", "runbook_id", "target", "status", "steps", "action_taken", "writes")


def alert(number: int, *, resolved: bool = False, **labels: str) -> dict[str, Any]:
    return {
        "status": "resolved" if resolved else "firing",
        "labels": {"alertname": "KubePodCrashLooping", "namespace": "demo", "pod": f"api-{number}", **labels},
    }


@pytest.fixture
def body(tmp_path: Path) -> Path:
    """79 alerts, 19 of them different, and as many again resolved in the end: opened, joined, closed."""
    path = tmp_path / "payload.json"
    firing = [alert(number % DISTINCT) for number in range(ALERTS)]
    resolved = [alert(number, resolved=True) for number in range(DISTINCT)]
    path.write_text(json.dumps({"alerts": firing + resolved}))
    return path


def decided(document: dict[str, Any]) -> dict[str, Any]:
    """What was printed, but the numbers that the database gives."""

    def unnumbered(reason: str, incident_id: int | None) -> str:
        return reason.replace(f"incident {incident_id}", "incident N")

    return {
        "runs": [{key: run_[key] for key in RUN_KEYS} for run_ in document["runs"]],
        "skipped": [unnumbered(entry["reason"], entry["incident_id"]) for entry in document["skipped"]],
    }


def test_two_processes_with_one_body_each_print_what_one_alone_prints(body: Path) -> None:
    command = [COMMAND, "replay", str(body), "--snapshot", RECORDING, "--mode", "auto", "--json"]
    alone = decided(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))
    assert len(alone["runs"]) == DISTINCT
    assert len(alone["skipped"]) == ALERTS
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    printed = [json.loads(process.communicate()[0]) for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert [decided(document) for document in printed] == [alone, alone]


def test_a_resolved_notification_says_the_same_whatever_was_replayed_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    firing, resolved = tmp_path / "firing.json", tmp_path / "resolved.json"
    firing.write_text(json.dumps({"alerts": [alert(0, pod="left-behind")]}))
    resolved.write_text(json.dumps({"alerts": [alert(0, resolved=True, pod="left-behind")]}))

    def reason() -> str:
        assert run(["replay", str(resolved), "--snapshot", RECORDING, "--json"]) == 0
        (skipped,) = json.loads(capsys.readouterr().out)["skipped"]
        assert skipped["incident_id"] is None
        return str(skipped["reason"])

    before = reason()
    assert run(["replay", str(firing), "--snapshot", RECORDING]) == 0
    capsys.readouterr()
    assert reason() == before == "resolved: no incident is open for it"


def test_the_plan_has_one_run_for_each_problem_of_each_cluster(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    payload = tmp_path / "payload.json"
    payload.write_text(json.dumps({"alerts": [alert(0), alert(0, cluster="west"), alert(0, cluster="west")]}))
    assert run(["replay", str(payload), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["runs"]) == 2
    (skipped,) = document["skipped"]
    assert "planned already" in skipped["reason"]


def test_a_secret_in_a_label_is_not_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    payload = tmp_path / "payload.json"
    secret = "AKIAIOSFODNN7EXAMPLE"
    twice = alert(0, pod=f"Bearer {secret}", alertname=f"Kube {secret}")
    payload.write_text(json.dumps({"alerts": [twice, twice, alert(0, severity="none", alertname=f"a {secret}")]}))
    assert run(["replay", str(payload), "--json"]) == 0
    shown = capsys.readouterr().out
    assert len(json.loads(shown)["skipped"]) == 2
    assert secret not in shown
