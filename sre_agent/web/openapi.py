"""GET /openapi.json: what the server takes and answers, as a document of OpenAPI 3.1.

It is made of the same tables as the server (parameters, statuses), and tests hold every real answer against it.
"""

from functools import cache
from typing import Any

from sre_agent import __version__
from sre_agent.store.book import LONGEST_TEXT, MOST
from sre_agent.web.exposition import CONTENT_TYPE as METRICS
from sre_agent.web.parameters import AUTHORS, LARGEST, LONGEST_NAME, USUAL_LIMIT
from sre_agent.web.schemas import IDENTIFIER, ORIGIN, SCHEMAS, STATUS, TEXT, Schema, reference
from sre_agent.web.stream import CONTENT_TYPE as STREAM

JSON = "application/json"
_NAME: Schema = {"type": "string", "maxLength": LONGEST_NAME}
_AUTHOR: Schema = {"type": "string", "enum": list(AUTHORS)}
_MEANINGS = {
    400: "Something in the request is wrong; `path` names it.",
    401: "No credential, or an unknown one.",
    403: "A credential of another role, or a page of another site.",
    404: "There is no such incident or runbook; the message names what there is.",
    409: "The state of the incident forbids it.",
    413: "The body is longer than what is taken.",
    415: "The body is compressed.",
    431: "A line of the head is too long, or there are too many headers.",
    503: "The database is away, or the server is stopping: try again.",
}


@cache
def document() -> dict[str, Any]:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Agentic SRE Executor",
            "version": __version__,
            "description": "Alerts in; incidents, their events and analyses out. Every error has one shape.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": _paths(),
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "alertmanager_basic": {"type": "http", "scheme": "basic"},
                "alertmanager_bearer": {"type": "http", "scheme": "bearer"},
                "viewer": {"type": "http", "scheme": "bearer"},
                "operator": {"type": "http", "scheme": "bearer"},
            },
        },
    }


_DELIVER: list[dict[str, list[str]]] = [{"alertmanager_basic": []}, {"alertmanager_bearer": []}, {}]
_READ: list[dict[str, list[str]]] = [{"viewer": []}, {"operator": []}, {}]
_ACT: list[dict[str, list[str]]] = [{"operator": []}, {}]
_OPEN: list[dict[str, list[str]]] = [{}]


def _paths() -> dict[str, Any]:
    incident = [_parameter("id", "path", IDENTIFIER, "The incident.")]
    decided = {"body": _json_body("Reason", required=False), "answer": "Decision", "errors": (400, 404, 409, 413, 415)}
    return {
        "/alertmanager": {
            "post": _operation(
                "receive",
                "Takes a notification of Alertmanager; 200 means that it is stored. Any Content-Type will do.",
                _DELIVER,
                body=_json_body("Payload", required=True),
                answers={"200": {"description": "Stored."}},
                errors=(400, 413, 415, 503),
            )
        },
        "/api/incidents": {
            "get": _operation(
                "listIncidents",
                "A page of the incidents, newest update first.",
                _READ,
                parameters=_page_parameters(),
                answer="IncidentPage",
                errors=(400, 503),
            )
        },
        "/api/incidents/{id}": {
            "get": _operation(
                "showIncident",
                "One incident with its events, its newest analysis and similar ones of the past.",
                _READ,
                parameters=incident,
                answer="IncidentDetail",
                errors=(400, 404, 503),
            )
        },
        "/api/incidents/{id}/regenerate-analysis": {
            "post": _operation(
                "regenerateAnalysis",
                "Writes the analysis anew, with all that is known by now; the old ones stay. A model may take minutes.",
                _ACT,
                parameters=[
                    *incident,
                    _parameter("planner", "query", _AUTHOR, "Who writes; the LLM, if it is set up."),
                ],
                answer="Analysis",
                errors=(400, 404, 409, 413, 415, 503),
            )
        },
        "/api/incidents/{id}/suppress": {
            "post": _operation(
                "suppressIncident", "No run until it is resolved.", _ACT, parameters=incident, **_with_503(decided)
            )
        },
        "/api/incidents/{id}/resolve": {
            "post": _operation(
                "resolveIncident",
                "It is over: the firing that is under way does not open it again.",
                _ACT,
                parameters=incident,
                **_with_503(decided),
            )
        },
        "/api/runbooks/{id}": {
            "get": _operation(
                "showRunbook",
                "One runbook as it is now: its alerts, its steps with their gates, its prose.",
                _READ,
                parameters=[_parameter("id", "path", _NAME, "The runbook, such as RB_OOM.")],
                answer="Runbook",
                errors=(404,),
            )
        },
        "/api/status": {
            "get": _operation(
                "status",
                "Whether the agent may act right now, what holds it back, and the work under way.",
                _READ,
                answer="Status",
                errors=(503,),
            )
        },
        "/api/pause": {
            "post": _operation(
                "pause",
                "No change is made any more, by any process on this database.",
                _ACT,
                body=_json_body("PauseAsked", required=False),
                answer="Paused",
                errors=(400, 413, 415, 503),
            )
        },
        "/api/resume": {
            "post": _operation("resume", "Ends every pause.", _ACT, answer="Resumed", errors=(413, 415, 503))
        },
        "/api/stream": {
            "get": _operation(
                "watchIncidents",
                "Server-sent events: each incident that changes, as {id, status, updated_at, event_type}.",
                _READ,
                parameters=[
                    _origin(),
                    _parameter("Last-Event-ID", "header", {**IDENTIFIER, "minimum": 0}, "The last id that was seen."),
                ],
                answers=_text_answer(STREAM, "Events, until one side ends it."),
                errors=(400, 503),
            )
        },
        "/livez": {"get": _operation("live", "The process answers.", _OPEN, answer="Health", guarded=False)},
        "/healthz": {
            "get": _operation(
                "ready",
                "The database is reachable and its schema current.",
                _OPEN,
                answer="Health",
                errors=(503,),
                guarded=False,
            )
        },
        "/metrics": {
            "get": _operation("metrics", "Metrics for Prometheus.", _READ, answers=_text_answer(METRICS, "Metrics."))
        },
        "/openapi.json": {
            "get": _operation(
                "openapi",
                "This document.",
                _READ,
                answers={"200": {"description": "This.", "content": {JSON: {"schema": {"type": "object"}}}}},
            )
        },
    }


