"""What every handler is given: the agent, who may ask, and whether the server is stopping."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from sre_agent.agent import Service
from sre_agent.doctor import Finding
from sre_agent.reception import Reception
from sre_agent.store import Store
from sre_agent.store.book import Lately
from sre_agent.web.access import Access, Need
from sre_agent.web.glance import Glance
from sre_agent.web.health import Health
from sre_agent.web.hub import Hub


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """One serving process. `stopping` is set once: from then on nothing new is taken in.

    `parsing` is held while a large body is parsed: several at once would take as long, and the event loop would wait
    for all of them in turn. `status` reads the status, as JSON; `head` is the one that pages say in short, `checks`
    what the doctor found, `counted` how often each runbook ran, `lately` what went on in the last LATELY.
    `runbooks_fault` says why the user's runbooks as they are now are not used; None where they are. `writing` are the
    incidents whose analysis is being written anew for a page: a second click adds none.
    """

    service: Service
    reception: Reception
    access: Access
    hub: Hub
    runbooks_fault: Callable[[], str | None]
    head: Glance[dict[str, Any]]
    checks: Glance[Sequence[Finding]]
    counted: Glance[Mapping[str, Mapping[str, Any]]]
    status: Callable[[], Awaitable[dict[str, Any]]]
    lately: Glance[Lately]
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    parsing: asyncio.Lock = field(default_factory=asyncio.Lock)
    writing: set[int] = field(default_factory=set)


@dataclass(frozen=True, kw_only=True, slots=True)
class Vitals:
    """What health and metrics are told from, in every process that listens."""

    store: Store
    health: Health
    runbooks_fault: Callable[[], str | None]


SITE = web.AppKey("site", Site)
VITALS = web.AppKey("vitals", Vitals)
NEED = web.RequestKey("need", Need)
"""What the path of a request asks for."""


def site_of(request: web.Request) -> Site:
    return request.app[SITE]
