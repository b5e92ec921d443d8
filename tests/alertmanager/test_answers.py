"""Answers of something that is no healthy Alertmanager, over real HTTP: nobody knows then, in bounded time and size."""

import gzip
import socket
from typing import Any

import pytest
from aiohttp import web

from sre_agent import alertmanager
from sre_agent.alert.standing import AlertState
from sre_agent.alertmanager import ask
from sre_agent.settings import Settings, load
from tests.alertmanager.answering import Serve, answering, body
from tests.unit.guard_cases import alert

LABELS = {"alertname": "KubePodOOMKilled", "namespace": "shop", "pod": "cart-1"}
STATUS = {"state": "active", "silencedBy": [], "inhibitedBy": []}


def asking(url: str, **environment: str) -> Settings:
    return load({"HOME": "/home/op", "SRE_AGENT_ALERTMANAGER_URL": url, **environment})


def entry(status: Any = None, **changed: Any) -> dict[str, Any]:
    return {"labels": LABELS, "fingerprint": "8f2c6a", "status": status or STATUS, **changed}


DEEP = b"[" * 100_000


@pytest.mark.parametrize(
    ("serve", "why"),
    [
        pytest.param(body({"error": "x"}, 500), "500", id="an error of the server"),
        pytest.param(body([entry()], 503), "503", id="a good body under a bad status"),
        pytest.param(body(b"<html>log in</html>"), "no JSON", id="a page"),
        pytest.param(body(b""), "no JSON", id="nothing"),
        pytest.param(body(b"\xff\xfe["), "no JSON", id="no UTF-8"),
        pytest.param(body(DEEP), "no JSON", id="very deep JSON"),
        pytest.param(body({"status": "success", "data": []}), "no list of alerts", id="Prometheus' own API"),
        pytest.param(body(["x"]), "no list of alerts", id="a list of something else"),
        pytest.param(body([{"labels": LABELS}]), "no list of alerts", id="alerts without a status"),
        pytest.param(body([entry({"state": "paused"})]), "'paused'", id="a state that nobody knows"),
        pytest.param(body(gzip.compress(b"[]")), "no JSON", id="a packed body that nobody asked for"),
    ],
)
async def test_an_answer_that_cannot_be_used_leaves_the_alert_unknown(serve: Serve, why: str) -> None:
    async with answering(serve) as url:
        standing = await ask(alert(labels=LABELS), asking(url))
    assert (standing.state, standing.detail.startswith(f"{url}: ")) == (AlertState.UNKNOWN, True)
    assert why in standing.detail


@pytest.mark.parametrize(
    ("status", "state", "detail"),
    [
        pytest.param(STATUS, AlertState.ACTIVE, "", id="active"),
        pytest.param({"state": "unprocessed"}, AlertState.ACTIVE, "", id="not looked at yet"),
        pytest.param(
            {"state": "suppressed", "silencedBy": ["s1", "s2"], "inhibitedBy": ["f1"]},
            AlertState.SILENCED,
            "s1, s2",
            id="silenced and inhibited",
        ),
        pytest.param(
            {"state": "suppressed", "silencedBy": [], "inhibitedBy": [f"f{n}" for n in range(7)]},
            AlertState.INHIBITED,
            "f0, f1, f2, f3, f4 and 2 more",
            id="inhibited by many",
        ),
        pytest.param(
            {"state": "suppressed", "silencedBy": [], "inhibitedBy": [], "mutedBy": ["weekend"]},
            AlertState.SILENCED,
            "weekend",
            id="muted by a time interval",
        ),
    ],
)
async def test_each_status_that_alertmanager_has_is_understood(
    status: dict[str, Any], state: AlertState, detail: str
) -> None:
    async with answering(body([entry(status), entry(labels=LABELS | {"pod": "cart-2"})])) as url:
        standing = await ask(alert(labels=LABELS), asking(url))
    assert (standing.state, standing.detail) == (state, detail)


async def test_the_question_names_the_plain_labels_and_carries_the_token() -> None:
    asked: list[web.Request] = []
    labels = {"alertname": "A", "job": 'with "quotes"', "instance": "10.0.0.1:9100", "größe": "x"}
    async with answering(body([], asked=asked)) as url:
        settings = asking(url, SRE_AGENT_ALERTMANAGER_TOKEN="t0ken")
        assert (await ask(alert(labels=labels), settings)).state is AlertState.GONE
    (request,) = asked
    assert request.path == "/api/v2/alerts"
    assert request.query.getall("filter") == ['alertname="A"', 'instance="10.0.0.1:9100"']
    assert request.headers["Authorization"] == "Bearer t0ken"


async def test_a_redirect_is_not_followed() -> None:
    asked: list[str] = []

    async def serve(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        raise web.HTTPFound("/elsewhere")

    async with answering(serve) as url:
        standing = await ask(alert(labels=LABELS), asking(url))
    assert (standing.state, asked) == (AlertState.UNKNOWN, ["/api/v2/alerts"])


async def test_an_endless_answer_is_cut_off() -> None:
    async def serve(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 2**20)

    async with answering(serve) as url:
        standing = await ask(alert(labels=LABELS), asking(url))
    assert standing.state is AlertState.UNKNOWN
    assert "longer than 16 MiB" in standing.detail or "no answer within" in standing.detail


async def test_silence_on_the_line_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alertmanager, "ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        standing = await ask(alert(labels=LABELS), asking(f"http://127.0.0.1:{mute.getsockname()[1]}"))
    assert standing.state is AlertState.UNKNOWN
    assert standing.detail.endswith("no answer within 0.2 s")


async def test_a_port_where_nobody_listens_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    standing = await ask(alert(labels=LABELS), asking(f"http://127.0.0.1:{port}"))
    assert standing.state is AlertState.UNKNOWN
    assert f"127.0.0.1:{port}" in standing.detail
