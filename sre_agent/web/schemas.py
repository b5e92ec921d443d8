"""The JSON schemas of what the server takes and answers, by name: the nouns of `views` as a program reads them.

Read by `openapi`. A test validates real answers against them, so a key that `views` gains has to be said here.
"""

from typing import Any

from sre_agent.event import EventType
from sre_agent.incident import IncidentStatus, Origin
from sre_agent.web.body import LONGEST_TEXT
from sre_agent.web.errors import CODES

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
OPTIONAL_TEXT: Schema = {"type": ["string", "null"]}
TIME: Schema = {"type": "string", "format": "date-time"}
OPTIONAL_TIME: Schema = {"type": ["string", "null"], "format": "date-time"}
IDENTIFIER: Schema = {"type": "integer", "minimum": 1, "maximum": 2**63 - 1}
STRINGS: Schema = {"type": "object", "additionalProperties": TEXT}
HASH: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
STATUS: Schema = {"type": "string", "enum": [status.value for status in IncidentStatus]}
MODE: Schema = {"type": "string", "enum": ["recommend", "auto"]}
COUNT: Schema = {"type": "integer", "minimum": 0}
ORIGIN: Schema = {"type": "string", "enum": [origin.value for origin in Origin]}


def reference(name: str) -> Schema:
    """A schema of this page, by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def record(**properties: Schema) -> Schema:
    """An object with exactly these keys, all of them always there."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def list_of(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


_OUTCOME = {"action_taken": OPTIONAL_TEXT, "action_recommended": OPTIONAL_TEXT, "action_error": OPTIONAL_TEXT}

_STORABLE: Schema = {"type": "object", "additionalProperties": {"type": "string", "pattern": "^[^\\u0000]*$"}}
_FIRING_OR_RESOLVED: Schema = {"enum": ["firing", "resolved", None]}

_PAYLOAD: Schema = {
    "type": "object",
    "description": "The webhook body of Alertmanager (version 4). What is not named here decides nothing.",
    "properties": {
        "status": {"description": "Of an alert that has none of its own: firing or resolved."},
        "truncatedAlerts": {"description": "How many alerts the sender left out."},
        "alerts": list_of(reference("Alert")),
    },
    "required": ["alerts"],
}

_ALERT: Schema = {
    "type": "object",
    "description": "One bad alert does not lose the others of its body: it is counted and logged.",
    "properties": {
        "status": _FIRING_OR_RESOLVED,
        "labels": _STORABLE,
        "annotations": {"anyOf": [_STORABLE, {"type": "null"}]},
        "startsAt": OPTIONAL_TIME,
        "endsAt": OPTIONAL_TIME,
        "generatorURL": {"description": "Where the alert comes from."},
        "fingerprint": {"description": "Shown as it is given; without one it is computed from the labels."},
    },
    "required": ["labels"],
}

_WORD: Schema = {"type": ["string", "null"], "maxLength": LONGEST_TEXT}
_REASON = {**_WORD, "description": "Why; it is kept with the decision."}
_END = {**_WORD, "description": "A date, an RFC 3339 time, or for how long: 90m, 2h. Without it: until it is resumed."}


def _words(**properties: Schema) -> Schema:
    """A body of which everything may be left out."""
    return {"type": "object", "properties": properties, "additionalProperties": False}


