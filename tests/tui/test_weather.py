"""A database or a server that goes away and comes back, one that lets nobody in, and errors that nobody expected."""

from typing import Any

from sre_agent.store.book import IncidentFilters
from sre_agent.tui.database import DatabaseSource
from sre_agent.tui.detail_screen import DetailScreen
from sre_agent.tui.server import ServerSource
from sre_agent.tui.source import Document
from tests.chaos.monkey import OwnPostgres
from tests.tui.browsing import browsing, fill, listed, opened, said, seen, text, told, until
from tests.web.servers import served


async def test_a_database_that_restarts_is_said_and_the_place_is_kept(own_postgres: OwnPostgres) -> None:
    fill(own_postgres.conninfo, 150)
    async with opened(own_postgres.conninfo) as source, browsing(source) as pilot:
        table = await listed(pilot, least=100)
        await pilot.press(*["space"] * 7)
        await listed(pilot, least=150)
        kept, line = table.selected.id, table.scroll_offset.y
        await own_postgres.stop()
        await seen(pilot, "The database is away since 03:00:00 UTC, trying again:")
        await seen(pilot, "✗ away")
        await pilot.press("k", "j")
        await own_postgres.start()
        await seen(pilot, "● live")
        await until(pilot, lambda: "trying again" not in text(pilot))
        assert (table.selected.id, table.scroll_offset.y) == (kept, line)
        await source.resolve(kept, None)
        await until(pilot, lambda: table.listing.rows[0].id == kept)


async def test_an_incident_that_is_opened_while_the_database_is_away_comes_with_it(own_postgres: OwnPostgres) -> None:
    fill(own_postgres.conninfo, 3)
    async with opened(own_postgres.conninfo) as source, browsing(source) as pilot:
        await listed(pilot, least=3)
        await own_postgres.crash()
        await seen(pilot, "✗ away")
        await seen(pilot, "▌ 1 warn open")  # the away line hides none of the rows
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, DetailScreen))
        await own_postgres.start()
        await until(pilot, lambda: "The incident is open." in said(pilot, "#sentence"))
        await until(pilot, lambda: pilot.app.presence.away is None)


async def test_a_server_that_goes_and_comes_back(database: str) -> None:
    fill(database, 3)
    async with served(database, {}) as server:
        port = server.port
        async with ServerSource.open(server.url, None) as source, browsing(source) as pilot:
            await listed(pilot, least=3)
            await server.app.shutdown()
            await seen(pilot, "The server is away")
            assert f"127.0.0.1:{port}" in text(pilot)


async def test_a_server_that_asks_for_a_token_says_which(database: str) -> None:
    async with (
        served(database, {"SRE_AGENT_API_TOKEN": "operators-token"}, loopback=False) as server,
        ServerSource.open(server.url, "another-token") as source,
        browsing(source) as pilot,
    ):
        await seen(pilot, "The server refuses, trying again: give the API token by --token-file or SRE_AGENT_API_TOKEN")


class Broken(DatabaseSource):
    """A source with a fault that nobody thought of."""

    async def page(self, filters: IncidentFilters, cursor: str | None) -> Document:
        if filters.text:
            raise ZeroDivisionError("nobody thought of this")
        return await super().page(filters, cursor)

    async def detail(self, incident_id: int) -> Any:
        raise KeyError("incident")


async def test_an_error_that_nobody_expected_ends_what_was_asked_for_and_nothing_else(database: str) -> None:
    fill(database, 3)
    async with opened(database) as source:
        source.__class__ = Broken
        async with browsing(source) as pilot:
            table = await listed(pilot, least=3)
            await pilot.press("slash", *"app")
            await until(pilot, lambda: "read_newest failed: ZeroDivisionError" in told(pilot))
            await pilot.press("escape", "enter")
            await seen(pilot, "read failed: KeyError")
            await pilot.press("q", "j")
            assert pilot.app.is_running
            assert table.selected is not None
