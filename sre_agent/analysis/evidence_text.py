"""What one run saw and did, line by line, each with its event. Called by the composer. Pure."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sre_agent.analysis.facts import CaseFacts
from sre_agent.analysis.investigated import finding_lines
from sre_agent.analysis.texts import counted, moment, quote, reference
from sre_agent.diagnosis import ImageCause
from sre_agent.event import EventType
from sre_agent.run import CONCLUDE
from sre_agent.store import EventRow
from sre_agent.tools.registry import REMEDIATIONS

REASONS = 2
"""So many reasons of one step are quoted, the others are in its event."""
LINES = 6
"""So many changes of a step, commands or judgements are listed."""
_TELLING = ("reasons", "problems", "warnings", "reason")
_UNTOLD = frozenset({"not_ready", "previous_available"})
"""Answers that another one of the same step says as well."""
_TOLD_IF_SO = frozenset({"init", "unreachable"})
_BOOKKEEPING = "metadata.annotations.sre-agent/"


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
    about = [("pod", incident.pod), ("container", incident.container)]
    named = [f"{noun} {quote(name)}" for noun, name in about if name and noun != case.noun]
    if named:
        lines.append(f"It is about {', '.join(named)}{reference(opened.id)}.")
    if incident.node and case.noun != "node":
        lines.append(f"The pod was seen on node {quote(incident.node)}{reference((case.final or opened).id)}.")
    repeats = case.of_incident(EventType.WEBHOOK_RECEIVED)[1:]
    if repeats:
        again = f"It was sent {counted(len(repeats), 'time')} again"
        lines.append(f"{again}, the last at {moment(repeats[-1].ts)}{reference(repeats[-1].id)}.")
    return lines


def earlier_lines(case: CaseFacts) -> list[str]:
    """What the runs before the last one did in the same incident."""
    return [
        f"An earlier run of this incident did {quote(end.payload['state']['action_taken'], whole=True)}"
        f"{reference(end.id)}."
        for end in case.earlier_ends
        if end.payload["state"]["action_taken"]
    ][-LINES:]


def step_lines(case: CaseFacts) -> list[str]:
    """What each step saw; those that were skipped share a line. Last, what a model found by itself."""
    steps = [step for step in case.steps if step.payload["tool"] != CONCLUDE]
    lines = [_step_line(step) for step in steps if step.payload["status"] != "skipped"]
    skipped = [step for step in steps if step.payload["status"] == "skipped"]
    if skipped:
        named = ", ".join(f"{quote(step.payload['step'])}{reference(step.id)}" for step in skipped)
        lines.append(f"Skipped by their gates: {named}.")
    lines += finding_lines(case)
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
    return f"Step {name} saw {', '.join(_seen(_result(step))) or 'nothing'}{proof}."


def _seen(result: dict[str, Any]) -> Iterator[str]:
    """The plain answers of a diagnostic, then its reasons, warnings, and the last words of the container."""
    for key, value in result.items():
        if isinstance(value, bool) and key not in _UNTOLD and (value or key not in _TOLD_IF_SO):
            yield f"{quote(key)} {'yes' if value else 'no'}"
        elif key == "cause" and value:
            yield f"cause {quote(value)}"
    yield from (quote(reason) for reason in _reasons(result)[:REASONS])
    warnings = [event["message"] for event in result.get("events") or () if event["type"] == "Warning"]
    yield from (f"warning {quote(message)}" for message in list(dict.fromkeys(warnings))[-REASONS:])
    said = [line for line in result.get("previous_lines") or result.get("lines") or () if line.strip()]
    yield from (f"last log line {quote(line)}" for line in said[-1:])


def _reasons(result: dict[str, Any]) -> list[str]:
    found: list[str] = []
    for key in _TELLING:
        value = result.get(key)
        found += [value] if isinstance(value, str) else [str(entry) for entry in value or ()]
    return [reason for reason in found if reason]


def symptom(case: CaseFacts) -> Symptom:
    """What was wrong, by the step that says most about it."""
    for tool, read, unknown, would_tell in _SYMPTOMS:
        for step in case.steps:
            if step.payload["tool"] == tool and (sentence := read(step, reference(step.id))):
                return Symptom(sentence=sentence, unknown=unknown, would_tell=would_tell)
    return Symptom(
        sentence="",
        unknown="the cause, because no step of the run saw one.",
        would_tell="the Kubernetes events and logs of the time before the alert, and what was deployed then.",
    )


def _result(step: EventRow) -> dict[str, Any]:
    return step.payload["result"] or {}


def _memory(step: EventRow, proof: str) -> str:
    result = _result(step)
    limit = quote(result["limit_before"]) if result.get("limit_before") else ""
    if result.get("reasons"):
        had = f"; the memory limit in its template was {limit}" if limit else ""
        return f"The container needs more memory than it may use: {quote(result['reasons'][0])}{had}{proof}."
    if limit and step.payload["status"] in {"done", "proposed"}:
        return f"The container comes close to its memory limit of {limit}{proof}."
    return ""


def _kill(step: EventRow, proof: str) -> str:
    result = _result(step)
    if not (result.get("oom_detected") and result.get("reasons")):
        return ""
    return f"The container needs more memory than it may use: {quote(result['reasons'][0])}{proof}."


def _no_such_image(step: EventRow, proof: str) -> str:
    cause = _result(step).get("cause")
    return _unpulled(cause, proof) if cause in {ImageCause.NOT_FOUND, ImageCause.INVALID_NAME} else ""


def _image(step: EventRow, proof: str) -> str:
    cause = _result(step).get("cause")
    return _unpulled(cause, proof) if cause else ""


def _unpulled(cause: str, proof: str) -> str:
    return f"The image cannot be pulled, cause {quote(cause)}{proof}."


def _not_ready(step: EventRow, proof: str) -> str:
    result = _result(step)
    return f"The node is not Ready: {quote(result['reason'])}{proof}." if result.get("not_ready") else ""


def _conditions(step: EventRow, proof: str) -> str:
    problems = _result(step).get("problems") or ()
    return f"The node reports {', '.join(map(quote, problems[:REASONS]))}{proof}." if problems else ""


def _cordoned(step: EventRow, proof: str) -> str:
    return f"The node is cordoned{proof}." if _result(step).get("unschedulable") else ""


_MEMORY_OPEN = (
    "whether the limit is too small for its load, or memory is never given back.",
    "the memory usage over hours under a steady load; a heap profile.",
)
_IMAGE_OPEN = (
    "who changed the image reference, and whether the image was ever pushed.",
    "the registry's log of pushes, and the rollout history of the workload.",
)
_REGISTRY_OPEN = (
    "why the pull fails although the reference may be right: the registry, the way to it, or the rights there.",
    "a pull of the same image from another node, the registry's own state, and the pull secret of the workload.",
)
_NODE_OPEN = (
    "why the node got there: hardware, kernel, kubelet or network.",
    "the logs of kubelet and kernel on the node, and its provider's events.",
)
_CORDON_OPEN = (
    "who cordoned the node, and why.",
    "the audit log of the API server, and whoever maintains the node.",
)
_SYMPTOMS: tuple[tuple[str, Callable[[EventRow, str], str], str, str], ...] = (
    ("increase_memory_limit", _memory, *_MEMORY_OPEN),
    ("check_oom", _kill, *_MEMORY_OPEN),
    ("fix_imagepullbackoff", _no_such_image, *_IMAGE_OPEN),
    ("check_imagepullbackoff", _no_such_image, *_IMAGE_OPEN),
    ("fix_imagepullbackoff", _image, *_REGISTRY_OPEN),
    ("check_imagepullbackoff", _image, *_REGISTRY_OPEN),
    ("get_node_ready", _not_ready, *_NODE_OPEN),
    ("get_node_conditions", _conditions, *_NODE_OPEN),
    ("get_node_ready", _cordoned, *_CORDON_OPEN),
)
"""Most telling first: tool, what its step saw (empty where nothing), what stays open, what would tell.

