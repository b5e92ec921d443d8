"""The pages without a browser: each says what the API says, in the seed's words, and what goes wrong is a page, too."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sre_agent.sentences import answer, did_it_help, moment, what_next
from sre_agent.web.app import ROUTES
from sre_agent.web.body import LONGEST_TEXT
from sre_agent.web.pages import _acts
from sre_agent.web.rendering import HERE, POLICY
from tests.analysis.scripted_model import NAME, scripted
from tests.chaos.monkey import OwnPostgres
from tests.conftest import copy_of
from tests.web.conftest import Serve
from tests.web.reading import Element
from tests.web.servers import Served, alert, payload, served

READ = [route.path for route in ROUTES if route.page and route.method == "GET" and route.path != "/event/{id}"]
SECTIONS = ("Analysis", "Past Similar Incidents", "Agent Timeline")
BUTTON = "↻ Re-generate Analysis"


def at(path: str) -> str:
    return path.replace("runbook/{id}", "runbook/RB_OOM").replace("{id}", "1")


SECRET = "hunter2-of-the-runbook"


async def page_of(server: Served, path: str, status: int = 200, **headers: str) -> Element:
    found = await server.get(path, Accept="text/html", **headers)
    assert (found.status, found.headers["Content-Type"]) == (status, "text/html; charset=utf-8"), found.body
    return Element.of(found.body)


def cells(row: Element) -> dict[str, str]:
    return {cell["data-label"]: cell.text for cell in row.all("td")}


def told(page: Element, name: str) -> dict[str, str]:
    """A list of terms: each with what is said of it."""
    return {entry.one("dt").text: entry.one("dd").text for entry in page.one("dl", class_=name).all("div")}


def done(incident: dict[str, Any]) -> str:
    """What was done, as a mark and words say it."""
    for key, mark, word in (
        ("action_error", "✗", "failed:"),
        ("action_taken", "✓", "done:"),
        ("action_recommended", "→", "recommended:"),
    ):
        if incident[key]:
            return f"{mark} {word} {incident[key]}"
    _, _, why = (incident.get("summary") or "").partition(": nothing done; ")
    return f"– nothing: {why}" if why else "– nothing"


def names(*values: str | None) -> str:
    return " / ".join(value for value in values if value) or "–"


async def test_the_list_says_what_the_api_says(played_server: Served) -> None:
    page = await page_of(played_server, "/?origin=replay")
    listed = (await played_server.get("/api/incidents?origin=replay")).body["incidents"]
    rows = page.one("div", id="incidents").all("tr")[1:]
    assert [row.one("a").text for row in rows] == [str(incident["id"]) for incident in listed] != []
    for row, incident in zip(rows, listed, strict=True):
        assert cells(row) | {"Updated": row.one("time")["title"]} == {
            "Alert": incident["alertname"],
            "Namespace / Pod": names(incident["namespace"], incident["pod"]),
            "Node": incident["node"] or "–",
            "Runbook": incident["runbook_id"],
            "Severity": incident["severity"],
            "Status": incident["status"],
            "What was done": done(incident),
            "Updated": moment(incident["updated_at"]),
        }


@pytest.mark.parametrize(
    "query",
    ["status=open", "severity=critical", "namespace=prod", "runbook=RB_OOM", "since=1h", "q=oomkilled", "limit=2"],
)
async def test_a_filter_of_the_page_is_the_api_s_and_stands_in_its_form(server: Served, query: str) -> None:
    node = alert() | {"labels": {"alertname": "KubeNodeNotReady", "node": "worker-1", "severity": "critical"}}
    await server.deliver(payload(alert(pod="a"), alert(pod="b", namespace="prod"), node))
    page = await page_of(server, f"/?{query}")
    listed = (await server.get(f"/api/incidents?{query}")).body
    found = [link.text for link in page.one("div", id="incidents").all("a")]
    assert found == [str(incident["id"]) for incident in listed["incidents"]]
    name, _, value = query.partition("=")
    form = page.one("form", role="search")
    if name == "limit":
        (older,) = page.all("a", rel="next")
        rest = await page_of(server, older["href"])
        assert len(rest.one("div", id="incidents").all("tbody")[0].all("tr")) == 1
        assert rest.one("a", rel="first").text == "Newest"
    elif name in {"q", "namespace"}:
        assert form.one("input", name=name)["value"] == value
    else:
        assert form.one("select", name=name).one("option", selected="").text == value


async def test_the_list_says_what_the_agent_did_last_night(server: Served) -> None:
    await server.deliver(payload(alert(pod="a"), alert(pod="b")))
    assert (await page_of(server, "/")).one("div", id="lately").text == (
        "Last 24 hours: 2 incidents opened; nothing was changed. 2 open now"
    )
    with psycopg.connect(server.site.service.database, autocommit=True) as connection:
        for minutes, status in ((90, "done"), (300, "unknown"), (60 * 25, "done")):
            connection.execute(
                "insert into actions (incident_id, run_id, attempt, scope, cluster, tool, action, target_key, body,"
                " near_limit, status, intended_at, finished_at) select incident_id, id, 1, 'live', 'unknown',"
                " 'cordon_node', 'cordon_node:worker-' || %s::int, 'x', '{}', false, %s,"
                " now() - %s::int * interval '1 minute', now() from runs where incident_id = 1",
                [minutes, status, minutes],
            )
        connection.execute("update incidents set action_recommended = 'cordon_node:x' where id = 2")
    server.site.lately.forget()
    lately = (await page_of(server, "/")).one("div", id="lately")
    assert lately.one("p").text == (
        "Last 24 hours: 2 incidents opened, → 1 with a recommended change; ✓ 2 changes made. 2 open now"
    )
    assert [item.text for item in lately.all("li")] == [
        "1 ✓ cordon_node:worker-90 1 h ago",
        "1 ? cordon_node:worker-300, of which no answer came 5 h ago",
    ]
    assert [link["href"] for link in lately.all("a")] == ["/?status=open", "/incident/1", "/incident/1"]
    for path in ("/?origin=replay", "/?status=open"):
        assert (await page_of(server, path)).all("div", id="lately") == []


async def test_an_empty_list_says_how_to_send_the_first_alert(server: Served) -> None:
    page = await page_of(server, "/")
    empty = page.one("div", id="incidents").text
    assert "No alert has arrived yet." in empty
    assert f"curl -d @payload.json {server.url}/alertmanager" in empty
    nothing = await page_of(server, "/?namespace=nowhere")
    assert "No incident matches these filters." in nothing.one("div", id="incidents").text


@pytest.mark.parametrize("identifier", [1, 2, 3])
async def test_an_incident_says_what_the_api_says(played_server: Served, identifier: int) -> None:
    page = await page_of(played_server, f"/incident/{identifier}")
    document = (await played_server.get(f"/api/incidents/{identifier}")).body
    incident = document["incident"]
    assert page.one("p", class_="lead").text.endswith(answer(document))
    questions = told(page, "questions")
    assert questions["Next"] == what_next(document)
    assert questions.get("Did it help?") == did_it_help(document)
    assert questions["Before?"].startswith("No: this is the first time")
    assert page.one("p", class_="says").text == incident["annotations"]["description"]
    where = told(page, "where")
    for name in ("cluster", "namespace", "workload", "pod", "container", "node"):
        assert where.get(name) == incident[name]
    assert where["runbook"] == f"{incident['runbook_id']}, mode {incident['agent_mode']}"
    assert (where["opened"], where["updated"]) == (moment(incident["created_at"]), moment(incident["updated_at"]))
    events = page.one("section", id="timeline").all("li", class_="event")
    assert [event["id"] for event in events] == [f"event-{event['id']}" for event in document["events"]]
    for shown, event in zip(events, document["events"], strict=True):
        assert json.loads(shown.one("pre").raw) == event["payload"]
        assert shown.one("strong").text == event["event_type"].replace("_", " ")
        assert shown.one("time")["datetime"] == event["ts"]
    prose = page.one("section", id="analysis").one("div", class_="prose")
    assert [title.text for title in prose.all("h3")] == re.findall("^## (.*)$", document["analysis_markdown"], re.M)
    cited = {int(link["href"].removeprefix("#event-")) for link in prose.all("a") if link["href"].startswith("#")}
    assert cited <= {event["id"] for event in document["events"]}
    assert cited == {int(number) for number in re.findall(r"\[event (\d+)\]", document["analysis_markdown"])} != set()


async def test_the_past_says_what_the_api_says(server: Served) -> None:
    for hour in range(3):
        await server.deliver(payload(alert() | {"startsAt": f"2026-11-23T0{hour}:00:00Z"}))
        newest = (await server.get("/api/incidents?limit=1")).body["incidents"][0]["id"]
        await server.post(f"/api/incidents/{newest}/resolve")
    document = (await server.get(f"/api/incidents/{newest}")).body
    page = await page_of(server, f"/incident/{newest}")
    assert told(page, "questions")["Before?"].startswith("Yes: 3 times since ")
    (last_time,) = page.one("dl", class_="questions").all("a")
    assert last_time["href"] == f"/incident/{document['past_incidents'][0]['id']}"
    oldest = await page_of(server, f"/incident/{document['past_incidents'][-1]['id']}")
    assert [row.one("span", class_="quiet").text for row in oldest.one("tbody").all("tr")] == ["later", "later"]
    assert told(oldest, "questions")["Before?"].startswith("No, but 2 times since, the newest ")
    past = page.one("section", id="past")
    rows = past.one("tbody").all("tr")
    assert len(rows) == len(document["past_incidents"]) == 2
    for row, entry in zip(rows, document["past_incidents"], strict=True):
        assert (row.one("a").text, row.one("a")["href"]) == (str(entry["id"]), f"/incident/{entry['id']}")
        assert cells(row) == {
            "Opened": moment(entry["created_at"]),
            "Alert": entry["alertname"],
            "Where": names(entry["namespace"], entry["pod"]),
            "Runbook": entry["runbook_id"],
            "What was done": done(entry),
        }
    assert past.one("svg")["aria-label"] == "3 occurrences in 8 weeks, at most 3 in one of them"


async def test_a_citation_of_another_incident_s_event_leads_to_it(played_server: Served) -> None:
    events = (await played_server.get("/api/incidents/2")).body["events"]
    other = events[0]["id"]
    with psycopg.connect(played_server.site.service.database, autocommit=True) as connection:
        connection.execute(
            "insert into incident_events (incident_id, ts, event_type, payload) values (1, now(), 'analysis',"
            " jsonb_build_object('analysis_markdown', %s::text, 'runbook_id', null, 'regenerated', true))",
            [f"It was so before [event {other}]."],
        )
    page = await page_of(played_server, "/incident/1")
    link = page.one("section", id="analysis").all("div", class_="prose")[0].one("a")
    assert link["href"] == f"/event/{other}"
    async with played_server.client.get(link["href"], allow_redirects=False) as led:
        assert (led.status, led.headers["Location"]) == (303, f"/incident/2#event-{other}")
    assert (await page_of(played_server, "/event/999999", status=404)).one("h1").text == "There is nothing here"


@pytest.fixture
def database_with_runs(postgres: str, played: str) -> Iterator[str]:
    """Three replays, as `played_server` has them."""
    with contextmanager(copy_of)(postgres, played) as conninfo:
        yield conninfo


async def test_who_wrote_an_analysis_and_what_a_model_said_is_told(database_with_runs: str) -> None:
    said = "## Summary\n\nThe alert came [event 1].\n\n## Follow-ups\n\n- It fired 77 times [event 1].\n"
    with scripted(said) as model:
        async with served(database_with_runs, model.environment) as server:
            assert (await server.post("/api/incidents/1/regenerate-analysis")).status == 200
            page = await page_of(server, "/incident/1")
    by = page.one("section", id="analysis").all("p", class_="quiet")[0].text
    assert f"by {NAME} and checked: Summary; the rest by code" in by
    assert "refused: " in by
    first, *answers = further_of(page)
    assert re.fullmatch(rf"LLM {NAME}: some sections, 2 calls, [\d.]+ m?s, 3,600\+1,200 tokens; refused: .*", first)
    assert len(answers) == 2
    for number, line in enumerate(answers, start=1):
        assert line.startswith(f"LLM {number}. ## Summary The alert came [event 1].")
        assert "→ refused: " in line


async def test_exchanges_of_an_analysis_from_before_it_kept_a_trace_are_told(played_server: Served) -> None:
    exchange = {"model": "gpt-x", "error": None, "verdict": "accepted", "latency_ms": 1500, "asked": []}
    exchange |= {"answered": {"text": "Raise it.", "calls": []}, "prompt_tokens": 900, "completion_tokens": 100}
    said = {"analysis_markdown": "Words.", "runbook_id": None, "regenerated": True, "llm_trace": [exchange]}
    with psycopg.connect(played_server.site.service.database, autocommit=True) as connection:
        connection.execute(
            "insert into incident_events (incident_id, ts, event_type, payload) values (1, now(), 'analysis', %s)",
            [json.dumps(said)],
        )
    assert further_of(await page_of(played_server, "/incident/1")) == [
        "LLM gpt-x: not known, 1500 ms, 900+100 tokens",
        "LLM 1. Raise it. → accepted (1500 ms, 900+100 tokens)",
    ]


def further_of(page: Element) -> list[str]:
    """What the newest event of the timeline says beside its sentence."""
    newest = page.one("section", id="timeline").all("li", class_="event")[-1]
    return [line.text for line in newest.all("p", class_="further")]


async def test_the_change_is_a_diff_with_the_command_to_copy(played_server: Served) -> None:
    document = (await played_server.get("/api/incidents/2")).body
    (step,) = [step for step in document["events"] if (step["payload"].get("result") or {}).get("kubectl")]
    page = await page_of(played_server, "/incident/2")
    change = page.one("div", class_="change")
    assert "Recommended change" in change.one("h3").text
    assert change.one("code").raw == step["payload"]["result"]["kubectl"]
    for line in step["payload"]["result"]["diff"]:
        assert line["path"] in [each.text for each in change.all("p", class_="path")]
        assert f"after: + {line['after']}" in [each.text for each in change.all("ins")]


async def test_a_refusal_says_its_rule_its_reason_and_what_would_allow_it(played_server: Served) -> None:
    document = (await played_server.get("/api/incidents/3")).body
    page = await page_of(played_server, "/incident/3")
    judged = [each for event in document["events"] for each in event["payload"].get("judgements", ())]
    refusals = [each for each in judged if each["verdict"] != "allow"]
    shown = [item.text for item in page.one("ul", class_="reasons").all("li")]
    assert len(shown) == len(refusals) > 0
    for text, refusal in zip(shown, refusals, strict=True):
        assert text.startswith(f"{refusal['rule']}: {refusal['reason']}")
        assert refusal["allowed_by"] in text


async def test_an_incident_whose_run_has_not_ended_says_so(server: Served) -> None:
    await server.deliver(payload())
    (row,) = (await page_of(server, "/")).one("div", id="incidents").one("tbody").all("tr")
    assert cells(row)["What was done"] == "· no run has ended yet"
    asked = told(await page_of(server, "/incident/1"), "questions")
    assert asked["Next"] == "Wait for the run to end: it is queued."


async def test_when_the_agent_looks_again_is_said_under_next(server: Served) -> None:
    await server.deliver(payload())

    def change(statement: str) -> None:
        with psycopg.connect(server.site.service.database, autocommit=True) as connection:
            connection.execute(statement.encode())

    async def following() -> str:
        return told(await page_of(server, "/incident/1"), "questions")["Next"]

    change("update runs set status = 'escalated', finished_at = now(), retry_at = '2126-04-21 05:14:40+00'")
    assert (await following()).endswith(" The agent looks again by itself at 2126-04-21 05:14:40 UTC.")
    change("update runs set retry_at = null")
    assert "looks again" not in await following()
    change("update runs set retry_at = '2126-04-21 05:14:40+00'")
    assert (await server.post("/incident/1/decide", "what=suppress")).status == 200
    assert "looks again" not in await following()


async def test_a_refusal_is_no_error_in_colour_or_mark(played_server: Served) -> None:
    page = await page_of(played_server, "/incident/3")
    assert (
        page.one("section", class_="refused").one("p", class_="lead").text.startswith("– The agent changed nothing: ")
    )


async def test_a_refusal_that_several_steps_met_and_when_it_passes_are_said_once(played_server: Served) -> None:
    step = {
        "step": "cordon_node", "tool": "cordon_node", "status": "refused", "reason": "twice today", "gate": None,
        "arguments": {}, "result": None,
    }  # fmt: skip
    said = {"rule": "daily-cap", "verdict": "refuse", "reason": "twice today", "by_hand": None}
    said |= {"retry_at": "2026-04-21T05:14:40+00:00", "allowed_by": "waiting until 2026-04-21 05:14:40 UTC"}
    refused = step | {"judgements": [said, said | {"allowed_by": "patience"}]}
    state = {"rb_steps": [refused, refused | {"step": "drain_node"}]}  # the second rests on the first
    with psycopg.connect(played_server.site.service.database, autocommit=True) as connection:
        connection.execute(
            "insert into incident_events (incident_id, ts, event_type, payload) values (3, now(), 'final', %s)",
            [json.dumps({"runbook_id": "RB_NODE_NOTREADY", "state": state})],
        )
    shown = (await page_of(played_server, "/incident/3")).one("ul", class_="reasons").all("span", class_="by")
    assert [each.text for each in shown] == [
        "allowed by: waiting until 2026-04-21 05:14:40 UTC",
        "allowed by: patience, not before 2026-04-21 05:14:40 UTC",
    ]


async def test_the_sections_and_the_button_are_there_even_when_empty(server: Served) -> None:
    await server.deliver(payload())
    page = await page_of(server, "/incident/1")
    titles = [title.text for title in page.all("h2")]
    assert [title for title in titles if title in SECTIONS] == list(SECTIONS)
    assert page.one("button", id="regenerate").text == BUTTON
    assert "None is written yet" in page.one("section", id="analysis").text
    assert "this is the first" in page.one("section", id="past").text


async def test_the_status_says_what_the_api_says(server: Served) -> None:
    await server.deliver(payload())
    await server.post("/api/pause", json.dumps({"reason": "a change of the network"}))
    said, page = (await server.get("/api/status")).body, await page_of(server, "/status")
    assert page.one("p", class_="lead").text == "Changes are held back."
    assert "a change of the network" in page.one("section", class_="answer").text
    where = {entry.one("dt").text: entry.one("dd").text for entry in page.one("dl", class_="where").all("div")}
    assert where["queued"].partition(",")[0] == str(said["queued"])
    assert where["running"].partition(",")[0] == str(said["running"])
    assert where["last alert"].endswith(moment(said["last_alert_at"]))
    rows = page.all("tbody")[0].all("tr")
    assert [(row.one("th").text, cells(row)["State"], cells(row)["What"]) for row in rows] == [
        (brake["name"], "on" if brake["on"] else "off", brake["what"]) for brake in said["brakes"]
    ]
    assert len(page.all("tbody")[1].all("tr")) >= 3
    assert "Changes are held back" in (await page_of(server, "/")).one("p", class_="notice").text


async def test_the_status_page_asks_no_model(serve: Serve) -> None:
    async with serve(OPENAI_BASE_URL="http://127.0.0.1:9/v1", OPENAI_MODEL="some-model") as server:
        found = (await page_of(server, "/status")).all("tbody")[1].text
    assert "some-model is set up; not asked" in found
    assert "cannot be reached" not in found


@pytest.mark.parametrize(
    ("mode", "held", "reached", "said", "kind"),
    [
        ("auto", False, True, "Nothing holds changes back.", "taken"),
        ("auto", False, False, "Nothing can be changed.", "refused"),
        ("recommend", False, True, "Changes are recommended to a person, none is made", "recommended"),
        ("recommend", False, False, "Changes are recommended to a person, none is made", "recommended"),
        ("auto", True, True, "Changes are held back.", "refused"),
        ("recommend", True, False, "Changes are held back.", "refused"),
    ],
)
def test_the_status_does_not_say_that_nothing_holds_changes_back_where_none_is_made(
    mode: str, held: bool, reached: bool, said: str, kind: str
) -> None:
    brakes = [{"what": "paused by somebody", "on": held}, {"what": "no storm", "on": False}]
    shown = _acts({"mode": mode, "held": held, "brakes": brakes}, reached=reached)
    assert (shown["said"].startswith(said), shown["kind"]) == (True, kind)
    assert ("paused by somebody" in shown["because"], "no storm" in shown["because"]) == (held, False)
    assert any("no cluster" in what for what in shown["because"]) is not reached


async def test_what_to_do_by_hand_is_a_table_where_a_runbook_has_one(server: Served) -> None:
    page = await page_of(server, "/runbook/RB_CRASHLOOP")
    prose = page.one("div", class_="prose")
    assert [cell.text for cell in prose.one("thead").all("th")] == ["what you see", "do"]
    assert "|" not in prose.text


async def test_runbooks_say_their_steps_and_how_often_they_ran(played_server: Served) -> None:
    known = played_server.site.service.runbooks()
    page = await page_of(played_server, "/runbooks")
    rows = {row.one("th").text: cells(row) for row in page.one("tbody").all("tr")}
    assert rows.keys() == known.by_id.keys()
    counted = await played_server.store.queue.counted_by_runbook()
    for name, row in rows.items():
        assert row["Title"] == known[name].title
        assert row["Runs"] == str(sum(counted.get(name, {"results": {}})["results"].values()))
    for name in known.by_id:
        one = await page_of(played_server, f"/runbook/{name}")
        shown = [step.one("strong").text for steps in one.all("ol", class_="steps") for step in steps.all("li")]
        assert shown == [step.name for step in known[name].workflow]
    assert sum(int(row["Runs"]) for row in rows.values()) == 3


async def test_a_secret_in_a_runbook_of_one_s_own_is_on_no_page(serve: Serve, tmp_path: Path) -> None:
    told = f"Ask with password={SECRET}."
    (tmp_path / "RB_OWN.md").write_text(
        f"---\nid: RB_OWN\ntitle: Our own\nalerts: [OwnAlert]\nworkflow:\n  - step: get_pod_events\n---\n{told}\n"
    )
    async with serve(SRE_AGENT_RUNBOOKS_DIR=str(tmp_path)) as server:
        page = await server.get("/runbook/RB_OWN")
        said = (await server.get("/api/runbooks/RB_OWN")).body["prose"]
    assert "[redacted:" in said
    assert said.strip() in page.body
    assert SECRET not in page.body


async def test_the_head_says_cluster_mode_planner_and_the_last_alert(serve: Serve) -> None:
    async with serve(CLUSTER_NAME="prod-eu", AGENT_MODE="auto") as server:
        head = {
            e.one("dt").text: e.one("dd").text
            for e in (await page_of(server, "/")).one("dl", class_="facts").all("div")
        }
    assert head == {"cluster": "prod-eu", "mode": "auto", "planner": "scripted", "last alert": "never"}


@pytest.mark.parametrize("path", [*READ, "/nothing", "/incident/99", "/incident/x", "/?nonsense=1", "/runbook/NONE"])
async def test_every_page_has_a_strict_policy_and_nothing_inline(played_server: Served, path: str) -> None:
    found = await played_server.get(at(path), Accept="text/html")
    assert found.headers["Content-Security-Policy"] == POLICY
    assert "unsafe" not in POLICY
    page = Element.of(found.body)
    for element in page.all():
        assert not [name for name in element.attributes if name == "style" or name.startswith("on")]
    assert all(script.attributes.get("src", "").startswith("/static/") for script in page.all("script"))
    assert page.all("style") == []
    loaded = [
        each.attributes.get("src") or each.attributes.get("href", "") for each in page.all("link") + page.all("script")
    ]
    assert loaded
    assert all(place.startswith("/static/") for place in loaded)
    assert found.headers["Cache-Control"] == "no-store"
    assert (page.all("html")[0]["lang"], len(page.all("h1")), len(page.all("main"))) == ("en", 1, 1)


@pytest.mark.parametrize("template", sorted(path.name for path in (HERE / "templates").iterdir()))
def test_no_template_has_inline_style_or_script(template: str) -> None:
    text = (HERE / "templates" / template).read_text()
    assert not re.search(
        r"<style|\sstyle=|\son[a-z]+\s*=|javascript:|<script(?![^>]*\ssrc=)|\|\s*safe|autoescape", text
    )


@pytest.mark.parametrize("path", ["/incident/99", "/runbook/NONE", "/nothing", "/incident/1/nothing"])
async def test_what_is_not_there_is_a_page_with_a_way_back(played_server: Served, path: str) -> None:
    page = await page_of(played_server, path, status=404)
    assert page.one("h1").text == "There is nothing here"
    assert page.one("main").one("a")["href"] == "/"
    assert not page.all("meta", http_equiv="refresh")


@pytest.mark.parametrize(
    "path", ["/incident/0", "/incident/x", "/?limit=0", "/?status=odd", "/?nonsense=1", "/?q=1&q=2"]
)
async def test_what_cannot_be_read_is_a_page_too(server: Served, path: str) -> None:
    page = await page_of(server, path, status=400)
    assert page.one("h1").text == "That cannot be read"


async def test_a_program_that_asks_for_no_page_is_answered_in_json(server: Served) -> None:
    assert (await server.get("/nothing")).error["code"] == "not_found"
    assert (await server.get("/api/nothing", Accept="text/html")).error["code"] == "not_found"


@pytest.mark.slow
async def test_without_a_database_every_page_says_so_and_tries_again(own_postgres: OwnPostgres) -> None:
    async with served(own_postgres.conninfo, {}) as server:
        await server.deliver(payload())
        await own_postgres.stop()
        for path in ("/", "/incident/1", "/status", "/runbooks", "/runbook/RB_OOM"):
            page = await page_of(server, path, status=503)
            assert page.one("h1").text == "The database is away"
            assert page.one("meta", http_equiv="refresh")["content"] == "5"
            assert "tries again by itself" in page.one("main").text
            assert "Traceback" not in page.raw
        assert (await page_of(server, "/sign-in")).one("h1").text == "Sign in"
        form = await server.post("/incident/1/decide", "what=suppress&reason=x", Accept="text/html")
        assert (form.status, "refresh" in form.body) == (503, False)
        back = Element.of(form.body).one("main").all("a")[0]
        assert (back.text, back["href"]) == ("Back to where you were", "/incident/1?reason=x#act")
        assert "what you wrote is kept" in Element.of(form.body).one("main").text
        await own_postgres.start()
        for path in ("/", "/incident/1", "/status", "/runbooks"):
            await page_of(server, path)


async def test_a_regenerate_that_fails_keeps_the_old_analysis_and_says_why(
    played_server: Served, postgres: str
) -> None:
    before = (await played_server.get("/api/incidents/1")).body["analysis_markdown"]
    site = played_server.site
    site.writing.add(1)  # as while another one is being written
    refused = await played_server.post("/incident/1/regenerate-analysis")
    site.writing.discard(1)
    page = Element.of(refused.body)
    assert (refused.status, "is being written already" in page.one("p", role="alert").text) == (409, True)
    assert page.one("section", id="analysis").one("div", class_="prose").all("h3")
    assert page.one("main")["data-here"] == "/incident/1#analysis"
    assert (await played_server.get("/api/incidents/1")).body["analysis_markdown"] == before


async def test_an_analysis_during_a_run_is_refused_on_the_page(server: Served) -> None:
    await server.deliver(payload())
    refused = await server.post("/incident/1/regenerate-analysis")
    said = Element.of(refused.body).one("p", role="alert").text
    assert (refused.status, said.startswith("No new analysis was written: ")) == (409, True)
    assert "is queued" in said


async def test_regenerated_twice_there_are_three_and_the_newest_is_shown(played_server: Served) -> None:
    for _ in range(2):
        async with played_server.client.post("/incident/1/regenerate-analysis", allow_redirects=False) as answered:
            assert (answered.status, answered.headers["Location"]) == (303, "/incident/1#analysis")
    section = (await page_of(played_server, "/incident/1")).one("section", id="analysis")
    assert section.text.count("Written again") == 1
    assert len(section.all("details", class_="older")) == 2


async def test_an_older_analysis_says_where_the_newest_differs(played_server: Served) -> None:
    first = (await played_server.get("/api/incidents/1")).body["analysis_markdown"]
    await played_server.post("/incident/1/regenerate-analysis")
    with psycopg.connect(played_server.site.service.database, autocommit=True) as connection:
        connection.execute(
            "insert into incident_events (incident_id, ts, event_type, payload) values (1, now(), 'analysis',"
            " jsonb_build_object('analysis_markdown', %s::text, 'runbook_id', null, 'regenerated', true))",
            [first.replace("## Follow-ups\n", "## Follow-ups\n\n- Ask the <owner>.\n")],
        )
    page = await page_of(played_server, "/incident/1")
    for older in page.one("section", id="analysis").all("details", class_="older"):
        assert older.one("summary").text.endswith(": the newest differs in 1 place")
        assert older.one("p", class_="path").text == "Follow-ups"
        assert [line.text for line in older.all("ins")] == ["the newest says: + - Ask the <owner>."]
        assert older.all("del") == []
        assert older.one("div", class_="prose").all("h3")
    again = (await page_of(played_server, "/incident/2")).one("section", id="analysis")
    assert again.all("details", class_="older") == []


async def test_a_reason_is_no_longer_by_a_form_than_by_the_api(server: Served) -> None:
    await server.deliver(payload())
    await server.post("/incident/1/decide", f"what=suppress&reason={'x' * 5000}")
    assert (await server.store.events(1))[-1].payload["reason"].endswith(f": {'x' * LONGEST_TEXT}")
    await server.post("/status/pause", f"what=pause&reason={'x' * 5000}")
    (pause,) = (await server.get("/api/status")).body["pauses"]
    assert pause["reason"] == "x" * LONGEST_TEXT


async def test_a_person_s_word_is_kept_with_its_reason(server: Served) -> None:
    await server.deliver(payload())
    async with server.client.post(
        "/incident/1/decide", data={"what": "suppress", "reason": "  known, <b>ticket</b> 7 "}, allow_redirects=False
    ) as answered:
        assert (answered.status, answered.headers["Location"]) == (303, "/incident/1")
    document = (await server.get("/api/incidents/1")).body
    assert document["incident"]["status"] == "suppressed"
    assert "known, <b>ticket</b> 7" in document["events"][-1]["payload"]["reason"]
    page = await page_of(server, "/incident/1")
    assert "known, <b>ticket</b> 7" in page.one("section", id="timeline").text
    assert page.one("button", value="suppress").attributes.get("disabled") == ""
    assert (await server.post("/incident/1/decide", "what=explode")).status == 400
    assert (await server.post("/incident/1/decide", "what=resolve")).status == 200
    assert (await server.get("/api/incidents/1")).body["incident"]["status"] == "resolved"
    refused = await server.post("/incident/1/decide", "what=suppress&reason=too+late")
    assert refused.status == 409
    assert Element.of(refused.body).one("input", name="reason")["value"] == "too late"


async def test_pause_and_resume(server: Served) -> None:
    assert (await page_of(server, "/")).all("p", class_="notice") == []
    assert (await server.post("/status/pause", "what=pause&reason=maintenance")).status == 200
    assert (await server.get("/api/status")).body["held"] is True
    assert "Changes are held back" in (await page_of(server, "/")).one("p", class_="notice").text
    assert (await server.post("/status/pause", "what=resume")).status == 200
    assert (await server.get("/api/status")).body["held"] is False
    assert (await server.post("/status/pause", "what=else")).status == 400


LINKS = (
    "Grafana=https://grafana.example/d/pods?var-pod={pod}&var-ns={namespace}&from={from},Loki=http://loki.example/{pod}"
)


async def test_links_are_filled_with_the_incident_s_names(serve: Serve) -> None:
    async with serve(SRE_AGENT_LINKS=LINKS) as server:
        await server.deliver(payload(alert(pod="a b&c=d/../#x")))
        links = (await page_of(server, "/incident/1")).one("p", class_="links").all("a")
    places = [link["href"] for link in links]
    assert places[0].startswith("https://grafana.example/d/pods?var-pod=a%20b%26c%3Dd%2F..%2F%23x&var-ns=demo&from=1")
    assert places[1:] == ["http://loki.example/a%20b%26c%3Dd%2F..%2F%23x", "http://prometheus.example/graph"]
    assert {link["rel"] for link in links} == {"noreferrer noopener"}


@pytest.mark.parametrize(
    "source",
    [
        "",
        "javascript:alert(1)",
        "data:text/html,x",
        "//evil.example",
        "http://",
        "http://[x",
        "http://a@evil.example/",
        "/x",
    ],
)
async def test_an_alert_s_source_that_is_no_web_address_is_no_link(server: Served, source: str) -> None:
    await server.deliver(payload(alert() | {"generatorURL": source}))
    page = await page_of(server, "/incident/1")
    assert page.all("p", class_="links") == []
    assert all(link["href"].startswith(("/", "#")) for link in page.all("a"))


async def test_long_names_many_events_and_a_large_analysis_are_shown(played_server: Served, tmp_path: Path) -> None:
    name = "p" * 300
    await played_server.deliver(payload(alert(pod=name, namespace="n" * 300, alertname="A" * 300)))
    listed = (await page_of(played_server, "/")).one("div", id="incidents")
    assert f"{'n' * 300} / {name}" in listed.text
    conninfo = played_server.site.service.database
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(
            "insert into incident_events (incident_id, ts, event_type, payload) select 1, now(), 'escalated',"
            " jsonb_build_object('reason', 'again ' || n) from generate_series(1, 1200) n"
        )
        connection.execute(
            "insert into incident_events (incident_id, ts, event_type, payload) values (1, now(), 'analysis',"
            " jsonb_build_object('analysis_markdown', %s::text, 'runbook_id', null, 'regenerated', true))",
            ["## Summary\n\n" + "word [event 1] " * 13_500],
        )
    page = await page_of(played_server, "/incident/1")
    document = (await played_server.get("/api/incidents/1")).body
    assert page.one("p", class_="lead").text.endswith(answer(document))
    assert page.all("div", class_="change") != []
    assert len(page.one("section", id="timeline").all("li", class_="event")) == 1000
    assert "earlier ones are in the document" in page.one("section", id="timeline").text
    assert page.one("section", id="analysis").all("div", class_="prose")[0].text.count("word") == 13_500


async def test_what_somebody_tampered_with_is_shown_and_breaks_nothing(played_server: Served) -> None:
    for kind in ("analysis", "final", "step", "webhook_received"):
        with psycopg.connect(played_server.site.service.database, autocommit=True) as connection:
            connection.execute("set session_replication_role = replica")
            connection.execute(
                'update incident_events set payload = \'{"state": {"rb_steps": [{"status": "odd"}]}, "llm": {}}\''
                " where incident_id = 1 and event_type = %s",
                [kind],
            )
        await page_of(played_server, "/incident/1")
        await page_of(played_server, "/")
