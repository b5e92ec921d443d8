"""What people are told of a model: by `replay`, `show` and `status`, at the start of a server, and by `/metrics`."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.cells import cell_len

from sre_agent.cli.main import run
from sre_agent.cli.serving import OpenedCluster, missing_for_runs
from sre_agent.cluster.absent import AbsentCluster
from sre_agent.settings import load
from sre_agent.web import exposition
from tests.investigation.investigated import EXAMPLE, POD
from tests.investigation.scripted_model import concluding, looking, scripted_beside
from tests.model_server import ModelServer
from tests.replay.answers import document, told

HIDDEN = "\x1b[31mred\x1b[0m \u202egnp.exe\u200b"
FINDING = ("The container says that LEDGER_GRPC_URL is not set.", "get_pod_logs")


@pytest.fixture
def model(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    """A model that is set up, with prices, and a database of its own."""
    script = looking("get_pod_logs", "check_oom", then=concluding([FINDING, ("It has 99 restarts.", "check_oom")]))
    with scripted_beside(script) as model:
        prices = {"SRE_AGENT_LLM_PRICE_IN": "1", "SRE_AGENT_LLM_PRICE_OUT": "10", "SRE_AGENT_INVESTIGATE": "on"}
        for name, value in {**model.environment, **prices, "DATABASE_URL": database, "COLUMNS": "80"}.items():
            monkeypatch.setenv(name, value)
        yield model


@pytest.fixture
def payload(tmp_path: Path) -> str:
    """The alert of the example under a name that no runbook has, with words that are not fit for a terminal."""
    body = json.loads((EXAMPLE / "payload.json").read_text())
    (alert,) = body["alerts"]
    alert["labels"] = {**alert["labels"], "alertname": "PaymentsApiErrors"}
    del alert["labels"]["runbook_id"]
    alert["annotations"]["summary"] = f"Container is crash looping. {HIDDEN}"
    path = tmp_path / "payload.json"
    path.write_text(json.dumps(body))
    return str(path)


def replayed(capsys: pytest.CaptureFixture[str], payload: str) -> str:
    assert run(["replay", payload, "--snapshot", str(EXAMPLE / "cluster")]) == 0
    return capsys.readouterr().out


@pytest.mark.usefixtures("model")
def test_the_story_tells_for_each_step_what_the_model_did_and_what_it_cost(
    capsys: pytest.CaptureFixture[str], payload: str
) -> None:
    story = replayed(capsys, payload)
    steps = [line for line in story.splitlines() if "LLM test-model: first answer" in line]
    assert len(steps) == 3
    assert all("1,200+40 tokens, cost 0.0016" in line for line in steps)
    assert "1 of what it said was dropped" in " ".join(story.split())
    assert "the model notes: The container says that LEDGER_GRPC_URL is not set." in story
    (closing,) = [line for line in story.splitlines() if line.startswith("LLM  ")]
    assert "3 calls" in closing
    assert "3,600+120 tokens, cost 0.0048" in closing


@pytest.mark.usefixtures("model")
def test_show_tells_the_exchange_word_for_word_in_80_columns(capsys: pytest.CaptureFixture[str], payload: str) -> None:
    replayed(capsys, payload)
    short, whole = told(capsys, "show", "1"), told(capsys, "show", "1", "--llm", "--events")
    assert "LLM test-model: first answer" in short
    assert "what a model was asked" not in short
    for words in (
        "You look into an alert",
        "tools: get_pod_events, get_pod_logs",
        f'"pod": "{POD}"',
        "verdict: accepted",
    ):
        assert " ".join(words.split()) in " ".join(whole.split())
    assert "dropped: It has 99 restarts. (investigate-2-check_oom): not in what the step read" in " ".join(
        whole.split()
    )
    assert max(cell_len(line) for line in whole.splitlines()) <= 80
    assert not {"\x1b", "\u202e", "\u200b"} & set(whole)
    assert "\u202e" not in told(capsys, "show", "1", "--llm")


@pytest.mark.usefixtures("model")
def test_the_json_of_an_incident_holds_what_was_asked(capsys: pytest.CaptureFixture[str], payload: str) -> None:
    replayed(capsys, payload)
    events = document(capsys, "show", "1")["events"]
    steps = [event["payload"]["llm"] for event in events if event["event_type"] == "step"]
    (final,) = [event["payload"]["state"] for event in events if event["event_type"] == "final"]
    assert final["llm_trace"] == steps
    assert [step["step"] for step in final["rb_steps"]] == [step["step"] for step in steps]
    assert set(final) == {"action_taken", "action_recommended", "action_error", "rb_steps", "llm_trace"}


@pytest.mark.usefixtures("model")
def test_the_status_tells_the_model_and_what_it_was_asked_today(
    capsys: pytest.CaptureFixture[str], payload: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    replayed(capsys, payload)
    monkeypatch.setenv("SRE_AGENT_LLM_COST_PER_DAY", "5")
    said = " ".join(told(capsys, "status").split())
    told_of_the_model = (
        r"LLM test-model: \d calls today, [\d,]+ of 5,000,000 tokens, cost 0\.\d+ of 5; looks into alerts"
    )
    assert re.search(told_of_the_model, said)
    found = document(capsys, "status")["llm"]
    assert found == {
        "model": "test-model",
        "investigates": True,
        "calls_today": 4,
        "tokens_today": 3720,
        "tokens_per_day": 5_000_000,
        "cost_today": pytest.approx(0.0048),
        "cost_per_day": 5.0,
    }
    monkeypatch.setenv("SRE_AGENT_PLANNER", "scripted")
    assert "none is asked: scripted; 4 calls today" in told(capsys, "status")
    assert document(capsys, "status")["llm"]["model"] is None


def test_without_a_model_the_status_says_so_and_a_run_is_as_ever(
    capsys: pytest.CaptureFixture[str], payload: str, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("SRE_AGENT_INVESTIGATE", "on")
    story = replayed(capsys, payload)
    assert "LLM" not in story
    assert "none bound" in story
    assert "no model was asked" in told(capsys, "show", "1", "--llm")
    (line,) = [line for line in told(capsys, "status").splitlines() if line.startswith("LLM")]
    assert line.split(maxsplit=1) == ["LLM", "none is asked: scripted"]


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"SRE_AGENT_INVESTIGATE": "on"}, True),
        ({"SRE_AGENT_INVESTIGATE": "on", "OPENAI_API_KEY": "sk-test"}, False),
        ({"SRE_AGENT_INVESTIGATE": "on", "OPENAI_API_KEY": "sk-test", "SRE_AGENT_PLANNER": "scripted"}, True),
        ({}, False),
    ],
)
async def test_a_server_says_at_its_start_that_nothing_is_investigated_without_a_model(
    environment: dict[str, str], said: bool
) -> None:
    missing = await missing_for_runs(
        load({"HOME": "/", **environment}), OpenedCluster(cluster=AbsentCluster(), place="none")
    )
    assert any("SRE_AGENT_INVESTIGATE" in line for line in missing) is said


@pytest.mark.usefixtures("model")
def test_the_metrics_hold_the_questions_of_the_investigation(capsys: pytest.CaptureFixture[str], payload: str) -> None:
    replayed(capsys, payload)
    shown = exposition.text(None, runbooks_refused=False).decode()
    assert 'sre_agent_llm_calls_total{purpose="investigation",result="answered"}' in shown
    assert 'sre_agent_llm_tokens_total{kind="prompt"}' in shown
    assert 'sre_agent_llm_seconds_count{purpose="investigation"}' in shown
