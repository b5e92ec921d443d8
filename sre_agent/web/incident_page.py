"""The page of one incident: what its document says, arranged for a person who has ten seconds.

Called by `pages`. Everything on it is of the one read that the API answers, and of the pattern facts of its past.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

from aiohttp import web

from sre_agent import views
from sre_agent.analysis.facts import CaseFacts
from sre_agent.analysis.patterns import patterns_of
from sre_agent.incident import Incident
from sre_agent.quantity import QuantityError, bytes_of
from sre_agent.run import StepRecord, StepStatus, Verdict
from sre_agent.sentences import MARKS, answer, last_state, step_from_json
from sre_agent.store.history_rows import PatternFacts
from sre_agent.web.analyses import analyses_of, html_of
from sre_agent.web.charts import occurrences, values
from sre_agent.web.parameters import incident_id
from sre_agent.web.questions import questions
from sre_agent.web.rendering import page
from sre_agent.web.site import site_of
from sre_agent.web.story import words_of_alert

MOST_EVENTS = 1000
"""Of a timeline; more are in the document. Of what is older, the last event of each type still says how it stands."""


async def incident_page(
    request: web.Request, *, code: int = 200, fault: str | None = None, refusal: str | None = None, reason: str = ""
) -> web.Response:
    store, identifier = site_of(request).service.store, incident_id(request)
    found = await store.book.find(identifier)
    seen, past, running, again_at = await asyncio.gather(
        views.detail_of(store, found, newest=MOST_EVENTS),
        store.history.facts(found, as_of=datetime.now(UTC)),
        store.history.run_under_way(identifier),
        store.history.looks_again_at(identifier),
    )
    told = {"code": code, "fault": fault, "refusal": refusal, "reason": reason}
    # A long timeline takes a while: others are answered meanwhile.
    return await asyncio.to_thread(_shown, request, seen, past, running, again_at, **told)


def _shown(
    request: web.Request,
    seen: views.Detail,
    past: PatternFacts,
    running: str | None,
    again_at: datetime | None,
    **told: Any,
) -> web.Response:
    document = seen.as_json()
    events = document["events"][-MOST_EVENTS:]
    outcome, mark = _outcome(document)
    here = {event["id"] for event in events}
    analyses = analyses_of(document["events"], here)
    steps = _steps(document)
    case = CaseFacts(incident=seen.incident, events=seen.events, past=past)
    return page(
        request,
        "incident.html",
        document=document,
        events=events,
        says=words_of_alert(document["incident"]["annotations"]),
        answer=answer(document),
        questions=questions(document, running=running, again_at=again_at, past=past),
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
        reasons=_reasons(steps),
        where=[
            (name, document["incident"][name])
            for name in ("cluster", "namespace", "workload", "pod", "container", "node")
            if document["incident"][name]
        ],
        links=[*_links(request, seen.incident), *_sources(document)],
        analysis=analyses[0] if analyses else None,
        older_analyses=analyses[1:],
        patterns=[html_of(pattern.sentence, here) for pattern in patterns_of(case)],
        charts=_charts(past, [seen.incident.created_at, *(entry.created_at for entry in seen.past)]),
        left_out=seen.left_out + len(document["events"]) - len(events),
        **told,
    )


def _steps(document: Mapping[str, Any]) -> list[StepRecord]:
    """The steps of the newest run; one that somebody tampered with is left out, and its event shows it as it is."""
    read = []
    for step in last_state(document).get("rb_steps", ()):
        try:
            read.append(step_from_json(step))
        except (KeyError, TypeError, ValueError):
            continue
    return read


def _reasons(steps: Sequence[StepRecord]) -> list[dict[str, Any]]:
    """What spoke against the steps, in order; what several of them met stands once."""
    reasons: list[dict[str, Any]] = []
    for step in steps:
        for judgement in step.judgements:
            said = {name: getattr(judgement, name) for name in ("rule", "reason", "allowed_by", "retry_at", "by_hand")}
            if judgement.verdict is not Verdict.ALLOW and said not in reasons:
                reasons.append(said)
    return reasons


def _outcome(document: Mapping[str, Any]) -> tuple[str, str]:
    """How the incident's answer looks: the class of its colour, and the mark that says the same without it."""
    names = {"action_taken": "taken", "action_recommended": "recommended", "action_error": "error"}
    for key, mark, _ in (MARKS[2], MARKS[0], MARKS[1]):
        if document["incident"][key]:
            return names[key], mark
    refused = any(step.get("status") == "refused" for step in last_state(document).get("rb_steps", ()))
    return ("refused" if refused else "none", "–")


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
