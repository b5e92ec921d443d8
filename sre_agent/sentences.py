"""An incident's document in sentences for people: terminal, pages and TUI say the same words.

Pure functions over what `views.detail` gives and the API answers; none of them escapes or colours.
"""

import json
import textwrap
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sre_agent.run import Judgement, StepRecord, StepStatus, Verdict

MARKS = (
    ("action_taken", "✓", "green"),
    ("action_recommended", "→", "blue"),
    ("action_error", "✗", "red"),
)
"""What was done about an incident: its key, the mark that tells it apart without colour, and its colour."""

_SHORT = 300

Document = Mapping[str, Any]


def answer(document: Document) -> str:
    """One sentence: what the agent did, recommends or left, and how the incident stands."""
    incident = document["incident"]
    replayed = "replayed incident" if incident["origin"] == "replay" else "incident"
    state = f"The {replayed} is {incident['status']}."
    if incident["action_error"]:
        done = f", after {incident['action_taken']}" if incident["action_taken"] else ""
        return f"The agent failed: {incident['action_error']}{done}. {state}"
    if incident["action_taken"]:
        return f"The agent did {incident['action_taken']}. {state}"
    if incident["action_recommended"]:
        return f"The agent recommends {incident['action_recommended']} and changed nothing. {state}"
    if not last_state(document):
        return f"No run has ended yet. {state}"
    refused = [step for step in last_state(document).get("rb_steps", ()) if step["status"] == "refused"]
    why = refused[0]["reason"] if refused else None
    return f"The agent changed nothing{f': {why}' if why else ''}. {state}"


def step_from_json(step: Document) -> StepRecord:
    """The step that `views.step_json` wrote; what was to be sent is not in it, only how it is shown."""
    return StepRecord(
        step=step["step"],
        tool=step["tool"],
        status=StepStatus(step["status"]),
        reason=step["reason"],
        gate=step["gate"],
        arguments=step["arguments"],
        result=step["result"],
        judgements=tuple(_judgement(entry) for entry in step["judgements"]),
    )


def _judgement(entry: Document) -> Judgement:
    return Judgement(
        rule=entry["rule"],
        verdict=Verdict[entry["verdict"].upper()],
        reason=entry["reason"],
        allowed_by=entry["allowed_by"],
        retry_at=None if entry["retry_at"] is None else datetime.fromisoformat(entry["retry_at"]),
        by_hand=entry["by_hand"],
    )


def last_state(document: Document) -> dict[str, Any]:
    """What the newest run came to; empty before one has ended, and where its event was tampered with."""
    finals = [event["payload"] for event in document["events"] if event["event_type"] == "final"]
    state: dict[str, Any] = finals[-1].get("state", {}) if finals else {}
    return state


def what_happened(event: Document) -> str:
    """One event in a line; one without a form of its own, or out of its form, as JSON, shortened."""
    try:
        said = _in_its_form(event)
    except KeyError:  # somebody changed it, which `db verify-audit` says; it is shown as it is
        said = None
    return said or textwrap.shorten(json.dumps(event["payload"], ensure_ascii=False), _SHORT, placeholder="…")


def _in_its_form(event: Document) -> str | None:
    said = event["payload"]
    match event["event_type"]:
        case "webhook_received":
            since = moment(said["startsAt"]) if said["startsAt"] else "no time given"
            return f"fingerprint {said['fingerprint']}, since {since}"
        case "step":
            return f"{said['step']} {said['status']}" + (f": {said['reason']}" if said["reason"] else "")
        case "intent":
            return f"about to send {said['action']}"
        case "outcome":
            return str(said["outcome"]) + (f": {said['detail']}" if said["detail"] else "")
        case "resolved" | "suppressed" | "escalated":
            return str(said["reason"])
        case "final":
            state = said["state"]
            done = [f"{mark} {state[key]}" for key, mark, _ in MARKS if state[key]]
            return f"{said['runbook_id']}: {' '.join(done) or 'nothing done'}"
        case "analysis":
            return "written again" if said["regenerated"] else "written"
        case _:
            return None


def moment(text: str) -> str:
    """A moment of the document as people read it: `2026-11-23 03:00:00 UTC`."""
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S} UTC"
