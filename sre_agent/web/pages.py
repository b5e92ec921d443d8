"""The pages for people: the list, an incident, the runbooks, the status, and signing in.

Each shows one read, the one that the API answers. Reading needs no script; what a form says is done here and answered
by a redirect, so that a reload repeats nothing. Protects one rule: nothing is done for a form without its word.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from aiohttp import web
from markupsafe import Markup

from sre_agent import markdown, views
from sre_agent.analysis import regenerate
from sre_agent.analysis.facts import CaseFacts
from sre_agent.analysis.patterns import patterns_of
from sre_agent.errors import SreAgentError
from sre_agent.incident import Incident
from sre_agent.log import get_logger
from sre_agent.quantity import QuantityError, bytes_of
from sre_agent.run import StepStatus
from sre_agent.sentences import MARKS, answer, last_state, step_from_json
from sre_agent.status import read_status, status_json
from sre_agent.store.history_rows import PatternFacts
from sre_agent.tools.registry import TOOLS
from sre_agent.tools.types import RemediationTool
from sre_agent.web.access import SAFE_METHODS
from sre_agent.web.api import BY
from sre_agent.web.body import LONGEST_TEXT, SMALL, read_body
from sre_agent.web.charts import occurrences, values
from sre_agent.web.errors import Refused
from sre_agent.web.parameters import PAGE_PARAMETERS, incident_id, page_asked
from sre_agent.web.rendering import page, see_other, session_in
from sre_agent.web.sessions import COOKIE, LIFE_SECONDS, WORD
from sre_agent.web.site import NEED, site_of

MOST_EVENTS = 1000
"""Of a timeline; more are in the document."""

log = get_logger(__name__)


async def incidents(request: web.Request) -> web.Response:
    """GET /: the list, newest update first, with its filters in the address."""
    site = site_of(request)
    asked = page_asked(request.query, now=_now())
    found, head = await asyncio.gather(
        site.service.store.book.page(asked.filters, limit=asked.limit, cursor=asked.cursor, offset=asked.offset),
        site.head.read(),
    )
    given = {name: request.query.get(name, "") for name in PAGE_PARAMETERS}
    kept = {name: value for name, value in given.items() if value and name not in {"cursor", "offset"}}
    older = None if found.next_cursor is None else f"/?{urlencode(kept | {'cursor': found.next_cursor})}"
    return page(
        request,
        "list.html",
        incidents=[views.incident_json(incident) for incident in found.incidents],
        asked=given,
        filtered=any(name != "limit" for name in kept),
        older=older,
        newest=f"/?{urlencode(kept)}" if given["cursor"] or given["offset"] else None,
        runbook_ids=sorted(site.service.runbooks().by_id),
        last_alert_at=head["last_alert_at"],
        held=[brake["what"] for brake in head["brakes"] if brake["on"]],
        base=f"{request.scheme}://{request.host}",
    )


async def incident(request: web.Request) -> web.Response:
    """GET /incident/{id}: the answer first, then the sections."""
    return await _incident_page(request, reason=request.query.get("reason", "")[:LONGEST_TEXT])


async def _incident_page(
    request: web.Request, *, code: int = 200, fault: str | None = None, reason: str = ""
) -> web.Response:
    store, identifier = site_of(request).service.store, incident_id(request)
    seen = await views.read_detail(store, identifier)
    past, running = await asyncio.gather(
        store.history.facts(seen.incident, as_of=_now()), store.history.run_under_way(identifier)
    )
    document = seen.as_json()
    left_out = max(0, len(document["events"]) - MOST_EVENTS)
    document["events"] = document["events"][left_out:]
    outcome, mark = _outcome(document)
    written = [event for event in document["events"] if event["event_type"] == "analysis"]
    analyses = [_analysis(event) for event in reversed(written)]
    steps = [step_from_json(step) for step in last_state(document).get("rb_steps", ())]
    case = CaseFacts(incident=seen.incident, events=seen.events, past=past)
    return page(
        request,
        "incident.html",
        code=code,
        document=document,
        answer=answer(document),
        outcome=outcome,
        mark=mark,
        running=running,
        changes=[
            {
                "done": step.status is StepStatus.DONE,
                "target": step.step,
                "diff": step.result["diff"],
                "notes": step.result.get("notes") or (),
                "kubectl": step.result.get("kubectl"),
            }
            for step in steps
            if step.result and "diff" in step.result
        ],
        reasons=[
            {
                "rule": judgement.rule,
                "reason": judgement.reason,
                "allowed_by": judgement.allowed_by,
                "retry_at": judgement.retry_at,
                "by_hand": judgement.by_hand,
            }
            for step in steps
            for judgement in step.judgements
            if judgement.verdict.name != "ALLOW"
        ],
        where=[
            (name, document["incident"][name])
            for name in ("cluster", "namespace", "workload", "pod", "container", "node")
            if document["incident"][name]
        ],
        links=[*_links(request, seen.incident), *_sources(document)],
        analysis=analyses[0] if analyses else None,
        older_analyses=analyses[1:],
        patterns=[_html(pattern.sentence) for pattern in patterns_of(case)],
        charts=_charts(past, [seen.incident.created_at, *(entry.created_at for entry in seen.past)]),
        left_out=left_out,
        fault=fault,
        reason=reason,
    )


async def regenerate_analysis(request: web.Request) -> web.StreamResponse:
    """POST /incident/{id}/regenerate-analysis: a new analysis; where none can be written the old one stays."""
    identifier = incident_id(request)
    await _form(request)
    try:
        await regenerate(site_of(request).service.store, identifier, now=_now())
    except SreAgentError as error:
        return await _incident_page(request, code=409, fault=f"No new analysis was written: {error}")
    return see_other(f"/incident/{identifier}#analysis")


async def decide(request: web.Request) -> web.StreamResponse:
    """POST /incident/{id}/decide: a person suppresses or resolves it."""
    identifier = incident_id(request)
    said = await _form(request)
    book, reason = site_of(request).service.store.book, said.get("reason", "").strip() or None
    decided = {"suppress": book.suppress, "resolve": book.resolve}.get(said.get("what", ""))
    if decided is None:
        raise Refused(400, "the form says neither suppress nor resolve")
    try:
        await decided(identifier, by=BY, reason=reason, now=_now())
    except SreAgentError as error:
        return await _incident_page(request, code=409, fault=str(error), reason=reason or "")
    log.event("incident.decided", what=said["what"], incident_id=identifier)
    return see_other(f"/incident/{identifier}")


async def runbooks(request: web.Request) -> web.Response:
    """GET /runbooks: all of them, with how often each ran."""
    site = site_of(request)
    counted = await site.service.store.queue.counted_by_runbook()
    known = sorted(site.service.runbooks(), key=lambda runbook: runbook.id)
    return page(
        request,
        "runbooks.html",
        runbooks=[_runbook(runbook, counted.get(runbook.id)) for runbook in known],
        fault=site.runbooks_fault(),
    )


async def runbook(request: web.Request) -> web.Response:
    """GET /runbook/{id}: its steps, its prose, and how often it ran."""
    site, identifier = site_of(request), request.match_info["id"]
    known = site.service.runbooks()
    if identifier not in known:
        raise Refused(404, f"there is no runbook {identifier}; there are {', '.join(sorted(known.by_id))}")
    counted = await site.service.store.queue.counted_by_runbook()
    return page(request, "runbook.html", runbook=_runbook(known[identifier], counted.get(identifier)))


async def status(request: web.Request) -> web.Response:
    """GET /status: what holds changes back, what waits, what works and what is missing."""
    site = site_of(request)
    service = site.service
    found = status_json(
        await read_status(service.store, service.settings, service.runbooks(), fault=site.runbooks_fault(), now=_now())
    )
    return page(
        request,
        "status.html",
        status=found,
        findings=[
            {"check": each.check, "state": each.state.value, "what": each.what, "instead": each.instead}
            | {"kind": {"ok": "ok", "warning": "warning", "failed": "error"}[each.state.value]}
            for each in await site.checks.read()
        ],
        runbooks=len(service.runbooks().by_id),
        directory=service.settings.runbooks_dir,
        where=service.place,
        reason=request.query.get("reason", "")[:LONGEST_TEXT],
    )


async def pause(request: web.Request) -> web.StreamResponse:
    """POST /status/pause: a person's stop, or go."""
    said = await _form(request)
    brakes, reason = site_of(request).service.store.brakes, said.get("reason", "").strip() or None
    if said.get("what") == "pause":
        await brakes.pause(by=BY, reason=reason, until=None, now=_now())
    elif said.get("what") == "resume":
        await brakes.resume(by=BY, now=_now())
    else:
        raise Refused(400, "the form says neither pause nor resume")
    return see_other("/status")


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
    answered.set_cookie(
        COOKIE, cookie, max_age=LIFE_SECONDS, httponly=True, samesite="Lax", secure=request.secure, path="/"
    )
    return answered


