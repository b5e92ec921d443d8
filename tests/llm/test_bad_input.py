"""What is set wrongly for a model ends the command at its start, and says what to set."""

import shutil
from pathlib import Path

import pytest

from sre_agent.cli.main import run
from sre_agent.llm.prompts import PLACES, SHIPPED
from sre_agent.resources import data_path

EXAMPLE = str(data_path("examples") / "oom-killed")
COMMANDS = (["replay", EXAMPLE], ["serve", "--port", "0"], ["worker"])


@pytest.fixture(params=COMMANDS, ids=lambda arguments: arguments[0])
def command(request: pytest.FixtureRequest, database: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("DATABASE_URL", database)
    arguments: list[str] = request.param
    return arguments


def refused(command: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert run(command) == 2
    return capsys.readouterr().err


def test_a_planner_without_a_model(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    said = refused([*command, "--planner", "llm"], capsys)
    assert "there is no model: set OPENAI_API_KEY, or OPENAI_BASE_URL for a server that needs no key" in said


def test_the_same_by_the_environment(
    command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRE_AGENT_PLANNER", "llm")
    assert "SRE_AGENT_PLANNER" in refused(command, capsys)


@pytest.mark.parametrize("url", ["localhost:11434/v1", "ftp://models", "https://", "http://user:pass@host/v1", "a b"])
def test_a_base_url_that_is_none(
    url: str, command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    said = refused(command, capsys)
    assert "OPENAI_BASE_URL=" in said
    assert "allowed is an http:// or https:// URL without user and password" in said


@pytest.mark.parametrize(("name", "place"), [(name, sorted(places)[0]) for name, places in PLACES.items()])
def test_a_prompt_without_a_place(
    name: str,
    place: str,
    command: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = tmp_path / f"{name}.md"
    own.write_text((SHIPPED / own.name).read_text().replace(f"${{{place}}}", "nothing"))
    monkeypatch.setenv("SRE_AGENT_PROMPTS_DIR", str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    assert refused(command, capsys).strip().endswith(f"{own}: the place ${{{place}}} is missing")


FAULTS = {
    "no version": ("version: 1\n", "", "it does not begin with `version: N`, then `# system`, then `# user`"),
    "a place that nothing fills": ("${alert}", "${alert} ${secrets}", "nothing fills the place ${secrets}"),
    "a lone dollar": ("${alert}", "${alert} 5 $", "a $ that begins no place is written $$"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_prompt_with_another_fault(
    fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new, said = FAULTS[fault]
    shutil.copytree(SHIPPED, tmp_path, dirs_exist_ok=True)
    own = tmp_path / "step.md"
    own.write_text(own.read_text().replace(old, new))
    monkeypatch.setenv("SRE_AGENT_PROMPTS_DIR", str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    assert f"{own}: {said}" in refused(["replay", EXAMPLE], capsys)


def test_prompts_under_a_name_that_nobody_asks_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "steps.md").write_text("version: 1\n")
    monkeypatch.setenv("SRE_AGENT_PROMPTS_DIR", str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    assert "steps.md: there is no prompt of this name; the prompts are analysis.md" in refused(
        ["replay", EXAMPLE], capsys
    )


def test_prompts_that_are_not_there_matter_to_nobody_without_a_model(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("SRE_AGENT_PROMPTS_DIR", "/nonexistent")
    assert run(["replay", EXAMPLE]) == 0
