"""The server's paths, and what every request passes before its handler: measured, in one shape, allowed.

`make_app` is the only place that puts them together. Read `ROUTES` first.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from sre_agent import metrics
from sre_agent.agent import Service
from sre_agent.alert import MAX_BYTES
from sre_agent.doctor import Finding, examine
from sre_agent.log import get_logger
from sre_agent.reception import Reception
from sre_agent.status import read_status, status_json
from sre_agent.store.book import Lately
from sre_agent.web import api, operations, pages, signing, webhook
from sre_agent.web.access import SAFE_METHODS, Access, Need, refuse_other_sites
from sre_agent.web.errors import Refused, answer, in_one_shape
from sre_agent.web.glance import CHECKS_SECONDS, COUNTED_SECONDS, STATUS_SECONDS, Glance
from sre_agent.web.health import Health
from sre_agent.web.hub import Hub
from sre_agent.web.rendering import error_page, see_other, session_in, static
from sre_agent.web.sessions import WORD_HEADER
from sre_agent.web.site import NEED, SITE, Site, site_of
from sre_agent.web.stream import stream

log = get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """One path of the server, and who may ask for it."""

    method: str
    path: str
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    need: Need
    page: bool = False
    """For a browser: what goes wrong is a page, too."""


def _route(
    method: str, path: str, need: Need, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> Route:
    return Route(method=method, path=path, handler=handler, need=need)


def _page(method: str, path: str, need: Need, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> Route:
    return Route(method=method, path=path, handler=handler, need=need, page=True)


ROUTES = (
    _route("POST", "/alertmanager", Need.DELIVER, webhook.receive),
    _route("GET", "/api/incidents", Need.READ, api.incidents),
    _route("GET", "/api/incidents/{id}", Need.READ, api.incident),
    _route("POST", "/api/incidents/{id}/regenerate-analysis", Need.ACT, api.regenerate_analysis),
    _route("POST", "/api/incidents/{id}/suppress", Need.ACT, api.suppress),
    _route("POST", "/api/incidents/{id}/resolve", Need.ACT, api.resolve),
    _route("GET", "/api/runbooks/{id}", Need.READ, api.runbook),
    _route("GET", "/api/status", Need.READ, api.status),
    _route("POST", "/api/pause", Need.ACT, api.pause),
    _route("POST", "/api/resume", Need.ACT, api.resume),
    _route("GET", "/api/stream", Need.READ, stream),
    _route("GET", "/livez", Need.NOTHING, operations.live),
    _route("GET", "/healthz", Need.NOTHING, operations.ready),
    _route("GET", "/metrics", Need.READ, operations.metrics),
    _route("GET", "/openapi.json", Need.READ, operations.openapi),
    _page("GET", "/", Need.READ, pages.incidents),
    _page("GET", "/incident/{id}", Need.READ, pages.incident),
    _page("GET", "/event/{id}", Need.READ, pages.event),
    _page("POST", "/incident/{id}/regenerate-analysis", Need.ACT, pages.regenerate_analysis),
    _page("POST", "/incident/{id}/decide", Need.ACT, pages.decide),
    _page("GET", "/runbooks", Need.READ, pages.runbooks),
    _page("GET", "/runbook/{id}", Need.READ, pages.runbook),
    _page("GET", "/status", Need.READ, pages.status),
    _page("POST", "/status/pause", Need.ACT, pages.pause),
    _page("GET", "/sign-in", Need.NOTHING, signing.sign_in_page),
    _page("POST", "/sign-in", Need.NOTHING, signing.sign_in),
    _page("POST", "/sign-out", Need.NOTHING, signing.sign_out),
    _route("GET", "/static/{name}", Need.NOTHING, static),
)
PAGES = frozenset(route.handler for route in ROUTES if route.page)
NEEDS = {route.handler: route.need for route in ROUTES}
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

CANCEL_AGAIN_SECONDS = 0.2
CHECK_SECONDS = 5.0
"""How long a group of the doctor's checks may keep the status page waiting."""

LATELY = timedelta(hours=24)
"""How far back the list says what went on: a night, and the evening before it."""

AGAIN_SECONDS = 5
"""How soon a page that the database is missing for looks again."""

SERVER = "sre-agent"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Of every response: what comes from here is data, and nobody's frame, script or picture."""