The conditions of a node that does not answer are all unknown: that it is not Ready says more.
"""


def change_lines(case: CaseFacts) -> list[str]:
    """Each change that was made or recommended: what, from what to what, what the cluster said, the command."""
    outcomes = {event.payload["action_id"]: event for event in case.of_run(EventType.OUTCOME)}
    lines = [
        f"Sent {quote(intent.payload['action'], whole=True)}{reference(intent.id)}, outcome {_said(outcomes, intent)}."
        for intent in case.of_run(EventType.INTENT)
    ]
    for step in case.steps:
        result, status = _result(step), step.payload["status"]
        if status not in {"done", "proposed"} or not result.get("action"):
            continue
        verb = "Recommended" if status == "proposed" else "Changed"
        changes = [change for change in result.get("diff") or () if not change["path"].startswith(_BOOKKEEPING)]
        for change in changes[:LINES]:
            where = f"{quote(change['path'])} from {_value(change['before'])} to {_value(change['after'])}"
            lines.append(f"{verb}: {where}{reference(step.id)}.")
        if len(changes) > LINES:
            lines.append(f"{verb}, too: all that the event lists beside these{reference(step.id)}.")
        if status == "proposed":
            action, command = quote(result["action"], whole=True), quote(result["kubectl"], whole=True)
            lines.append(f"{action}, by hand: {command}{reference(step.id)}.")
    return lines


def _value(value: str | None) -> str:
    return "nothing" if value is None else quote(value, whole=True)


def _said(outcomes: dict[int, EventRow], intent: EventRow) -> str:
    outcome = outcomes.get(intent.payload["action_id"])
    if outcome is None:
        return "not known: the run was cut off before the answer"
    detail = f": {quote(outcome.payload['detail'])}" if outcome.payload["detail"] else ""
    return f"{quote(outcome.payload['outcome'])}{detail}{reference(outcome.id)}"


def commands(case: CaseFacts, *, leak: bool) -> list[str]:
    """What a person could type where the agent did not act. Where memory leaks, more of it gains nothing but time."""
    found: dict[str, str] = {}
    for step in [step for step in case.steps if step.payload["status"] != "proposed"]:  # whose command is said there
        judgements = step.payload["judgements"]
        offered = [judgement["by_hand"] for judgement in judgements]
        if step.payload["status"] == "refused":
            offered.append(_result(step).get("kubectl"))
        capped = any(judgement["rule"] == "memory-cap" for judgement in judgements)
        stopgap = step.payload["tool"] == "increase_memory_limit" and (leak or capped)
        how = "By hand, to gain time and not as a cure" if stopgap else "By hand"
        for command in filter(None, offered):
            found.setdefault(command, f"{how}: {quote(command, whole=True)}{reference(step.id)}.")
    return list(found.values())[:LINES]


def judgement_lines(case: CaseFacts) -> list[str]:
    """What spoke against a change and what would allow it; that nothing did, where something was changed.

    The gates that kept a change out are said where no other step made one.
    """
    lines = []
    acted = case.state.get("action_taken") or case.state.get("action_recommended")
    for step in case.steps:
        if step.payload["status"] == "skipped" and step.payload["tool"] in REMEDIATIONS and not acted:
            closed = f"The gate of {quote(step.payload['step'])} is closed"
            lines.append(f"{closed}: {quote(step.payload['gate'])}{reference(step.id)}.")
        against = [entry for entry in step.payload["judgements"] if entry["verdict"] != "allow"]
        for entry in against:
            rule = f"{quote(entry['rule'])} says {quote(entry['verdict'])}: {quote(entry['reason'])}"
            lines.append(f"{rule}; it would take {quote(entry['allowed_by'])}{reference(step.id)}.")
        if not against and step.payload["status"] in {"done", "proposed"} and step.payload["tool"] in REMEDIATIONS:
            lines.append(f"Every guard allowed {quote(step.payload['step'])}{reference(step.id)}.")
    return list(dict.fromkeys(lines))[:LINES]
