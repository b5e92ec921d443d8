"""What a person does with the pages, each as it is done: by keyboard and mouse, in a real browser, on a real server."""

import json
import re
import statistics
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from sre_agent.sentences import answer
from tests.browser.conftest import OPERATOR, VIEWER, Site, Visit, until, watch_of

ROWS = "#incidents tbody tr"


def ids(page: Page) -> list[int]:
    return [int(text) for text in page.locator(f"{ROWS} a").all_inner_texts()]


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.textContent"))


def test_the_list_shows_what_the_seed_asks_for(visit: Visit, site: Site) -> None:
    page = visit("/?origin=replay")
    heads = [text.strip() for text in page.locator("#incidents thead th").all_inner_texts()]
    assert heads == [
        "Id",
        "Alert",
        "Namespace / Pod",
        "Node",
        "Runbook",
        "Severity",
        "Status",
        "What was done",
        "Updated",
    ]
    assert sorted(ids(page)) == [1, 2, 3]
    expect(page.locator("#incident-1 .mark.taken")).to_contain_text("✓")
    expect(page.locator("#incident-2 .mark.recommended")).to_contain_text("→")
    head = page.locator("header").inner_text()
    assert all(word in head for word in ("cluster", "mode", "recommend", "planner", "scripted", "last alert"))


def test_filters_stand_in_the_address_and_come_back_with_it(visit: Visit, site: Site) -> None:
    site.deliver(pod="filtered-1", namespace="shop", severity="critical")
    site.deliver(pod="filtered-2", namespace="shop", severity="warning")
    page = visit("/")
    page.get_by_label("Namespace").fill("shop")
    page.get_by_label("Severity").select_option("critical")
    page.get_by_role("button", name="Filter").click()
    expect(page).to_have_url(re.compile(r"/\?severity=critical&namespace=shop$"))
    assert page.locator(ROWS).count() == 1
    address = page.url
    page.get_by_role("link", name="Clear").click()
    expect(page).to_have_url(re.compile(r"/$"))
    page.go_back()
    expect(page).to_have_url(address)
    expect(page.get_by_label("Severity")).to_have_value("critical")
    page.get_by_label("Search").fill("nothing-like-it")
    page.keyboard.press("Enter")
    expect(page.locator("#incidents")).to_contain_text("No incident matches these filters.")


def test_the_keyboard_alone_finds_and_opens_an_incident(visit: Visit) -> None:
    page = visit("/?origin=replay")
    first, second = ids(page)[:2]
    page.keyboard.press("j")
    assert focused(page) == str(first)
    page.keyboard.press("j")
    assert focused(page) == str(second)
    page.keyboard.press("k")
    assert focused(page) == str(first)
    page.keyboard.press("G")
    assert focused(page) == str(ids(page)[-1])
    page.keyboard.press("g")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(rf"/incident/{first}$"))
    page.go_back()
    page.keyboard.press("/")
    page.keyboard.type("jkG")  # a field takes the keys for itself
    expect(page.get_by_label("Search")).to_have_value("jkG")


def test_tab_reaches_the_content_first(visit: Visit) -> None:
    page = visit("/?origin=replay")
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_the_list_is_current_within_a_second_and_keeps_the_place(
    visit: Visit, site: Site, figure: Callable[[str], None]
) -> None:
    for number in range(30):
        site.deliver(pod=f"old-{number}", namespace="scrolled")
    page = visit("/?namespace=scrolled", height=500)
    page.wait_for_timeout(600)
    row = page.locator(ROWS).nth(20)
    row.locator("a").focus()
    row.scroll_into_view_if_needed()
    held = focused(page)
    top = page.evaluate("document.activeElement.getBoundingClientRect().top")
    taken = []
    for number in range(5):
        site.deliver(pod=f"new-{number}", namespace="scrolled")
        start = time.monotonic()
        expect(page.locator(ROWS).first).to_contain_text(f"new-{number}")
        taken.append(time.monotonic() - start)
    assert focused(page) == held
    assert abs(page.evaluate("document.activeElement.getBoundingClientRect().top") - top) < 5
    assert page.locator("tr.changed").count() >= 1
    figure(f"an update shows after {statistics.median(taken):.2f} s (median of 5; limit 1 s)")
    assert statistics.median(taken) < 1.0