async def sign_out(request: web.Request) -> web.StreamResponse:
    """POST /sign-out: the end of the session."""
    await _form(request)
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


async def _form(request: web.Request) -> Mapping[str, str]:
    """What a form says. Its word is asked for where a session is what lets it in.

    A session that is over, or a word of another one, does nothing: it leads to signing in and back.
    """
    said = _said(await read_body(request, SMALL))
    session = session_in(request)
    if session is None and site_of(request).access.opens_to_all(request[NEED]):
        return said
    if session is not None and session.knows(said.get(WORD, "")):
        return said
    raise web.HTTPSeeOther(_after_signing_in(request, said))


def _after_signing_in(request: web.Request, said: Mapping[str, str]) -> str:
    """Nothing was done for this form: where to sign in, on the way back to the page that it stands on."""
    identifier = request.match_info.get("id", "")
    place, anchor = {
        regenerate_analysis: (f"/incident/{identifier}", "analysis"),
        decide: (f"/incident/{identifier}", "act"),
        pause: ("/status", "stop"),
    }.get(request.match_info.route.handler, ("/", ""))
    reason = said.get("reason", "").strip()[:LONGEST_TEXT]
    kept = f"?{urlencode({'reason': reason})}" if reason else ""
    return f"/sign-in?lost&next={quote(f'{place}{kept}#{anchor}' if anchor else place)}"


