"""The server as a source: the same documents as from the database, and nothing from elsewhere reaches the screen."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from sre_agent.errors import BadInput, Unreachable
from sre_agent.incident import IncidentStatus, Origin
from sre_agent.store.book import IncidentFilters
from sre_agent.tui.database import DatabaseSource
from sre_agent.tui.server import ServerSource
from sre_agent.tui.source import PAGE, Document
from tests.tui.browsing import browsing, fill, listed, opened, replays, seen
from tests.web.servers import alert, payload, served, until

REPLAYS = IncidentFilters(origin=Origin.REPLAY)


async def test_the_documents_are_those_of_the_database(played_database: str) -> None:
    async with (
        opened(played_database) as database,
        served(played_database, {"CLUSTER_NAME": "prod-eu"}) as running,
        ServerSource.open(running.url, None) as server,
    ):
        for filters in (
            REPLAYS,
            IncidentFilters(origin=Origin.REPLAY, text="checkout"),
            IncidentFilters(origin=Origin.LIVE),
        ):
            assert await server.page(filters, None) == await database.page(filters, None)
        for incident_id in (1, 2, 3):
            assert await server.detail(incident_id) == await database.detail(incident_id)
        assert await server.runbook("RB_OOM") == await database.runbook("RB_OOM")
        ours, theirs = await database.status(), await server.status()
        assert {**ours, "at": None} == {**theirs, "at": None}


async def test_pages_follow_by_their_cursor_and_filters_are_asked_of_the_server(database: str) -> None:
    fill(database, PAGE + 20)
    async with served(database, {}) as running, ServerSource.open(f"{running.url}/", None) as server:
        everything = IncidentFilters(origin=Origin.LIVE)
        first = await server.page(everything, None)
        second = await server.page(everything, first["next_cursor"])
        assert [entry["id"] for entry in first["incidents"] + second["incidents"]] == list(range(1, PAGE + 21))
        asked = IncidentFilters(origin=Origin.LIVE, status=IncidentStatus.RESOLVED, severity="critical")
        assert {entry["id"] % 12 for entry in (await server.page(asked, None))["incidents"]} == {0}


async def test_what_a_person_does_is_done_by_the_server(played_database: str) -> None:
    async with served(played_database, {}) as running, ServerSource.open(running.url, None) as server:
        assert (await server.regenerate(2))["incident_id"] == 2
        assert (await server.suppress(2, "known"))["changed"]
        resolved = await server.resolve(2, None)
        assert resolved["incident"]["status"] == "resolved"
        with pytest.raises(BadInput, match="only an open one can be suppressed"):
            await server.suppress(2, None)
        with pytest.raises(BadInput, match="there is no incident 99: the nearest are 2, 3"):
            await server.detail(99)
        with pytest.raises(BadInput, match="there is no runbook RB_NONE; known: RB_"):
            await server.runbook("RB_NONE")


async def test_changes_of_live_incidents_and_replays_are_heard(played_database: str) -> None:
    heard: list[Document] = []
    async with served(played_database, {}) as running, ServerSource.open(running.url, None) as server:
        watching = asyncio.create_task(server.watch(lambda changes: heard.extend(changes or [])))
        await asyncio.sleep(0.3)
        await running.deliver(payload(alert()))
        await server.resolve(1, None)

        async def both() -> bool:
            return {change["id"] for change in heard} >= {1, 4}

        await until(both)
        watching.cancel()


async def test_the_browser_shows_a_server_as_it_shows_a_database(played_database: str) -> None:
    async with (
        served(played_database, {"CLUSTER_NAME": "prod-eu"}) as running,
        ServerSource.open(running.url, None) as server,
        browsing(server) as pilot,
    ):
        await replays(pilot)
        await seen(pilot, "sre-agent prod-eu · recommend · no alert yet · planner scripted ● live")
        await pilot.press("o")
        await running.deliver(payload(alert(pod="fresh-1")))
        await seen(pilot, "demo/fresh-1", seconds=10)
        assert len((await listed(pilot)).listing.rows) == 1


async def test_viewers_may_look_and_are_told_that_they_may_not_act(played_database: str) -> None:
    async with (
        served(
            played_database,
            {"SRE_AGENT_API_TOKEN": "operators-token", "SRE_AGENT_VIEWER_TOKEN": "viewers-token"},
            loopback=False,
        ) as running,
        ServerSource.open(running.url, "viewers-token") as viewer,
    ):
        assert (await viewer.detail(1))["incident"]["id"] == 1
        with pytest.raises(BadInput, match="--token-file"):
            await viewer.resolve(1, None)


@asynccontextmanager
async def answering(response: web.Response) -> AsyncIterator[str]:
    """A server that answers everything like this."""
    reached = web.Application()

    async def answer(_: web.Request) -> web.Response:
        return response.__class__(status=response.status, body=response.body, headers=response.headers.copy())

    reached.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(reached)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.mark.parametrize(
    ("response", "error", "said"),
    [
        (web.Response(text="hello"), BadInput, "no sre-agent"),
        (web.Response(text="[1]"), BadInput, "no sre-agent"),
        (web.Response(text="[" * 100_000), BadInput, "no sre-agent"),
        (web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"}), BadInput, "the answer is 302"),
        (web.Response(status=502, text="bad gateway"), Unreachable, "the answer is 502"),
        (web.Response(status=500, text='{"error": {"message": "its log says why"}}'), BadInput, "its log says why"),
    ],
    ids=["text", "list", "deep", "redirection", "gateway", "error"],
)
async def test_whatever_answers_there_is_said(response: web.Response, error: type[Exception], said: str) -> None:
    async with answering(response) as url, ServerSource.open(url, "token") as source:
        with pytest.raises(error, match=said):
            await source.status()


async def test_nobody_there_is_said_with_the_address() -> None:
    async with ServerSource.open("http://127.0.0.1:1", "secret-token-word") as source:
        with pytest.raises(Unreachable, match=r"cannot reach http://127\.0\.0\.1:1: Connection refused\.") as raised:
            await source.status()
    assert "secret-token-word" not in str(raised.value)


async def test_what_a_server_says_comes_without_terminal_escapes_and_secrets() -> None:
    hostile = '{"cluster": "\\u001b]52;c;AAAA\\u0007prod", "note": "password=hunter2hunter2"}'
    async with answering(web.Response(text=hostile)) as url, ServerSource.open(url, None) as source:
        status = await source.status()
    assert "\x1b" not in str(status)
    assert "hunter2" not in str(status)


def test_both_are_the_one_source() -> None:
    names = {name for name in vars(DatabaseSource) if not name.startswith("_")}
    assert names <= set(vars(ServerSource))
