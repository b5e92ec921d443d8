"""The JSON nouns that every front end shows: command line, API, pages and TUI read the same shapes.

`detail` is the one read behind an incident's page, document and story. `run_json`, `skipped_json` and `runbook_json`
are what leaves the process: they pass `redaction`. The smaller nouns are redacted by whoever keeps them.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sre_agent.cluster.port import Write
from sre_agent.event import EventType
from sre_agent.incident import Incident
from sre_agent.redaction import redact
from sre_agent.run import Judgement, RunRecord, Skipped, StepRecord
from sre_agent.runbook import Runbook, Step
from sre_agent.store import Change, EventRow, Store
from sre_agent.store.book import Decision, Page
from sre_agent.store.history_rows import PastIncident
from sre_agent.target import Target

_ANALYSIS = EventType.ANALYSIS


def target_json(target: Target | None) -> dict[str, Any] | None:
    """{kind, namespace, name, container, pod}, or None where nothing was bound."""
    if target is None:
        return None
    return {
        "kind": target.kind,
        "namespace": target.namespace,
        "name": target.name,
        "container": target.container,
        "pod": target.pod,
    }


def write_json(write: Write) -> dict[str, Any]:
    """{verb, resource, subresource, namespace, name, body}: what was sent, without its preconditions."""
    return {
        "verb": write.verb.value,
        "resource": write.resource.plural,
        "subresource": write.subresource,
        "namespace": write.namespace,
        "name": write.name,
        "body": write.body,
    }


def judgement_json(judgement: Judgement) -> dict[str, Any]:
    """One guard's or tool's judgement, with what would allow the change and when."""
    return {
        "rule": judgement.rule,
        "verdict": judgement.verdict.name.lower(),
        "reason": judgement.reason,
        "allowed_by": judgement.allowed_by,
        "retry_at": None if judgement.retry_at is None else judgement.retry_at.isoformat(),
        "settled": judgement.settled,
        "tells": judgement.tells.value,
        "by_hand": judgement.by_hand,
    }


def step_json(step: StepRecord) -> dict[str, Any]:
    """{step, tool, status, reason, gate, arguments, result, judgements}."""
    return {
        "step": step.step,
        "tool": step.tool,
        "status": step.status.value,
        "reason": step.reason,
        "gate": step.gate,
        "arguments": step.arguments,
        "result": step.result,
        "judgements": [judgement_json(judgement) for judgement in step.judgements],
    }


def run_json(record: RunRecord) -> dict[str, Any]:
    """One run, as `replay --json` prints it and the API shows it, without secrets."""
    shown: dict[str, Any] = redact(
        {
            "incident_id": record.incident_id,
            "run_id": record.run_id,
            "alertname": record.alert.name,
            "fingerprint": record.alert.fingerprint,
            "target": target_json(record.target),
            "runbook_id": record.runbook_id,
            "route_reason": record.route_reason,
            "mode": record.mode.value,
            "status": record.status.value,
            "steps": [step_json(step) for step in record.steps],
            "action_taken": record.action_taken,
            "action_recommended": record.action_recommended,
            "action_error": record.action_error,
            "analysis_markdown": record.analysis_markdown,
            "writes": [write_json(write) for write in record.writes],
            "planned_writes": [write_json(write) for write in record.planned_writes],
            "notes": list(record.notes),
            "retry_at": None if record.retry_at is None else record.retry_at.isoformat(),
        }
    )
    return shown


def skipped_json(skipped: Skipped) -> dict[str, Any]:
    """One alert without a run, without secrets."""
    shown: dict[str, Any] = redact(
        {
            "alertname": skipped.alertname,
            "fingerprint": skipped.fingerprint,
            "incident_id": skipped.incident_id,
            "reason": skipped.reason,
            "path": skipped.path,
        }
    )
    return shown


def incident_json(incident: Incident) -> dict[str, Any]:
    """One incident with every key of the specification's example and table, null when empty."""
    return {
        "id": incident.id,
        "origin": incident.origin.value,
        "cluster": incident.cluster,
        "fingerprint": incident.fingerprint,
        "dedup_key": incident.dedup_key,
        "alertname": incident.alertname,
        "namespace": incident.namespace,
        "pod": incident.pod,
        "container": incident.container,
        "node": incident.node,
        "workload": incident.workload,
        "severity": incident.severity,
        "runbook_id": incident.runbook_id,
        "status": incident.status.value,
        "agent_mode": incident.agent_mode,
        "summary": incident.summary,
        "summary_embedding": None,
        "action_taken": incident.action_taken,
        "action_recommended": incident.action_recommended,
        "action_error": incident.action_error,
        "labels": incident.labels,
        "annotations": incident.annotations,
        "suppressed_count": incident.suppressed_count,
        "starts_at": moment_json(incident.starts_at),
        "created_at": moment_json(incident.created_at),
        "updated_at": moment_json(incident.updated_at),
        "resolved_at": moment_json(incident.resolved_at),
    }


