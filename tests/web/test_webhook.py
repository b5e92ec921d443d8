"""POST /alertmanager: 200 means stored, and everything else means what the sender understands by it."""

import asyncio
import http.client
import json
from pathlib import Path
from typing import Any

import pytest

from sre_agent import metrics
from sre_agent.agent import POSTGRES_DIRECTORY
from sre_agent.alert import LONGEST_TEXT, MAX_BYTES, MOST_ALERTS
from sre_agent.alert.decode import MOST_VALUES
from sre_agent.embedded_postgres import running
from sre_agent.incident import IncidentStatus
from sre_agent.store.book import IncidentFilters
from sre_agent.store.migrations import migrate
from sre_agent.web.webhook import MOST_TOLD
from tests.web.servers import Answer, Served, alert, payload, served, until


async def stored(server: Served) -> list[str | None]:
    page = await server.store.book.page(IncidentFilters(), limit=200)
    return [incident.pod for incident in page.incidents]


async def test_an_alert_is_stored_before_it_is_acknowledged(server: Served) -> None:
    answer = await server.deliver(payload())
    assert (answer.status, answer.body) == (200, "")
    assert await stored(server) == ["app-1"]


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "nonsense"])
async def test_the_content_type_does_not_matter(server: Served, content_type: str) -> None:
    assert (await server.deliver(payload(), **{"Content-Type": content_type})).status == 200


async def test_the_same_notification_fifty_times_at_once_is_one_incident(server: Served) -> None:
    answers = await asyncio.gather(*(server.deliver(payload()) for _ in range(50)))
    assert {answer.status for answer in answers} == {200}
    assert await stored(server) == ["app-1"]


async def test_the_resolved_notification_ends_the_incident(server: Served) -> None:
    await server.deliver(payload())
    await server.deliver(payload(alert() | {"status": "resolved", "endsAt": "2026-11-23T04:00:00Z"}))
    (incident,) = (await server.store.book.page(IncidentFilters())).incidents
    assert incident.status is IncidentStatus.RESOLVED


async def test_one_bad_alert_does_not_lose_the_others(server: Served) -> None:
    rejected = metrics.REJECTED.counts.get((), 0)
    bad: dict[str, Any] = {"status": "firing", "labels": {"alertname": 7}}
    assert (await server.deliver(payload(alert(), bad, alert(pod="app-2")))).status == 200
    assert sorted(map(str, await stored(server))) == ["app-1", "app-2"]
    assert metrics.REJECTED.counts[()] == rejected + 1


async def test_many_bad_alerts_are_counted_and_do_not_fill_the_log(
    server: Served, caplog: pytest.LogCaptureFixture
) -> None:
    rejected = metrics.REJECTED.counts.get((), 0)
    bad = [{"labels": {"alertname": number}} for number in range(1000)]
    assert (await server.deliver(payload(alert(), *bad))).status == 200
    assert metrics.REJECTED.counts[()] == rejected + 1000
    told = [record for record in caplog.records if record.getMessage().startswith("webhook.")]
    assert len(told) == MOST_TOLD + 1


async def test_a_fault_in_a_key_without_end_is_told_in_few_words(server: Served) -> None:
    answer = await server.post("/alertmanager", b'{"alerts":[{"labels":{"%b":1}}]}' % (b"x" * 2**20))
    assert answer.status == 400
    assert answer.error["path"] == f"$.alerts[0].labels.{'x' * 80}"


async def test_what_is_counted_is_what_was_stored(server: Served) -> None:
    before = {name: dict(of.counts) for name, of in _counted().items()}
    await server.deliver(payload(alert(), alert(pod="app-2"), truncatedAlerts=7))
    await server.deliver(payload(alert(), alert(pod="app-2") | {"status": "resolved"}))
    await server.deliver({"no": "payload"})
    gained = {
        name: {labels: count - before[name].get(labels, 0) for labels, count in of.counts.items()}
        for name, of in _counted().items()
    }
    assert gained["alerts"] == {("firing",): 3, ("resolved",): 1}
    assert gained["opened"] == {(): 2}
    assert gained["truncated"] == {(): 7}


