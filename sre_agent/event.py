"""The events of an incident: a closed set of types, each with its payload.

Written by intake and executor through the store, append-only; read by `views`. A payload is JSON and has passed
`redaction` before it is stored.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict


class EventType(StrEnum):
    """What happened. The database accepts these and no others."""

    WEBHOOK_RECEIVED = "webhook_received"
    SUPPRESSED = "suppressed"
    STEP = "step"
    INTENT = "intent"
    OUTCOME = "outcome"
    VERIFIED = "verified"
    UNDONE = "undone"
    APPROVED = "approved"
    REJECTED = "rejected"
    ESCALATED = "escalated"
    RESOLVED = "resolved"
    FINAL = "final"
    ANALYSIS = "analysis"
    ERROR = "error"


class Payload(BaseModel):
    """Base of every event's payload."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class WebhookReceived(Payload):
    """An alert arrived. `startsAt` is RFC 3339 or null, `generatorURL` the page of Prometheus that it came from."""

    labels: dict[str, str]
    annotations: dict[str, str]
    cluster: str
    startsAt: str | None  # noqa: N815 - the seed's key
    fingerprint: str
    generatorURL: str | None = None  # noqa: N815 - Alertmanager's key


class Suppressed(Payload):
    """A repeat of the alert while a run is active; written once a run."""

    reason: str
    fingerprint: str


class StepTaken(Payload):
    """One step of the run, as `replay --json` prints it, with every judgement, and what a model was asked for it."""

    step: str
    tool: str
    status: str
    reason: str | None
    gate: str | None
    arguments: dict[str, Any] | None
    result: dict[str, Any] | None
    judgements: list[dict[str, Any]]
    llm: dict[str, Any] | None = None


class IntentRecorded(Payload):
    """A change is about to be sent: committed before the first byte leaves."""

    action_id: int
    tool: str
    action: str
    target: str
    value: str | None
    writes: list[dict[str, Any]]
    undo: list[dict[str, Any]]


class OutcomeRecorded(Payload):
    """What became of an intent: done, failed or unknown, with what the cluster said."""

    action_id: int
    outcome: str
    detail: str | None
    writes: list[dict[str, Any]]


class Escalated(Payload):
    """The agent leaves the symptom to a person, and why."""

    reason: str


class Resolved(Payload):
    """The incident ended: `by` is alertmanager, person or replay."""

    by: str
    reason: str


class FinalState(Payload):
    """The seed's state of a run."""

    action_taken: str | None
    action_recommended: str | None
    action_error: str | None
    rb_steps: list[dict[str, Any]]
    llm_trace: list[dict[str, Any]]


class Seen(Payload):
    """What the run saw around its target, as `incidents` keeps it: null where it did not look, or nothing was there."""

    node: str | None
    template_changed_at: datetime | None
    found_field: str | None
    found_value: str | None
    found_at: datetime | None


class Final(Payload):
    """The run ended. `seen` is missing in events from before it was kept."""

    runbook_id: str
    state: FinalState
    seen: Seen | None = None


class Analysis(Payload):
    """What is known about the incident, written up for people; `regenerated`: on demand, after the run.

    `planner` is `llm` where a model wrote some of it, else `composed`; `sections` says who wrote which: `composed` or
    the model's name. `model` is the one that was asked, `why` says why it did not write everything, `faults` are words
    of its that were refused: {section, answer, kind, said, reason}. `llm_trace` is the trace of how it came about; in
    events of before, its bare exchanges.
    """

    analysis_markdown: str
    runbook_id: str | None
    regenerated: bool
    sections: dict[str, str] = {}
    planner: str = "composed"
    model: str | None = None
    why: str | None = None
    faults: list[dict[str, Any]] = []
    llm_trace: list[dict[str, Any]] = []


class ErrorRaised(Payload):
    """The run was cut short by an error that nobody expected; `where` names the step."""

    where: str
    error: str


PAYLOADS: dict[EventType, type[Payload]] = {
    EventType.WEBHOOK_RECEIVED: WebhookReceived,
    EventType.SUPPRESSED: Suppressed,
    EventType.STEP: StepTaken,
    EventType.INTENT: IntentRecorded,
    EventType.OUTCOME: OutcomeRecorded,
    EventType.ESCALATED: Escalated,
    EventType.RESOLVED: Resolved,
    EventType.FINAL: Final,
    EventType.ANALYSIS: Analysis,
    EventType.ERROR: ErrorRaised,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One event to be appended. `type` follows from the payload's class."""

    payload: Payload

    @property
    def type(self) -> EventType:
        return _TYPE_OF[type(self.payload)]

    def as_json(self) -> dict[str, Any]:
        return self.payload.model_dump(mode="json")


_TYPE_OF = {model: event_type for event_type, model in PAYLOADS.items()}
