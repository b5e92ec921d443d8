"""What one run saw and did, line by line, each with its event. Called by the composer. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sre_agent.analysis.facts import REMEDIATIONS, CaseFacts
from sre_agent.analysis.texts import counted, moment, quote, reference
from sre_agent.event import EventType
from sre_agent.store import EventRow

REASONS = 2
"""So many reasons of one step are quoted, the others are in its event."""
LINES = 6
"""So many changes or judgements are listed."""
_TELLING = ("reasons", "problems", "warnings", "reason")


@dataclass(frozen=True, kw_only=True, slots=True)
class Symptom:
    """What was wrong as far as it was seen (with its event; empty where nothing was), and what stays open."""

    sentence: str
    unknown: str
    would_tell: str


def alert_lines(case: CaseFacts) -> list[str]:
    """The alert: since when, in whose words, how often it was sent."""
    opened = case.opened_by
    if opened is None:
        return []
    incident, notes = case.incident, opened.payload["annotations"]
    words = notes.get("summary") or notes.get("description") or notes.get("message")
    since = f"firing since {moment(incident.starts_at)}" if incident.starts_at else "firing"
    lines = [f"The alert came, {since}{f': {quote(words)}' if words else ''}{reference(opened.id)}."]
    about = [("pod", incident.pod), ("container", incident.container), ("node", incident.node)]
    named = [f"{noun} {quote(name)}" for noun, name in about if name and name != case.subject]
    if named:
        lines.append(f"It is about {', '.join(named)}{reference(case.final.id if case.final else opened.id)}.")
    repeats = case.of_incident(EventType.WEBHOOK_RECEIVED)[1:]
    if repeats:
        again = f"It was sent {counted(len(repeats), 'time')} again"
        lines.append(f"{again}, the last at {moment(repeats[-1].ts)}{reference(repeats[-1].id)}.")
    return lines


def step_lines(case: CaseFacts) -> list[str]:
    """What each step saw; those that were skipped share a line."""
    lines = [_step_line(step) for step in case.steps if step.payload["status"] != "skipped"]
    skipped = [step for step in case.steps if step.payload["status"] == "skipped"]
    if skipped:
        named = ", ".join(f"{quote(step.payload['step'])}{reference(step.id)}" for step in skipped)
        lines.append(f"Skipped by their gates: {named}.")
    lines += [
        f"The run was cut short: {quote(event.payload['error'])}{reference(event.id)}."
        for event in case.of_run(EventType.ERROR)
    ]
    return lines


def _step_line(step: EventRow) -> str:
    payload = step.payload
    name, proof = quote(payload["step"]), reference(step.id)
    if payload["status"] != "done" or payload["tool"] in REMEDIATIONS:
        told = payload["reason"] and not payload["judgements"]  # else it stands with what was decided
        reason = f": {quote(payload['reason'])}" if told else ""
        return f"Step {name} ended {quote(payload['status'])}{reason}{proof}."
    return f"Step {name} saw {', '.join(_seen(payload['result'] or {})) or 'nothing'}{proof}."


def _seen(result: dict[str, Any]) -> Iterator[str]:
    """The plain answers of a diagnostic, then its reasons."""
    for key, value in result.items():
        if isinstance(value, bool):
            yield f"{quote(key)} {'yes' if value else 'no'}"
        elif key == "cause" and value:
            yield f"cause {quote(value)}"
    yield from (quote(reason) for reason in _reasons(result)[:REASONS])


def _reasons(result: dict[str, Any]) -> list[str]:
    found: list[str] = []
    for key in _TELLING:
        value = result.get(key)
        found += [value] if isinstance(value, str) else [str(entry) for entry in value or ()]
    return [reason for reason in found if reason]


def symptom(case: CaseFacts) -> Symptom:
    """What was wrong, by the step that says most about it."""
    for tool, read in _SYMPTOMS:
        for step in case.steps:
            result = step.payload["result"] or {}
            if step.payload["tool"] == tool and (sentence := read(result, reference(step.id))):
                unknown, would_tell = _OPEN[tool]
                return Symptom(sentence=sentence, unknown=unknown, would_tell=would_tell)
    unknown, would_tell = _OPEN[""]
    return Symptom(sentence="", unknown=unknown, would_tell=would_tell)


def _memory(result: dict[str, Any], proof: str) -> str:
    if not result.get("reasons"):
        return ""
    limit = f"; its memory limit was {quote(result['limit_before'])}" if result.get("limit_before") else ""
    return f"The container needs more memory than it may use: {quote(result['reasons'][0])}{limit}{proof}."


def _kill(result: dict[str, Any], proof: str) -> str:
    if not result.get("oom_detected"):
        return ""
    return f"The container needs more memory than it may use: {quote(result['reasons'][0])}{proof}."


def _image(result: dict[str, Any], proof: str) -> str:
    return f"The image cannot be pulled, cause {quote(result['cause'])}{proof}." if result.get("cause") else ""


def _node(result: dict[str, Any], proof: str) -> str:
    problems = result.get("problems") or ()
    return f"The node reports {', '.join(map(quote, problems[:1]))}{proof}." if problems else ""


def _node_ready(result: dict[str, Any], proof: str) -> str:
    return f"The node is not Ready: {quote(result['reason'])}{proof}." if result.get("not_ready") else ""


_SYMPTOMS = (
    ("increase_memory_limit", _memory),
    ("check_oom", _kill),
    ("fix_imagepullbackoff", _image),
    ("check_imagepullbackoff", _image),
    ("get_node_conditions", _node),
    ("get_node_ready", _node_ready),
)
_MEMORY_OPEN = (
    "whether the limit is too small for its load, or memory is never given back.",
    "the memory usage over hours under a steady load; a heap profile.",
)
_IMAGE_OPEN = (
    "who changed the image reference, and whether the image was ever pushed.",
    "the registry's log of pushes, and the rollout history of the workload.",
)
_NODE_OPEN = (
    "why the node got there: hardware, kernel, kubelet or network.",
    "the logs of kubelet and kernel on the node, and its provider's events.",
)
_OPEN = {
    "increase_memory_limit": _MEMORY_OPEN,
    "check_oom": _MEMORY_OPEN,
    "fix_imagepullbackoff": _IMAGE_OPEN,
    "check_imagepullbackoff": _IMAGE_OPEN,
    "get_node_conditions": _NODE_OPEN,
    "get_node_ready": _NODE_OPEN,
    "": (
        "the cause: no step of the run saw one.",
        "the Kubernetes events and logs of the time before the alert, and what was deployed then.",
    ),
}


def change_lines(case: CaseFacts) -> list[str]:
    """Each change that was made or recommended: what, from what to what, what the cluster said, the command."""
    outcomes = {event.payload["action_id"]: event for event in case.of_run(EventType.OUTCOME)}
    lines = [
        f"Sent {quote(intent.payload['action'])}{reference(intent.id)}, outcome {_said(outcomes, intent)}."
        for intent in case.of_run(EventType.INTENT)
    ]
    for step in case.steps:
        result = step.payload["result"] or {}
        if step.payload["status"] not in {"done", "proposed"} or not result.get("action"):
            continue
        verb = "Recommended" if step.payload["status"] == "proposed" else "Changed"
        for change in result.get("diff") or ():
            where = f"{quote(change['path'])} from {_value(change['before'])} to {_value(change['after'])}"
            lines.append(f"{verb}: {where}{reference(step.id)}.")
        if step.payload["status"] == "proposed":
            lines.append(f"{quote(result['action'])}, by hand: {quote(result['kubectl'])}{reference(step.id)}.")
    return lines[:LINES]


def _value(value: str | None) -> str:
    return "nothing" if value is None else quote(value)


def _said(outcomes: dict[int, EventRow], intent: EventRow) -> str:
    outcome = outcomes.get(intent.payload["action_id"])
    if outcome is None:
        return "not known: the run was cut off before the answer"
    detail = f": {quote(outcome.payload['detail'])}" if outcome.payload["detail"] else ""
    return f"{quote(outcome.payload['outcome'])}{detail}{reference(outcome.id)}"


def commands(case: CaseFacts) -> list[str]:
    """What a person could type where the agent did not act."""
    found = {
        command: step.id
        for step in case.steps
        for command in [
            *(judgement["by_hand"] for judgement in step.payload["judgements"]),
            (step.payload["result"] or {}).get("kubectl") if step.payload["status"] == "refused" else None,
        ]
        if command
    }
    return [f"By hand: {quote(command)}{reference(event_id)}." for command, event_id in list(found.items())[:LINES]]


def judgement_lines(case: CaseFacts) -> list[str]:
    """What spoke against a change and what would allow it; that nothing did, where something was changed."""
    lines = []
    for step in case.steps:
        against = [entry for entry in step.payload["judgements"] if entry["verdict"] != "allow"]
        for entry in against:
            rule = f"{quote(entry['rule'])} says {quote(entry['verdict'])}: {quote(entry['reason'])}"
            lines.append(f"{rule}; it would take {quote(entry['allowed_by'])}{reference(step.id)}.")
        if not against and step.payload["status"] in {"done", "proposed"} and step.payload["tool"] in REMEDIATIONS:
            lines.append(f"Every guard allowed {quote(step.payload['step'])}{reference(step.id)}.")
    return list(dict.fromkeys(lines))[:LINES]
