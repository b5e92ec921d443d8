"""What machines ask: GET /livez, /healthz, /metrics of a server and of a worker, /openapi.json of a server."""

from collections.abc import Callable

from aiohttp import web

from sre_agent.errors import Unreachable
from sre_agent.log import get_logger
from sre_agent.store import Store
from sre_agent.web import exposition
from sre_agent.web.access import Access, Need
from sre_agent.web.body import SMALL
from sre_agent.web.errors import Refused, dumps
from sre_agent.web.health import Health
from sre_agent.web.openapi import document
from sre_agent.web.passage import passage, route
from sre_agent.web.patience import answered
from sre_agent.web.site import VITALS, Vitals

log = get_logger(__name__)


async def live(_: web.Request) -> web.Response:
    """GET /livez: the process answers."""
    return _ok()


async def ready(request: web.Request) -> web.Response:
    """GET /healthz: the database is reachable and its schema current."""
    fault = await request.app[VITALS].health.fault()
    if fault is not None:
        raise Refused(503, fault)
    return _ok()


async def metrics(request: web.Request) -> web.Response:
    """GET /metrics: what this process counted, and what the store says now. Without a store, the former alone."""
    vitals = request.app[VITALS]
    try:
        waiting = await answered(vitals.store.queue.state())
    except Unreachable as error:
        log.warning("metrics.without_store", error=str(error))
        waiting = None
    text = exposition.text(waiting, runbooks_refused=vitals.runbooks_fault() is not None)
    return web.Response(body=text, headers={"Content-Type": exposition.CONTENT_TYPE})


async def openapi(_: web.Request) -> web.Response:
    """GET /openapi.json: what this server answers, as a document."""
    return web.Response(text=dumps(document()), content_type="application/json")


OPERATIONS = (
    route("GET", "/livez", Need.NOTHING, live),
    route("GET", "/healthz", Need.NOTHING, ready),
    route("GET", "/metrics", Need.READ, metrics),
)
"""The paths of every process that listens."""

METRICS = {"/metrics": Need.READ}
"""The part of a worker that asks for a credential."""


def worker_app(store: Store, *, access: Access, runbooks_fault: Callable[[], str | None]) -> web.Application:
    """What a worker answers beside its runs: health and metrics, and nothing else."""
    vitals = Vitals(store=store, health=Health(store), runbooks_fault=runbooks_fault)
    return passage(OPERATIONS, access=access, vitals=vitals, most_bytes=SMALL)


def _ok() -> web.Response:
    return web.Response(text=dumps({"status": "ok"}), content_type="application/json")