def _said(body: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=20))
    except ValueError:
        raise Refused(400, "the body is no form") from None


def _own_path(path: str) -> str:
    """A path of this server, `/` for anything else: nobody is led elsewhere."""
    plain = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if plain and not path.startswith("/sign-in") else "/"


def _outcome(document: Mapping[str, Any]) -> tuple[str, str]:
    """How the incident's answer looks: the class of its colour, and the mark that says the same without it."""
    names = {"action_taken": "taken", "action_recommended": "recommended", "action_error": "error"}
    for key, mark, _ in (MARKS[2], MARKS[0], MARKS[1]):
        if document["incident"][key]:
            return names[key], mark
    refused = any(step["status"] == "refused" for step in last_state(document).get("rb_steps", ()))
    return ("refused", "✗") if refused else ("none", "–")


def _analysis(event: Mapping[str, Any]) -> dict[str, Any]:
    payload = event["payload"]
    sections = payload.get("sections") or {}
    by_model = [title for title, by in sections.items() if by != "composed"]
    if not by_model:
        by = "written by code from the stored facts"
    elif len(by_model) == len(sections):
        by = f"written by {payload.get('model')}, checked against the stored facts"
    else:
        by = f"{', '.join(by_model)}: written by {payload.get('model')} and checked; the rest by code"
    return {
        "ts": event["ts"],
        "regenerated": payload["regenerated"],
        "by": by,
        "why": payload.get("why"),
        "html": _html(payload["analysis_markdown"]),
    }


def _html(text: str) -> Markup:
    """Markdown as HTML; `markdown` is what makes it safe."""
    return Markup(markdown.to_html(text))  # noqa: S704


def _runbook(runbook: Any, counted: Mapping[str, Any] | None) -> dict[str, Any]:
    counted = counted or {"results": {}, "last_run_at": None}
    return {
        "id": runbook.id,
        "title": runbook.title,
        "alerts": [str(alert) for alert in runbook.alerts],
        "fallback_image": runbook.fallback_image,
        "fallback_namespaces": runbook.fallback_namespaces,
        "html": _html(runbook.prose),
        "runs": sum(counted["results"].values()),
        "results": ", ".join(f"{number} {result}" for result, number in sorted(counted["results"].items())),
        "last_run_at": counted["last_run_at"],
        "steps": [
            {
                "name": step.name,
                "tool": step.tool,
                "summary": TOOLS[step.tool].summary,
                "changes": isinstance(TOOLS[step.tool], RemediationTool),
                "gate": str(step.gate).removeprefix("when "),
                "recommend": step.recommend_only,
                "approval": step.approval_required,
            }
            for step in runbook.workflow
        ],
    }


def _sources(document: Mapping[str, Any]) -> list[dict[str, str]]:
    """Where the newest alert came from, as it says itself: by http(s) alone."""
    said = [event["payload"] for event in document["events"] if event["event_type"] == "webhook_received"]
    url = (said[-1].get("generatorURL") if said else None) or ""
    return [{"name": "Source of the alert", "url": url}] if _is_web_address(url) else []


def _is_web_address(url: str) -> bool:
    """Whether a browser may be led there: http(s), a host, and no name in front of it that looks like one."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc


def _links(request: web.Request, incident: Incident) -> list[dict[str, str]]:
    """The settings' links with this incident's names."""
    around = timedelta(hours=1)
    begin, end = incident.created_at - around, (incident.resolved_at or incident.updated_at) + around
    places = {
        "alertname": incident.alertname,
        "namespace": incident.namespace,
        "pod": incident.pod,
        "container": incident.container,
        "node": incident.node,
        "workload": (incident.workload or "").rpartition("/")[2],
        "from": str(int(begin.timestamp() * 1000)),
        "to": str(int(end.timestamp() * 1000)),
    }
    filled = {name: quote(value or "", safe="") for name, value in places.items()}
    return [{"name": link.name, "url": link.url.format_map(filled)} for link in site_of(request).service.settings.links]


def _charts(past: PatternFacts, moments: Sequence[datetime]) -> list[dict[str, Any]]:
    limits = []
    for found in past.limits:
        try:
            limits.append((found.at, bytes_of(found.value), found.value))
        except QuantityError:
            continue
    drawn = (
        (values(limits), "Memory limit found at each incident"),
        (occurrences(moments), "Similar incidents per week, this one included (the newest 50)"),
    )
    return [{"svg": svg, "caption": caption} for svg, caption in drawn if svg is not None]


def _now() -> datetime:
    return datetime.now(UTC)
