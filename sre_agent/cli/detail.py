"""One incident told to a person, in 80 columns, from the document that `show --json` prints."""

import json
import re
import textwrap
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from sre_agent.cli.story import line, tell_step, wrapped
from sre_agent.redaction import redact_text
from sre_agent.run import Judgement, StepRecord, StepStatus, Verdict

PAST_SHOWN = 10
MARKS = (
    ("action_taken", "✓", "green"),
    ("action_recommended", "→", "blue"),
    ("action_error", "✗", "red"),
)
_CHANGE = frozenset({"action", "diff", "kubectl", "notes"})
"""What a step's result says about its change, which is shown by itself."""
_SHORT = 300

Document = Mapping[str, Any]


def tell_detail(out: Console, document: Document, *, timeline: bool) -> None:
    """Prints one incident: the answer, its steps, the change, the past, the newest analysis, perhaps the timeline."""
    incident = document["incident"]
    name = redact_text(incident["alertname"] or "alert without a name")
    out.rule(Text(f" incident {incident['id']} · {name} ", "bold"), characters="─")
    wrapped(out, answer(document), first="", rest="", style="bold")
    out.print()
    _tell_facts(out, incident)
    steps = [step_from_json(step) for step in _last_state(document).get("rb_steps", ())]
    for step in steps:
        tell_step(out, _without_change(step))
    for step in steps:
        _tell_change(out, step)
    _tell_past(out, document["past_incidents"])
    _tell_analysis(out, document["analysis_markdown"])
    if timeline:
        _tell_timeline(out, document["events"])
    elif document["analysis_markdown"] is None or not steps:
        out.print(Text(f"timeline: sre-agent show {incident['id']} --events", "dim"))


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
    if not _last_state(document):
        return f"No run has ended yet. {state}"
    refused = [step for step in _last_state(document).get("rb_steps", ()) if step["status"] == "refused"]
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


def _last_state(document: Document) -> dict[str, Any]:
    """What the newest run came to; empty before one has ended, and where its event was tampered with."""
    finals = [event["payload"] for event in document["events"] if event["event_type"] == "final"]
    state: dict[str, Any] = finals[-1].get("state", {}) if finals else {}
    return state


def _tell_facts(out: Console, incident: Document) -> None:
    names = ("namespace", "pod", "container", "workload", "node")
    line(out, "where", " · ".join(f"{name} {incident[name]}" for name in names if incident[name]) or "no object named")
    line(out, "runbook", f"{incident['runbook_id'] or 'none'}, mode {incident['agent_mode']}")
    line(out, "severity", incident["severity"] or "none")
    for label, key in (("alert since", "starts_at"), ("opened", "created_at"), ("updated", "updated_at")):
        if incident[key] is not None:
            line(out, label, moment(incident[key]))
    if incident["resolved_at"] is not None:
        line(out, "resolved", moment(incident["resolved_at"]))
    if incident["suppressed_count"]:
        line(out, "repeats", f"{incident['suppressed_count']} while a run was active")


def _without_change(step: StepRecord) -> StepRecord:
    if step.status is StepStatus.REFUSED or "diff" not in (step.result or {}):
        return step
    kept = {key: value for key, value in (step.result or {}).items() if key not in _CHANGE}
    return StepRecord(
        step=step.step,
        tool=step.tool,
        status=step.status,
        reason=step.reason,
        gate=step.gate,
        arguments=step.arguments,
        result=kept,
        judgements=step.judgements,
    )


def _tell_change(out: Console, step: StepRecord) -> None:
    """The exact change, before and after, and the command that a person would type."""
    result = step.result or {}
    if "diff" not in result:
        return
    line(out, "change", str(result.get("action")), style="bold")
    for entry in result["diff"]:
        wrapped(out, entry["path"], first="  ", rest="    ")
        if entry["before"] is not None:
            wrapped(out, entry["before"], first="    - ", rest="      ", style="red")
        if entry["after"] is not None:
            wrapped(out, entry["after"], first="    + ", rest="      ", style="green")
    for note in result.get("notes") or ():
        wrapped(out, note, first="  ! ", rest="    ")
    if result.get("kubectl"):
        wrapped(out, result["kubectl"], first="  $ ", rest="    ", style="dim")


def _tell_past(out: Console, past: Sequence[Document]) -> None:
    """The newest similar incidents, one line each, and how many more there are."""
    if not past:
        line(out, "past", "no similar incident is stored")
        return
    line(out, "past", f"{len(past)} similar, newest first (at most 50 are read)")
    for entry in past[:PAST_SHOWN]:
        done = [(f"{mark} {entry[key]}", style) for key, mark, style in MARKS if entry[key]]
        said, style = done[0] if done else ("– nothing done", "dim")
        place = "/".join(part for part in (entry["namespace"], entry["pod"] or entry["workload"]) if part)
        about = (
            f"{moment(entry['created_at'])[:10]}  {entry['id']}  {entry['alertname']} {place or entry['node'] or ''}"
        )
        wrapped(out, about.rstrip(), first="  ", rest="    ", style="dim")
        wrapped(out, said, first="    ", rest="      ", style=style)
    if len(past) > PAST_SHOWN:
        wrapped(out, f"and {len(past) - PAST_SHOWN} more: --json has them", first="  ", rest="  ", style="dim")


def _tell_analysis(out: Console, markdown: str | None) -> None:
    out.print()
    if markdown is None:
        line(out, "analysis", "none is written")
        return
    tell_markdown(out, markdown)


def tell_markdown(out: Console, markdown: str) -> None:
    """Markdown as plain text: headings bold, lists with their indent, words wrapped, emphasis left out."""
    for text in markdown.splitlines():
        if heading := re.fullmatch(r"#{1,6}\s+(.*)", text):
            wrapped(out, _plain(heading[1]), first="", rest="", style="bold")
            continue
        marker = re.match(r"\s*(?:(?:[-*+]|\d{1,3}[.)])\s+)?", text)
        first = marker[0] if marker else ""
        if words := text[len(first) :]:
            wrapped(out, _plain(words), first=re.sub(r"[-*+]", "•", first), rest=" " * len(first))
        else:
            out.print()


def _plain(words: str) -> str:
    return re.sub(r"\*\*(.+?)\*\*|__(.+?)__|`([^`]+)`", lambda found: found[1] or found[2] or found[3], words)


def _tell_timeline(out: Console, events: Sequence[Document]) -> None:
    out.print()
    out.rule(Text(" timeline ", "bold"), characters="─")
    for event in events:
        wrapped(out, f"[event {event['id']}] {moment(event['ts'])} {event['event_type']}", first="", rest="  ")
        if said := what_happened(event):
            wrapped(out, said, first="    ", rest="    ", style="dim")


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
