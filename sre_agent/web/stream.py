"""GET /api/stream: the incidents that change, as server-sent events, while somebody watches.

    id: 1234
    event: incident
    data: {"id":42,"status":"open","updated_at":"2026-11-23T03:00:00Z","event_type":"final"}

`id` is that of the incident's event: a browser that comes back names it in Last-Event-ID, and is told what it missed.
An event `reload` says that this was too much: read the list anew.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence

from aiohttp import web

from sre_agent.incident import Origin
from sre_agent.log import get_logger
from sre_agent.store import Change
from sre_agent.views import change_json
from sre_agent.web.errors import Refused, dumps
from sre_agent.web.hub import Full, Watcher
from sre_agent.web.parameters import origin_asked, whole
from sre_agent.web.site import site_of

HEARTBEAT_SECONDS = 15.0
LOOK_SECONDS = 1.0
"""How soon a watcher that has gone makes room for another one."""
RETRY_MILLISECONDS = 2000
CONTENT_TYPE = "text/event-stream"
_OPENING = f"retry: {RETRY_MILLISECONDS}\n\n"
_HEARTBEAT = ": still here\n\n"
_RELOAD = "event: reload\ndata: {}\n\n"

log = get_logger(__name__)


async def stream(request: web.Request) -> web.StreamResponse:
    """Tells changes until the watcher goes, the server stops, or the watcher does not keep up."""
    site, origin, last = site_of(request), origin_asked(request.query), _last_event(request)
    if site.stopping.is_set():
        raise Refused(503, "the server is stopping", headers={"Retry-After": "2"})
    if not await site.hub.hears():
        raise Refused(503, "the database is away, so no change would be heard", headers={"Retry-After": "5"})
    response = web.StreamResponse(
        headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    )
    try:
        with site.hub.watch() as watcher:
            missed = [] if last is None else await site.hub.missed_since(last)
            await response.prepare(request)
            await response.write(_OPENING.encode())
            if missed is None:
                await response.write(_RELOAD.encode())
            async for text in _texts(request, watcher, missed or (), origin):
                await response.write(text.encode())
    except Full as full:
        raise Refused(503, str(full), headers={"Retry-After": "30"}) from None
    except ConnectionError:
        log.debug("stream.watcher_gone")
    return response


async def _texts(
    request: web.Request, watcher: Watcher, missed: Sequence[Change], origin: Origin
) -> AsyncIterator[str]:
    """What a stream says: what was missed, then what comes, to its end."""
    for change in missed:
        if change.origin is origin:
            yield _text(change)
    spoke = time.monotonic()
    while request.transport is not None:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                told = await watcher.waiting.get()
        except TimeoutError:
            if time.monotonic() - spoke < HEARTBEAT_SECONDS:
                continue
            text = _HEARTBEAT
        else:
            if told is None:
                return
            if told.origin is not origin:
                continue
            text = _text(told)
        spoke = time.monotonic()
        yield text


def _text(change: Change) -> str:
    return f"id: {change.event_id}\nevent: incident\ndata: {dumps(change_json(change))}\n\n"


def _last_event(request: web.Request) -> int | None:
    text = request.headers.get("Last-Event-ID", "")
    return whole(text, "Last-Event-ID", least=0) if text else None
