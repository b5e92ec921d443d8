"""A stored incident played again: the same decision on the same evidence, and what is different where it is not."""

import json
import os
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sre_agent.agent import POSTGRES_DIRECTORY, load_runbooks
from sre_agent.cli.main import run
from sre_agent.embedded_postgres import running
from sre_agent.resources import data_path
from sre_agent.settings import load

EXAMPLES = sorted(path.parent for path in data_path("examples").glob("*/expected.yaml"))
OOM = data_path("examples") / "oom-killed"


def document(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    run(["replay", *arguments, "--json"])
    shown = capsys.readouterr()
    assert shown.out, shown.err
    found: dict[str, Any] = json.loads(shown.out)
    return found


def again(capsys: pytest.CaptureFixture[str], incident_id: int, *arguments: str) -> dict[str, Any]:
    (found,) = document(capsys, "--incident", str(incident_id), *arguments)["runs"]
    result: dict[str, Any] = found
    return result


def first(capsys: pytest.CaptureFixture[str], example: Path = OOM, mode: str = "auto") -> dict[str, Any]:
    found: dict[str, Any] = document(capsys, str(example), "--mode", mode)["runs"][0]
    return found


@pytest.mark.parametrize("mode", ["recommend", "auto"])
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_a_stored_incident_is_decided_as_it_was(example: Path, mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    for stored in document(capsys, str(example), "--mode", mode)["runs"]:
        played = again(capsys, stored["incident_id"])
        assert played["differences"] == []
        assert played["mode"] == mode
        assert played["replayed"]["incident_id"] == stored["incident_id"] != played["incident_id"]
        assert played["replayed"]["incomplete"] is None


def test_a_replay_of_a_replay_works_too(capsys: pytest.CaptureFixture[str]) -> None:
    copy = again(capsys, first(capsys)["incident_id"])
    assert again(capsys, copy["incident_id"])["differences"] == []


def test_the_other_mode_differs_in_what_it_does_with_the_change(capsys: pytest.CaptureFixture[str]) -> None:
    stored = first(capsys)
    played = again(capsys, stored["incident_id"], "--mode", "recommend")
    what = {entry["what"]: (entry["before"], entry["now"]) for entry in played["differences"]}
    assert what["mode"] == ("auto", "recommend")
    assert what["action_taken"] == (stored["action_taken"], None)
    assert what["action_recommended"] == (None, stored["action_taken"])
    assert [write["body"] for write in what["planned_writes"][1]] == [write["body"] for write in what["writes"][0]]


def test_a_changed_runbook_shows_the_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored = first(capsys)
    shipped = load_runbooks(load({}))["RB_OOM"]
    text = shipped.path.read_text()
    changed = text.replace(
        "  - step: increase_memory_limit\n", "  - step: increase_memory_limit\n    mode: recommend\n"
    )
    assert changed != text
    (tmp_path / "RB_OOM.md").write_text(changed)
    played = again(capsys, stored["incident_id"], "--runbooks", str(tmp_path))
    what = {entry["what"]: (entry["before"], entry["now"]) for entry in played["differences"]}
    assert what["runbook_sha256"][0] == shipped.sha256
    assert what["step increase_memory_limit: status"] == ("done", "proposed")
    assert what["action_taken"] == (stored["action_taken"], None)


def edited(directory: Path, runbook_id: str, before: str, after: str) -> str:
    """A directory with a shipped runbook in which one text is another one."""
    text = load_runbooks(load({}))[runbook_id].path.read_text()
    assert before in text
    (directory / f"{runbook_id}.md").write_text(text.replace(before, after, 1))
    return str(directory)


INCREASE = "  - step: increase_memory_limit\n    when: check_oom.oom_detected\n    verify: {within: 180s, undo: true}\n"
EDITS = [
    pytest.param(
        "    when: check_oom.oom_detected\n",
        "    when: check_imagepullbackoff.imagepull_detected\n",
        {"step increase_memory_limit: status": ("done", "skipped")},
        id="another gate",
    ),
    pytest.param(INCREASE, "", {"step increase_memory_limit": ("increase_memory_limit", None)}, id="a removed step"),
    pytest.param(
        INCREASE,
        INCREASE.replace("step: increase_memory_limit", "step: more\n    tool: increase_memory_limit"),
        {"step more": (None, "increase_memory_limit"), "step increase_memory_limit": ("increase_memory_limit", None)},
        id="a renamed step",
    ),
    pytest.param(
        "  - step: check_oom\n",
        "  - step: why\n    tool: get_runbook\n  - step: check_oom\n",
        {"step why": (None, "get_runbook")},
        id="an added step",
    ),
]


@pytest.mark.parametrize(("before", "after", "expected"), EDITS)
def test_an_edited_runbook_is_told_step_by_step(
    before: str, after: str, expected: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    incident = first(capsys, data_path("examples") / "crash-loop-oom")["incident_id"]
    played = again(capsys, incident, "--runbooks", edited(tmp_path, "RB_CRASHLOOP", before, after))
    found = {entry["what"]: (tool_of(entry["before"]), tool_of(entry["now"])) for entry in played["differences"]}
    assert expected.items() <= found.items()
    assert "runbook_sha256" in found


def tool_of(value: Any) -> Any:
    """A step that was added or removed, by its tool."""
    return value["tool"] if isinstance(value, dict) and "tool" in value else value


def test_an_alert_that_another_runbook_claims_now_is_told_and_what_it_asks_besides_is_unknown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    payload = json.loads((OOM / "payload.json").read_text())
    del payload["alerts"][0]["labels"]["runbook_id"]
    (tmp_path / "payload.json").write_text(json.dumps(payload))
    (stored,) = document(
        capsys, str(tmp_path / "payload.json"), "--snapshot", str(OOM / "cluster.yaml"), "--mode", "auto"
    )["runs"]
    users = tmp_path / "runbooks"
    users.mkdir()
    edited(users, "RB_OOM", "  - KubePodOOMKilled\n", "")
    claims = "id: RB_MINE\ntitle: Mine\nalerts: [KubePodOOMKilled]\nworkflow: [{step: get_pod_logs}]"
    (users / "RB_MINE.md").write_text(f"---\n{claims}\n---\n# Mine\n")
    played = again(capsys, stored["incident_id"], "--runbooks", str(users))
    what = {entry["what"]: (entry["before"], entry["now"]) for entry in played["differences"]}
    assert what["runbook_id"] == ("RB_OOM", "RB_MINE")
    assert what["status"] == ("succeeded", "failed")
    assert "evidence that was kept does not say: log pods shop/" in what["action_error"][1]
    assert played["writes"] == []
    assert run(["replay", "--incident", str(stored["incident_id"]), "--runbooks", str(users)]) == 1
    capsys.readouterr()


def test_a_runbook_with_an_unknown_tool_ends_with_2_and_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    incident = str(first(capsys)["incident_id"])
    users = edited(tmp_path, "RB_OOM", "step: increase_memory_limit", "step: more_memory")
    assert run(["replay", "--incident", incident, "--runbooks", users]) == 2
    assert "RB_OOM.md:14:11: unknown tool 'more_memory'" in capsys.readouterr().err


def test_writes_are_told_in_one_form_whatever_the_order_they_were_kept_in(capsys: pytest.CaptureFixture[str]) -> None:
    incident = str(first(capsys)["incident_id"])
    assert run(["replay", "--incident", incident, "--mode", "recommend"]) == 0
    lines = " ".join(capsys.readouterr().out.split())
    write = 'patch deployments shop/checkout {"spec": {"template":'
    assert f"writes - {write}" in lines
    assert f"planned_writes - none + {write}" in lines


DAMAGES = [
    pytest.param("update evidence_objects set body = 'x'", "was changed after it had been kept", id="a changed object"),
    pytest.param("delete from evidence_parts where place = 1", "is gone from the database", id="a lost object"),
    pytest.param("update evidence set record = '{\"format\": 9}'", "has the format 9", id="another format"),
    pytest.param("update evidence set record = '[]'", "cannot be read", id="no record"),
    pytest.param("update evidence set record = record - 'answers'", "cannot be read (KeyError", id="no answers"),
]


@pytest.mark.parametrize(("damage", "words"), DAMAGES)
def test_damaged_evidence_ends_with_2_and_one_sentence(
    damage: str, words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRE_AGENT_DATA_DIR", str(tmp_path))
    incident = first(capsys)["incident_id"]
    with running(tmp_path / POSTGRES_DIRECTORY) as conninfo, psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(damage.encode())
        assert run(["replay", "--incident", str(incident)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    (said,) = shown.err.splitlines()
    assert f"incident {incident}" in said
    assert words in said


def test_a_pruned_incident_ends_with_2_and_says_when_it_was_pruned(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRE_AGENT_DATA_DIR", str(tmp_path))
    incident = str(first(capsys)["incident_id"])
    assert run(["resolve", incident]) == 0
    assert run(["db", "prune", "--before", "0s", "--yes"]) == 0
    capsys.readouterr()
    assert run(["replay", "--incident", incident]) == 2
    assert f"incident {incident} was removed by `sre-agent db prune`" in capsys.readouterr().err


def test_the_document_has_the_shape_of_every_replay(capsys: pytest.CaptureFixture[str]) -> None:
    stored = first(capsys)
    found = document(capsys, "--incident", str(stored["incident_id"]))
    assert (list(found), found["skipped"]) == (["runs", "skipped"], [])
    (played,) = found["runs"]
    assert played.keys() - stored.keys() == {"differences", "replayed"}
    assert played["replayed"] == {
        "incident_id": stored["incident_id"],
        "run_id": stored["run_id"],
        "mode": "auto",
        "settings": {},
        "incomplete": None,
        "later_runs": 0,
    }


def test_the_story_ends_with_what_is_different(capsys: pytest.CaptureFixture[str]) -> None:
    incident = str(first(capsys)["incident_id"])
    assert run(["replay", "--incident", incident]) == 0
    assert "nothing is different" in capsys.readouterr().out
    assert run(["replay", "--incident", incident, "--mode", "recommend"]) == 0
    shown = capsys.readouterr().out
    assert "step increase_memory_limit: status" in shown
    assert shown.index("- done") < shown.index("+ proposed")
    assert [line for line in shown.splitlines() if len(line) > 80] == []


def test_the_settings_are_those_of_the_run_and_changed_ones_are_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRE_AGENT_STOP", "on")
    monkeypatch.setenv("CLUSTER_NAME", "east")
    stored = first(capsys)
    assert stored["action_taken"] is None
    monkeypatch.delenv("SRE_AGENT_STOP")
    played = again(capsys, stored["incident_id"])
    assert played["differences"] == []
    assert played["replayed"]["settings"] == {"SRE_AGENT_STOP": {"then": "on", "today": None}}
    assert run(["replay", "--incident", str(stored["incident_id"])]) == 0
    assert "SRE_AGENT_STOP as it was, on; today its default" in " ".join(capsys.readouterr().out.split())


BAD_USAGE = [
    pytest.param(["--incident", "987654321"], "there is no incident 987654321: the nearest are", id="unknown"),
    pytest.param(["--incident", "0"], "there is no incident 0: the nearest are", id="zero"),
    pytest.param(["--incident", str(2**70)], f"there is no incident {2**70}: the nearest are", id="a huge number"),
    pytest.param(["--incident", "1", str(OOM)], "PAYLOAD", id="with a payload"),
    pytest.param(["--incident", "1", "--snapshot", str(OOM / "cluster.yaml")], "--snapshot", id="with a snapshot"),
    pytest.param(["--incident", "first"], "integer", id="no number"),
    pytest.param([], "--incident", id="nothing"),
]


@pytest.mark.parametrize(("arguments", "word"), BAD_USAGE)
def test_bad_usage_ends_with_2_and_says_what(
    arguments: list[str], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first(capsys)
    assert run(["replay", *arguments]) == 2
    shown = capsys.readouterr()
    assert word in shown.err
    assert shown.out == ""


def test_an_incident_whose_evidence_was_not_kept_ends_with_2_and_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRE_AGENT_EVIDENCE_BYTES", "0")
    incident = first(capsys)["incident_id"]
    assert run(["replay", "--incident", str(incident)]) == 2
    shown = capsys.readouterr().err
    assert f"incident {incident} (1 succeeded) has no evidence" in shown
    assert "SRE_AGENT_EVIDENCE_BYTES" in shown


def test_incomplete_evidence_is_said_and_what_is_missing_is_not_taken_for_absent(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRE_AGENT_EVIDENCE_BYTES", "2Ki")
    stored = first(capsys)
    assert any("SRE_AGENT_EVIDENCE_BYTES=2Ki" in note for note in stored["notes"])
    monkeypatch.delenv("SRE_AGENT_EVIDENCE_BYTES")
    run(["replay", "--incident", str(stored["incident_id"])])
    assert "is unknown here" in " ".join(capsys.readouterr().out.split())
    played = again(capsys, stored["incident_id"])
    assert "are not kept" in played["replayed"]["incomplete"]
    assert played["writes"] == played["planned_writes"] == []
    assert "evidence that was kept does not say" in json.dumps(played)


def test_an_alert_that_has_no_run_any_more_is_a_difference(capsys: pytest.CaptureFixture[str]) -> None:
    incident = first(capsys)["incident_id"]
    with (
        running(Path(os.environ["SRE_AGENT_DATA_DIR"]) / POSTGRES_DIRECTORY) as conninfo,
        psycopg.connect(conninfo, autocommit=True) as connection,
    ):
        changed = "update evidence set record = jsonb_set(record, '{alert,labels,severity}', '\"none\"')"
        connection.execute(f"{changed} where incident_id = %s".encode(), (incident,))
    (skipped,) = document(capsys, "--incident", str(incident))["skipped"]
    ((what, before, now),) = [tuple(entry.values()) for entry in skipped["differences"]]
    assert (what, before) == ("run", "succeeded")
    assert now.startswith("none: ")
    assert run(["replay", "--incident", str(incident)]) == 0
    assert "no run" in capsys.readouterr().out
