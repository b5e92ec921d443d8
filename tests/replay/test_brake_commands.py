"""`pause`, `resume` and `status` as their user meets them."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from rich.cells import cell_len

from sre_agent.cli.main import run
from sre_agent.cluster.port import Traffic
from sre_agent.store import Store
from tests.replay.answers import document, told
from tests.store.store_builders import new_incident, receive, started
from tests.store.test_brakes import drain, wrote

MINUTE = timedelta(minutes=1)
NAMES = ["kill-switch", "pause", "storm", "nodes-not-ready", "api-errors", "writes", "drain-pause"]


@pytest.fixture
def used(database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The database that the commands use."""
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("CLUSTER_NAME", "prod")
    monkeypatch.setattr("sre_agent.cli.incidents.user", lambda: "kim")
    return database


def brakes(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, Any]]:
    return {brake["name"]: brake for brake in document(capsys, "status")["brakes"]}


def test_an_agent_at_rest_is_held_by_nothing(used: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "status")
    assert [brake["name"] for brake in found["brakes"]] == NAMES
    assert not any(brake["on"] for brake in found["brakes"])
    assert (found["held"], found["mode"], found["cluster"], found["pauses"]) == (False, "recommend", "prod", [])
    assert (found["queued"], found["running"], found["last_alert_at"]) == (0, 0, None)


def test_a_pause_is_told_until_it_is_ended(used: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "pause", "--reason", "upgrade") == "paused: nothing is changed until sre-agent resume\n"
    second = document(capsys, "pause", "--until", "2h")["pause"]
    lasts = datetime.fromisoformat(second["until"]) - datetime.fromisoformat(second["since"])
    assert (second["by"], second["reason"], lasts) == ("kim", None, timedelta(hours=2))
    found = document(capsys, "status")
    assert [(entry["by"], entry["reason"]) for entry in found["pauses"]] == [("kim", "upgrade"), ("kim", None)]
    assert (found["held"], brakes(capsys)["pause"]["on"], brakes(capsys)["pause"]["until"]) == (True, True, None)
    assert "pause            ON: paused by kim since" in told(capsys, "status")
    assert told(capsys, "resume").splitlines()[-1] == "resumed"
    assert told(capsys, "resume") == "nobody had paused the agent\n"
    assert document(capsys, "resume") == {"ended": []}
    assert document(capsys, "status")["held"] is False


@pytest.mark.parametrize(
    ("until", "said"),
    [
        pytest.param("soon", "cannot be read", id="no time"),
        pytest.param("2020-01-01", "is over already", id="the past"),
        pytest.param("0", "is over already", id="no time at all"),
    ],
)
def test_an_end_that_cannot_be_is_refused(used: str, capsys: pytest.CaptureFixture[str], until: str, said: str) -> None:
    assert run(["pause", "--until", until]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "or for how long such as 90m" in error
    assert document(capsys, "status")["pauses"] == []


def test_the_switch_is_told(used: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRE_AGENT_STOP", "on")
    assert brakes(capsys)["kill-switch"]["on"] is True


def test_every_brake_tells_what_it_rests_on_within_80_columns(used: str, capsys: pytest.CaptureFixture[str]) -> None:
    now = datetime.now(UTC)
    asyncio.run(trouble(used, now))
    found = brakes(capsys)
    assert {name: brake["on"] for name, brake in found.items()} == {
        "kill-switch": False,
        "pause": False,
        "storm": True,
        "nodes-not-ready": True,
        "api-errors": True,
        "writes": False,
        "drain-pause": True,
    }
    assert found["storm"]["what"] == "more than 20 new incidents began within 5m; incident 1 escalated"
    assert found["nodes-not-ready"]["what"].endswith("more than 50 % of the nodes; incident 1 escalated")
    assert found["api-errors"]["what"] == "30 of the last 100 requests failed"
    assert found["writes"]["what"] == "1 of 5 changes within 10m"
    assert datetime.fromisoformat(found["storm"]["until"]) == now + 5 * MINUTE
    text = told(capsys, "status")
    assert max(cell_len(line) for line in text.splitlines()) <= 80
    assert "queued runs      21, the oldest for" in text


async def trouble(database: str, now: datetime) -> None:
    async with Store.open(database) as store:
        first = await started(store, new_incident(dedup_key="first", runbook_id="RB_OTHER"))
        for number in range(21):
            await receive(store, new_incident(dedup_key=f"storm-{number}", starts_at=now), now=now)
        for rule in ("storm", "nodes-not-ready"):
            await store.brakes.tell(rule, first, scope="live", cluster="prod", calm=15 * MINUTE, now=now)
        traffic = Traffic(requests=100, errors=30, source=uuid4())
        await store.brakes.report_traffic(traffic, cluster="prod", now=now)
        await wrote(store, drain(), now - MINUTE)