SCHEMAS: dict[str, Schema] = {
    "Payload": _PAYLOAD,
    "Alert": _ALERT,
    "Reason": _words(reason=_REASON),
    "PauseAsked": _words(reason=_REASON, until=_END),
    "Incident": record(
        id=IDENTIFIER,
        origin=ORIGIN,
        cluster=TEXT,
        fingerprint=TEXT,
        dedup_key=TEXT,
        alertname=TEXT,
        namespace=OPTIONAL_TEXT,
        pod=OPTIONAL_TEXT,
        container=OPTIONAL_TEXT,
        node=OPTIONAL_TEXT,
        workload=OPTIONAL_TEXT,
        severity=OPTIONAL_TEXT,
        runbook_id=OPTIONAL_TEXT,
        status=STATUS,
        agent_mode=MODE,
        summary=OPTIONAL_TEXT,
        summary_embedding={"type": "null"},
        **_OUTCOME,
        labels=STRINGS,
        annotations=STRINGS,
        suppressed_count=COUNT,
        starts_at=OPTIONAL_TIME,
        created_at=TIME,
        updated_at=TIME,
        resolved_at=OPTIONAL_TIME,
    ),
    "PastIncident": record(
        id=IDENTIFIER,
        alertname=TEXT,
        namespace=OPTIONAL_TEXT,
        pod=OPTIONAL_TEXT,
        node=OPTIONAL_TEXT,
        workload=OPTIONAL_TEXT,
        severity=OPTIONAL_TEXT,
        status=STATUS,
        runbook_id=OPTIONAL_TEXT,
        **_OUTCOME,
        created_at=TIME,
    ),
    "Event": record(
        id=IDENTIFIER,
        incident_id=IDENTIFIER,
        run_id={"type": ["string", "null"], "format": "uuid"},
        seq={"type": "integer", "minimum": 1},
        ts=TIME,
        event_type={"type": "string", "enum": [event_type.value for event_type in EventType]},
        payload={"type": "object"},
        prev_hash={**HASH, "type": ["string", "null"]},
        hash=HASH,
    ),
    "IncidentPage": record(incidents=list_of(reference("Incident")), next_cursor=OPTIONAL_TEXT),
    "IncidentDetail": record(
        incident=reference("Incident"),
        events=list_of(reference("Event")),
        analysis_markdown=OPTIONAL_TEXT,
        past_incidents=list_of(reference("PastIncident")),
    ),
    "Analysis": record(
        incident_id=IDENTIFIER,
        event_id=IDENTIFIER,
        analysis_markdown=TEXT,
        planner={"type": "string", "enum": ["composed", "llm"], "description": "llm: a model wrote some of it."},
        model={**OPTIONAL_TEXT, "description": "The model that was asked."},
        sections={**STRINGS, "description": "Who wrote each section: composed, or the model."},
        why={**OPTIONAL_TEXT, "description": "Why the model did not write all of it."},
    ),
    "Decision": record(incident=reference("Incident"), changed={"type": "boolean"}),
    "Runbook": record(id=TEXT, title=TEXT, alerts=list_of(TEXT), steps=list_of(reference("Step")), prose=TEXT),
    "Step": record(
        step=TEXT,
        tool=TEXT,
        gate=OPTIONAL_TEXT,
        recommend_only={"type": "boolean"},
        approval_required={"type": "boolean"},
    ),
    "Pause": record(id=IDENTIFIER, since=TIME, until=OPTIONAL_TIME, by=TEXT, reason=OPTIONAL_TEXT),
    "Paused": record(pause=reference("Pause")),
    "Resumed": record(ended=list_of(reference("Pause"))),
    "Brake": record(name=TEXT, on={"type": "boolean"}, what=TEXT, until=OPTIONAL_TIME),
    "Status": record(
        at=TIME,
        mode=MODE,
        cluster=TEXT,
        planner=TEXT,
        held={"type": "boolean"},
        brakes=list_of(reference("Brake")),
        pauses=list_of(reference("Pause")),
        queued=COUNT,
        oldest_queued_at=OPTIONAL_TIME,
        running=COUNT,
        oldest_running_at=OPTIONAL_TIME,
        last_alert_at=OPTIONAL_TIME,
        runbooks_fault=OPTIONAL_TEXT,
        llm=reference("ModelStatus"),
    ),
    "ModelStatus": record(
        model=OPTIONAL_TEXT,
        investigates={"type": "boolean"},
        calls_today=COUNT,
        tokens_today=COUNT,
        tokens_per_day=COUNT,
        cost_today={"type": "number", "minimum": 0},
        cost_per_day={"type": ["number", "null"]},
    ),
    "Health": record(status={"type": "string", "const": "ok"}),
    "Error": record(
        error={
            "type": "object",
            "properties": {
                "code": {"type": "string", "enum": sorted(CODES.values())},
                "message": TEXT,
                "path": {"type": "string", "description": "The parameter, or the JSON path in the body."},
            },
            "required": ["code", "message"],
            "additionalProperties": False,
        }
    ),
}
