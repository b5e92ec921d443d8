"""The JSON nouns that every front end shows: command line, API, pages and TUI read the same shapes.

`run_json` and `skipped_json` are what leaves the process: they pass `redaction`. The smaller nouns are redacted by
whoever keeps them.
"""

from typing import Any

from sre_agent.cluster.port import Write
from sre_agent.redaction import redact
from sre_agent.run import Judgement, RunRecord, Skipped, StepRecord
from sre_agent.target import Target


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
            "analysis_markdown": None,
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
