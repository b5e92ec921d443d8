"""One incident told to a person, in 80 columns, from the document that `show --json` prints."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from rich.console import Console
from rich.text import Text

from sre_agent.asked import Trace, asked_sentence, exchange_lines, traces_of
from sre_agent.cli.story import line, tell_asked, tell_step, wrapped
from sre_agent.redaction import redact_text
from sre_agent.run import StepRecord, StepStatus
from sre_agent.sentences import MARKS, Document, answer, last_state, moment, step_from_json, what_happened

PAST_SHOWN = 10
_CHANGE = frozenset({"action", "diff", "kubectl", "notes"})
"""What a step's result says about its change, which is shown by itself."""


def tell_detail(out: Console, document: Document, *, timeline: bool, llm: bool = False) -> None:
    """Prints one incident: the answer, its steps, the change, the past, the newest analysis, perhaps more.

    `timeline`: every event; `llm`: what a model was asked at each step and for the analyses, word for word.
    """
    incident = document["incident"]
    name = redact_text(incident["alertname"] or "alert without a name")
    out.rule(Text(f" incident {incident['id']} · {name} ", "bold"), characters="─")
    wrapped(out, answer(document), first="", rest="", style="bold")
    out.print()
    _tell_facts(out, incident)
    traces = _traces(document)
    by_step = {trace.get("step"): trace for trace in traces}
    told = [step_from_json(step) for step in last_state(document).get("rb_steps", ())]
    steps = [replace(step, llm=by_step.get(step.step)) for step in told]
    for step in steps:
        tell_step(out, _without_change(step))
    tell_asked(out, traces)
    for step in steps:
        _tell_change(out, step)
    _tell_past(out, document["past_incidents"])
    _tell_analysis(out, document["analysis_markdown"])
    if llm:
        _tell_exchanges(out, [*traces, *_traces_of_analyses(document)])
    if timeline:
        _tell_timeline(out, document["events"])
    elif document["analysis_markdown"] is None or not steps:
        out.print(Text(f"timeline: sre-agent show {incident['id']} --events", "dim"))


def _traces(document: Document) -> list[Trace]:
    """What a model was asked in the newest run: from its end, else from the steps that are stored so far."""
    ended = last_state(document)
    steps = [event["payload"] for event in document["events"] if event["event_type"] == "step"]
    found = ended.get("llm_trace", ()) if ended else [step.get("llm") for step in steps]
    return [trace for trace in found if isinstance(trace, dict)]


def _traces_of_analyses(document: Document) -> Iterator[Trace]:
    """What a model was asked for the analyses of the newest run that ended: those behind its end."""
    events = document["events"]
    ends = [place for place, event in enumerate(events) if event["event_type"] == "final"]
    for event in events[ends[-1] :] if ends else events:
        if event["event_type"] == "analysis":
            yield from traces_of(event["payload"])


def _tell_exchanges(out: Console, traces: Sequence[Trace]) -> None:
    """Each question and answer. What came from outside is wrapped like everything else."""
    out.print()
    out.rule(Text(" what a model was asked ", "bold"), characters="─")
    if not traces:
        out.print(Text("no model was asked", "dim"))
    for trace in traces:
        asked_for = f"step {trace.get('step')}" if trace.get("tool") else str(trace.get("step"))
        wrapped(out, f"{asked_for}: {asked_sentence(trace)}", first="", rest="  ", style="bold")
        for depth, text in exchange_lines(trace):
            indent = "  " * (depth + 1)
            wrapped(out, text, first=indent, rest=indent, style="dim" if depth > 1 else "")


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
    return replace(step, result=kept)


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
        for trace in traces_of(event["payload"]):
            wrapped(out, asked_sentence(trace), first="    ", rest="    ", style="dim")