def _operation(
    name: str,
    summary: str,
    security: list[dict[str, list[str]]],
    *,
    parameters: list[dict[str, Any]] | None = None,
    body: dict[str, Any] | None = None,
    answer: str | None = None,
    answers: dict[str, Any] | None = None,
    errors: tuple[int, ...] = (),
    guarded: bool = True,
) -> dict[str, Any]:
    """`answer` names the schema of a 200; `guarded`: whether it may ask for a credential."""
    refused = sorted({*errors, 401, 403, 431} if guarded else {*errors, 403, 431})
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "security": security,
        "responses": {
            **(answers or {"200": _answer("Done.", answer or "")}),
            **{str(status): _answer(_MEANINGS[status], "Error") for status in refused},
        },
    }
    if parameters:
        operation["parameters"] = parameters
    if body:
        operation["requestBody"] = body
    return operation


def _with_503(described: dict[str, Any]) -> dict[str, Any]:
    return {**described, "errors": (*described["errors"], 503)}


def _answer(description: str, schema: str) -> dict[str, Any]:
    return {"description": description, "content": {JSON: {"schema": reference(schema)}}}


def _text_answer(content_type: str, description: str) -> dict[str, Any]:
    return {"200": {"description": description, "content": {content_type.partition(";")[0]: {"schema": TEXT}}}}


def _json_body(schema: str, *, required: bool) -> dict[str, Any]:
    return {"required": required, "content": {JSON: {"schema": reference(schema)}}}


def _parameter(name: str, place: str, schema: Schema, description: str) -> dict[str, Any]:
    parameter = {"name": name, "in": place, "required": place == "path", "schema": schema, "description": description}
    return parameter | ({"allowEmptyValue": True} if place == "query" else {})


def _origin() -> dict[str, Any]:
    return _parameter("origin", "query", {**ORIGIN, "default": "live"}, "Live incidents, or those of replays.")


def _page_parameters() -> list[dict[str, Any]]:
    limit: Schema = {"type": "integer", "minimum": 1, "maximum": MOST, "default": USUAL_LIMIT}
    offset: Schema = {"type": "integer", "minimum": 0, "maximum": LARGEST, "default": 0}
    return [
        _parameter("limit", "query", limit, "How many."),
        _parameter("offset", "query", offset, "How many to leave out first."),
        _parameter("cursor", "query", TEXT, "The next_cursor of the page before; costs the same at any depth."),
        _origin(),
        _parameter("status", "query", STATUS, "One status."),
        _parameter("alertname", "query", _NAME, "One alert name."),
        _parameter("namespace", "query", _NAME, "One namespace."),
        _parameter("node", "query", _NAME, "One node."),
        _parameter("severity", "query", _NAME, "One severity."),
        _parameter("runbook", "query", _NAME, "One runbook."),
        _parameter("since", "query", TEXT, "Updated since a date, an RFC 3339 time, or so long ago: 7d, 1h30m."),
        _parameter(
            "q",
            "query",
            {"type": "string", "maxLength": LONGEST_TEXT},
            "Beginnings of words in alert, namespace, pod, workload, node or summary.",
        ),
    ]
