"""An incident's document in sentences for people: terminal, pages and TUI say the same words.

Pure functions over what `views.detail` gives and the API answers; none of them escapes or colours.
"""

import json
import textwrap
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sre_agent.run import Judgement, StepRecord, StepStatus, Verdict
from sre_agent.times import duration_text

MARKS = (
    ("action_taken", "✓", "green"),
    ("action_recommended", "→", "blue"),
    ("action_error", "✗", "red"),
)
"""What was done about an incident: its key, the mark that tells it apart without colour, and its colour."""

NOTHING_DONE = ("–", "nothing done", "dim")
NO_RUN_YET = ("·", "no run has ended", "dim")

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
    why = why_nothing(incident)
    return f"The agent changed nothing{f': {why}' if why else ''}. {state}"


def why_nothing(entry: Document) -> str:
    """Why a run did nothing about an incident, as its summary says; empty where it does not."""
    _, _, why = (entry.get("summary") or "").partition(": nothing done; ")
    return str(why)


def is_same(entry: Document, incident: Document) -> bool:
    """Whether an entry is about the same alert on the same workload, pod or node, as pattern facts count it."""
    if entry["alertname"] != incident["alertname"] or entry["namespace"] != incident["namespace"]:
        return False
    subject = next((name for name in ("workload", "pod") if incident[name]), "node")
    same: bool = entry[subject] == incident[subject]
    return same


def mark_of(entry: Document) -> tuple[str, str, str]:
    """What was done about an incident: its mark, the words, the colour.

    An error outweighs what was done before it, a change what was recommended beside it.
    """
    for key, mark, colour in (MARKS[2], MARKS[0], MARKS[1]):
        if entry[key]:
            return mark, str(entry[key]), colour
    return NOTHING_DONE if entry.get("summary", "") is not None else NO_RUN_YET


def did_it_help(document: Document) -> str | None:
    """Whether the alert went after a change; None where nothing was changed."""
    incident = document["incident"]
    if not incident["action_taken"]:
        return None
    if incident["origin"] == "replay":
        return "Not known: a replay changes a recording, and a recording cannot heal."
    if incident["resolved_at"] is None:
        return "Not yet: the alert has not resolved."
    changed = [event["ts"] for event in document["events"] if event["event_type"] == "outcome"]
    if not changed:
        return f"The incident was resolved at {moment(incident['resolved_at'])}."
    passed = datetime.fromisoformat(incident["resolved_at"]) - datetime.fromisoformat(changed[-1])
    return f"The incident was resolved {duration_text(max(passed, timedelta(0)))} after the change."


def what_next(document: Document) -> str:
    """What is left for a person."""
    incident = document["incident"]
    if incident["status"] == "resolved":
        return "Nothing: the incident is resolved."
    if not last_state(document):
        return "Wait for the run to end." if incident["status"] == "open" else "No run starts until it is resolved."
    muted = " No run starts until it is resolved." if incident["status"] == "suppressed" else ""
    if incident["action_error"]:
        return f"Look at the error, then go on by hand.{muted}"
    if incident["action_recommended"]:
        return f"Decide on the change: the command makes it.{muted}"
    if incident["action_taken"] and incident["origin"] == "replay":
        return "Nothing: this was played on a recording, no cluster was changed."
    if incident["action_taken"]:
        return f"Wait for the alert to resolve, and look at the analysis if it does not.{muted}"
    if any(step["status"] == "refused" for step in last_state(document).get("rb_steps", ())):
        return f"Decide by hand: what would allow the change stands beside each refusal.{muted}"
    return f"Look for yourself: the agent found nothing that it may do.{muted}"


def changes(document: Document) -> list[Document]:
    """What was changed or would be: {action, diff, kubectl, notes} of each step that has a change."""
    steps = last_state(document).get("rb_steps", ())
    return [step["result"] for step in steps if "diff" in (step["result"] or {})]


def objections(document: Document) -> list[tuple[Document, Document]]:
    """Each step with each judgement that spoke against its change, in order."""
    steps = last_state(document).get("rb_steps", ())
    return [
        (step, judgement)
        for step in steps
        for judgement in step["judgements"]
        if judgement["verdict"] != Verdict.ALLOW.name.lower()
    ]


def commands(document: Document) -> list[str]:
    """What a person would type: the kubectl equivalents of the changes, and what refusals advise; each once."""
    steps = last_state(document).get("rb_steps", ())
    said = [(step["result"] or {}).get("kubectl") for step in steps]
    said += [judgement["by_hand"] for _, judgement in objections(document)]
    return list(dict.fromkeys(filter(None, said)))


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
