"""What a cluster, an alert, a model or an address says stays text on every page: seen in a browser that would run it.

The browsers here set the Content-Security-Policy aside, so that the escaping alone is on trial.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import quote

import psycopg
import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Site, Visit, serving, watch_of
from tests.browser.payloads import PAYLOADS
from tests.conftest import copy_of
from tests.web.servers import payload

TOUCH = """
() => {
  const events = ['mouseover', 'mouseenter', 'focus', 'load', 'error', 'toggle', 'begin', 'start', 'pointerenter'];
  for (const each of document.querySelectorAll('*')) for (const name of events) each.dispatchEvent(new Event(name));
  for (const each of document.querySelectorAll('details')) each.open = true;
}
"""
"""What a person may touch on a page, all of it."""

LEADS = """
() => [...document.querySelectorAll('[href], [src], [action], [formaction], [data], [srcdoc]')].flatMap(each =>
  ['href', 'src', 'action', 'formaction', 'data', 'srcdoc'].map(name => each.getAttribute(name)).filter(Boolean))
"""
ALLOWED = ("/", "#", "http://a", "https://grafana.example/", "http://evil.example/x.png")
"""An address of the web that somebody wrote into an analysis is a link, which a person may follow; never a picture."""
ODD = "script:not([src^='/static/']), iframe, object, embed, base, style, img, video, audio, marquee, math, template"


@pytest.fixture(scope="module")
def hostile(postgres: str, played: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server on which every text that comes from outside is a payload: one incident for each, and one runbook."""
    runbooks = tmp_path_factory.mktemp("runbooks")
    (runbooks / "RB_HOSTILE.md").write_text(runbook())
    environment = {"SRE_AGENT_RUNBOOKS_DIR": str(runbooks), "CLUSTER_NAME": PAYLOADS[0]}
    with contextmanager(copy_of)(postgres, played) as database, serving(database, **environment) as site:
        for text in PAYLOADS:
            site.call("/alertmanager", payload(hostile_alert(text)))
        with psycopg.connect(database, autocommit=True) as connection:
            for number, text in enumerate(PAYLOADS, start=4):
                fill(connection, number, text)
        site.call("/api/pause", {"reason": PAYLOADS[11]})
        yield site


def runbook() -> str:
    prose = "\n\n".join(f"{text}\n\n- {text}\n\n> {text}\n\n# {text}\n\n`{text}`" for text in PAYLOADS)
    front = {"id": "RB_HOSTILE", "title": PAYLOADS[11], "alerts": ["Hostile"], "workflow": [{"step": "check_oom"}]}
    return f"---\n{json.dumps(front)}\n---\n\n{prose}\n"


def hostile_alert(text: str) -> dict[str, object]:
    labels = dict.fromkeys(("alertname", "namespace", "pod", "container", "node", "severity", "job", "workload"), text)
    return {
        "status": "firing",
        "labels": labels | {text.replace(" ", "_"): text},
        "annotations": {"summary": text, "description": text, "runbook_url": text},
        "startsAt": "2026-11-23T03:00:00Z",
        "generatorURL": f"javascript:hook()//{text}",
        "fingerprint": text,
    }


def fill(connection: psycopg.Connection[tuple[object, ...]], incident: int, text: str) -> None:
    """As if a run had seen and a model had written it."""
    judgement = {"rule": text, "verdict": "deny", "reason": text, "allowed_by": text, "retry_at": None, "by_hand": text}
    diff = [{"path": text, "before": text, "after": text}]
    step = {
        "step": text,
        "tool": text,
        "status": "refused",
        "reason": text,
        "gate": text,
        "arguments": {text: text},
        "result": {
            "logs": text,
            "image": text,
            "events": [{"message": text}],
            "diff": diff,
            "kubectl": text,
            "notes": [text],
        },
        "judgements": [judgement | {"settled": True, "tells": "person"}],
    }
    answered = {"text": text, "calls": [{"name": text, "arguments": text}]}
    exchange = {"answered": answered, "error": text, "verdict": text}
    exchange |= {"prompt_tokens": 1, "completion_tokens": 1, "latency_ms": 1}
    trace = {"model": text, "tool": text, "used": text, "why": text, "exchanges": [exchange]}
    state = {
        "action_taken": text,
        "action_recommended": text,
        "action_error": text,
        "rb_steps": [step],
        "llm_trace": [],
    }
    events = [
        ("step", step | {"llm": trace}),
        ("intent", {"action_id": 0, "action": text}),
        ("outcome", {"outcome": text, "detail": text}),
        ("suppressed", {"reason": text, "fingerprint": text}),
        ("escalated", {"reason": text}),
        ("error", {"where": text, "error": text}),
        ("final", {"runbook_id": text, "state": state}),
    ]
    for markdown in (
        text,
        f"## {text}\n\n- {text}\n\n|{text}|x|\n|-|-|\n|{text}|x|\n\n```{text}\n{text}\n```\n\n{text} [event 1]",
    ):
        sections = {"Summary": "composed", text: text}
        more = {"sections": sections, "planner": text, "model": text, "why": text, "faults": [text]}
        events.append(("analysis", {"analysis_markdown": markdown, "runbook_id": text, "regenerated": True} | more))
    for kind, said in events:
        connection.execute(
            "insert into incident_events (incident_id, ts, event_type, payload) values (%s, now(), %s, %s)",
            [incident, kind, json.dumps(said)],
        )
    connection.execute(
        "update incidents set action_error = %s, action_taken = %s, summary = %s, workload = %s, status = 'open'"
        " where id = %s",
        [text, text, text, f"Deployment/{text}", incident],
    )


