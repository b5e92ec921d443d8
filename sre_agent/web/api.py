"""The API: read incidents, say a word about one, stop and go. What is shown is shaped by `views` and `status`."""

from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from sre_agent import views
from sre_agent.analysis import COMPOSED, Author, ComposedAuthor, regenerate
from sre_agent.errors import SreAgentError
from sre_agent.log import get_logger
from sre_agent.status import pause_json
from sre_agent.store import EVENTS_AT_ONCE
from sre_agent.store.book import Decision
from sre_agent.web.body import SMALL, read_body, read_words
from sre_agent.web.errors import Refused, dumps
from sre_agent.web.parameters import LONGEST_NAME, author_asked, end_asked, incident_id, page_asked
from sre_agent.web.site import site_of

BY = "an operator, by the API"
"""Who decided, as the incident's event keeps it: a token says what one may do, not who one is."""

log = get_logger(__name__)


async def incidents(request: web.Request) -> web.Response:
    """GET /api/incidents: a page of the list, newest update first."""
    asked = page_asked(request.query, now=_now())
    page = await site_of(request).service.store.book.page(
        asked.filters, limit=asked.limit, cursor=asked.cursor, offset=asked.offset
    )
    return _json(views.page_json(page))


async def incident(request: web.Request) -> web.StreamResponse:
    """GET /api/incidents/{id}: one incident, its events, its newest analysis, similar ones of the past."""
    store = site_of(request).service.store
    found = await store.book.find(incident_id(request))
    seen = await views.detail_of(store, found, newest=EVENTS_AT_ONCE)
    if not seen.left_out:
        return _json(seen.as_json())
    response = web.StreamResponse(headers={"Content-Type": "application/json; charset=utf-8"})
    await response.prepare(request)
    if request.method != "HEAD":
        await _tell_all(request, response, seen)
    return response


async def _tell_all(request: web.Request, response: web.StreamResponse, seen: views.Detail) -> None:
    """The document, its events as they are read: no number of them is too much for this process."""
    document = seen.as_json()
    before, after = f'{{"incident":{dumps(document["incident"])},"events":[', document.keys() - {"incident", "events"}
    try:
        async for part in site_of(request).service.store.events_in_parts(seen.incident.id):
            texts = [dumps(views.event_json(event, seen.incident.id)) for event in part]
            await response.write(f"{before}{','.join(texts)}".encode())
            before = ","
        rest = ",".join(f"{dumps(name)}:{dumps(document[name])}" for name in sorted(after))
        await response.write(f"],{rest}}}".encode())
    except ConnectionError:
        log.debug("request.reader_gone", path=request.path)
    except SreAgentError as error:
        log.warning("request.cut_off", path=request.path, error=str(error))
        if request.transport is not None:
            request.transport.abort()  # half a document must not look like a whole one


async def runbook(request: web.Request) -> web.Response:
    """GET /api/runbooks/{id}: what a runbook takes and does, as it is now."""
    identifier, known = request.match_info["id"], site_of(request).service.runbooks()
    if identifier not in known:
        raise Refused(404, f"there is no runbook {identifier[:LONGEST_NAME]}; known: {', '.join(known.by_id)}")
    return _json(views.runbook_json(known[identifier]))


async def regenerate_analysis(request: web.Request) -> web.Response:
    """POST /api/incidents/{id}/regenerate-analysis: writes it anew, with all that was learned since."""
    identifier, service = incident_id(request), site_of(request).service
    author = _author(service.minds.author, author_asked(request.query))
    await read_body(request, SMALL)
    seconds = service.settings.llm_time_per_run.total_seconds()
    written = await regenerate(service.store, identifier, now=_now(), author=author, seconds=seconds)
    return _json(written.as_json())


def _author(usual: Author, asked: str | None) -> Author:
    """Who writes. Raises Refused where a model is asked for and none is set up."""
    if asked == "llm" and usual.name == COMPOSED:
        missing = "set OPENAI_API_KEY, or OPENAI_BASE_URL for a server that needs no key, and not SRE_AGENT_PLANNER"
        raise Refused(400, f"this server asks no model: {missing}", path="planner")
    return ComposedAuthor() if asked == COMPOSED else usual


async def suppress(request: web.Request) -> web.Response:
    """POST /api/incidents/{id}/suppress: no run until it is resolved."""
    identifier, words = incident_id(request), await read_words(request, "reason")
    book = site_of(request).service.store.book
    return _decided("suppress", await book.suppress(identifier, by=BY, reason=words.get("reason"), now=_now()))


async def resolve(request: web.Request) -> web.Response:
    """POST /api/incidents/{id}/resolve: it is over; the firing that is under way does not open it again."""
    identifier, words = incident_id(request), await read_words(request, "reason")
    book = site_of(request).service.store.book
    return _decided("resolve", await book.resolve(identifier, by=BY, reason=words.get("reason"), now=_now()))


async def status(request: web.Request) -> web.Response:
    """GET /api/status: whether the agent may act right now, what holds it back, and the work under way."""
    return _json(await site_of(request).status())


async def pause(request: web.Request) -> web.Response:
    """POST /api/pause: no change is made any more, by any process, until its end or until `resume`."""
    words, now = await read_words(request, "reason", "until"), _now()
    until = end_asked(words["until"], "$.until", now) if "until" in words else None
    made = await site_of(request).service.store.brakes.pause(by=BY, reason=words.get("reason"), until=until, now=now)
    log.event("agent.paused", until=until, reason=made.reason)
    return _json({"pause": pause_json(made)})


async def resume(request: web.Request) -> web.Response:
    """POST /api/resume: ends every pause."""
    await read_body(request, SMALL)
    ended = await site_of(request).service.store.brakes.resume(by=BY, now=_now())
    log.event("agent.resumed", ended=len(ended))
    return _json({"ended": [pause_json(entry) for entry in ended]})


def _decided(what: str, decision: Decision) -> web.Response:
    log.event("incident.decided", what=what, incident_id=decision.incident.id, changed=decision.changed)
    return _json(views.decision_json(decision))


def _json(document: dict[str, Any]) -> web.Response:
    return web.Response(text=dumps(document), content_type="application/json")


def _now() -> datetime:
    return datetime.now(UTC)