def test_what_is_read_half_way_down_stays_where_it_is(visit: Visit, site: Site) -> None:
    for number in range(20):
        site.deliver(pod=f"there-{number}", namespace="stays")
    page = visit("/?namespace=stays", height=400)
    page.wait_for_timeout(600)
    page.mouse.wheel(0, 500)
    page.wait_for_timeout(200)
    seen = "[...document.querySelectorAll('#incidents tr[id]')].find(e => e.getBoundingClientRect().top > 0)"
    name, top = page.evaluate(f"(e => [e.id, e.getBoundingClientRect().top])({seen})")
    site.deliver(pod="another", namespace="stays")
    expect(page.locator(ROWS).first).to_contain_text("another")
    assert abs(page.evaluate(f"document.getElementById('{name}').getBoundingClientRect().top") - top) < 2


def test_an_incident_is_live_while_its_run_is_going(visit: Visit, site: Site) -> None:
    incident = site.analysed(site.deliver(pod="live-1"))
    page = visit(f"/incident/{incident}")
    page.wait_for_timeout(600)
    details = page.locator("#timeline details").first
    details.locator("summary").click()
    field = page.get_by_label("Reason")
    field.fill("half a sent")
    site.call(f"/api/incidents/{incident}/suppress", {"reason": "from elsewhere"})
    expect(page.locator("#timeline")).to_contain_text("from elsewhere")
    expect(page.locator(".tags")).to_contain_text("suppressed")
    expect(field).to_have_value("half a sent")
    expect(field).to_be_focused()
    page.keyboard.type("ence")
    expect(field).to_have_value("half a sentence")
    assert details.evaluate("each => each.open")


