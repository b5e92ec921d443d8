"""Every recorded incident of `examples/` ends exactly as its `expected.yaml` says, in both modes."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from sre_agent.analysis.sections import SECTIONS
from sre_agent.cli.main import run
from sre_agent.resources import data_path
from tests.examples import EXAMPLES, comparable


def replayed(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code = run(["replay", *arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("mode", ["recommend", "auto"])
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_the_recorded_incident_ends_as_expected(example: Path, mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    expected = yaml.safe_load((example / "expected.yaml").read_text())[mode]
    code, document = replayed(capsys, str(example), "--mode", mode)
    assert [comparable(run_) for run_ in document["runs"]] == expected["runs"]
    assert [entry["alertname"] for entry in document["skipped"]] == [
        entry["alertname"] for entry in expected.get("skipped", [])
    ]
    for entry, wanted in zip(document["skipped"], expected.get("skipped", []), strict=True):
        assert wanted["reason_contains"] in entry["reason"]
    for words in expected.get("analysis_of_the_last_run_contains", []):
        assert words in document["runs"][-1]["analysis_markdown"]
    assert code == (1 if any(run_["status"] == "failed" for run_ in document["runs"]) else 0)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_every_run_has_an_analysis_in_all_sections(example: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, document = replayed(capsys, str(example), "--mode", "auto")
    for run_ in document["runs"]:
        headings = [line[3:] for line in run_["analysis_markdown"].splitlines() if line.startswith("## ")]
        assert headings == list(SECTIONS)


def test_all_seven_runbooks_occur() -> None:
    used = {
        run_["runbook_id"]
        for example in EXAMPLES
        for run_ in yaml.safe_load((example / "expected.yaml").read_text())["auto"]["runs"]
    }
    assert used == {path.stem for path in data_path("runbooks").glob("RB_*.md")}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_the_same_replay_twice_decides_the_same(example: Path, capsys: pytest.CaptureFixture[str]) -> None:
    decided = []
    for _ in range(2):
        _, document = replayed(capsys, str(example), "--mode", "auto")
        decided.append([comparable(run_) for run_ in document["runs"]])
    assert decided[0] == decided[1]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_the_story_fits_into_80_columns_and_names_the_runbook(
    example: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    run(["replay", str(example), "--mode", "auto"])
    story = capsys.readouterr().out
    assert [line for line in story.splitlines() if len(line) > 80] == []
    assert "RB_" in story or "no run" in story