def _counted() -> dict[str, metrics.Counter]:
    return {"alerts": metrics.ALERTS, "opened": metrics.INCIDENTS, "truncated": metrics.TRUNCATED}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        pytest.param(b"", "body", id="empty"),
        pytest.param(b"{", "byte 1 (line 1, column 2)", id="not JSON"),
        pytest.param(b"\xff", "byte 0", id="not UTF-8"),
        pytest.param(b"[]", "$", id="a list"),
        pytest.param(b'"{}"', "$", id="JSON in a string"),
        pytest.param(b"{}", "$.alerts", id="no alerts"),
        pytest.param(b'{"alerts":{}}', "$.alerts", id="alerts is no list"),
        pytest.param(b'{"alerts":[{"labels":{"a":1}}]}', "$.alerts[0].labels.a", id="a label that is no string"),
        pytest.param(b'{"alerts":[],"alerts":[]}', "$", id="a key twice"),
        pytest.param(b'{"alerts":[{"labels":{"a":"\\ud800"}}]}', "$.alerts[0].labels.a", id="half a surrogate pair"),
        pytest.param(b'{"alerts":[{"labels":{"a":"\\u0000"}}]}', "$.alerts[0].labels.a", id="a NUL"),
        pytest.param(b"[" * 100_000, "body", id="nested without end"),
        pytest.param(b'{"alerts":[' + b"[" * 100_000, "body", id="alerts nested without end"),
        pytest.param(b'{"alerts":[],"x":[' + b"0," * MOST_VALUES + b"0]}", "body", id="more values than a payload has"),
        pytest.param(
            b'{"alerts":[' + b",".join([b"1"] * (MOST_ALERTS + 1)) + b"]}", "$.alerts", id="more alerts than are taken"
        ),
        pytest.param(
            b'{"alerts":[{"labels":{"a":"%b"}}]}' % (b"x" * 2**20), "$.alerts[0].labels.a", id="a label of a megabyte"
        ),
        pytest.param(
            b'{"alerts":[{"labels":{"%b":""}}]}' % (b"x" * 2**20),
            f"$.alerts[0].labels.{'x' * 80}",
            id="a name of a megabyte",
        ),
        pytest.param(
            b'{"alerts":[{"labels":{},"startsAt":"99999-01-01T00:00:00Z"}]}',
            "$.alerts[0].startsAt",
            id="a year too far",
        ),
    ],
)
async def test_a_body_that_is_no_payload_is_refused_where_it_is_wrong(server: Served, body: bytes, path: str) -> None:
    answer = await server.post("/alertmanager", body)
    assert answer.status == 400
    assert answer.error["code"] == "bad_request"
    assert answer.error["path"] == path
    assert await stored(server) == []


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param({"long": "x" * LONGEST_TEXT}, id="a label as long as may be"),
        pytest.param({"long": "é" * LONGEST_TEXT}, id="one that is not ASCII"),
        pytest.param({f"label_{number}": "x" for number in range(10_000)}, id="ten thousand labels"),
        pytest.param({"pod": "x" * 10_000}, id="a name that fits no index"),
        pytest.param({"pod": "\u202e\x1b[2J"}, id="characters that hide"),
        pytest.param({"": ""}, id="a label without a name"),
    ],
)
async def test_odd_labels_are_stored(server: Served, labels: dict[str, str]) -> None:
    assert (await server.deliver(payload(alert(**labels)))).status == 200
    (incident,) = (await server.store.book.page(IncidentFilters())).incidents
    assert (await server.get(f"/api/incidents/{incident.id}")).status == 200


async def test_a_body_beyond_the_limit_is_refused(server: Served) -> None:
    body = b" " * (MAX_BYTES + 1)

    async def pieces() -> Any:
        for start in range(0, len(body), 2**20):
            yield body[start : start + 2**20]

    async with server.client.post("/alertmanager", data=pieces()) as response:
        chunked = await Answer.of(response)
    assert chunked.status == 413
    assert chunked.error["code"] == "too_large"


def test_a_body_that_says_it_is_too_long_is_not_waited_for(process: Any) -> None:
    connection = http.client.HTTPConnection(process.url.removeprefix("http://"), timeout=10)
    connection.putrequest("POST", "/alertmanager")
    connection.putheader("Content-Length", str(MAX_BYTES + 1))
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413
    assert json.load(answer)["error"]["code"] == "too_large"
    connection.close()


async def test_a_compressed_body_is_refused(server: Served) -> None:
    answer = await server.post("/alertmanager", b"\x1f\x8b", **{"Content-Encoding": "gzip"})
    assert (answer.status, answer.error["code"]) == (415, "unsupported_encoding")


async def test_a_server_that_stops_says_so_with_503(server: Served) -> None:
    server.site.stopping.set()
    answer = await server.deliver(payload())
    assert (answer.status, answer.error["code"]) == (503, "unavailable")
    assert await stored(server) == []
    assert (await server.get("/api/incidents")).status == 200


async def test_without_its_database_it_answers_503_and_takes_alerts_again_when_it_is_back(embedded: Path) -> None:
    home = embedded / POSTGRES_DIRECTORY
    with running(home) as conninfo:
        await migrate(conninfo)
        server = served(conninfo, {})
        running_server = await server.__aenter__()
        assert (await running_server.deliver(payload(alert(pod="before")))).status == 200
    try:
        answer = await running_server.deliver(payload(alert(pod="lost")))
        assert (answer.status, answer.error["code"]) == (503, "unavailable")
        assert (await running_server.get("/livez")).status == 200

        with running(home):

            async def taken() -> bool:
                return (await running_server.deliver(payload(alert(pod="after")))).status == 200

            await until(taken, seconds=30)
            pods = await stored(running_server)
            assert ("before" in pods, "lost" in pods, "after" in pods) == (True, False, True)
            await server.__aexit__(None, None, None)
    except BaseException:
        await server.__aexit__(None, None, None)
        raise


async def test_five_thousand_alerts_in_one_body_are_all_stored(server: Served) -> None:
    body = json.dumps(payload(*(alert(pod=f"app-{number}", note="x" * 900) for number in range(5000))))
    assert len(body) > 6_000_000
    assert (await server.post("/alertmanager", body)).status == 200
    page = await server.store.book.page(IncidentFilters(), limit=1, offset=4999)
    assert len(page.incidents) == 1
    assert page.next_cursor is None