def make_app(
    service: Service, reception: Reception, *, access: Access, runbooks_fault: Callable[[], str | None]
) -> web.Application:
    """The server of one process; `app[SITE].stopping` tells it to take nothing new in."""
    app = web.Application(middlewares=[_measured, _as_pages, in_one_shape, _allowed], client_max_size=MAX_BYTES)
    app[SITE] = Site(
        service=service,
        reception=reception,
        access=access,
        hub=Hub(service.store.changes),
        health=Health(service.store),
        runbooks_fault=runbooks_fault,
        head=Glance(partial(_read_head, service, runbooks_fault), seconds=STATUS_SECONDS),
        checks=Glance(partial(_examined, service), seconds=CHECKS_SECONDS),
        counted=Glance(service.store.queue.counted_by_runbook, seconds=COUNTED_SECONDS),
        lately=Glance(partial(_read_lately, service), seconds=COUNTED_SECONDS),
    )
    for route in ROUTES:
        app.router.add_route(route.method, route.path, route.handler, expect_handler=_expected)
        if route.method == "GET" and route.handler is not stream:
            app.router.add_route("HEAD", route.path, route.handler)
    app.on_response_prepare.append(_add_headers)
    app.on_shutdown.append(_end_streams)
    app.cleanup_ctx.append(_listening)
    return app


async def _read_head(service: Service, fault: Callable[[], str | None]) -> dict[str, Any]:
    found = await read_status(service.store, service.settings, service.runbooks(), fault=fault(), now=datetime.now(UTC))
    return status_json(found)


async def _read_lately(service: Service) -> Lately:
    since = datetime.now(UTC) - LATELY
    return await service.store.book.lately(cluster=service.settings.cluster, since=since)


async def _examined(service: Service) -> Sequence[Finding]:
    return [finding async for finding in examine(service.settings, seconds=CHECK_SECONDS, asks_model=False)]


@web.middleware
async def _measured(request: web.Request, handler: Handler) -> web.StreamResponse:
    began, status = time.monotonic(), 499
    try:
        response = await handler(request)
        status = response.status
    finally:
        resource = request.match_info.route.resource
        path = "other" if resource is None else resource.canonical
        method = request.method if request.method in METHODS else "other"
        seconds = time.monotonic() - began
        metrics.HTTP.observe(seconds, path)
        metrics.ANSWERS.add(method, path, str(status))
        log.debug("request.answered", method=method, path=path, status=status, milliseconds=round(seconds * 1000, 1))
    return response


@web.middleware
async def _as_pages(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What goes wrong at a page is told as one. Who may not see it is asked to sign in."""
    if not _wants_page(request):
        return await handler(request)
    try:
        response = await handler(request)
    except web.HTTPSeeOther as elsewhere:
        return see_other(elsewhere.headers["Location"])
    if response.status < 400 or response.content_type != "application/json" or not isinstance(response, web.Response):
        return response
    error = json.loads(response.text or "")["error"]
    if response.status == 401:
        return see_other(await signing.where_to_sign_in(request))
    if request.match_info.route.resource is None:
        return error_page(request, response.status, "No page has this address.", again=None)
    again = AGAIN_SECONDS if response.status == 503 and request.method == "GET" else None
    return error_page(request, response.status, error["message"], again=again)


def _wants_page(request: web.Request) -> bool:
    if request.match_info.route.handler in PAGES:
        return True
    unknown = request.match_info.route.resource is None and not request.path.startswith("/api")
    return unknown and "text/html" in request.headers.get("Accept", "")


@web.middleware
async def _allowed(request: web.Request, handler: Handler) -> web.StreamResponse:
    _check(request)
    return await handler(request)


def _check(request: web.Request) -> None:
    """Who asks, and from where. What is not a path needs what reading needs, so that nobody learns which are."""
    access = site_of(request).access
    refuse_other_sites(request, access)
    need = request[NEED] = NEEDS.get(request.match_info.route.handler, Need.READ)
    session = session_in(request)
    access.admit(request.headers.get("Authorization"), need, session=session)
    writes = request.method not in SAFE_METHODS and request.match_info.route.handler not in PAGES
    by_session = session is not None and "Authorization" not in request.headers and not access.opens_to_all(need)
    if writes and by_session and session is not None and not session.knows(request.headers.get(WORD_HEADER, "")):
        raise Refused(403, f"a browser's session writes with the word of its page ({WORD_HEADER})")


async def _expected(request: web.Request) -> web.StreamResponse | None:
    """`Expect: 100-continue`: a body is asked for only where it will be read; the refusal itself comes later."""
    if request.headers["Expect"].lower() != "100-continue":
        return answer(Refused(417, "100-continue is the one expectation that is met here"))
    with contextlib.suppress(Refused):
        _check(request)
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # what was sent is no answer yet
    return None


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.extend({name: value for name, value in HEADERS.items() if name not in response.headers})
    response.headers["Server"] = SERVER
    response.headers.setdefault("Cache-Control", "no-store")


async def _end_streams(app: web.Application) -> None:
    app[SITE].hub.close()


async def _listening(app: web.Application) -> AsyncIterator[None]:
    listening = asyncio.create_task(app[SITE].hub.listen())
    yield
    while not listening.done():
        listening.cancel()  # asyncio.wait_for of Python 3.11 loses one that comes together with what it waits for
        await asyncio.wait({listening}, timeout=CANCEL_AGAIN_SECONDS)
