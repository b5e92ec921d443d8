"""Signing in and out, and the forms of the pages: what one says, and what becomes of it without a session.

Called by `pages` and `app`. Protects two rules: nothing is done for a form without its word; and nobody is led to
another place than a page of this server.
"""

from collections.abc import Mapping
from urllib.parse import parse_qsl, quote

from aiohttp import web

from sre_agent.log import get_logger
from sre_agent.web.access import SAFE_METHODS
from sre_agent.web.body import SMALL, read_body
from sre_agent.web.errors import Refused
from sre_agent.web.passage import session_in
from sre_agent.web.rendering import SAID, page, page_of_form, see_other
from sre_agent.web.sessions import COOKIE, LIFE_SECONDS, WORD
from sre_agent.web.site import NEED, site_of

log = get_logger(__name__)


async def sign_in_page(request: web.Request) -> web.Response:
    """GET /sign-in: asks for a token."""
    return page(
        request,
        "sign_in.html",
        next=_own_path(request.query.get("next", "/")),
        wrong=False,
        lost="lost" in request.query,
    )


async def sign_in(request: web.Request) -> web.StreamResponse:
    """POST /sign-in: a session for a token of this server."""
    said = _said(await read_body(request, SMALL))
    back = _own_path(said.get("next", "/"))
    cookie = site_of(request).access.sign_in(said.get("token", ""))
    if cookie is None:
        log.warning("sign_in.refused")
        return page(request, "sign_in.html", code=403, next=back, wrong=True, lost=False)
    answered = see_other(back)
    secure = _by_https(request)
    answered.set_cookie(COOKIE, cookie, max_age=LIFE_SECONDS, httponly=True, samesite="Lax", secure=secure, path="/")
    return answered


def _by_https(request: web.Request) -> bool:
    """Whether the browser came by HTTPS: to this server, or to a proxy in front of it, as its own Origin says."""
    return request.secure or request.headers.get("Origin", "").lower().startswith("https://")


async def sign_out(request: web.Request) -> web.StreamResponse:
    """POST /sign-out: the end of the session."""
    await form_of(request)
    answered = see_other("/")
    answered.del_cookie(COOKIE, path="/")
    return answered


async def where_to_sign_in(request: web.Request) -> str:
    """The sign-in page that leads back to what was asked for, with the reason that a form gave."""
    if request.method in SAFE_METHODS:
        return f"/sign-in?next={quote(request.path_qs)}"
    try:
        said = _said(await read_body(request, SMALL))
    except Refused:
        said = {}
    return _after_signing_in(request, said)


async def form_of(request: web.Request) -> Mapping[str, str]:
    """What a form says. Its word is asked for where a session is what lets it in.

    A session that is over, or a word of another one, does nothing: it leads to signing in and back.
    """
    said = request[SAID] = _said(await read_body(request, SMALL))
    session = session_in(request)
    if session is None and site_of(request).access.opens_to_all(request[NEED]):
        return said
    if session is not None and session.knows(said.get(WORD, "")):
        return said
    raise web.HTTPSeeOther(_after_signing_in(request, said))


def _after_signing_in(request: web.Request, said: Mapping[str, str]) -> str:
    """Nothing was done for this form: where to sign in, on the way back to the page that it stands on."""
    return f"/sign-in?lost&next={quote(page_of_form(request, said))}"


def _said(body: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=20))
    except ValueError:
        raise Refused(400, "the body is no form") from None


def _own_path(path: str) -> str:
    """A path of this server, `/` for anything else: nobody is led elsewhere."""
    plain = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if plain and not path.startswith("/sign-in") else "/"
