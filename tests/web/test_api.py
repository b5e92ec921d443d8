"""The API over incidents: the seed's shapes, filters, pages, decisions; and what is said where it cannot be done."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from sre_agent import views
from sre_agent.incident import IncidentStatus
from tests.web.servers import Served, alert, payload

SEED_KEYS = {
    *("id", "alertname", "namespace", "pod", "runbook_id", "severity", "agent_mode", "action_taken", "updated_at"),
    *("fingerprint", "status", "summary", "summary_embedding", "created_at"),
}


async def listed(server: Served, query: str = "") -> list[int]:
    answer = await server.get(f"/api/incidents{query}")
    assert answer.status == 200, answer.body
    return [incident["id"] for incident in answer.body["incidents"]]


async def test_the_list_shows_live_incidents_unless_asked_for_replays(played_server: Served) -> None:
    await played_server.deliver(payload())
    (live,) = await listed(played_server)
    assert sorted(await listed(played_server, "?origin=replay")) == [1, 2, 3]
    assert await listed(played_server, "?origin=live") == [live]


async def test_a_row_has_every_key_of_the_seed_and_those_of_the_detail(played_server: Served) -> None:
    page = await played_server.get("/api/incidents?origin=replay")
    for row in page.body["incidents"]:
        detail = await played_server.get(f"/api/incidents/{row['id']}")
        assert row == detail.body["incident"]
        assert row.keys() >= SEED_KEYS


async def test_the_detail_is_what_views_shows(played_server: Served) -> None:
    answer = await played_server.get("/api/incidents/1")
    assert answer.body == await views.detail(played_server.store, 1)
    assert set(answer.body) == {"incident", "events", "analysis_markdown", "past_incidents"}
    assert answer.body["analysis_markdown"].startswith("## Summary")


@pytest.mark.parametrize(
    ("query", "pods"),
    [
        ("?alertname=KubePodOOMKilled", ["a", "b"]),
        ("?alertname=KubePodOOMKilled&namespace=prod", ["b"]),
        ("?namespace=nowhere", []),
        ("?node=worker-1", [None]),
        ("?severity=critical", [None]),
        ("?runbook=RB_OOM", ["a", "b"]),
        ("?status=open", [None, "a", "b"]),
        ("?status=resolved", []),
        ("?since=1h", [None, "a", "b"]),
        ("?since=2999-01-01", []),
        ("?since=2024-01-01T00:00:00+02:00", [None, "a", "b"]),
        ("?since=2024-01-01T00:00:00Z", [None, "a", "b"]),
        ("?q=oomkilled+prod", ["b"]),
        ("?q=", [None, "a", "b"]),
        ("?alertname=%00%ff%f0%9f", []),
    ],
)
async def test_filters(server: Served, query: str, pods: list[str | None]) -> None:
    node = alert() | {"labels": {"alertname": "KubeNodeNotReady", "node": "worker-1", "severity": "critical"}}
    await server.deliver(payload(alert(pod="a"), alert(pod="b", namespace="prod"), node))
    answer = await server.get(f"/api/incidents{query}")
    found = [incident["pod"] for incident in answer.body["incidents"]]
    assert sorted(found, key=str) == sorted(pods, key=str)


async def test_pages_by_cursor_and_by_offset_are_the_same_list(server: Served) -> None:
    await server.deliver(payload(*(alert(pod=f"app-{number}") for number in range(7))))
    whole = await listed(server)
    by_cursor: list[int] = []
    cursor = ""
    while True:
        page = (await server.get(f"/api/incidents?limit=3{cursor}")).body
        by_cursor += [incident["id"] for incident in page["incidents"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    by_offset = [found for offset in (0, 3, 6) for found in await listed(server, f"?limit=3&offset={offset}")]
    assert by_cursor == by_offset == whole


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=ten", "limit"),
        ("limit=1&limit=2", "limit"),
        ("limit=٣", "limit"),
        ("offset=-1", "offset"),
        ("offset=9223372036854775808", "offset"),
        ("cursor=x", "cursor"),
        ("cursor=1-99999999999999999999", "cursor"),
        ("status=closed", "status"),
        ("origin=dead", "origin"),
        ("since=yesterday", "since"),
        ("since=9999d", "since"),
        ("since=0001-01-01T00:00:00Z", "since"),
        ("q=%21%21", "q"),
        ("q=" + "x" * 201, "q"),
        ("namespace=" + "x" * 1001, "namespace"),
        ("limti=3", "limti"),
        ("=", ""),
    ],
)
async def test_a_bad_parameter_is_refused_by_its_name(server: Served, query: str, parameter: str) -> None:
    answer = await server.get(f"/api/incidents?{query}")
    assert (answer.status, answer.error["code"], answer.error["path"]) == (400, "bad_request", parameter)


async def test_a_misspelt_parameter_is_told_the_right_one(server: Served) -> None:
    assert "did you mean limit?" in (await server.get("/api/incidents?limti=3")).error["message"]


@pytest.mark.parametrize("identifier", ["0", "-1", "x", "1.0", "9223372036854775808", "%00"])
async def test_an_id_that_none_can_have_is_a_bad_parameter(server: Served, identifier: str) -> None:
    answer = await server.get(f"/api/incidents/{identifier}")
    assert (answer.status, answer.error["path"]) == (400, "id")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("POST", "/regenerate-analysis"), ("POST", "/suppress"), ("POST", "/resolve")],
)
async def test_an_unknown_id_is_told_the_nearest(server: Served, method: str, path: str) -> None:
    await server.deliver(payload(alert(pod="a"), alert(pod="b")))
    near = sorted(await listed(server))
    async with server.client.request(method, f"/api/incidents/{2**63 - 1}{path}") as response:
        error = (await response.json())["error"]
    assert (response.status, error["code"]) == (404, "not_found")
    assert error["message"].endswith(f"the nearest are {near[0]}, {near[1]}")


async def test_suppressing_and_resolving_keep_the_reason(server: Served) -> None:
    await server.deliver(payload())
    (found,) = await listed(server)
    for verb, status in (("suppress", "suppressed"), ("resolve", "resolved")):
        for changed in (True, False):
            answer = await server.post(f"/api/incidents/{found}/{verb}", json.dumps({"reason": f"to {verb} it"}))
            assert (answer.status, answer.body["changed"]) == (200, changed)
            assert answer.body["incident"]["status"] == status
    events = (await server.get(f"/api/incidents/{found}")).body["events"]
    reasons = [event["payload"]["reason"] for event in events if event["event_type"] in {"suppressed", "resolved"}]
    assert reasons == [
        "muted by an operator, by the API: to suppress it",
        "resolved by an operator, by the API: to resolve it",
    ]


async def test_what_is_over_cannot_be_suppressed(server: Served) -> None:
    await server.deliver(payload())
    (found,) = await listed(server)
    await server.post(f"/api/incidents/{found}/resolve")
    answer = await server.post(f"/api/incidents/{found}/suppress")
    assert (answer.status, answer.error["code"]) == (409, "conflict")
    incident = await server.store.incident(found)
    assert incident is not None
    assert incident.status is IncidentStatus.RESOLVED


@pytest.mark.parametrize("body", ["", "{}", '{"reason": null}', '{"reason": "  "}'])
async def test_a_reason_may_be_left_out(server: Served, body: str) -> None:
    await server.deliver(payload())
    (found,) = await listed(server)
    assert (await server.post(f"/api/incidents/{found}/resolve", body)).status == 200


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ("x", "$"),
        (" ", "$"),
        ("[]", "$"),
        ("[" * 10_000, "$"),
        ('{"reason": 7}', "$.reason"),
        ('{"raeson": "x"}', "$.raeson"),
        ('{"reason": "' + "x" * 1001 + '"}', "$.reason"),
    ],
)
async def test_a_bad_body_changes_nothing(server: Served, body: str, path: str) -> None:
    await server.deliver(payload())
    (found,) = await listed(server)
    answer = await server.post(f"/api/incidents/{found}/resolve", body)
    assert (answer.status, answer.error["path"]) == (400, path)
    assert await listed(server, "?status=open") == [found]


async def test_a_body_of_the_api_is_small(server: Served) -> None:
    answer = await server.post("/api/incidents/1/resolve", "x" * 100_000)
    assert (answer.status, answer.error["code"]) == (413, "too_large")


async def test_an_analysis_is_written_anew(played_server: Served) -> None:
    answer = await played_server.post("/api/incidents/1/regenerate-analysis")
    assert answer.status == 200
    assert set(answer.body) == {"incident_id", "event_id", "analysis_markdown", "planner", "model", "sections", "why"}
    assert (answer.body["planner"], answer.body["model"]) == ("composed", None)
    detail = (await played_server.get("/api/incidents/1")).body
    assert detail["analysis_markdown"] == answer.body["analysis_markdown"]
    newest = [event for event in detail["events"] if event["event_type"] == "analysis"][-1]
    assert (newest["id"], newest["payload"]["regenerated"]) == (answer.body["event_id"], True)


async def test_an_analysis_waits_for_its_run(server: Served) -> None:
    await server.deliver(payload())
    (found,) = await listed(server)
    answer = await server.post(f"/api/incidents/{found}/regenerate-analysis")
    assert (answer.status, "is queued" in answer.error["message"]) == (409, True)


@pytest.mark.parametrize(("path", "status"), [("/nothing", 404), ("/api/incidents/", 404), ("/incident/", 404)])
async def test_a_path_that_is_none_is_not_found(server: Served, path: str, status: int) -> None:
    assert (await server.get(path)).status == status


async def test_a_method_that_is_not_for_a_path_is_told_which_is(server: Served) -> None:
    answer = await server.get("/alertmanager")
    assert (answer.status, answer.error["code"]) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == "POST"


async def test_times_are_written_in_utc(server: Served) -> None:
    before = datetime.now(UTC)
    await server.deliver(payload())
    answer: Any = await server.get("/api/incidents")
    created = answer.body["incidents"][0]["created_at"]
    assert created.endswith("Z")
    assert before <= datetime.fromisoformat(created) <= datetime.now(UTC)


async def test_a_pause_is_shown_until_it_is_over(server: Served) -> None:
    assert (await server.get("/api/status")).body["held"] is False
    paused = await server.post("/api/pause", json.dumps({"reason": "upgrade", "until": "2h"}))
    assert paused.status == 200
    assert paused.body["pause"]["reason"] == "upgrade"
    status = (await server.get("/api/status")).body
    assert (status["held"], status["pauses"]) == (True, [paused.body["pause"]])
    assert (await server.post("/api/resume")).body == {"ended": [paused.body["pause"]]}
    assert (await server.post("/api/resume")).body == {"ended": []}
    assert (await server.get("/api/status")).body["held"] is False


async def test_a_pause_needs_neither_a_reason_nor_an_end(server: Served) -> None:
    pause = (await server.post("/api/pause")).body["pause"]
    assert (pause["reason"], pause["until"], pause["by"]) == (None, None, "an operator, by the API")


@pytest.mark.parametrize("until", ["yesterday", "2001-01-01", "0", "9999d", "\x00"])
async def test_a_pause_that_would_be_over_or_is_no_time_is_refused(server: Served, until: str) -> None:
    answer = await server.post("/api/pause", json.dumps({"until": until}))
    assert (answer.status, answer.error["path"]) == (400, "$.until")
    assert (await server.get("/api/status")).body["held"] is False


async def test_a_runbook_is_shown_with_its_steps_and_gates(server: Served) -> None:
    answer = await server.get("/api/runbooks/RB_NODE_NOTREADY")
    assert answer.status == 200
    assert answer.body == views.runbook_json(server.site.service.runbooks()["RB_NODE_NOTREADY"])
    assert [step["gate"] for step in answer.body["steps"]] == [None, None, *["when get_node_ready.not_ready"] * 2]
    assert "KubeNodeNotReady" in answer.body["alerts"]


async def test_an_unknown_runbook_is_refused_with_the_known_ones(server: Served) -> None:
    answer = await server.get("/api/runbooks/RB_NONE")
    assert answer.status == 404
    assert "known: RB_" in answer.error["message"]
