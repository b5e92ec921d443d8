"""A run told to a person, in 80 columns: alert, runbook and why, each step, the action, the exact change."""

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from sre_agent.analysis.sections import headline
from sre_agent.asked import Trace, asked_sentence, totals_of
from sre_agent.redaction import redact_text
from sre_agent.run import CONCLUDE, Change, Judgement, RunRecord, Skipped, StepRecord, StepStatus, Verdict
from sre_agent.target import Target

LABEL = 13
MARKS = {
    StepStatus.DONE: ("✓", "green"),
    StepStatus.PROPOSED: ("→", "blue"),
    StepStatus.REFUSED: ("✗", "yellow"),
    StepStatus.FAILED: ("!", "red"),
    StepStatus.UNKNOWN: ("?", "red"),
    StepStatus.SKIPPED: ("–", "dim"),
    StepStatus.PLANNED: ("·", "dim"),
}


def tell(out: Console, run: RunRecord) -> None:
    """Prints one run."""
    _title(out, f"{run.alert.name or 'alert without a name'} · {run.mode.value}")
    line(out, "alert", _alert(run))
    line(out, "runbook", f"{run.runbook_id}: {run.route_reason}")
    line(out, "target", _target(run.target))
    for step in run.steps:
        tell_step(out, step)
    tell_asked(out, run.llm_trace)
    _tell_action(out, run)
    for note in run.notes:
        line(out, "note", note)
    if run.retry_at is not None:
        line(out, "again", f"{run.retry_at:%Y-%m-%d %H:%M:%S} UTC, if the symptom is still there")
    _tell_analysis(out, run.analysis_markdown)
    stored = f"incident {run.incident_id}" if run.incident_id is not None else "not stored"
    line(out, "ended", f"{run.status.value} · {stored}")
    out.print()


def tell_skipped(out: Console, skipped: Skipped) -> None:
    """Prints one alert that has no run."""
    where = f" at {skipped.path}" if skipped.path else ""
    _title(out, f"{skipped.alertname or 'alert'}{where} · no run")
    line(out, "because", skipped.reason)
    out.print()


def _tell_analysis(out: Console, markdown: str | None) -> None:
    """What the summary and the history begin with, without the marks of Markdown; the rest is one command away."""
    if markdown is not None:
        for label, paragraph in zip(("summary", "history"), headline(markdown), strict=True):
            line(out, label, _MARKS_OF_MARKDOWN.sub("", paragraph))


_MARKS_OF_MARKDOWN = re.compile(r" \[event \d+\]|`")


def _alert(run: RunRecord) -> str:
    labels = run.alert.labels
    words = [
        f"{key} {labels[key]}"
        for key in (
            "namespace",
            "deployment",
            "statefulset",
            "daemonset",
            "job_name",
            "pod",
            "container",
            "node",
        )
        if labels.get(key)
    ]
    began = f"since {run.alert.starts_at:%Y-%m-%d %H:%M} UTC" if run.alert.starts_at else ""
    return " · ".join(part for part in (labels.get("severity", ""), ", ".join(words), began) if part) or "no labels"


def _target(target: Target | None) -> str:
    if target is None:
        return "none bound"
    if target.namespace is None:
        return f"{target.kind} {target.name}"
    parts = [f"{target.kind} {target.namespace}/{target.name}"]
    if target.container:
        parts.append(f"container {target.container}")
    if target.pod and target.pod != target.name:
        parts.append(f"pod {target.pod}")
    return ", ".join(parts)


def tell_step(out: Console, step: StepRecord) -> None:
    """Prints one step: what it came to, what it saw, and what each rule said about its change."""
    mark, style = MARKS[step.status]
    against = [entry for entry in step.judgements if entry.verdict is not Verdict.ALLOW]
    gated = step.status in {StepStatus.SKIPPED, StepStatus.PLANNED}
    why = (step.gate or step.reason) if gated else step.reason
    text = f"{step.step} {step.status.value}" + (f": {why}" if why and not against else "")
    wrapped(out, text, first=f"  {mark} ", rest="    ", style=style)
    if step.status is StepStatus.DONE and not step.change:
        for line in _seen(step):
            wrapped(out, line, first="      ", rest="      ", style="dim")
    for pod in (step.result or {}).get("left", ()):
        wrapped(out, f"stays: {pod['pod']}, {pod['reason']}", first="      ", rest="        ", style="dim")
    for judgement in step.judgements:
        _tell_judgement(out, judgement)
    if step.status is StepStatus.REFUSED and (by_hand := (step.result or {}).get("kubectl")):
        wrapped(out, f"by hand: {by_hand}", first="      ", rest="        ", style="dim")
    if step.llm is not None:
        wrapped(out, asked_sentence(step.llm), first="      ", rest="        ", style="dim")


