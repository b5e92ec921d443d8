"""`sre-agent doctor` without a cluster, and how it judges clocks and rights."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sre_agent.agent import load_runbooks
from sre_agent.cli.main import run
from sre_agent.cluster.port import Resource
from sre_agent.doctor import Finding, State, examine
from sre_agent.doctor.alertmanager import check_alertmanager
from sre_agent.doctor.finding import compared
from sre_agent.doctor.rights import (
    BESIDE_TOOLS,
    EVENTS,
    EVERYWHERE,
    SWITCH,
    findings,
    namespaces,
    needed_rights,
    tools_of,
    words,
)
from sre_agent.settings import Settings, load
from sre_agent.tools.registry import TOOLS
from sre_agent.tools.types import Permission
from tests.alertmanager.answering import answering, body

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
QUOTAS = Permission(verb="list", resource=Resource.RESOURCE_QUOTAS)
PATCH = Permission(verb="patch", resource=Resource.DEPLOYMENTS)
DELETE = Permission(verb="delete", resource=Resource.PODS)


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def settings(**environment: str) -> Settings:
    return load({"SRE_AGENT_DATA_DIR": "unused", **environment})


def checked(**environment: str) -> dict[str, Finding]:
    async def all_of_them() -> dict[str, Finding]:
        return {finding.check: finding async for finding in examine(settings(**environment))}

    return asyncio.run(all_of_them())


SKEWS = [
    pytest.param(0.0, 0.0, 0.0, State.OK, id="the same"),
    pytest.param(4.9, 0.0, 0.0, State.OK, id="almost five seconds ahead"),
    pytest.param(-4.9, 0.0, 0.0, State.OK, id="almost five seconds behind"),
    pytest.param(6.0, 0.0, 0.0, State.WARNING, id="ahead"),
    pytest.param(-6.0, 0.0, 0.0, State.WARNING, id="behind"),
    pytest.param(7.0, 3.0, 0.0, State.OK, id="ahead, but the answer took three seconds"),
    pytest.param(-5.5, 0.0, 1.0, State.OK, id="behind, but cut to the second"),
    pytest.param(86_400.0, 1.0, 1.0, State.WARNING, id="a day"),
]


@pytest.mark.parametrize(("skew", "took", "grain", "state"), SKEWS)
def test_clocks_may_differ_by_five_seconds_beyond_what_cannot_be_known(
    skew: float, took: float, grain: float, state: State
) -> None:
    theirs, after = NOW + timedelta(seconds=skew), NOW + timedelta(seconds=took)
    assert compared("clock", theirs, NOW, after, grain=grain).state is state


def test_a_clock_that_is_wrong_is_said_with_direction_and_size() -> None:
    found = compared("clock", NOW + timedelta(seconds=90), NOW, NOW)
    assert found.what.startswith("90 s ahead of this machine's")


def rights(places: dict[Permission, tuple[str, ...]], **environment: str) -> list[tuple[str, str]]:
    needed = needed_rights()
    held = {right: places.get(right, (EVERYWHERE,)) for right in needed}
    used = tools_of(load_runbooks(settings()))
    return [(found.state.value, found.what) for found in findings(held, needed, settings(**environment), used)]


def test_all_rights_are_one_line() -> None:
    assert rights({}) == [("ok", f"all {len(needed_rights())} that the tools need")]


def test_a_missing_read_fails_and_names_verb_resource_and_tools() -> None:
    ((state, what),) = rights({QUOTAS: ()})
    assert state == "failed"
    assert what.startswith("list resourcequotas is not allowed; needed by ")
    assert "increase_memory_limit" in what or "more" in what


def test_a_missing_write_fails_in_auto_alone() -> None:
    ((state, what),) = rights({PATCH: (), EVENTS: ()})
    assert (state, "patch deployments.apps" in what, "create events" in what) == ("warning", True, True)
    assert {state for state, _ in rights({PATCH: (), EVENTS: ()}, AGENT_MODE="auto")} == {"failed"}


def test_a_write_that_no_runbook_asks_for_is_no_failure() -> None:
    assert "delete_pod" not in tools_of(load_runbooks(settings()))
    assert [state for state, _ in rights({DELETE: ()}, AGENT_MODE="auto")] == ["warning"]


def test_a_right_in_some_namespaces_says_in_which() -> None:
    found = rights({DELETE: ("demo",), QUOTAS: ("demo",)})
    assert ("ok", "delete pods is allowed in demo alone") in found
    (warned,) = [what for state, what in found if state == "warning"]
    assert warned.startswith("list resourcequotas is allowed in demo alone")


def test_every_right_of_every_tool_is_asked() -> None:
    asked = needed_rights()
    assert {right for tool in TOOLS.values() for right in tool.permissions} | {
        right for rights in BESIDE_TOOLS.values() for right in rights
    } == set(asked)
    assert all(
        right in BESIDE_TOOLS.get(tool, TOOLS[tool].permissions if tool in TOOLS else ())
        for right, tools in asked.items()
        for tool in tools
    )


def test_namespaces_that_are_named_somewhere_are_asked() -> None:
    given = settings(SRE_AGENT_ALLOW_NAMESPACES="shop,team-*")
    assert namespaces(given, load_runbooks(given)) == ("shop", "demo")


def test_rights_are_written_as_rbac_names_them() -> None:
    evict = Permission(verb="create", resource=Resource.PODS, subresource="eviction")
    assert (words(PATCH), words(evict)) == ("patch deployments.apps", "create pods/eviction")


def test_no_cluster_at_all_is_a_warning(database: str) -> None:
    found = checked(DATABASE_URL=database)
    assert {check: finding.state.value for check, finding in found.items()} == {
        "runbooks": "ok",
        "database": "ok",
        "schema": "ok",
        "database clock": "ok",
        "cluster": "warning",
        "LLM": "ok",
    }


def test_a_kubeconfig_that_is_named_and_not_there_is_a_failure(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere/config")
    assert checked(DATABASE_URL=database)["cluster"].state is State.FAILED


def test_a_schema_that_is_behind_names_the_command(blank_database: str) -> None:
    found = checked(DATABASE_URL=blank_database)["schema"]
    assert (found.state, found.instead) == (State.FAILED, "run `sre-agent db migrate`")
    assert "0001_incidents" in found.what


def test_a_changed_schema_is_named(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("update schema_migrations set sha256 = 'other' where name = '0001_incidents'")
    found = checked(DATABASE_URL=database)["schema"]
    assert (found.state, "0001_incidents" in found.what) == (State.FAILED, True)


def test_a_database_that_is_away_is_said_without_its_password() -> None:
    found = checked(DATABASE_URL="postgresql://agent:hunter2-secret@127.0.0.1:1/sre")
    assert found["database"].state is State.FAILED
    assert "schema" not in found
    assert "hunter2-secret" not in str(found)


def test_an_embedded_database_is_not_migrated_by_looking_at_it(tmp_path: Path) -> None:
    environment = {"SRE_AGENT_DATA_DIR": str(tmp_path / "data")}
    first, second = (checked(**environment)["schema"] for _ in range(2))
    assert first == second
    assert (first.state, "the next command does it" in first.what) == (State.OK, True)


def test_a_faulty_runbook_is_named_and_the_other_checks_go_on(database: str, tmp_path: Path) -> None:
    (tmp_path / "RB_BAD.md").write_text("---\nid: RB_BAD\n---\n")
    found = checked(DATABASE_URL=database, SRE_AGENT_RUNBOOKS_DIR=str(tmp_path))
    assert found["runbooks"].state is State.FAILED
    assert "RB_BAD.md:" in found["runbooks"].what
    assert found["schema"].state is State.OK


async def test_a_check_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch, database: str) -> None:
    async def endless(*_arguments: Any) -> list[Finding]:
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr("sre_agent.doctor.check_database", endless)
    found = [finding async for finding in examine(settings(DATABASE_URL=database), seconds=0.2)]
    assert [(each.check, each.state.value) for each in found][1:] == [
        ("database", "failed"),
        ("cluster", "warning"),
        ("LLM", "ok"),
    ]


def test_the_command_exits_with_three_where_something_needed_is_missing(
    database: str, blank_database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", database)
    assert run(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[0] for line in lines] == ["✓", "✓", "✓", "✓", "!", "✓"]
    monkeypatch.setenv("DATABASE_URL", blank_database)
    assert run(["doctor", "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False
    assert {check["check"]: check["state"] for check in told["checks"]}["schema"] == "failed"
    assert {tuple(check) for check in told["checks"]} == {("check", "state", "what", "instead")}


async def test_an_alertmanager_is_asked_where_one_is_named() -> None:
    assert "alertmanager" not in [found.check async for found in examine(settings(DATABASE_URL="host=/nowhere"))]
    async with answering(body([])) as url:
        answers = await check_alertmanager(settings(SRE_AGENT_ALERTMANAGER_URL=url))
    silent = await check_alertmanager(settings(SRE_AGENT_ALERTMANAGER_URL=url))
    assert [(found.check, found.state.value) for found in (*answers, *silent)] == [
        ("alertmanager", "ok"),
        ("alertmanager", "failed"),
    ]
    assert silent[0].instead == "without its answer nothing is changed"


def test_a_missing_right_to_read_the_stop_switch_fails_and_names_the_one_object() -> None:
    ((state, what),) = rights({SWITCH: ()})
    assert state == "failed"
    assert what == "get configmaps sre-agent-stop is not allowed; needed by reading the stop switch"
