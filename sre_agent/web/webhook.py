"""POST /alertmanager: the main entry. 200 means that every readable alert of the body is committed, and nothing less.

Alertmanager tries again on 5xx only, so whatever may pass (the database, a server that stops) is 503, and what no
second try mends is 4xx.
"""

import asyncio

from aiohttp import web

from sre_agent import metrics
from sre_agent.alert import MAX_BYTES, Payload, parse
from sre_agent.log import get_logger
from sre_agent.web.body import read_body
from sre_agent.web.errors import Refused
from sre_agent.web.site import site_of

AT_ONCE = 32 * 2**10
"""A body up to here is parsed where it arrives: a thread would take longer. Beyond, others must not wait for it."""

MOST_TOLD = 20
"""So many alerts of one body that cannot be read are logged each, the others by their number: all are kept with it."""

SOURCE = "body"

log = get_logger(__name__)


async def receive(request: web.Request) -> web.Response:
    """Takes one notification in, whatever its Content-Type says."""
    site = site_of(request)
    if site.stopping.is_set():
        raise Refused(
            503, "the server is stopping: send it again, another one takes it", headers={"Connection": "close"}
        )
    body = await read_body(request, MAX_BYTES)
    if len(body) <= AT_ONCE:
        payload = parse(body, source=SOURCE)
    else:
        async with site.parsing:
            payload = await asyncio.to_thread(parse, body, source=SOURCE)
    admissions = await site.reception.accept(payload)
    _count(payload, opened=sum(admission.opened for admission in admissions))
    return web.Response()


def _count(payload: Payload, *, opened: int) -> None:
    for alert in payload.alerts:
        metrics.ALERTS.add(alert.status.value)
    metrics.INCIDENTS.add(by=opened)
    if payload.truncated_alerts:
        metrics.TRUNCATED.add(by=payload.truncated_alerts)
        log.warning("webhook.truncated", left_out=payload.truncated_alerts, receiver=payload.receiver)
    metrics.REJECTED.add(by=len(payload.rejected))
    for rejected in payload.rejected[:MOST_TOLD]:
        log.warning("webhook.alert_rejected", path=rejected.path, reason=rejected.reason)
    if len(payload.rejected) > MOST_TOLD:
        log.warning("webhook.more_alerts_rejected", more=len(payload.rejected) - MOST_TOLD, receiver=payload.receiver)