def tell_asked(out: Console, traces: Sequence[Trace]) -> None:
    """What the run asked a model in all; nothing where it asked none."""
    if traces:
        line(out, "LLM", str(totals_of(traces)))


def _tell_judgement(out: Console, judgement: Judgement) -> None:
    """Which rule spoke, what it said, what would allow the change, and what to type meanwhile."""
    wrapped(out, f"{judgement.rule}: {judgement.reason}", first="      ", rest="        ")
    if judgement.verdict is not Verdict.ALLOW:
        wrapped(out, f"allowed by: {judgement.allowed_by}", first="        ", rest="          ", style="dim")
    if judgement.by_hand:
        wrapped(out, f"by hand: {judgement.by_hand}", first="        ", rest="          ", style="dim")


def _seen(step: StepRecord) -> Iterator[str]:
    """What a diagnostic answered: its plain values on one line, its reasons below."""
    result = step.result or {}
    if step.tool == CONCLUDE:
        yield from _concluded(result)
        return
    plain = [f"{key} {_word(value)}" for key, value in result.items() if isinstance(value, bool | str | int)]
    if plain:
        yield ", ".join(plain)
    for key in ("reasons", "problems"):
        yield from (str(entry) for entry in result.get(key) or ())


def _concluded(result: Mapping[str, Any]) -> Iterator[str]:
    """What a model found by itself, and on which step it rests."""
    for finding in result.get("findings") or ():
        yield f"the model notes: {finding['statement']} ({finding['step']})"
    if result.get("hypothesis"):
        yield f"the model supposes: {result['hypothesis']}"
    elif not result.get("findings"):
        yield "the model notes nothing that can be proven"


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return textwrap.shorten(str(value), 60, placeholder="…")


def _tell_action(out: Console, run: RunRecord) -> None:
    if run.action_taken:
        line(out, "done", run.action_taken, style="bold green")
    if run.action_recommended:
        line(out, "recommended", run.action_recommended, style="bold blue")
    if run.action_error:
        line(out, "error", run.action_error, style="bold red")
    if run.incident_id is not None and not (run.action_taken or run.action_recommended or run.action_error):
        line(out, "action", "none")
    for step in run.steps:
        if step.change is not None and step.status in {StepStatus.DONE, StepStatus.PROPOSED}:
            _tell_change(out, step.change)


def _tell_change(out: Console, change: Change) -> None:
    """The exact change, before and after, and the command that a person would type."""
    where = f"{change.target.namespace}/" if change.target.namespace else ""
    for line in change.diff:
        wrapped(out, f"{change.target.kind} {where}{change.target.name} {line.path}", first="  ", rest="    ")
        if line.before is not None:
            wrapped(out, line.before, first="    - ", rest="      ", style="red")
        if line.after is not None:
            wrapped(out, line.after, first="    + ", rest="      ", style="green")
    for note in change.notes:
        wrapped(out, note, first="  ! ", rest="    ")
    wrapped(out, change.kubectl, first="  $ ", rest="    ", style="dim")


def _title(out: Console, text: str) -> None:
    out.rule(Text(f" {redact_text(text)} ", "bold"), characters="─")


def line(out: Console, label: str, text: str, *, style: str = "") -> None:
    wrapped(out, text, first=f"{label:<{LABEL}}", rest=" " * LABEL, style=style)


def wrapped(out: Console, text: str, *, first: str, rest: str, style: str = "") -> None:
    """The way out of everything below a title: wrapped at words, without secrets and control characters."""
    for index, line in enumerate(_lines(out, redact_text(text), out.width - len(rest))):
        out.print(Text(rest if index else first).append(line, style))


def _lines(out: Console, text: str, columns: int) -> list[str]:
    """The text in lines of so many columns; where characters take two columns or none, rich knows which."""
    if cell_len(text) == len(text):
        return textwrap.wrap(text, columns, break_on_hyphens=False) or [""]
    return [line.plain.strip() for line in Text(" ".join(text.split())).wrap(out, columns)]
