"""The tabs of long texts: the analysis, the timeline with what is behind each event, the runbook."""

import json
import textwrap
from collections.abc import Iterator

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import Markdown, Static
from textual.widgets.option_list import Option

from sre_agent.asked import short_lines, traces_of
from sre_agent.sentences import last_state, moment, what_happened
from sre_agent.tui.answer import SKIPPED, STEP_MARKS
from sre_agent.tui.keys import Choice, Page
from sre_agent.tui.source import Document

PART = 6_000
"""Characters of an analysis that are laid out at once; what follows is laid out when the reader gets there."""
TYPE = 10
"""Cells of the longest event type but `webhook_received`, whose words are long enough for a line of their own."""
ONE_LINE = 42
MOST_JSON = 30_000
"""Characters of one event; `show --json` has the whole."""


class Analysis(Page):
    """The analysis as Markdown. Links are shown, never followed."""

    def compose(self) -> ComposeResult:
        yield Static(id="about-analysis", markup=False)
        yield Markdown(open_links=False)

    def on_mount(self) -> None:
        self._parts: list[str] = []
        self._shown: str | None = None
        self._laying_out = False

    async def show(self, document: Document) -> None:
        """Shows the newest from its beginning; one that is shown already stays where it is."""
        self.query_one("#about-analysis", Static).update(Content(_about(document)))
        markdown = document["analysis_markdown"]
        if markdown == self._shown:
            return
        self._shown = markdown
        first, *self._parts = list(_parts(markdown or "No analysis is written yet."))
        await self.query_one(Markdown).update(first)
        self.scroll_home(animate=False)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if self._parts and not self._laying_out and new_value > self.max_scroll_y - 2 * self.size.height:
            self._laying_out = True
            self.call_later(self._lay_out_more)

    async def _lay_out_more(self) -> None:
        if self._parts:
            await self.query_one(Markdown).append(self._parts.pop(0))
        self._laying_out = False


class Timeline(Horizontal):
    """The events in words, oldest first, with the numbers that an analysis cites.

    Beside them, where there is room, what is behind the selected one.
    """

    class EventWanted(Message):
        """Somebody wants to see all of an event."""

        def __init__(self, title: str, text: Content, json: str) -> None:
            super().__init__()
            self.title = title
            self.text = text
            self.json = json

    def compose(self) -> ComposeResult:
        yield Choice(id="events")
        with Page(id="behind", can_focus=False):
            yield Static(id="raw", markup=False)

    def on_mount(self) -> None:
        self._events: list[Document] = []

    def show(self, told: list[Document]) -> None:
        """Shows the events. They are only ever appended, so the cursor stays where it is."""
        choice = self.query_one("#events", Choice)
        known = len(self._events)
        if [event["hash"] for event in told[:known]] != [event["hash"] for event in self._events]:
            choice.clear_options()
            known = 0
        self._events = told
        choice.add_options([Option(_event(event), id=str(event["id"])) for event in told[known:]])
        if choice.highlighted is None and told:
            choice.highlighted = 0

    def on_option_list_option_highlighted(self, event: Choice.OptionHighlighted) -> None:
        event.stop()
        self._tell_behind()

    def on_resize(self, _: events.Resize) -> None:
        self._tell_behind()

    def on_option_list_option_selected(self, event: Choice.OptionSelected) -> None:
        event.stop()
        chosen = self._events[event.option_index]
        title = f"event {chosen['id']} {chosen['event_type']}"
        self.post_message(self.EventWanted(title, _behind(chosen), _json(chosen)))

    def _tell_behind(self) -> None:
        """What is seen is laid out, and nothing else."""
        index, behind = self.query_one("#events", Choice).highlighted, self.query_one("#behind")
        if index is not None and index < len(self._events) and behind.display:
            self.query_one("#raw", Static).update(_behind(self._events[index]))
            behind.scroll_home(animate=False)