def test_the_answer_comes_first_with_the_change_and_its_command(visit: Visit, site: Site) -> None:
    document = site.get("/api/incidents/2")
    page = visit("/incident/2", permissions=["clipboard-read", "clipboard-write"])
    expect(page.locator(".lead")).to_contain_text(answer(document))
    assert page.locator(".lead").bounding_box()["y"] < 400  # type: ignore[index]
    expect(page.locator(".diff ins").first).to_contain_text("+ ")
    page.get_by_role("button", name="Copy").first.click()
    expect(page.locator("#live")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == page.locator(".copy code").first.inner_text()


def test_why_it_was_refused_and_what_would_allow_it(visit: Visit) -> None:
    page = visit("/incident/3")
    listed = visit("/?origin=replay").locator("#incident-3 .action")
    expect(listed).to_contain_text("– nothing: ")
    reason = page.locator(".reasons li").first
    expect(reason.locator("strong")).not_to_be_empty()
    expect(reason).to_contain_text("allowed by:")


def test_an_analysis_is_written_anew_once_and_the_old_one_stays(visit: Visit, site: Site) -> None:
    incident = site.analysed(site.deliver(pod="again-1"))
    page = visit(f"/incident/{incident}")
    button = page.get_by_role("button", name="↻ Re-generate Analysis")

    def slow(route: object) -> None:
        time.sleep(0.5)
        route.continue_()  # type: ignore[attr-defined]

    page.route("**/regenerate-analysis", slow)
    button.dblclick(no_wait_after=True)
    expect(page.locator("#analysis")).to_contain_text("Written again")
    assert [each for each in watch_of(page).requests if "regenerate" in each] == [
        f"POST /incident/{incident}/regenerate-analysis"
    ]
    older = page.locator("#analysis details.older")
    expect(older).to_have_count(1)
    older.locator("summary").click()
    expect(older.locator(".prose")).to_be_visible()
    events = site.get(f"/api/incidents/{incident}")["events"]
    assert [event["payload"]["regenerated"] for event in events if event["event_type"] == "analysis"] == [False, True]


def test_the_progress_of_an_analysis_is_seen_and_its_button_shut(visit: Visit) -> None:
    page = visit("/incident/1")
    page.route("**/regenerate-analysis", lambda route: route.fulfill(status=204))  # it goes nowhere yet
    button = page.locator("#regenerate")
    button.click()
    expect(page.locator("#live")).to_have_text("Writing…")
    expect(button).to_be_disabled()


def test_a_citation_jumps_to_its_event_and_the_event_has_its_json(visit: Visit, site: Site) -> None:
    page = visit("/incident/1")
    link = page.locator("#analysis .prose a[href^='#event-']").first
    target = (link.get_attribute("href") or "")[1:]
    link.click()
    expect(page).to_have_url(re.compile(f"#{target}$"))
    expect(page.locator(f"#{target}")).to_be_in_viewport()
    page.locator(f"#{target} summary").click()
    payload = json.loads(page.locator(f"#{target} pre").inner_text())
    events = {f"event-{event['id']}": event for event in site.get("/api/incidents/1")["events"]}
    assert payload == events[target]["payload"]


def test_a_wide_window_has_the_past_beside_the_analysis(visit: Visit) -> None:
    def tops(width: int) -> list[tuple[float, float]]:
        page = visit("/incident/1", width=width)
        boxes = [page.locator(name).bounding_box() for name in ("#analysis", "#past", "#timeline")]
        return [(round(box["x"]), round(box["y"])) for box in boxes if box is not None]

    analysis, past, timeline = tops(1440)
    assert past[1] == analysis[1]
    assert past[0] > analysis[0] == timeline[0]
    assert [y for _, y in tops(1000)] == sorted(y for _, y in tops(1000))


def test_printed_an_incident_is_dark_on_white_with_all_that_is_read(visit: Visit) -> None:
    page = visit("/incident/2", scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    for name in (".lead", ".diff", ".copy code", "#analysis .prose", "#past", "#timeline .event"):
        expect(page.locator(name).first).to_be_visible()
    assert page.locator("button:visible, input:visible, nav:visible, #timeline summary:visible").count() == 0


def test_links_lead_to_other_systems_with_the_incident_s_names(visit: Visit) -> None:
    links = visit("/incident/1").locator(".links a")
    assert (links.first.get_attribute("href") or "").startswith("https://grafana.example/d/pods?var-pod=")
    assert links.first.get_attribute("rel") == "noreferrer noopener"


def test_whether_it_happened_before_is_seen(visit: Visit, site: Site) -> None:
    first = site.deliver(alertname="KubePast", pod="before-1", namespace="past")
    expect(visit(f"/incident/{first}").locator("#past")).to_contain_text("this is the first")
    site.analysed(first)
    site.call(f"/api/incidents/{first}/resolve")
    site.call("/alertmanager", {"version": "4", "alerts": [later("before-1")]})
    second = site.get("/api/incidents?limit=1&namespace=past")["incidents"][0]["id"]
    page = visit(f"/incident/{second}")
    expect(page.locator("#past tbody tr")).to_have_count(1)
    expect(page.locator("#past svg").first).to_be_visible()
    page.locator("#past tbody a").click()
    expect(page).to_have_url(re.compile(f"/incident/{first}$"))


def later(pod: str) -> dict[str, object]:
    from tests.web.servers import alert

    return alert(alertname="KubePast", pod=pod, namespace="past") | {"startsAt": "2026-11-24T05:00:00Z"}


def test_what_a_form_was_refused_for_stays_and_the_page_stays_live(visit: Visit, site: Site) -> None:
    incident = site.analysed(site.deliver(pod="refused-1"))
    site.call(f"/api/incidents/{incident}/resolve")
    page = visit(f"/incident/{incident}", watched=False)
    page.evaluate("each = document.querySelector('button[value=suppress]'); each.disabled = false; each.click()")
    alert = page.locator("#act [role=alert]")
    expect(alert).to_be_visible()
    expect(page).to_have_url(re.compile(rf"/incident/{incident}#act$"))
    page.locator("#incident").evaluate("each => { each.dataset.old = 'yes'; }")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("#incident[data-old]")).to_have_count(0)
    expect(alert).to_be_visible()
    site.call(f"/api/incidents/{incident}/regenerate-analysis")
    expect(page.locator("#analysis")).to_contain_text("Written again")
    expect(alert).to_have_count(0)
    before = len(watch_of(page).requests)
    page.reload()
    assert watch_of(page).requests[before] == f"GET /incident/{incident}"


def test_suppress_then_resolve(visit: Visit, site: Site) -> None:
    incident = site.analysed(site.deliver(pod="decided-1"))
    page = visit(f"/incident/{incident}")
    page.get_by_label("Reason").fill("a known fault, ticket 7")
    page.get_by_role("button", name="Suppress:").click()
    expect(page.locator(".tags")).to_contain_text("suppressed")
    expect(page.locator("#timeline")).to_contain_text("a known fault, ticket 7")
    expect(page.get_by_role("button", name="Suppress:")).to_be_disabled()
    page.get_by_role("button", name="Resolve:").click()
    expect(page.locator(".tags")).to_contain_text("resolved")
    assert site.get(f"/api/incidents/{incident}")["incident"]["status"] == "resolved"


def test_runbooks_their_steps_and_how_often_they_ran(visit: Visit) -> None:
    page = visit("/runbooks")
    page.get_by_role("link", name="RB_CRASHLOOP").click()
    expect(page.locator("h1")).to_have_text("RB_CRASHLOOP")
    expect(page.locator(".steps li").first).to_be_visible()
    expect(page.locator(".gate").first).to_contain_text("only if")
    page.get_by_role("link", name="Its incidents").click()
    expect(page).to_have_url(re.compile(r"/\?runbook=RB_CRASHLOOP$"))


def test_pause_and_resume(visit: Visit, site: Site) -> None:
    page = visit("/status")
    page.get_by_label("Reason").fill("the network is changed")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".lead")).to_have_text("Changes are held back.")
    expect(page.locator("main")).to_contain_text("the network is changed")
    expect(visit("/").locator(".notice")).to_contain_text("Changes are held back")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("main")).not_to_contain_text("the network is changed")
    assert site.get("/api/status")["pauses"] == []


