"""What is known about one incident: its row, its events, and its past. Composer and checker see nothing else.

Gathered by `analyse`. Everything here was stored before, and passed `redaction` then.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID

from sre_agent.analysis.texts import quote
from sre_agent.event import EventType
from sre_agent.incident import Incident
from sre_agent.store import EventRow, Store
from sre_agent.store.history_rows import PatternFacts


@dataclass(frozen=True, kw_only=True)
class CaseFacts:
    """One incident with all its events, oldest first, and what its past says."""

    incident: Incident
    events: tuple[EventRow, ...]
    past: PatternFacts

    @cached_property
    def run_id(self) -> UUID | None:
        """The last run of the incident, None before its first."""
        return next((event.run_id for event in reversed(self.events) if event.run_id is not None), None)

    def of_run(self, *types: EventType) -> list[EventRow]:
        """The events of the last run that have one of these types."""
        return [event for event in self.events if event.run_id == self.run_id and event.event_type in types]

    def of_incident(self, event_type: EventType) -> list[EventRow]:
        """All events of a type."""
        return [event for event in self.events if event.event_type is event_type]

    @cached_property
    def steps(self) -> list[EventRow]:
        """The steps of the last run."""
        return self.of_run(EventType.STEP)

    @cached_property
    def final(self) -> EventRow | None:
        """How the last run ended."""
        return next(iter(self.of_run(EventType.FINAL)), None)

    @cached_property
    def opened_by(self) -> EventRow | None:
        """The alert that opened the incident."""
        return next(iter(self.of_incident(EventType.WEBHOOK_RECEIVED)), None)

    @property
    def state(self) -> dict[str, Any]:
        """The state of the final event, empty before the end of the first run."""
        found: dict[str, Any] = self.final.payload["state"] if self.final else {}
        return found

    @property
    def subject(self) -> str:
        """What the alert is about, as action strings and lists name it: `demo/Deployment/app`, a pod, a node."""
        incident = self.incident
        what = incident.workload or incident.pod
        if what:
            return "/".join(part for part in (incident.namespace, what) if part)
        return incident.node or incident.dedup_key

    @cached_property
    def earlier_ends(self) -> list[EventRow]:
        """How the runs before the last one ended, oldest first."""
        return [event for event in self.of_incident(EventType.FINAL) if event.run_id != self.run_id]

    @property
    def place(self) -> str:
        """Where the alert fired, for a sentence; an alert about nothing known has only its labels."""
        return "with these labels" if self.noun == "problem" else f"on {self.noun} {quote(self.subject)}"

    @property
    def noun(self) -> str:
        """What kind of thing the subject is."""
        incident = self.incident
        if incident.workload:
            return "workload"
        return "pod" if incident.pod else "node" if incident.node else "problem"


def of_the_world(event: EventRow) -> dict[str, Any]:
    """What an event says of the world: its payload but for what a model was asked and answered. That proves nothing."""
    payload = {key: value for key, value in event.payload.items() if key != "llm"}
    state = payload.get("state")
    if isinstance(state, dict):
        payload["state"] = {key: value for key, value in state.items() if key != "llm_trace"}
    return payload


async def gather(store: Store, incident: Incident, *, now: datetime) -> CaseFacts:
    """Reads events and past of an incident. Raises Unreachable."""
    return CaseFacts(
        incident=incident,
        events=tuple(await store.events(incident.id)),
        past=await store.history.facts(incident, as_of=now),
    )
