"""The recorded incidents of `examples/`, and a run in the words of their `expected.yaml`."""

import json
from typing import Any

from sre_agent.resources import data_path

EXAMPLES = sorted(path.parent for path in data_path("examples").glob("*/expected.yaml"))
RUN_KEYS = (
    "alertname",
    "runbook_id",
    "target",
    "status",
    "action_taken",
    "action_recommended",
    "action_error",
)


def comparable(run: dict[str, Any]) -> dict[str, Any]:
    """The keys that expected.yaml speaks of; the incident's number in a cordon's annotation is INCIDENT_ID there."""
    shown = {key: run[key] for key in RUN_KEYS}
    shown["steps"] = [{"step": step["step"], "status": step["status"]} for step in run["steps"]]
    return shown | {key: without_number(run[key], run["incident_id"]) for key in ("writes", "planned_writes")}


def without_number(writes: list[dict[str, Any]], incident_id: int | None) -> list[dict[str, Any]]:
    """Writes with INCIDENT_ID in the place of the incident's number."""
    found: list[dict[str, Any]] = json.loads(json.dumps(writes).replace(f'"{incident_id}"', '"INCIDENT_ID"'))
    return found