@pytest.fixture
def trap(visit: Visit, hostile: Site) -> Iterator[tuple[Page, list[str]]]:
    """A browser that would run what a page lets through, and what was run."""
    page = visit("/sign-in", at=hostile, bypass_csp=True)
    ran: list[str] = []
    page.context.expose_function("hook", lambda: ran.append(page.url))
    yield page, ran
    assert ran == []
    assert watch_of(page).dialogs == []


def provoke(page: Page, path: str) -> None:
    """Opens a page, touches everything on it, and lets it renew itself."""
    page.goto(path)
    page.evaluate(TOUCH)
    assert page.locator(ODD).count() == 0, path
    assert page.locator("svg script, svg a, svg animate").count() == 0, path
    leads = page.evaluate(LEADS)
    assert [each for each in leads if not each.startswith(ALLOWED)] == [], path
    assert [each for each in leads if each.startswith("//")] == [], path
    assert page.locator("[onerror], [onload], [onmouseover], [onfocus], [style]").count() == 0, path


def test_the_trap_snaps(visit: Visit, hostile: Site) -> None:
    """Nothing was run there is worth saying only where something would have been."""
    page = visit("/sign-in", at=hostile, bypass_csp=True, watched=False)
    ran: list[int] = []
    page.context.expose_function("hook", lambda: ran.append(1))
    page.reload()
    page.evaluate("document.querySelector('main').innerHTML = '<img src=x onerror=hook()>'")
    page.wait_for_timeout(300)
    assert ran == [1]


def test_sixty_payloads_in_every_field_are_text_on_every_incident(
    trap: tuple[Page, list[str]], hostile: Site, figure: Callable[[str], None]
) -> None:
    page, ran = trap
    for number, text in enumerate(PAYLOADS, start=4):
        provoke(page, f"/incident/{number}")
        assert text in (page.locator("#timeline").text_content() or ""), text
        assert text.split()[0] in (page.locator("h1").text_content() or ""), text
    figure(f"{len(PAYLOADS)} payloads in every field, {len(ran)} executed")
    assert len(PAYLOADS) == 60


def test_they_are_text_on_the_other_pages(trap: tuple[Page, list[str]]) -> None:
    page, _ = trap
    for path in ("/?limit=100", "/runbooks", "/runbook/RB_HOSTILE", "/status"):
        provoke(page, path)
    page.goto("/?limit=100")
    shown = page.locator("#incidents").text_content() or ""
    assert [text for text in PAYLOADS if text not in shown] == []


def test_they_are_text_in_addresses_and_in_forms(trap: tuple[Page, list[str]]) -> None:
    page, _ = trap
    for text in PAYLOADS:
        said = quote(text, safe="")
        page.goto(f"/?q={said}&namespace={said}&alertname={said}&runbook={said}&status=open&severity={said}")
        page.evaluate(TOUCH)
        assert page.locator(ODD).count() == 0, text
    for text in PAYLOADS[::6]:
        said = quote(text, safe="")
        for path in (f"/sign-in?next=/{said}", f"/incident/4?reason={said}", f"/status?reason={said}"):
            page.goto(path)
            page.evaluate(TOUCH)
            assert page.locator(ODD).count() == 0, (path, text)


def test_they_are_text_in_what_goes_wrong(visit: Visit, hostile: Site) -> None:
    page = visit("/sign-in", at=hostile, bypass_csp=True, watched=False)
    ran: list[int] = []
    page.context.expose_function("hook", lambda: ran.append(1))
    for text in PAYLOADS[::4]:
        said = quote(text, safe="")
        for path in (f"/{said}", f"/incident/{said}", f"/runbook/{said}", f"/?{said}=1", f"/?status={said}"):
            page.goto(path)
            page.evaluate(TOUCH)
            assert page.locator(ODD).count() == 0, (path, text)
    assert ran == []


def test_they_are_text_when_a_page_renews_itself_and_when_a_person_says_them(trap: tuple[Page, list[str]]) -> None:
    page, _ = trap
    for number, text in list(enumerate(PAYLOADS, start=4))[::10]:
        page.goto(f"/incident/{number}")
        with page.expect_response(lambda answered: f"/incident/{number}" in answered.url):  # noqa: B023
            page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        page.wait_for_timeout(100)
        assert page.locator(ODD).count() == 0
        page.get_by_label("Reason").fill(text)
        page.get_by_role("button", name="Suppress").click()
        page.locator(".tags", has_text="suppressed").wait_for()
        assert text in (page.locator("#timeline").text_content() or "")
        assert page.locator(ODD).count() == 0
