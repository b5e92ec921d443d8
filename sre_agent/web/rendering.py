"""Turns a page's facts into HTML: templates with everything escaped, files with a name that says what is in them.

Called by `pages` and for errors. Protects two rules: a page loads nothing from anywhere but this server, and no text
from a cluster, an alert or a model becomes markup, except an analysis through `markdown`.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from sre_agent.sentences import NO_RUN_YET, mark_of, moment, what_happened, why_nothing
from sre_agent.web.access import SAFE_METHODS, Need
from sre_agent.web.body import LONGEST_TEXT
from sre_agent.web.passage import session_in
from sre_agent.web.site import site_of
from sre_agent.web.story import further

HERE = Path(__file__).parent
STATIC = HERE / "static"
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FOR_EVER = "public, max-age=31536000, immutable"

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy of every page."""


def page(request: web.Request, template: str, *, code: int = 200, **facts: Any) -> web.Response:
    """An HTML response; compressed where the browser takes that."""
    shown = _environment().get_template(template).render(**_frame(request), **facts)
    response = web.Response(
        status=code,
        text=shown,
        content_type="text/html",
        headers={
            "Content-Security-Policy": POLICY,
            "Referrer-Policy": "same-origin",  # with none, a browser says of a page's own form that it is nobody's
            "Vary": "Cookie, Accept-Encoding",
        },
    )
    response.enable_compression()
    return response


def see_other(place: str) -> web.Response:
    """After a form: the browser reads the page at this path of the server, so that a reload repeats nothing."""
    return web.Response(status=303, headers={"Location": quote(place, safe=_OF_A_PATH)})


_OF_A_PATH = "/%?#&=+:;,@!$'()*~[]"
"""Stays as it is in a path that is one already."""

FORMS = {
    "/incident/{id}/regenerate-analysis": ("/incident/{id}", "analysis"),
    "/incident/{id}/decide": ("/incident/{id}", "act"),
    "/status/pause": ("/status", "stop"),
}
"""Where each form stands: its page, and the place on it."""

SAID = web.RequestKey("said", dict[str, str])
"""What the form of this request says, where one was read."""


def page_of_form(request: web.Request, said: Mapping[str, str]) -> str:
    """The page that the form of this request stands on, with the reason that was written; `/` for another one."""
    resource = request.match_info.route.resource
    place, anchor = FORMS.get("" if resource is None else resource.canonical, ("/", ""))
    place = place.format_map(request.match_info)
    reason = said.get("reason", "").strip()[:LONGEST_TEXT]
    kept = f"?{urlencode({'reason': reason})}" if reason else ""
    return f"{place}{kept}#{anchor}" if anchor else place


HEADINGS = {
    400: "That cannot be read",
    403: "That is not allowed",
    404: "There is nothing here",
    409: "That does not go now",
    503: "The database is away",
}


def error_page(request: web.Request, status: int, message: str, *, again: int | None) -> web.Response:
    """What went wrong, and the way back. `again`: the page looks again after so many seconds."""
    heading = HEADINGS.get(status, "Something went wrong")
    written = request.get(SAID, {})
    back = page_of_form(request, written)
    return page(
        request,
        "error.html",
        code=status,
        heading=heading,
        message=f"{message[:1].upper()}{message[1:]}",
        again=again,
        back=back if back != "/" else None,
        kept=bool(written.get("reason", "").strip()),
    )


def _frame(request: web.Request) -> dict[str, Any]:
    """What every page says around its own facts: where it is, and what who looks at it may do."""
    site, session = site_of(request), session_in(request)
    settings = site.service.settings
    here = request.path_qs if request.method in SAFE_METHODS else page_of_form(request, {})
    acts = site.access.opens_to_all(Need.ACT) or (
        session is not None and not site.access.roles_of(session).isdisjoint(Need.ACT.roles)
    )
    return {
        "cluster": settings.cluster,
        "mode": settings.agent_mode,
        "planner": site.service.minds.planner.name,
        "session": session,
        "word": session.word() if session is not None else "",
        "may_act": acts,
        "signs_in": not site.access.opens_to_all(Need.ACT),
        "place": request.path,
        "here": here,
        "answers_form": request.method not in SAFE_METHODS and here != "/",
        "now": datetime.now(UTC),
    }


async def static(request: web.Request) -> web.Response:
    """GET /static/{name}: a style or a script of the pages."""
    name = request.match_info["name"]
    kept = _files().get(name)
    if kept is None:
        raise web.HTTPNotFound
    current = request.query.get("v") == asset_version(name)
    response = web.Response(
        body=kept,
        content_type=TYPES[Path(name).suffix],
        charset="utf-8",
        headers={"Cache-Control": FOR_EVER if current else "no-cache", "Vary": "Accept-Encoding"},
    )
    response.enable_compression()
    return response


@cache
def _files() -> Mapping[str, bytes]:
    return {path.name: path.read_bytes() for path in STATIC.iterdir() if path.suffix in TYPES}


@cache
def asset_version(name: str) -> str:
    """The first digits of the file's SHA-256, so that a browser may keep it for ever."""
    return hashlib.sha256(_files()[name]).hexdigest()[:12]


def asset(name: str) -> str:
    """The path of a style or script."""
    return f"/static/{name}?v={asset_version(name)}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"asset": asset}
    environment.filters |= {
        "moment": _moment,
        "ago": _ago,
        "soft": _soft,
        "why_nothing": why_nothing,
        "no_run_yet": _no_run_yet,
        "pretty": _pretty,
        "story": what_happened,
        "further": further,
    }
    return environment


def _moment(text: str | datetime | None) -> str:
    """`2026-11-23 03:00:00 UTC`; a dash for none."""
    if text is None:
        return "–"
    return moment(text.isoformat() if isinstance(text, datetime) else text)


def _ago(at: str | datetime | None, now: datetime) -> str:
    """`5 min ago`, for a glance; the exact moment stands beside it."""
    if at is None:
        return "never"
    seconds = int((now - (datetime.fromisoformat(at) if isinstance(at, str) else at)).total_seconds())
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {name} ago"
    return "just now" if seconds >= -60 else "in the future"


_PARTS = re.compile(r"(?<=[/:;,_])|(?<=[a-z])(?=[A-Z])")


def _soft(text: str) -> Markup:
    """A name or an action that may be broken where its parts end, rather than anywhere."""
    return Markup("<wbr>").join(_PARTS.split(text))


def _no_run_yet(entry: Mapping[str, Any]) -> bool:
    """Whether nothing can be said yet of what was done about an incident."""
    return mark_of(entry) == NO_RUN_YET


def _pretty(value: Any) -> str:
    """JSON for people."""
    return json.dumps(value, ensure_ascii=False, indent=2)
