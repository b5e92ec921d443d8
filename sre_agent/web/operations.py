"""What machines ask of the server: GET /livez, /healthz, /metrics, /openapi.json."""

from aiohttp import web

from sre_agent.errors import Unreachable
from sre_agent.log import get_logger
from sre_agent.web import exposition
from sre_agent.web.errors import Refused, dumps
from sre_agent.web.openapi import document
from sre_agent.web.patience import answered
from sre_agent.web.site import site_of

log = get_logger(__name__)


async def live(_: web.Request) -> web.Response:
    """GET /livez: the process answers."""
    return _ok()


async def ready(request: web.Request) -> web.Response:
    """GET /healthz: the database is reachable and its schema current."""
    fault = await site_of(request).health.fault()
    if fault is not None:
        raise Refused(503, fault)
    return _ok()


async def metrics(request: web.Request) -> web.Response:
    """GET /metrics: what this process counted, and what the store says now. Without a store, the former alone."""
    site = site_of(request)
    try:
        waiting = await answered(site.service.store.queue.state())
    except Unreachable as error:
        log.warning("metrics.without_store", error=str(error))
        waiting = None
    text = exposition.text(waiting, runbooks_refused=site.runbooks_fault() is not None)
    return web.Response(body=text, headers={"Content-Type": exposition.CONTENT_TYPE})


async def openapi(_: web.Request) -> web.Response:
    """GET /openapi.json: what this server answers, as a document."""
    return web.Response(text=dumps(document()), content_type="application/json")


def _ok() -> web.Response:
    return web.Response(text=dumps({"status": "ok"}), content_type="application/json")
