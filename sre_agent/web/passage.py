"""What every request passes before its handler: measured, told in one shape, allowed.

`passage` makes an application of paths; the server's and a worker's are made by it. Protects one rule: no handler is
reached by somebody who may not.
"""

import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from sre_agent import metrics
from sre_agent.log import get_logger
from sre_agent.web.access import SAFE_METHODS, Access, Need, refuse_other_sites
from sre_agent.web.errors import Refused, answer, in_one_shape
from sre_agent.web.sessions import COOKIE, WORD_HEADER, Session
from sre_agent.web.site import NEED, VITALS, Vitals

log = get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """One path of a process, and who may ask for it."""

    method: str
    path: str
    need: Need
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    page: bool = False
    """For a browser: what goes wrong is a page, too."""
    lasting: bool = False
    """An answer without an end: there is no HEAD of it."""


def route(
    method: str,
    path: str,
    need: Need,
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    *,
    lasting: bool = False,
) -> Route:
    """A path for programs."""
    return Route(method=method, path=path, need=need, handler=handler, lasting=lasting)


ACCESS = web.AppKey("access", Access)
KNOWN = web.AppKey("known", dict[Handler, Route])
"""The path of each handler."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
SERVER = "sre-agent"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Of every response: what comes from here is data, and nobody's frame, script or picture."""


def passage(
    routes: Sequence[Route],
    *,
    access: Access,
    vitals: Vitals,
    most_bytes: int,
    around: Sequence[Middleware] = (),
) -> web.Application:
    """An application of these paths; `around` is what it does besides, where an answer is in its one shape already."""
    app = web.Application(middlewares=[_measured, *around, in_one_shape, _allowed], client_max_size=most_bytes)
    app[ACCESS], app[VITALS] = access, vitals
    app[KNOWN] = {each.handler: each for each in routes}
    for each in routes:
        app.router.add_route(each.method, each.path, each.handler, expect_handler=_expected)
        if each.method == "GET" and not each.lasting:
            app.router.add_route("HEAD", each.path, each.handler, expect_handler=_expected)
    app.on_response_prepare.append(_add_headers)
    return app


def session_in(request: web.Request) -> Session | None:
    """The session of the browser that asks, None where nobody signed in."""
    return request.app[ACCESS].session(request.cookies.get(COOKIE))


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
async def _allowed(request: web.Request, handler: Handler) -> web.StreamResponse:
    _check(request)
    return await handler(request)


def _check(request: web.Request) -> None:
    """Who asks, and from where. What is not a path needs what reading needs, so that nobody learns which are."""
    access, known = request.app[ACCESS], request.app[KNOWN].get(request.match_info.route.handler)
    refuse_other_sites(request, access)
    need = request[NEED] = Need.READ if known is None else known.need
    session = session_in(request)
    access.admit(request.headers.get("Authorization"), need, session=session)
    writes = request.method not in SAFE_METHODS and not (known is not None and known.page)
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
