"""An incident that fired for months: all of it is in the document, and nobody else waits while it is read."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest

from sre_agent import views
from sre_agent.errors import Unreachable
from sre_agent.store import EVENTS_AT_ONCE, EventRow, Store
from sre_agent.web.incident_page import MOST_EVENTS
from tests.web.servers import Served

REPEATS = 4000
REPEAT = {
    "labels": {f"label_{number}": "a value of usual length" for number in range(20)},
    "annotations": {"description": "x" * 500},
    "cluster": "unknown",
    "startsAt": None,
    "fingerprint": "d4f0a1b2c3e4f506",
    "generatorURL": None,
}
ACTED = 1


@pytest.fixture
async def long_lived(played_server: Served) -> Served:
    """Incident 1 acted, and then its alert came again and again."""
    async with played_server.store.database.connection() as connection:
        await connection.execute(
            "insert into incident_events (incident_id, ts, event_type, payload) "
            "select %s, now(), 'webhook_received', %s::jsonb from generate_series(1, %s)",
            (ACTED, json.dumps(REPEAT), REPEATS),
        )
    return played_server


async def test_the_document_has_every_event(long_lived: Served) -> None:
    answer = await long_lived.get(f"/api/incidents/{ACTED}")
    assert answer.body == await views.detail(long_lived.store, ACTED)
    assert list(answer.body) == ["incident", "events", "analysis_markdown", "past_incidents"]
    assert [event["seq"] for event in answer.body["events"]] == list(range(1, len(answer.body["events"]) + 1))
    async with long_lived.client.head(f"/api/incidents/{ACTED}") as head:
        assert (head.status, await head.read()) == (200, b"")


async def test_the_page_says_what_was_done_before_all_that_it_shows(long_lived: Served) -> None:
    text = (await long_lived.get(f"/incident/{ACTED}")).body
    assert "The agent did " in text
    events = await long_lived.store.events(ACTED)
    shown = await long_lived.store.newest_events(ACTED, most=MOST_EVENTS)
    assert text.count('class="event ') == MOST_EVENTS
    assert {event.event_type for event in shown} == {event.event_type for event in events}
    assert f"{len(events) - MOST_EVENTS} earlier ones" in text


@pytest.mark.parametrize("path", [f"/api/incidents/{ACTED}", f"/incident/{ACTED}"])
async def test_nobody_else_waits_while_it_is_read(long_lived: Served, path: str) -> None:
    """Of three tries, since the machine itself may make somebody wait."""
    assert min([await _longest_wait(long_lived, path) for _ in range(3)]) < 1 / 4


async def _longest_wait(server: Served, path: str) -> float:
    """The longest time in which the event loop did nothing else, as a part of the whole request."""
    longest, last, began = 0.0, time.monotonic(), time.monotonic()

    async def look() -> None:
        nonlocal longest, last
        while True:
            await asyncio.sleep(0.001)
            now = time.monotonic()
            longest, last = max(longest, now - last), now

    looking = asyncio.create_task(look())
    async with server.client.get(path, headers={"Accept-Encoding": "identity"}) as response:
        async for _ in response.content.iter_any():
            pass
    looking.cancel()
    return longest / (time.monotonic() - began)


async def test_half_a_document_does_not_look_like_a_whole_one(
    long_lived: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await long_lived.store.newest_events(ACTED, most=EVENTS_AT_ONCE)

    async def torn(_: Store, incident_id: int) -> AsyncIterator[list[EventRow]]:
        yield first
        raise Unreachable("the database went away")

    monkeypatch.setattr(Store, "events_in_parts", torn)
    with pytest.raises(aiohttp.ClientError):
        await long_lived.get(f"/api/incidents/{ACTED}")
