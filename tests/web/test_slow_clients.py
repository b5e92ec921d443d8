"""Clients that begin and do not go on: none of them keeps a place for ever, and what they began is told or ended."""

import asyncio
import contextlib

import pytest

from sre_agent.web import body, hub, listening, stream
from tests.web.conftest import Serve
from tests.web.servers import Served, until

PATIENCE = 10.0


async def sent(server: Served, text: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that has sent this and no more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(text)
    await writer.drain()
    return reader, writer


async def closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "HEAD_SECONDS", 0.2)
    monkeypatch.setattr(body, "BODY_SECONDS", 0.2)


@pytest.mark.parametrize("begun", [b"", b"GET /livez HT", b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: 1\r\n"])
async def test_a_connection_without_a_request_is_ended(impatient: None, server: Served, begun: bytes) -> None:
    reader, writer = await sent(server, begun)
    assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
    await closed(writer)


async def test_a_connection_whose_request_was_answered_may_wait_for_the_next(impatient: None, server: Served) -> None:
    request = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
    reader, writer = await sent(server, request)
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    await asyncio.sleep(2 * listening.HEAD_SECONDS)
    writer.write(request)
    async with asyncio.timeout(PATIENCE):
        while b"HTTP/1.1 200" not in await reader.readline():
            pass
    await closed(writer)


@pytest.mark.parametrize(
    "framing",
    [b"Content-Length: 1000\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"],
    ids=["said", "chunked"],
)
@pytest.mark.parametrize("path", [b"/alertmanager", b"/api/pause"])
async def test_a_body_that_does_not_end_is_not_waited_for(
    impatient: None, server: Served, path: bytes, framing: bytes
) -> None:
    """With 503, so that Alertmanager sends it again."""
    reader, writer = await sent(server, b"POST " + path + b" HTTP/1.1\r\nHost: localhost\r\n" + framing)
    answer = await asyncio.wait_for(reader.read(), PATIENCE)
    assert answer.startswith(b"HTTP/1.1 503")
    assert b"did not come within" in answer
    await closed(writer)
    assert (await server.get("/api/status")).body["pauses"] == []


async def test_a_watcher_that_reads_nothing_keeps_no_place(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Full buffers on the way would hold the stream at a word that never leaves."""
    monkeypatch.setattr(listening, "UNREAD_MILLISECONDS", 500)
    monkeypatch.setattr(hub, "MOST_WATCHERS", 1)
    monkeypatch.setattr(stream, "_HEARTBEAT", f": {'x' * 2**17}\n\n")
    monkeypatch.setattr(stream, "HEARTBEAT_SECONDS", 0)
    monkeypatch.setattr(stream, "LOOK_SECONDS", 0.001)
    async with serve() as server:
        _, writer = await sent(server, b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")

        async def watched() -> bool:
            return bool(server.site.hub._watchers)

        async def let_in() -> bool:
            async with server.client.get("/api/stream") as response:
                return response.status == 200

        await until(watched)
        await until(let_in, seconds=30)
        await closed(writer)
