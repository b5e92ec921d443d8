"""The first tab: what happened, what was done or refused and why, whether it helped, what is next."""

from collections.abc import Iterable, Sequence

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Static

from sre_agent.sentences import (
    Document,
    answer,
    changes,
    commands,
    did_it_help,
    last_state,
    mark_of,
    moment,
    objections,
    what_next,
)
from sre_agent.tui.columns import MARK_COLOURS
from sre_agent.tui.keys import Page
from sre_agent.tui.past import seen_before

STEP_MARKS = {
    "done": ("✓", "$text-success"),
    "proposed": ("→", "$text-primary"),
    "refused": ("✗", "$text-warning"),
    "failed": ("!", "$text-error"),
    "unknown": ("?", "$text-error"),
}
SKIPPED = ("–", "$foreground-muted")
MOST_DIFF = 200
"""Lines of one change: a drain may evict hundreds of pods."""


class AnswerPage(Page):
    """Sections that are there when they have something to say; each keeps its place while the document changes."""

    SECTIONS = ("next", "helped", "before", "why not", "change", "command", "steps", "where", "runbook", "times")

    def compose(self) -> ComposeResult:
        yield Static(id="sentence", markup=False)
        for name in self.SECTIONS:
            with Horizontal(classes="section", id=_id(name)):
                yield Static(name, classes="label")
                yield Static(classes="said", markup=False)

    def show(self, document: Document) -> None:
        """Tells one incident."""
        mark, _, colour = mark_of(document["incident"])
        refused = "$text-warning" if objections(document) else "$foreground"
        style = refused if colour == "dim" else MARK_COLOURS[colour]
        self.query_one("#sentence", Static).update(Content.styled(f"{mark} {answer(document)}", f"bold {style}"))
        said = {
            "next": Content(what_next(document)),
            "helped": Content(did_it_help(document) or ""),
            "before": Content(seen_before(document)),
            "why not": _why_not(document),
            "change": _lines(_change(entry) for entry in changes(document)),
            "command": _commands(commands(document)),
            "steps": _lines(_step(step) for step in last_state(document).get("rb_steps", ())),
            "where": Content(_where(document["incident"])),
            "runbook": Content(_runbook(document["incident"])),
            "times": Content(_times(document["incident"])),
        }
        for name, content in said.items():
            section = self.query_one(f"#{_id(name)}")
            section.display = bool(content)
            section.query_one(".said", Static).update(content)


def _id(name: str) -> str:
    return f"section-{name.replace(' ', '-')}"


def _lines(contents: Iterable[Content]) -> Content:
    return Content("\n").join(list(contents))


def _why_not(document: Document) -> Content:
    """Which rule spoke against which steps, what it said, what would allow the change; what is the same stands once."""
    steps: dict[tuple[str, str, str, str | None], list[str]] = {}
    for step, judgement in objections(document):
        said = (judgement["rule"], judgement["reason"], judgement["allowed_by"], judgement["retry_at"])
        steps.setdefault(said, []).append(step["step"])
    return _lines(_objection(*said, steps=", ".join(named)) for said, named in steps.items())


def _objection(rule: str, reason: str, allowed_by: str, retry_at: str | None, *, steps: str) -> Content:
    said = [Content.assemble(Content.styled(rule, "bold $text-warning"), f" at {steps}: {reason}")]
    said.append(Content(f"  allowed by: {allowed_by}"))
    if retry_at:
        said.append(Content(f"  looked at again: {moment(retry_at)}"))
    return _lines(said)


def _change(change: Document) -> Content:
    """The exact change, before and after; told apart by sign, too."""
    said = [Content.styled(str(change.get("action", "")), "bold")]
    for entry in change["diff"][:MOST_DIFF]:
        said.append(Content(f"  {entry['path']}"))
        if entry["before"] is not None:
            said.append(Content.styled(f"  - {entry['before']}", "$text-error"))
        if entry["after"] is not None:
            said.append(Content.styled(f"  + {entry['after']}", "$text-success"))
    if len(change["diff"]) > MOST_DIFF:
        said.append(Content(f"  and {len(change['diff']) - MOST_DIFF} more"))
    said += [Content.styled(f"  ! {note}", "$text-warning") for note in change.get("notes") or ()]
    return _lines(said)


def _commands(said: Sequence[str]) -> Content:
    if not said:
        return Content("")
    told = [Content.styled(f"$ {command}", "$text-accent") for command in said]
    return _lines([*told, Content.styled("y copies " + ("it" if len(said) == 1 else "them"), "$foreground-muted")])


def _step(step: Document) -> Content:
    mark, colour = STEP_MARKS.get(step["status"], SKIPPED)
    why = step["gate"] if step["status"] == "skipped" else step["reason"]
    if any(judgement["reason"] == why for judgement in step["judgements"]):
        why = None  # it stands under "why not"
    seen = [str(entry) for key in ("reasons", "problems") for entry in (step["result"] or {}).get(key) or ()]
    first = Content.assemble(
        Content.styled(mark, colour), f" {step['step']} {step['status']}" + (f": {why}" if why else "")
    )
    return _lines([first, *(Content.styled(f"  {entry}", "$foreground-muted") for entry in seen)])


def _where(incident: Document) -> str:
    names = ("cluster", "namespace", "pod", "container", "workload", "node")
    return " · ".join(f"{name} {incident[name]}" for name in names if incident[name])


def _runbook(incident: Document) -> str:
    return f"{incident['runbook_id'] or 'none'}, mode {incident['agent_mode']}"


def _times(incident: Document) -> str:
    named = (
        ("alert since", "starts_at"),
        ("opened", "created_at"),
        ("updated", "updated_at"),
        ("resolved", "resolved_at"),
    )
    said = [f"{label} {moment(incident[key])}" for label, key in named if incident[key]]
    if incident["suppressed_count"]:
        said.append(f"repeated {incident['suppressed_count']} times while a run was active")
    return "\n".join(said)