def past_json(past: PastIncident) -> dict[str, Any]:
    """One similar incident of the past, with what was done about it."""
    return {
        "id": past.id,
        "alertname": past.alertname,
        "namespace": past.namespace,
        "pod": past.pod,
        "node": past.node,
        "workload": past.workload,
        "severity": past.severity,
        "status": past.status,
        "runbook_id": past.runbook_id,
        "action_taken": past.action_taken,
        "action_recommended": past.action_recommended,
        "action_error": past.action_error,
        "created_at": moment_json(past.created_at),
    }


def event_json(event: EventRow, incident_id: int) -> dict[str, Any]:
    """One event of an incident, with its place in the chain."""
    return {
        "id": event.id,
        "incident_id": incident_id,
        "run_id": None if event.run_id is None else str(event.run_id),
        "seq": event.seq,
        "ts": moment_json(event.ts),
        "event_type": event.event_type.value,
        "payload": event.payload,
        "prev_hash": event.prev_hash,
        "hash": event.hash,
    }


def detail_json(
    incident: Incident,
    events: Sequence[EventRow],
    analysis_markdown: str | None,
    past: Sequence[PastIncident],
) -> dict[str, Any]:
    """GET /api/incidents/{id}: the incident, events oldest first, the newest analysis, similar ones newest first."""
    return {
        "incident": incident_json(incident),
        "events": [event_json(event, incident.id) for event in events],
        "analysis_markdown": analysis_markdown,
        "past_incidents": [past_json(entry) for entry in past],
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class Detail:
    """One incident as it is read once for a page, a document and a story: events oldest first, past newest first."""

    incident: Incident
    events: tuple[EventRow, ...]
    past: tuple[PastIncident, ...]

    @property
    def left_out(self) -> int:
        """How many older events are kept beside these."""
        return self.events[-1].seq - len(self.events) if self.events else 0

    def as_json(self) -> dict[str, Any]:
        """The document of GET /api/incidents/{id}."""
        analyses = [each.payload.get("analysis_markdown") for each in self.events if each.event_type is _ANALYSIS]
        return detail_json(self.incident, self.events, analyses[-1] if analyses else None, self.past)


async def read_detail(store: Store, incident_id: int) -> Detail:
    """Reads one incident. Raises UnknownIncident, Unreachable."""
    return await detail_of(store, await store.book.find(incident_id))


async def detail_of(store: Store, incident: Incident, *, newest: int | None = None) -> Detail:
    """What is kept about an incident; with `newest` so many events, and of those before the last one of each type.

    Raises Unreachable.
    """
    reading = store.events(incident.id) if newest is None else store.newest_events(incident.id, most=newest)
    events, past = await asyncio.gather(reading, store.history.similar(incident))
    return Detail(incident=incident, events=tuple(events), past=tuple(past))


def page_json(page: Page) -> dict[str, Any]:
    """GET /api/incidents: {incidents, next_cursor}."""
    return {"incidents": [incident_json(incident) for incident in page.incidents], "next_cursor": page.next_cursor}


def decision_json(decision: Decision) -> dict[str, Any]:
    """What a person's word made of an incident: {incident, changed}."""
    return {"incident": incident_json(decision.incident), "changed": decision.changed}


def change_json(change: Change) -> dict[str, Any]:
    """One change as a stream tells it: {id, status, updated_at, event_type}."""
    return {
        "id": change.incident_id,
        "status": change.status.value,
        "updated_at": moment_json(change.updated_at),
        "event_type": change.event_type.value,
    }


def runbook_json(runbook: Runbook) -> dict[str, Any]:
    """One runbook: the alerts that it takes, its steps with their gates, and the prose for people, without secrets."""
    shown: dict[str, Any] = redact(
        {
            "id": runbook.id,
            "title": runbook.title,
            "alerts": [str(alert) for alert in runbook.alerts],
            "steps": [_planned_step_json(step) for step in runbook.workflow],
            "prose": runbook.prose,
        }
    )
    return shown


def _planned_step_json(step: Step) -> dict[str, Any]:
    return {
        "step": step.name,
        "tool": step.tool,
        "gate": str(step.gate) or None,
        "recommend_only": step.recommend_only,
        "approval_required": step.approval_required,
    }


async def detail(store: Store, incident_id: int) -> dict[str, Any]:
    """Reads and shapes one incident. Raises UnknownIncident, Unreachable."""
    return (await read_detail(store, incident_id)).as_json()


def moment_json(moment: datetime | None) -> str | None:
    """A moment as the API writes it: RFC 3339 in UTC, `2024-01-15T10:30:00Z`."""
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