class RunbookPage(Page):
    """What the runbook takes and does, how far the newest run walked it, and its prose."""

    def compose(self) -> ComposeResult:
        yield Static(id="walked", markup=False)
        yield Markdown(open_links=False)

    async def show(self, runbook: Document | None, document: Document, why: str = "") -> None:
        """`why` there is no runbook to show."""
        walked = {step["step"]: step for step in last_state(document).get("rb_steps", ())}
        self.query_one("#walked", Static).update(_walked(runbook, walked, why))
        await self.query_one(Markdown).update(textwrap.dedent(runbook["prose"]) if runbook else "")


def _about(document: Document) -> str:
    """When and by whom the newest analysis was written, and how many are kept."""
    written = [event for event in document["events"] if event["event_type"] == "analysis"]
    if not written:
        return "R writes one."
    newest = written[-1]["payload"]
    by_model = [title for title, by in (newest.get("sections") or {}).items() if by != "composed"]
    by = f"{newest.get('model')} and checked: {', '.join(by_model)}" if by_model else "code from facts"
    why = f" ({newest['why']})" if newest.get("why") else ""
    kept = f"; {len(written)} are kept" if len(written) > 1 else ""
    anew = "written again" if newest.get("regenerated") else "written"
    return f"event {written[-1]['id']}, {anew} {moment(written[-1]['ts'])} by {by}{why}{kept}"


def _parts(markdown: str) -> Iterator[str]:
    """Cut at empty lines outside of code, so that each part is Markdown of its own."""
    held: list[str] = []
    size, fenced = 0, False
    for line in markdown.splitlines(keepends=True):
        fenced ^= line.lstrip().startswith(("```", "~~~"))
        held.append(line)
        size += len(line)
        if (size >= PART and not line.strip() and not fenced) or size >= 4 * PART:
            yield "".join(held)
            held, size = [], 0
    yield "".join(held)


def _event(event: Document) -> Content:
    """One line where the words are few, else two or more."""
    said = what_happened(event)
    gap = "  " if len(said) <= ONE_LINE else "\n      "
    first = Content.assemble(
        Content.styled(f"{event['id']:>4}  {moment(event['ts'])[5:19]}", "$foreground-muted"),
        "  ",
        Content.styled(f"{event['event_type']:<{TYPE}}" if gap == "  " else event["event_type"], "bold"),
        f"{gap}{said}",
    )
    if not traces_of(event["payload"]):
        return first
    return Content("\n").join(
        [first, Content.styled("      a language model was asked: enter shows it", "$text-accent")]
    )


def _behind(event: Document) -> Content:
    """The event as JSON, below what a model was asked and answered, and below an analysis as it reads."""
    asked, written = traces_of(event["payload"]), event["payload"].get("analysis_markdown")
    lines = [Content.styled(line, "$text-accent") for trace in asked for line in short_lines(trace)]
    if written:
        lines.append(Content(str(written)[:MOST_JSON]))
    text = _json(event)
    if len(text) > MOST_JSON:
        left = len(text) - MOST_JSON
        text = f"{text[:MOST_JSON]}\n… {left} characters more: sre-agent show {event['incident_id']} --json"
    return Content("\n").join([*lines, *([Content("")] if lines else []), Content(text)])


def _json(event: Document) -> str:
    return json.dumps(event, indent=2, ensure_ascii=False)


def _walked(runbook: Document | None, walked: dict[str, Document], why: str) -> Content:
    if runbook is None:
        return Content(why)
    lines = [
        Content.assemble(Content.styled(runbook["id"], "bold"), f"  {runbook['title']}"),
        Content(f"for {', '.join(runbook['alerts'])}" if runbook["alerts"] else "for no alert by itself"),
        Content(""),
    ]
    for step in runbook["steps"]:
        took = walked.get(step["step"])
        mark, colour = STEP_MARKS.get(took["status"], SKIPPED) if took else ("·", "$foreground-muted")
        said = [step["step"], *([step["gate"]] if step["gate"] else [])]
        said += [name.replace("_", " ") for name in ("recommend_only", "approval_required") if step[name]]
        came = Content.styled(f"  {took['status']}" if took else "  not walked", colour)
        lines.append(Content.assemble(Content.styled(mark, colour), f" {', '.join(said)}", came))
    return Content("\n").join(lines)
