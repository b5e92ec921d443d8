"""The list: what it shows, how it is searched and filtered, that it reads on, that the cursor keeps its incident."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from textual.widgets import Input

from sre_agent.incident import Origin
from sre_agent.store import Store
from sre_agent.store.book import IncidentFilters
from sre_agent.tui.database import DatabaseSource
from sre_agent.tui.detail_screen import DetailScreen
from sre_agent.tui.list_screen import EMPTY
from tests.conftest import copy_of
from tests.store.store_builders import NOW as STORED_AT
from tests.store.store_builders import new_incident, receive
from tests.tui.browsing import LARGE, Browser, browsing, fill, listed, opened, replays, said, seen, text, told, until


def ids(pilot: Browser) -> list[int]:
    table = pilot.app.screen_stack[1].query_one("IncidentTable")
    return [row.id for row in table.listing.rows]


async def select(pilot: Browser, incident_id: int) -> None:
    """Puts the cursor on a replay."""
    table = await replays(pilot)
    while table.selected.id != incident_id:
        await pilot.press("j")


async def test_a_row_says_what_happened_where_and_what_was_done(played_source: DatabaseSource) -> None:
    async with browsing(played_source, size=LARGE) as pilot:
        await replays(pilot)
        await seen(pilot, "KubePodOOMKilled shop/checkout-6f7c9d8b54-zpzzn RB_OOM → patch_memory_limit:")
        assert "…/app:128Mi→256Mi" in text(pilot)
        assert "KubePodCrashLoopBackOff payments/ledger-" in text(pilot)
        assert "RB_CRASHLOOP ✓ patch_memory_limit:" in text(pilot)
        assert "RB_OOM – the namespace kube-system is denied" in text(pilot)


async def test_why_nothing_was_done_about_the_selected_incident_stands_below_the_list(
    played_source: DatabaseSource,
) -> None:
    async with browsing(played_source) as pilot:
        await select(pilot, 3)
        place, done = said(pilot, "#peek").splitlines()
        assert place == "3 KubePodOOMKilled  kube-system/coredns-wcldllcwc4-crfrb  05-28 04:01 UTC  RB_OOM"
        assert done == "– nothing done; the namespace kube-system is denied (kube-*)"


async def test_the_header_says_whose_incidents_these_are_and_whether_all_is_live(played_source: DatabaseSource) -> None:
    async with browsing(played_source) as pilot:
        await seen(pilot, "sre-agent prod-eu · recommend · no alert yet · planner scripted ● live")


async def test_the_header_says_how_long_ago_the_last_alert_came(database: str) -> None:
    async with opened(database) as source, Store.open(database) as store:
        await receive(store, now=datetime.now(UTC) - timedelta(hours=3))
        async with browsing(source) as pilot:
            await seen(pilot, "recommend · last alert 3h ago")


async def test_how_an_incident_is_opened_stands_in_the_last_line(played_source: DatabaseSource) -> None:
    async with browsing(played_source) as pilot:
        await seen(pilot, "⏎ Open / Search s Status v Severity o Replays ? Help q Quit")
        await seen(pilot, "^p palette")


async def test_the_palette_has_what_the_keys_of_the_list_do(database: str) -> None:
    fill(database, 24)
    async with opened(database) as source, browsing(source) as pilot:
        await listed(pilot, least=24)
        await pilot.press("ctrl+p", *"another sev")
        await seen(pilot, "Another severity")
        await pilot.press("enter", "enter")
        await until(pilot, lambda: ids(pilot) == [4, 8, 12, 16, 20, 24])


async def test_newlines_in_a_name_push_nothing_out_of_sight(database: str) -> None:
    async with opened(database) as source, Store.open(database) as store:
        await receive(store, new_incident(alertname="Disk\n\n\tfull", pod="app\n1", namespace="shop"))
        async with browsing(source) as pilot:
            await listed(pilot)
            await seen(pilot, "open Disk full shop/app 1")


async def test_what_holds_changes_back_stands_in_the_header(played_database: str) -> None:
    async with opened(played_database) as source, Store.open(played_database) as store:
        await store.brakes.pause(by="ada", reason="upgrade", until=None, now=STORED_AT)
        async with browsing(source) as pilot:
            await seen(pilot, "HELD BY pause")


async def test_the_selected_incident_is_told_in_full_below_the_list(played_source: DatabaseSource) -> None:
    async with browsing(played_source) as pilot:
        await select(pilot, 2)
        assert "→ patch_memory_limit:shop/checkout/app:128Mi→256Mi" in said(pilot, "#peek")


async def test_typing_searches(played_source: DatabaseSource) -> None:
    async with browsing(played_source) as pilot:
        await replays(pilot)
        await pilot.press("slash", *"checkout")
        await until(pilot, lambda: ids(pilot) == [2])
        await pilot.press("enter", "escape")
        await until(pilot, lambda: len(ids(pilot)) == 3)


async def test_a_text_that_cannot_be_searched_for_is_said_and_nothing_is_searched(
    played_source: DatabaseSource,
) -> None:
    async with browsing(played_source) as pilot:
        await replays(pilot)
        await pilot.press("slash", *"checkout")
        await until(pilot, lambda: ids(pilot) == [2])
        await pilot.press("enter", "slash", "minus")
        await until(pilot, lambda: "cannot be searched for" in told(pilot))
        await until(pilot, lambda: len(ids(pilot)) == 3)


async def test_where_nothing_fits_that_is_said_and_escape_takes_it_back(played_source: DatabaseSource) -> None:
    async with browsing(played_source) as pilot:
        await replays(pilot)
        await pilot.press("slash", *"nonesuch")
        await seen(pilot, "No incident fits.")
        await pilot.press("escape", "escape")
        await until(pilot, lambda: len(ids(pilot)) == 3)
        await pilot.press("j", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, DetailScreen))


async def test_an_empty_database_says_how_to_send_the_first_alert(database: str) -> None:
    async with opened(database) as source, browsing(source) as pilot:
        await seen(pilot, " ".join(EMPTY[IncidentFilters(origin=Origin.LIVE)].split()))


@pytest.mark.parametrize(
    ("keys", "fitting"),
    [
        ("s", [n for n in range(1, 25) if n % 3]),
        ("sss", [n for n in range(1, 25) if not n % 3]),
        ("v", [n for n in range(1, 25) if not n % 4]),
        ("vv", [n for n in range(1, 25) if n % 4]),
        ("sv", [4, 8, 16, 20]),
    ],
    ids=["open", "resolved", "critical", "warning", "open and critical"],
)
async def test_keys_filter_by_status_and_severity(database: str, keys: str, fitting: list[int]) -> None:
    fill(database, 24)
    async with opened(database) as source, browsing(source) as pilot:
        await listed(pilot, least=24)
        await pilot.press(*keys)
        await until(pilot, lambda: ids(pilot) == fitting)


async def test_the_list_reads_on_as_far_as_somebody_scrolls(database: str) -> None:
    fill(database, 250)
    async with opened(database) as source, browsing(source) as pilot:
        table = await listed(pilot, least=100)
        for least in (200, 250):
            await pilot.press("G")
            await listed(pilot, least=least)
        await pilot.press("G")
        assert table.selected.id == 250
        assert [row.id for row in table.listing.rows] == list(range(1, 251))
        await pilot.press("g")
        assert table.selected.id == 1


async def test_the_mouse_selects_opens_scrolls_and_filters(database: str) -> None:
    fill(database, 60)
    async with opened(database) as source, browsing(source) as pilot:
        table = await listed(pilot, least=60)
        await pilot.click("IncidentTable", offset=(10, 4))
        assert table.selected.id == 4
        await pilot.click("#filters", offset=(8, 0))
        await until(pilot, lambda: {row.status for row in table.listing.rows} == {"open"})
        await pilot.click("IncidentTable", offset=(10, 2), times=2)
        await until(pilot, lambda: isinstance(pilot.app.screen, DetailScreen))


async def test_a_new_incident_comes_by_itself_and_the_cursor_keeps_its_incident(database: str) -> None:
    fill(database, 30)
    async with opened(database) as source, Store.open(database) as store, browsing(source) as pilot:
        table = await listed(pilot, least=30)
        await pilot.press("j", "j")
        kept = table.selected.id
        receipt = await receive(store, new_incident(namespace="late", pod="late-1"))
        await until(pilot, lambda: receipt.incident_id in ids(pilot), seconds=10)
        assert ids(pilot)[0] == receipt.incident_id
        assert (table.selected.id, table.cursor) == (kept, 3)
        assert "late/late-1" in text(pilot)


async def test_a_reader_far_down_keeps_the_line_that_he_reads(database: str) -> None:
    fill(database, 90)
    async with opened(database) as source, Store.open(database) as store, browsing(source) as pilot:
        table = await listed(pilot, least=90)
        await pilot.press(*["j"] * 50)
        line = table.cursor - table.scroll_offset.y
        kept = table.selected.id
        receipt = await receive(store)
        await until(pilot, lambda: receipt.incident_id in ids(pilot))
        assert table.selected.id == kept
        assert table.cursor - table.scroll_offset.y == line


async def test_what_fits_no_more_leaves_the_list(database: str) -> None:
    fill(database, 10)
    async with opened(database) as source, browsing(source) as pilot:
        await listed(pilot, least=10)
        await pilot.press("s")
        await until(pilot, lambda: 3 not in ids(pilot))
        await source.resolve(1, None)
        await until(pilot, lambda: 1 not in ids(pilot))
        assert 2 in ids(pilot)


async def test_names_of_300_characters_break_nothing(database: str) -> None:
    long = "checkout-" + "x" * 291
    async with opened(database) as source, Store.open(database) as store:
        await receive(store, new_incident(pod=long, alertname="K" * 300, namespace="n" * 63))
        async with browsing(source) as pilot:
            table = await listed(pilot)
            assert "…" in text(pilot)
            await pilot.press("enter")
            await until(pilot, lambda: isinstance(pilot.app.screen, DetailScreen))
            await seen(pilot, "No run has ended yet")
            assert table.listing.rows[0].id == 1


async def test_terminal_escapes_of_an_alert_do_not_reach_the_terminal(postgres: str, played: str) -> None:
    for database in copy_of(postgres, played):
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("update incidents set pod = e'evil\\x1b]52;c;AAAA\\x07pod\\x1b[2J' where id = 2")
        async with opened(database) as source, browsing(source, size=LARGE) as pilot:
            await replays(pilot)
            await seen(pilot, "evil")
            assert "\x1b" not in "".join(
                segment.text for strip in pilot.app.screen._compositor.render_strips() for segment in strip
            )


async def test_the_search_field_takes_the_keys_that_are_commands_elsewhere(played_source: DatabaseSource) -> None:
    async with browsing(played_source) as pilot:
        await replays(pilot)
        await pilot.press("slash", "q", "s", "o")
        assert pilot.app.screen.query_one("#search", Input).value == "qso"
        assert pilot.app.is_running