def test_an_open_list_says_that_changes_are_held_back_and_what_went_on(visit: Visit, site: Site) -> None:
    site.deliver(pod="lately-1")
    page = visit("/")
    expect(page.locator("#lately")).to_contain_text("Last 24 hours: ")

    def held() -> str:
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        return page.locator("#held").inner_text()

    site.call("/api/pause", {"reason": "seen by nobody who reloads"})
    until(lambda: "seen by nobody who reloads" in held())
    site.call("/api/resume")
    until(lambda: "seen by nobody who reloads" not in held())


def test_signing_in_reading_acting_and_signing_out(visit: Visit, guarded: Site) -> None:
    page = visit("/incident/1?reason=x#act", at=guarded, watched=False)
    expect(page.locator("h1")).to_have_text("Sign in")
    page.get_by_label("Token").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("That is no token of this server.")
    page.get_by_label("Token").fill(OPERATOR)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/incident/1\?reason=x"))
    page.locator("#regenerate").click()
    expect(page.locator("#analysis")).to_contain_text("Written again")
    assert page.evaluate("document.cookie") == ""
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("h1")).to_have_text("Sign in")


def test_a_viewer_reads_and_is_offered_nothing_else(visit: Visit, guarded: Site) -> None:
    page = visit("/incident/1", at=guarded)
    page.get_by_label("Token").fill(VIEWER)
    page.keyboard.press("Enter")
    expect(page.locator("#analysis .prose").first).to_be_visible()
    expect(page.locator("#regenerate")).to_be_disabled()
    expect(page.locator("#act")).to_have_count(0)


