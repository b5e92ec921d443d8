"""GET /api/stream: changes as they are committed, what was missed, and an end that nobody waits for."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sre_agent.agent import POSTGRES_DIRECTORY
from sre_agent.embedded_postgres import running
from sre_agent.event import EventType
from sre_agent.incident import IncidentStatus, Origin
from sre_agent.store import Change
from sre_agent.store.migrations import migrate
from sre_agent.web import hub as hub_module
from sre_agent.web.hub import Watcher
from tests.web.servers import Served, alert, payload, served, until


class Reader:
    """Reads the events of a stream; comments and `retry` are left out."""

    def __init__(self, content: Any) -> None:
        self._content = content

    async def next(self) -> dict[str, Any] | None:
        """{event, id, ...data}; None at the end of the stream."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(20):
            while line := (await self._content.readline()).decode():
                if line == "\n":
                    if "event" in fields:
                        return {"event": fields["event"], "at": fields.get("id"), **json.loads(fields["data"])}
                    fields = {}
                elif not line.startswith(":"):
                    name, _, value = line.rstrip("\n").partition(": ")
                    fields[name] = value
        return None


@asynccontextmanager
async def watching(server: Served, query: str = "", **headers: str) -> AsyncIterator[Reader]:
    async with server.client.get(f"/api/stream{query}", headers=headers) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream"
        yield Reader(response.content)


async def test_a_change_is_told_when_it_is_committed(server: Served) -> None:
    async with watching(server) as reader:
        await server.deliver(payload())
        opened = await reader.next()
        assert opened is not None
        (incident,) = (await server.get("/api/incidents")).body["incidents"]
        assert opened == {
            "event": "incident",
            "at": opened["at"],
            "id": incident["id"],
            "status": "open",
            "updated_at": incident["updated_at"],
            "event_type": "webhook_received",
        }
        await server.post(f"/api/incidents/{incident['id']}/resolve")
        resolved = await reader.next()
        assert resolved is not None
        assert (resolved["status"], resolved["event_type"]) == ("resolved", "resolved")


async def test_who_comes_back_is_told_what_was_missed(server: Served) -> None:
    async with watching(server) as reader:
        await server.deliver(payload())
        first = await reader.next()
    assert first is not None
    await server.deliver(payload(alert(pod="app-2")))
    async with watching(server, **{"Last-Event-ID": first["at"]}) as reader:
        told = set()
        while first["id"] + 1 not in told:
            event = await reader.next()
            assert event is not None
            told.add(event["id"])


async def test_who_missed_too_much_is_told_to_read_the_list_anew(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "MOST_MISSED", 2)
    monkeypatch.setattr(hub_module, "LOOK_BACK", 1)
    await server.deliver(payload(*(alert(pod=f"app-{number}") for number in range(5))))
    async with watching(server, **{"Last-Event-ID": "1"}) as reader:
        assert (await reader.next()) == {"event": "reload", "at": None}


async def test_replays_are_told_to_those_who_ask(played_server: Served) -> None:
    async with watching(played_server, "?origin=replay") as replays, watching(played_server) as live:
        await played_server.post("/api/incidents/1/resolve")
        told = await replays.next()
        assert told is not None
        assert told["id"] == 1
        await played_server.deliver(payload())
        told = await live.next()
        assert told is not None
        assert told["id"] > 3


@pytest.mark.parametrize(("query", "headers"), [("?origin=x", {}), ("?limit=1", {}), ("", {"Last-Event-ID": "x"})])
async def test_a_bad_question_is_refused(server: Served, query: str, headers: dict[str, str]) -> None:
    assert (await server.get(f"/api/stream{query}", **headers)).status == 400


async def test_so_many_may_watch_and_no_more(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "MOST_WATCHERS", 1)
    async with watching(server):
        answer = await server.get("/api/stream")
        assert (answer.status, answer.error["code"]) == (503, "unavailable")

    async def free() -> bool:
        async with server.client.get("/api/stream") as response:
            return response.status == 200

    await until(free)


async def test_a_quiet_stream_says_that_it_is_there(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sre_agent.web.stream.HEARTBEAT_SECONDS", 0.1)
    monkeypatch.setattr("sre_agent.web.stream.LOOK_SECONDS", 0.05)
    async with server.client.get("/api/stream") as response, asyncio.timeout(10):
        while await response.content.readline() != b": still here\n":
            pass


async def test_where_no_change_is_heard_nobody_is_left_waiting_for_one(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "PATIENCE_SECONDS", 0.05)
    deaf = hub_module.Hub(server.store.changes)
    assert await deaf.hears() is False
    listening = asyncio.create_task(deaf.listen())
    monkeypatch.setattr(hub_module, "PATIENCE_SECONDS", 20.0)
    assert await deaf.hears() is True
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    monkeypatch.setattr(hub_module, "PATIENCE_SECONDS", 0.05)
    assert await deaf.hears() is False


async def test_the_end_of_the_server_ends_every_stream(server: Served) -> None:
    async with watching(server) as reader:
        server.site.hub.close()
        assert await reader.next() is None


async def test_a_watcher_that_does_not_keep_up_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "MOST_WAITING", 2)
    change = Change(
        event_id=1,
        event_type=EventType.FINAL,
        incident_id=1,
        origin=Origin.LIVE,
        status=IncidentStatus.OPEN,
        updated_at=datetime(2026, 11, 23, tzinfo=UTC),
    )
    watcher = Watcher()
    watcher.give([change, change])
    assert watcher.waiting.qsize() == 2
    watcher.give([change, change])
    assert await watcher.waiting.get() is None
    assert watcher.waiting.empty()


async def test_a_stream_goes_on_after_a_statement_that_was_refused(server: Served, database: str) -> None:
    """As for a moment while another version changes the schema."""
    async with watching(server) as reader, await psycopg.AsyncConnection.connect(database, autocommit=True) as sql:
        await server.deliver(payload(alert(pod="first")))
        assert await reader.next() is not None
        await sql.execute("alter table incidents rename to elsewhere")
        await sql.execute("select pg_notify('incident_changes', '1')")

        async def deaf() -> bool:
            return not server.site.hub._hearing.is_set()

        await until(deaf)
        await sql.execute("alter table elsewhere rename to incidents")
        await server.deliver(payload(alert(pod="second")))
        told = set()
        while 2 not in told:
            event = await reader.next()
            assert event is not None
            told.add(event["id"])


async def test_a_stream_goes_on_when_the_database_is_back(embedded: Path) -> None:
    home = embedded / POSTGRES_DIRECTORY
    first = running(home)
    conninfo = first.__enter__()
    try:
        await migrate(conninfo)
        async with served(conninfo, {}) as server, watching(server) as reader:
            await server.deliver(payload(alert(pod="first")))
            before = await reader.next()
            first.__exit__(None, None, None)
            with running(home):

                async def taken() -> bool:
                    return (await server.deliver(payload(alert(pod="second")))).status == 200

                await until(taken, seconds=30)
                ids = set()
                while len(ids) < 2:
                    event = await reader.next()
                    assert event is not None
                    assert before is not None
                    ids |= {before["id"], event["id"]}
    except BaseException:
        first.__exit__(None, None, None)
        raise
