"""Every page in both themes and at every width: nothing that axe-core finds, no sideways scroll, light and quick."""

import statistics
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from sre_agent.embedded_postgres import running
from tests.browser.conftest import Site, Visit, serving, until, watch_of

PAGES = (
    *("/", "/?origin=replay", "/?namespace=nowhere"),
    *("/incident/1", "/incident/2", "/incident/3", "/incident/new"),
    *("/runbooks", "/runbook/RB_OOM", "/runbook/RB_UNKNOWN", "/status", "/sign-in", "/incident/99999"),
)
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LIGHT, PAINT = 100_000, 200.0
"""Bytes, and milliseconds."""
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"


@pytest.fixture(scope="module")
def overfull(site: Site) -> int:
    """An incident of 300-character names with 1,000 events and an analysis of 200 kB; beside it an ordinary one."""
    incident = site.deliver(
        pod="p" * 300, namespace="n" * 300, alertname="A" * 300, severity="s" * 300, container="c" * 300
    )
    site.analysed(incident)
    with psycopg.connect(site.database, autocommit=True) as connection:
        connection.execute(
            "insert into incident_events (incident_id, ts, event_type, payload) select %s, now(), 'escalated',"
            " jsonb_build_object('reason', repeat('x', 300) || n) from generate_series(1, 1000) n",
            [incident],
        )
        connection.execute(
            "insert into incident_events (incident_id, ts, event_type, payload) values (%s, now(), 'analysis',"
            " jsonb_build_object('analysis_markdown', %s::text, 'runbook_id', null, 'regenerated', true))",
            [
                incident,
                f"## Summary\n\n{'word ' * 30_000}\n\n`{'c' * 50_000}`\n\n|a|b|\n|-|-|\n|{'x' * 300}|{'y' * 300}|",
            ],
        )
    return incident


@pytest.fixture(scope="module")
def fresh(site: Site) -> int:
    return site.analysed(site.deliver(pod="standard-1"))


def opened(visit: Visit, path: str, fresh: int, **how: object) -> Page:
    page = visit(path.replace("new", str(fresh)), watched=path != "/incident/99999", **how)
    page.wait_for_load_state()
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_no_violation(visit: Visit, fresh: int, tally: Callable[[str], None], path: str, scheme: str) -> None:
    page = opened(visit, path, fresh, scheme=scheme, bypass_csp=True)
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    found = Axe().run(page, options={"runOnly": RULES, "resultTypes": ["violations"]})
    assert [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found.response["violations"]] == []
    tally("pages in both themes without a violation that axe-core finds")


def test_axe_finds_no_violation_where_there_is_too_much(visit: Visit, overfull: int) -> None:
    page = visit(f"/incident/{overfull}", scheme="dark", bypass_csp=True)
    found = Axe().run(page, options={"runOnly": RULES, "resultTypes": ["violations"]})
    assert [(each["id"], each["nodes"][0]["html"][:200]) for each in found.response["violations"]] == []


@pytest.mark.parametrize("width", [320, 360, 768, 1440])
def test_no_page_scrolls_sideways(visit: Visit, fresh: int, overfull: int, width: int) -> None:
    page = visit("/", width=width)
    wider = []
    for path in (*PAGES[:-1], f"/incident/{overfull}", "/?q=" + "w" * 200, "/incident/2#event-1"):
        page.goto(path.replace("new", str(fresh)))
        page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
        if (found := page.evaluate("document.documentElement.scrollWidth")) > width:
            wider.append((path, found))
    assert wider == []


@pytest.mark.parametrize("width", [900, 1024, 1100, 1180, 1280, 1440])
def test_no_column_of_a_table_is_hidden(visit: Visit, fresh: int, overfull: int, width: int) -> None:
    """What was done stands at the right, where a table that is too wide would hide it."""
    page = visit("/", width=width)
    for path in ("/", "/?origin=replay", "/incident/1", f"/incident/{fresh}", "/runbooks", "/status"):
        page.goto(path)
        hidden = "[...document.querySelectorAll('.table')].filter(each => each.scrollWidth > each.clientWidth).length"
        assert (path, page.evaluate(hidden)) == (path, 0)


def test_at_320_pixels_everything_can_be_reached(visit: Visit, fresh: int) -> None:
    page = visit(f"/incident/{fresh}", width=320)
    for name in ("↻ Re-generate Analysis", "Suppress:", "Resolve:"):
        button = page.get_by_role("button", name=name)
        button.scroll_into_view_if_needed()
        box = button.bounding_box()
        assert box is not None
        assert (box["x"] >= 0, box["x"] + box["width"] <= 320, box["height"] >= 24) == (True, True, True)
    page.goto("/")
    expect(page.locator("#incidents tbody a").first).to_be_visible()


def test_motion_is_left_out_where_it_is_not_wanted(visit: Visit) -> None:
    page = visit("/?origin=replay")
    assert page.evaluate("getComputedStyle(document.querySelector('#live')).transitionDuration") == "0s"


def test_a_page_is_light_and_painted_at_once(visit: Visit, fresh: int, figure: Callable[[str], None]) -> None:
    for path in ("/?origin=replay", f"/incident/{fresh}"):
        weights, paints = [], []
        for _ in range(7):
            page = visit(path)  # each in a browser that keeps nothing
            until(lambda: page.evaluate(PAINTED) is not None)  # noqa: B023
            paints.append(page.evaluate(PAINTED))
            weights.append(
                page.evaluate(
                    "[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]"
                    ".reduce((sum, each) => sum + each.transferSize, 0)"
                )
            )
            page.context.close()
        paint, weight = statistics.median(paints), max(weights)
        name = path.partition("?")[0].rstrip("0123456789")
        figure(f"{name} is painted after {paint:.0f} ms (median of 7) and weighs {weight / 1000:.1f} kB")
        assert 5_000 < weight < LIGHT
        assert min(paints) < PAINT  # the median too, on a machine that does nothing else


def test_a_long_incident_is_light_too(visit: Visit, overfull: int, figure: Callable[[str], None]) -> None:
    page = visit(f"/incident/{overfull}")
    weight = page.evaluate("performance.getEntriesByType('navigation')[0].transferSize")
    figure(f"1,000 events and 200 kB of analysis: {weight / 1000:.1f} kB")
    assert weight < LIGHT


def test_a_page_without_a_database_comes_back_by_itself(visit: Visit, tmp_path: Path) -> None:
    home = tmp_path / "postgres"
    postgres = running(home)
    conninfo = postgres.__enter__()
    try:
        with serving(conninfo) as site:
            site.deliver(pod="weather-1")
            shown = visit("/incident/1", at=site, watched=False)
            page = visit("/", at=site, watched=False)
            page.wait_for_timeout(500)
            postgres.__exit__(None, None, None)
            expect(page.locator("#incidents")).to_contain_text("weather-1")  # what was read stays
            shown.reload()
            expect(shown.locator("h1")).to_have_text("The database is away")
            postgres = running(home)
            postgres.__enter__()
            expect(shown.locator("h1")).to_contain_text("KubePodOOMKilled", timeout=20_000)
            site.deliver(pod="weather-2")
            expect(page.locator("#incidents")).to_contain_text("weather-2", timeout=20_000)
            expect(page.locator("#live")).to_have_text("")
            assert watch_of(page).elsewhere == []
    finally:
        postgres.__exit__(None, None, None)