def test_a_session_that_ends_while_a_reason_is_written_keeps_the_reason(visit: Visit, guarded: Site) -> None:
    page = visit("/status", at=guarded)
    page.get_by_label("Token").fill(OPERATOR)
    page.keyboard.press("Enter")
    page.get_by_label("Reason").fill("half past & <three>")
    page.context.clear_cookies()
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("main")).to_contain_text("The session was over: nothing was done.")
    page.get_by_label("Token").fill(OPERATOR)
    page.keyboard.press("Enter")
    expect(page.get_by_label("Reason")).to_have_value("half past & <three>")
    assert guarded.get("/api/status")["held"] is False


def test_a_session_that_ends_while_one_reads_is_told_and_keeps_what_is_being_written(
    visit: Visit, guarded: Site
) -> None:
    page = visit("/incident/1", at=guarded, watched=False)
    page.get_by_label("Token").fill(OPERATOR)
    page.keyboard.press("Enter")
    page.get_by_label("Reason").fill("half a reason")
    signed_in = page.context.cookies()
    page.context.clear_cookies()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    link = page.locator("#live a")
    expect(page.locator("#live")).to_have_text("Your session is over: sign in")
    page.context.add_cookies(signed_in)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("#live")).to_be_empty()  # signed in again, in another tab
    page.context.clear_cookies()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.get_by_label("Reason").fill("half a reason & more")
    link.click()
    page.get_by_label("Token").fill(OPERATOR)
    page.keyboard.press("Enter")
    expect(page.get_by_label("Reason")).to_have_value("half a reason & more")
    assert guarded.get("/api/incidents/1")["incident"]["status"] == "open"


@pytest.mark.parametrize("path", ["/?origin=replay", "/incident/1", "/runbooks", "/runbook/RB_OOM", "/status"])
def test_reading_needs_no_script(visit: Visit, path: str) -> None:
    with_script, without = visit(path), visit(path, script=False)
    words = [re.sub(r"\s+", " ", page.locator("main").text_content() or "") for page in (with_script, without)]
    assert without.locator("[data-copy]:visible, #keys:visible").count() == 0
    assert abs(len(words[0]) - len(words[1])) < 40  # "5 s ago" may have become "6 s ago"


def test_acting_and_filtering_need_no_script(visit: Visit, site: Site) -> None:
    incident = site.analysed(site.deliver(pod="plain-1", namespace="plain"))
    page = visit("/", script=False)
    page.get_by_label("Namespace").fill("plain")
    page.get_by_role("button", name="Filter").click()
    page.locator(f"{ROWS} a").first.click()
    page.get_by_role("button", name="↻ Re-generate Analysis").click()
    expect(page.locator("#analysis")).to_contain_text("Written again")
    page.get_by_label("Reason").fill("without a script")
    page.get_by_role("button", name="Suppress:").click()
    expect(page.locator("#timeline")).to_contain_text("without a script")
    assert site.get(f"/api/incidents/{incident}")["incident"]["status"] == "suppressed"


def test_an_unknown_address_leads_back(visit: Visit) -> None:
    page = visit("/incident/99999", watched=False)
    expect(page.locator("h1")).to_have_text("There is nothing here")
    page.get_by_role("link", name="Back to the incidents").click()
    expect(page.locator("h1")).to_have_text("Incidents")


def test_a_stream_that_was_cut_is_taken_up_again(visit: Visit, site: Site) -> None:
    page = visit("/?namespace=cut", watched=False)
    page.wait_for_timeout(500)
    page.context.set_offline(True)
    site.deliver(pod="meanwhile", namespace="cut")
    page.evaluate("dispatchEvent(new Event('offline'))")
    page.context.set_offline(False)
    page.reload()
    expect(page.locator(ROWS).first).to_contain_text("meanwhile")
    site.deliver(pod="afterwards", namespace="cut")
    until(lambda: "afterwards" in page.locator(ROWS).first.inner_text())
