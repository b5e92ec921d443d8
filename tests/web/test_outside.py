"""The status says how the cluster's stop switch stands and whether Alertmanager answers, and waits for neither."""

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from sre_agent import outside
from sre_agent.cluster.port import Resource
from sre_agent.cluster.recording import from_objects
from sre_agent.cluster.snapshot import SnapshotCluster
from sre_agent.objects import Object
from tests.alertmanager.answering import answering, body
from tests.replay.answers import document, told
from tests.web.servers import Served, served

SWITCH: Object = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "sre-agent-stop", "namespace": "agentic"},
    "data": {"reason": "ask Ada"},
}
MOST_SECONDS = 5.0


async def brakes(server: Served) -> dict[str, dict[str, Any]]:
    return {brake["name"]: brake for brake in (await server.get("/api/status")).body["brakes"]}


async def test_what_is_not_configured_is_not_shown(server: Served) -> None:
    assert not {"stop-switch", "alertmanager"} & set(await brakes(server))


@pytest.mark.parametrize(
    ("objects", "on", "said"),
    [
        ([], False, "the ConfigMap agentic/sre-agent-stop does not stop the agent (a recording)"),
        ([SWITCH], True, "the ConfigMap agentic/sre-agent-stop stops the agent: ask Ada (a recording)"),
        ([SWITCH | {"data": {"stop": "false"}}], False, "does not stop the agent"),
    ],
)
async def test_the_switch_is_told_as_the_cluster_has_it(
    database: str, objects: list[Object], on: bool, said: str
) -> None:
    async with served(database, {}, cluster=SnapshotCluster(from_objects(objects))) as server:
        found = (await brakes(server))["stop-switch"]
        assert found["on"] is on
        assert said in found["what"]
        status = await server.get("/status")
        assert ("Changes are held back." in status.body) is on
        assert found["what"] in status.body


class SilentCluster(SnapshotCluster):
    """Takes questions and does not answer."""

    asked = 0

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        self.asked += 1
        await asyncio.sleep(MOST_SECONDS)
        return await super().get(resource, namespace, name)


async def test_a_cluster_that_is_silent_is_not_waited_for_and_holds_its_process_back(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside, "ASKED_SECONDS", 0.1)
    cluster = SilentCluster(from_objects([]))
    async with served(database, {}, cluster=cluster) as server:
        answers = await asyncio.wait_for(asyncio.gather(*(brakes(server) for _ in range(20))), MOST_SECONDS)
        assert {answer["stop-switch"]["on"] for answer in answers} == {True}
        assert "no answer within 0.1 s" in answers[0]["stop-switch"]["what"]
        assert cluster.asked == 1, "many who look are one question to the cluster"


async def test_an_alertmanager_that_answers_is_told(database: str) -> None:
    asked: list[web.Request] = []
    async with (
        answering(body([], asked=asked)) as url,
        served(database, {"SRE_AGENT_ALERTMANAGER_URL": url}) as server,
    ):
        found = (await brakes(server))["alertmanager"]
        assert (found["on"], found["what"]) == (False, f"Alertmanager answers at {url}")
        assert asked[0].path == "/api/v2/alerts"


@pytest.mark.parametrize("fault", ["silent", "another program", "nobody"])
async def test_an_alertmanager_that_cannot_be_asked_is_told_and_not_waited_for(
    database: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside, "ASKED_SECONDS", 0.2)

    async def silence(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(1)
        return web.Response()

    async with answering(silence if fault == "silent" else body({"status": "success"})) as url:
        address = "http://127.0.0.1:1" if fault == "nobody" else url
        async with served(database, {"SRE_AGENT_ALERTMANAGER_URL": address}) as server:
            found = await asyncio.wait_for(brakes(server), MOST_SECONDS)
            assert found["alertmanager"]["on"] is True
            why = {
                "silent": "no answer within 0.2 s",
                "another program": "no list of alerts",
                "nobody": "Cannot connect",
            }
            assert why[fault] in found["alertmanager"]["what"]
            assert found["alertmanager"]["what"].endswith("; without its answer nothing is changed")


@pytest.fixture
def mute() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_the_command_says_what_it_cannot_know_and_does_not_fail(
    database: str,
    mute: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The processes that act may reach what this shell does not, so it is no alarm."""
    config = {
        "current-context": "mute",
        "contexts": [{"name": "mute", "context": {"cluster": "mute", "user": "mute"}}],
        "clusters": [{"name": "mute", "cluster": {"server": f"http://127.0.0.1:{mute}"}}],
        "users": [{"name": "mute", "user": {}}],
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.setenv("SRE_AGENT_ALERTMANAGER_URL", f"http://127.0.0.1:{mute}")
    began = time.monotonic()
    found = document(capsys, "status")
    assert time.monotonic() - began < outside.ASKED_SECONDS + MOST_SECONDS
    asked = {brake["name"]: brake for brake in found["brakes"] if brake["name"] in {"stop-switch", "alertmanager"}}
    assert [asked[name]["on"] for name in ("stop-switch", "alertmanager")] == [None, None]
    assert "no answer within 2 s (context mute at" in asked["stop-switch"]["what"]
    assert found["held"] is False
    lines = told(capsys, "status")
    assert "stop-switch      unknown: whether the ConfigMap" in lines
    assert "alertmanager     unknown: http://127.0.0.1" in lines


def test_a_kubeconfig_that_leads_nowhere_does_not_fail_the_command(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "kubeconfig").write_text("{")
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    (switch,) = [brake for brake in document(capsys, "status")["brakes"] if brake["name"] == "stop-switch"]
    assert switch["on"] is None
    assert "could not be read" in switch["what"]
