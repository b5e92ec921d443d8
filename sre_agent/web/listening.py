"""The sockets and connections of a process that listens.

Called by `serve` and `worker`. A port is bound before anything else is opened, so that one which is taken is said at
once; it is listened at only when everything behind it is ready.
"""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from sre_agent.errors import BadInput, Unreachable
from sre_agent.log import get_logger
from sre_agent.settings import Address
from sre_agent.web.access import is_loopback
from sre_agent.web.certificate import Certificate
from sre_agent.web.errors import error_body
from sre_agent.web.passage import HEADERS, SERVER

HEADER_BYTES = 8190
"""The longest line of a head: a request line, or a header with its name."""
MOST_HEADERS = 100
LINGER_SECONDS = 2.0
"""How long the rest of a body that nobody reads is thrown away, so that its sender sees the answer."""
HEAD_SECONDS = 20.0
"""How long a new connection may be without a whole request head; whoever keeps it longer only keeps a place."""
IDLE_SECONDS = 75.0
CLOSING_SECONDS = 4.0
"""How long requests that are under way may take when the server closes."""
UNREAD_MILLISECONDS = 30_000
"""How long what is sent may wait for somebody who is gone, or does not read; then the connection is broken."""
BACKLOG = 1024
BUFFER_BYTES = 2**18

log = get_logger(__name__)


@contextmanager
def bound(address: Address) -> Iterator[Sequence[socket.socket]]:
    """Sockets for all addresses of a host, all on one port, closed when the block ends.

    Raises BadInput, and Unreachable for a port that is in use or not allowed.
    """
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise BadInput(f"cannot listen at {address}: the host {address.host} has no address ({error})") from None
    sockets: list[socket.socket] = []
    with ExitStack() as opened:
        refused: OSError | None = None
        for family, _, _, _, place in dict.fromkeys(found):
            port = sockets[0].getsockname()[1] if sockets else address.port
            try:
                sockets.append(opened.enter_context(_bound(family, (place[0], port, *place[2:]))))
            except OSError as error:
                if error.errno in _NOT_FOR_US:
                    raise _cannot_listen(address, error) from None
                refused = error  # another address of the host may do: not every machine has IPv6
        if refused is not None and not sockets:
            raise _cannot_listen(address, refused)
        yield sockets


_NOT_FOR_US = frozenset({errno.EADDRINUSE, errno.EACCES})


def only_loopback(sockets: Sequence[socket.socket]) -> bool:
    """Whether nobody but this machine can reach them."""
    return all(is_loopback(listener.getsockname()[0]) for listener in sockets)


def place_of(listener: socket.socket) -> Address:
    """Where a socket really is."""
    host, port = listener.getsockname()[:2]
    return Address(host=host, port=port)


def places_of(sockets: Sequence[socket.socket], certificate: Certificate | None) -> str:
    """The addresses at which it answers, for people."""
    scheme = "http" if certificate is None else "https"
    return ", ".join(f"{scheme}://{place_of(listener)}" for listener in sockets)


@asynccontextmanager
async def listening(
    app: web.Application, sockets: Sequence[socket.socket], certificate: Certificate | None
) -> AsyncIterator[None]:
    """Serves an application on bound sockets for as long as the block runs, with a certificate that may be renewed.

    Raises Unreachable.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSING_SECONDS)
    await runner.setup()
    if runner.server is None:
        raise RuntimeError("a runner that is set up has a server")
    loop = asyncio.get_running_loop()
    factory = partial(
        Connection,
        runner.server,
        loop=loop,
        auto_decompress=False,
        keepalive_timeout=IDLE_SECONDS,
        lingering_time=LINGER_SECONDS,
        max_line_size=HEADER_BYTES,
        max_field_size=HEADER_BYTES,
        max_headers=MOST_HEADERS,
        read_bufsize=BUFFER_BYTES,
    )
    tls = None if certificate is None else certificate.context
    watching = None if certificate is None else loop.create_task(certificate.watch())
    servers: list[asyncio.Server] = []
    try:
        for listener in sockets:
            try:
                servers.append(await loop.create_server(factory, sock=listener, ssl=tls, backlog=BACKLOG))
            except OSError as error:
                raise _cannot_listen(place_of(listener), error) from None
        yield
    finally:
        if watching is not None:
            watching.cancel()
        for server in servers:
            server.close()
        await runner.cleanup()


class Connection(web.RequestHandler):
    """One connection. What is no HTTP is answered in the one shape of errors, and never repeated in a log."""

    __slots__ = ("_head_due",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The server's own timer runs from the end of a request, so the first one has none."""
        super().connection_made(transport)
        self._head_due = asyncio.get_running_loop().call_later(HEAD_SECONDS, self._require_head)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._head_due.cancel()
        super().connection_lost(exc)

    def _require_head(self) -> None:
        if self._request_count == 0:
            self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answers a request that could not be read, or that broke outside its handler."""
        if isinstance(exc, LineTooLong) or "Too many headers" in (message or ""):
            status, told = 431, f"at most {MOST_HEADERS} headers are taken, and {HEADER_BYTES} bytes in each line"
        elif status >= 500:
            status, told = 500, "the server failed at this request; its log says why"
        else:
            status, told = 400, "this is no HTTP request that can be read"
        log.warning("connection.refused", status=status, error=type(exc).__name__)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was begun already")
        headers = {**HEADERS, "Server": SERVER, "Cache-Control": "no-store"}
        response = web.Response(
            status=status, text=error_body(status, told), content_type="application/json", headers=headers
        )
        response.force_close()
        return response


def _bound(family: int, place: tuple[Any, ...]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MILLISECONDS)  # of its connections
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(place)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _cannot_listen(address: Address, error: OSError) -> BadInput | Unreachable:
    match error.errno:
        case errno.EADDRINUSE:
            return Unreachable(f"cannot listen at {address}: another program does; give another --port, or end it")
        case errno.EACCES:
            return Unreachable(f"cannot listen at {address}: this user may not use that port; give one above 1023")
        case errno.EADDRNOTAVAIL:
            return BadInput(f"cannot listen at {address}: this machine has no such address")
        case _:
            return BadInput(f"cannot listen at {address}: {error.strerror or error}")
