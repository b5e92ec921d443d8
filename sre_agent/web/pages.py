"""The pages for people: the list, an incident, the runbooks, the status.

Each shows one read, the one that the API answers. Reading needs no script; what a form says is done here and answered
by a redirect, so that a reload repeats nothing.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from sre_agent import views
from sre_agent.analysis import regenerate
from sre_agent.cluster.absent import AbsentCluster
from sre_agent.errors import SreAgentError
from sre_agent.log import get_logger
from sre_agent.runbook import Runbook
from sre_agent.store.book import MOST_COUNTED
from sre_agent.tools.registry import TOOLS
from sre_agent.tools.types import RemediationTool
from sre_agent.web.analyses import html_of
from sre_agent.web.api import BY
from sre_agent.web.body import LONGEST_TEXT
from sre_agent.web.errors import Refused
from sre_agent.web.incident_page import incident_page
from sre_agent.web.parameters import PAGE_PARAMETERS, incident_id, page_asked
from sre_agent.web.rendering import page, see_other
from sre_agent.web.signing import form_of
from sre_agent.web.site import site_of

log = get_logger(__name__)


async def incidents(request: web.Request) -> web.Response:
    """GET /: the list, newest update first, with its filters in the address."""
    site = site_of(request)
    asked = page_asked(request.query, now=_now())
    found, head, lately = await asyncio.gather(
        site.service.store.book.page(asked.filters, limit=asked.limit, cursor=asked.cursor, offset=asked.offset),
        site.head.read(),
        site.lately.read(),
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
        narrowed=any(name not in {"limit", "q"} for name in kept),
        older=older,
        newest=f"/?{urlencode(kept)}" if given["cursor"] or given["offset"] else None,
        lately=lately,
        most_counted=MOST_COUNTED,
        replays=given["origin"] == "replay",
        runbook_ids=sorted(site.service.runbooks().by_id),
        last_alert_at=head["last_alert_at"],
        held=[brake["what"] for brake in head["brakes"] if brake["on"]],
        base=f"{request.scheme}://{request.host}",
    )


async def incident(request: web.Request) -> web.Response:
    """GET /incident/{id}: the answer first, then the sections."""
    return await incident_page(request, reason=request.query.get("reason", "")[:LONGEST_TEXT])


async def event(request: web.Request) -> web.Response:
    """GET /event/{id}: leads to the event on the page of its incident; analyses cite those of others, too."""
    identifier = incident_id(request)
    changes = await site_of(request).service.store.changes.of_events([identifier])
    if not changes:
        raise Refused(404, f"there is no event {identifier}")
    return see_other(f"/incident/{changes[0].incident_id}#event-{identifier}")


async def regenerate_analysis(request: web.Request) -> web.StreamResponse:
    """POST /incident/{id}/regenerate-analysis: a new analysis; where none can be written the old one stays."""
    identifier = incident_id(request)
    await form_of(request)
    site = site_of(request)
    service, seconds = site.service, site.service.settings.llm_time_per_run.total_seconds()
    if identifier in site.writing:
        return await incident_page(request, code=409, fault="A new analysis is being written already; it appears here.")
    site.writing.add(identifier)
    try:
        await regenerate(service.store, identifier, now=_now(), author=service.minds.author, seconds=seconds)
    except SreAgentError as error:
        return await incident_page(request, code=409, fault=f"No new analysis was written: {error}")
    finally:
        site.writing.discard(identifier)
    return see_other(f"/incident/{identifier}#analysis")


async def decide(request: web.Request) -> web.StreamResponse:
    """POST /incident/{id}/decide: a person suppresses or resolves it."""
    identifier = incident_id(request)
    said = await form_of(request)
    book, reason = site_of(request).service.store.book, said.get("reason", "").strip()[:LONGEST_TEXT] or None
    decided = {"suppress": book.suppress, "resolve": book.resolve}.get(said.get("what", ""))
    if decided is None:
        raise Refused(400, "the form says neither suppress nor resolve")
    try:
        await decided(identifier, by=BY, reason=reason, now=_now())
    except SreAgentError as error:
        return await incident_page(request, code=409, refusal=str(error), reason=reason or "")
    log.event("incident.decided", what=said["what"], incident_id=identifier)
    return see_other(f"/incident/{identifier}")


async def runbooks(request: web.Request) -> web.Response:
    """GET /runbooks: all of them, with how often each ran."""
    site = site_of(request)
    counted = await site.counted.read()
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
    counted = await site.counted.read()
    return page(request, "runbook.html", runbook=_runbook(known[identifier], counted.get(identifier)))


async def status(request: web.Request) -> web.Response:
    """GET /status: what holds changes back, what waits, what works and what is missing."""
    site = site_of(request)
    service = site.service
    found = await site.status()
    return page(
        request,
        "status.html",
        status=found,
        acts=_acts(found, reached=not isinstance(service.cluster, AbsentCluster)),
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
    said = await form_of(request)
    brakes, reason = site_of(request).service.store.brakes, said.get("reason", "").strip()[:LONGEST_TEXT] or None
    if said.get("what") == "pause":
        await brakes.pause(by=BY, reason=reason, until=None, now=_now())
    elif said.get("what") == "resume":
        await brakes.resume(by=BY, now=_now())
    else:
        raise Refused(400, "the form says neither pause nor resume")
    site_of(request).head.forget()
    return see_other("/status")


def _acts(status: Mapping[str, Any], *, reached: bool) -> dict[str, Any]:
    """Whether the agent changes anything as it stands: {kind, said, because}. `reached`: this server has a cluster."""
    because = [brake["what"] for brake in status["brakes"] if brake["on"]]
    because += [] if reached else ["This server reaches no cluster: its runs end with advice to a person."]
    if status["held"]:
        kind, said = "refused", "Changes are held back."
    elif status["mode"] == "recommend":
        kind, said = "recommended", "Changes are recommended to a person, none is made: the mode is recommend."
    elif not reached:
        kind, said = "refused", "Nothing can be changed."
    else:
        kind, said = "taken", "Nothing holds changes back."
    return {"kind": kind, "said": said, "because": because}


def _runbook(runbook: Runbook, counted: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the API says of a runbook, and beside it what a person asks: what each tool does, how often it ran."""
    counted = counted or {"results": {}, "last_run_at": None}
    shown = views.runbook_json(runbook)
    return {
        **shown,
        "steps": [
            {
                **step,
                "gate": (step["gate"] or "").removeprefix("when "),
                "summary": TOOLS[step["tool"]].summary,
                "changes": isinstance(TOOLS[step["tool"]], RemediationTool),
            }
            for step in shown["steps"]
        ],
        "fallback_image": runbook.fallback_image,
        "fallback_namespaces": runbook.fallback_namespaces,
        "html": html_of(shown["prose"]),
        "runs": sum(counted["results"].values()),
        "results": ", ".join(f"{number} {result}" for result, number in sorted(counted["results"].items())),
        "last_run_at": counted["last_run_at"],
    }


def _now() -> datetime:
    return datetime.now(UTC)
