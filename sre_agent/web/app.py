"""The server's paths, and what goes wrong at a page told as one.

`make_app` is the only place that puts them together. Read `ROUTES` first.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from sre_agent.agent import Service
from sre_agent.alert import MAX_BYTES
from sre_agent.cluster.absent import AbsentCluster
from sre_agent.doctor import Finding, examine
from sre_agent.log import get_logger
from sre_agent.outside import ask_outside
from sre_agent.reception import Reception
from sre_agent.status import read_status, status_json
from sre_agent.store.book import Lately
from sre_agent.web import api, operations, pages, signing, webhook
from sre_agent.web.access import Access, Need
from sre_agent.web.glance import CHECKS_SECONDS, COUNTED_SECONDS, STATUS_SECONDS, Glance
from sre_agent.web.health import Health
from sre_agent.web.hub import Hub
from sre_agent.web.operations import OPERATIONS
from sre_agent.web.passage import Route, passage, route
from sre_agent.web.rendering import error_page, see_other, static
from sre_agent.web.site import SITE, Site, Vitals
from sre_agent.web.stream import stream

log = get_logger(__name__)


def _page(method: str, path: str, need: Need, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> Route:
    return Route(method=method, path=path, need=need, handler=handler, page=True)


ROUTES = (
    route("POST", "/alertmanager", Need.DELIVER, webhook.receive),
    route("GET", "/api/incidents", Need.READ, api.incidents),
    route("GET", "/api/incidents/{id}", Need.READ, api.incident),
    route("POST", "/api/incidents/{id}/regenerate-analysis", Need.ACT, api.regenerate_analysis),
    route("POST", "/api/incidents/{id}/suppress", Need.ACT, api.suppress),
    route("POST", "/api/incidents/{id}/resolve", Need.ACT, api.resolve),
    route("GET", "/api/runbooks/{id}", Need.READ, api.runbook),
    route("GET", "/api/status", Need.READ, api.status),
    route("POST", "/api/pause", Need.ACT, api.pause),
    route("POST", "/api/resume", Need.ACT, api.resume),
    route("GET", "/api/stream", Need.READ, stream, lasting=True),
    *OPERATIONS,
    route("GET", "/openapi.json", Need.READ, operations.openapi),
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
    route("GET", "/static/{name}", Need.NOTHING, static),
)
PAGES = frozenset(each.handler for each in ROUTES if each.page)

CANCEL_AGAIN_SECONDS = 0.2
CHECK_SECONDS = 5.0
"""How long a group of the doctor's checks may keep the status page waiting."""

LATELY = timedelta(hours=24)
"""How far back the list says what went on: a night, and the evening before it."""

AGAIN_SECONDS = 5
"""How soon a page that the database is missing for looks again."""


def make_app(
    service: Service, reception: Reception, *, access: Access, runbooks_fault: Callable[[], str | None]
) -> web.Application:
    """The server of one process; `app[SITE].stopping` tells it to take nothing new in."""
    app = passage(
        ROUTES,
        access=access,
        vitals=Vitals(store=service.store, health=Health(service.store), runbooks_fault=runbooks_fault),
        most_bytes=MAX_BYTES,
        around=[_as_pages],
    )
    status = _status_of(service, runbooks_fault)
    app[SITE] = Site(
        service=service,
        reception=reception,
        access=access,
        hub=Hub(service.store.changes),
        runbooks_fault=runbooks_fault,
        status=status,
        head=Glance(status, seconds=STATUS_SECONDS),
        checks=Glance(partial(_examined, service), seconds=CHECKS_SECONDS),
        counted=Glance(service.store.queue.counted_by_runbook, seconds=COUNTED_SECONDS),
        lately=Glance(partial(_read_lately, service), seconds=COUNTED_SECONDS),
    )
    app.on_shutdown.append(_end_streams)
    app.cleanup_ctx.append(_listening)
    return app


def _status_of(service: Service, fault: Callable[[], str | None]) -> Callable[[], Awaitable[dict[str, Any]]]:
    """Reads the status of a serving process. However many look, cluster and Alertmanager are asked once in a while."""
    cluster = None if isinstance(service.cluster, AbsentCluster) else service.cluster
    ask = partial(ask_outside, service.settings, cluster, place=service.place, acts=True)
    outside = Glance(ask, seconds=STATUS_SECONDS)

    async def status() -> dict[str, Any]:
        return status_json(
            await read_status(
                service.store,
                service.settings,
                service.runbooks(),
                fault=fault(),
                outside=await outside.read(),
                now=datetime.now(UTC),
            )
        )

    return status


async def _read_lately(service: Service) -> Lately:
    since = datetime.now(UTC) - LATELY
    return await service.store.book.lately(cluster=service.settings.cluster, since=since)


async def _examined(service: Service) -> Sequence[Finding]:
    return [finding async for finding in examine(service.settings, seconds=CHECK_SECONDS, asks_model=False)]


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


async def _end_streams(app: web.Application) -> None:
    app[SITE].hub.close()


async def _listening(app: web.Application) -> AsyncIterator[None]:
    listening = asyncio.create_task(app[SITE].hub.listen())
    yield
    while not listening.done():
        listening.cancel()  # asyncio.wait_for of Python 3.11 loses one that comes together with what it waits for
        await asyncio.wait({listening}, timeout=CANCEL_AGAIN_SECONDS)
