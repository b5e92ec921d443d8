"""`sre-agent` as its user meets it: exit codes, streams, bad input, shapes of JSON."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sre_agent.cli.main import run
from sre_agent.intake import STILL_FIRING
from sre_agent.resources import data_path

COMMAND = str(Path(sys.executable).parent / "sre-agent")
RUN_KEYS = {
    "incident_id",
    "alertname",
    "fingerprint",
    "target",
    "runbook_id",
    "route_reason",
    "mode",
    "status",
    "steps",
    "action_taken",
    "action_recommended",
    "action_error",
    "analysis_markdown",
    "writes",
    "planned_writes",
}
OOM = data_path("examples") / "oom-killed"


def alert(**labels: str) -> dict[str, Any]:
    return {"labels": {"alertname": "KubePodOOMKilled", "namespace": "shop", "pod": "p", **labels}}


def body(tmp_path: Path, *alerts: dict[str, Any], name: str = "payload.json") -> str:
    path = tmp_path / name
    path.write_text(json.dumps({"alerts": list(alerts)}))
    return str(path)


def document(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert run(["replay", *arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_run_has_every_key_that_others_rely_on(capsys: pytest.CaptureFixture[str]) -> None:
    (run_,) = document(capsys, str(OOM))["runs"]
    assert run_.keys() >= RUN_KEYS
    assert all(
        step.keys() >= {"step", "tool", "status", "reason", "gate", "arguments", "result"} for step in run_["steps"]
    )
    assert run_["writes"] == []
    (planned,) = run_["planned_writes"]
    assert planned.keys() == {"verb", "resource", "subresource", "namespace", "name", "body"}


def test_the_end_of_one_alert_does_not_end_the_incident_of_another_of_its_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    firing = json.loads((OOM / "payload.json").read_text())["alerts"][0]
    ended = firing | {"status": "resolved", "labels": firing["labels"] | {"instance": "10.244.9.9:8080"}}
    found = document(capsys, body(tmp_path, firing, ended), "--snapshot", str(OOM / "cluster.yaml"))
    (run_,), (left,) = found["runs"], found["skipped"]
    assert left["reason"] == STILL_FIRING
    assert run(["show", str(run_["incident_id"]), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["incident"]["status"] == "open"


def test_without_a_cluster_the_plan_is_printed_and_nothing_is_stored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRE_AGENT_DATA_DIR", str(tmp_path / "data"))
    (run_,) = document(capsys, body(tmp_path, alert()))["runs"]
    assert (run_["status"], run_["incident_id"], run_["target"]) == ("planned", None, None)
    assert {step["status"] for step in run_["steps"]} == {"planned"}
    assert not (tmp_path / "data").exists()


def test_the_plan_says_how_to_give_a_cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["replay", body(tmp_path, alert())]) == 0
    assert "--snapshot" in capsys.readouterr().out


def test_each_distinct_incident_has_one_run_and_the_others_join(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    payload = body(tmp_path, alert(), alert(), alert(pod="q"), alert(instance="another-exporter"))
    found = document(capsys, payload, "--snapshot", str(OOM / "cluster.yaml"))
    assert len(found["runs"]) == 2
    assert ["joined" in entry["reason"] for entry in found["skipped"]] == [True, True]


def test_one_bad_alert_does_not_lose_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, body(tmp_path, {"labels": 7}, alert()))
    assert len(found["runs"]) == 1
    (skipped,) = found["skipped"]
    assert skipped["path"].startswith("$.alerts[0]")


def test_ignored_alerts_open_no_incident(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, body(tmp_path, alert(alertname="Watchdog"), alert(severity="none")))
    assert found["runs"] == []
    assert len(found["skipped"]) == 2


def test_a_payload_comes_from_stdin_too() -> None:
    done = subprocess.run(
        [COMMAND, "replay", "-", "--json"],
        input=json.dumps({"alerts": [alert()]}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(json.loads(done.stdout)["runs"]) == 1


BAD_BODIES = [
    pytest.param(b"{not json", "position|line", id="not JSON"),
    pytest.param(b"[]", "alerts", id="JSON of another shape"),
    pytest.param(b'"{\\"alerts\\": []}"', "string", id="a string-wrapped body"),
    pytest.param(b"", "empty", id="an empty body"),
    pytest.param(b'{"alerts": ["' + b"x" * (33 * 2**20) + b'"]}', "MiB", id="33 MiB"),
]


@pytest.mark.parametrize(("content", "words"), BAD_BODIES)
def test_bad_input_ends_with_2_and_names_file_and_place(
    content: bytes, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "body.json"
    path.write_bytes(content)
    assert run(["replay", str(path), "--json"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "body.json" in shown.err
    assert any(word in shown.err for word in words.split("|"))


USAGE = [
    pytest.param(["replay", "no-such-file.json"], "no-such-file.json", id="a missing payload"),
    pytest.param(["replay", "{ok}", "--snapshot", "no-such.yaml"], "no-such.yaml", id="a missing snapshot"),
    pytest.param(["replay", "{ok}", "--runbooks", "no-such-dir"], "no-such-dir", id="missing runbooks"),
    pytest.param(["replay", "{ok}", "--mode", "yolo"], "yolo", id="an unknown mode"),
    pytest.param(["replay"], "PAYLOAD", id="no payload"),
    pytest.param(["lint", "no-such-dir"], "no-such-dir", id="lint of nothing"),
    pytest.param(["frobnicate"], "frobnicate", id="an unknown command"),
]


@pytest.mark.parametrize(("arguments", "word"), USAGE)
def test_bad_usage_ends_with_2_and_says_what(
    arguments: list[str], word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    payload = body(tmp_path, alert())
    assert run([argument.replace("{ok}", payload) for argument in arguments]) == 2
    assert word in capsys.readouterr().err


def test_a_setting_out_of_range_stops_with_name_value_and_what_is_allowed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRE_AGENT_HEALTH_FLOOR", "140")
    assert run(["config"]) == 2
    shown = capsys.readouterr().err
    assert "SRE_AGENT_HEALTH_FLOOR" in shown
    assert "140" in shown
    assert "100" in shown


def test_an_unknown_tool_in_a_setting_stops_with_the_known_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRE_AGENT_APPROVE_TOOLS", "drain_everything")
    assert run(["replay", body(tmp_path, alert())]) == 2
    assert "drain_node" in capsys.readouterr().err


def test_a_database_that_is_away_ends_with_3_and_what_was_tried(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://agent:hunter2@127.0.0.1:1/sre")
    assert run(["replay", str(OOM)]) == 3
    shown = capsys.readouterr().err
    assert "127.0.0.1" in shown
    assert "hunter2" not in shown


def test_an_old_schema_ends_with_3_and_names_the_command(
    blank_database: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", blank_database)
    assert run(["replay", str(OOM)]) == 3
    assert "db migrate" in capsys.readouterr().err
    assert run(["db", "migrate"]) == 0
    assert run(["replay", str(OOM)]) == 0


def test_migrations_are_shown_with_their_state(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["db", "migrate"]) == 0
    capsys.readouterr()
    assert run(["db", "status", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["migrations"]
    assert rows
    assert {row["state"] for row in rows} <= {"applied", "skipped"}


def test_lint_prints_every_fault_and_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "RB_X.md").write_text("---\nid: nonsense\ntitle: X\nworkflow:\n  - step: fly\n---\n")
    assert run(["lint", str(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 2
    assert all("RB_X.md:" in line and ";" in line for line in lines)


def test_a_faulty_runbook_is_refused_at_load_with_the_linters_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    books = tmp_path / "books"
    books.mkdir()
    (books / "RB_X.md").write_text("---\nid: nonsense\ntitle: X\nworkflow:\n  - step: fly\n---\n")
    assert run(["lint", str(books)]) == 1
    words = capsys.readouterr().out.splitlines()[0]
    assert run(["replay", body(tmp_path, alert()), "--runbooks", str(books)]) == 2
    assert words in capsys.readouterr().err


def test_config_masks_secrets_and_tells_origins(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-verysecretvalue1234")
    monkeypatch.setenv("DATABASE_URL", "postgresql://agent:hunter2@db/sre")
    assert run(["config", "--json"]) == 0
    text = capsys.readouterr().out
    assert "verysecret" not in text
    assert "hunter2" not in text
    origins = {row["name"]: row["origin"] for row in json.loads(text)["settings"]}
    assert origins["OPENAI_API_KEY"] == "environment"
    assert origins["AGENT_MODE"] == "default"


def test_version_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["version"]) == 0
    assert capsys.readouterr().out.startswith("sre-agent ")


@pytest.mark.parametrize("command", [[], ["replay"], ["lint"], ["db"], ["db", "migrate"], ["config"], ["version"]])
def test_help_fits_into_80_columns(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Usage: sre-agent" in shown
    assert [line for line in shown.splitlines() if len(line) > 80] == []


def test_replays_at_the_same_time_do_not_disturb_each_other(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen([COMMAND, "replay", str(OOM), "--mode", "auto", "--json"], stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    documents = [json.loads(process.communicate()[0]) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len({found["runs"][0]["action_taken"] for found in documents}) == 1
    assert documents[0]["runs"][0]["action_taken"]
