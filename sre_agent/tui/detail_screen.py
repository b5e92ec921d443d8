"""One incident: the answer first, then the analysis, the past, the timeline, the runbook; and what a person may do."""

from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Footer, Markdown, Static, TabbedContent, TabPane, Tabs
from textual.worker import Worker

from sre_agent.errors import SreAgentError, Unreachable
from sre_agent.sentences import commands
from sre_agent.tui.answer import AnswerPage
from sre_agent.tui.bars import AwayBar, StatusBar
from sre_agent.tui.columns import SEVERITY_COLOURS
from sre_agent.tui.dialogs import Confirm, Reading, copy
from sre_agent.tui.incident_screen import IncidentScreen
from sre_agent.tui.listing import one_line, where
from sre_agent.tui.messages import Done, Failed
from sre_agent.tui.panes import Analysis, RunbookPage, Timeline
from sre_agent.tui.past import Past
from sre_agent.tui.source import Document, Source

TABS = ("answer", "analysis", "past", "timeline", "runbook")
PAGES: tuple[type[Widget], ...] = (AnswerPage, Analysis, Past, Timeline, RunbookPage)

ACTING = "act"
"""The group of workers that do what a person asked for."""

Decide = Callable[[int, str | None], Awaitable[Document]]


class DetailScreen(IncidentScreen):
    """Reads one incident, and again whenever it changed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(number), f"tab('{name}')", name.title(), show=False)
            for number, name in enumerate(TABS, start=1)
        ),
        Binding("right", "next_tab(1)", "Next tab", show=False),
        Binding("left", "next_tab(-1)", "Tab before", show=False),
        Binding("y", "copy", "Copy"),
        Binding("R", "regenerate", "Regenerate"),
        Binding("S", "suppress", "Suppress"),
        Binding("X", "resolve", "Resolve"),
        Binding("question_mark", "app.help", "Help"),
        Binding("q,escape", "back", "Back"),
    ]

    class DetailRead(Message):
        """The incident's document."""

        def __init__(self, document: Document) -> None:
            super().__init__()
            self.document = document

    class RunbookRead(Message):
        """The runbook, or why there is none."""

        def __init__(self, runbook: Document | None, why: str = "") -> None:
            super().__init__()
            self.runbook = runbook
            self.why = why

    def __init__(self, source: Source, incident_id: int) -> None:
        super().__init__()
        self._source = source
        self._incident_id = incident_id
        self._document: Document | None = None
        self._runbook: DetailScreen.RunbookRead | None = None
        self._stale: set[str] = set()
        self._acting: Worker[None] | None = None
        self._reason = ""

    def compose(self) -> ComposeResult:
        yield StatusBar()
        yield AwayBar(markup=False)
        yield Static(f"{self._incident_id} …", id="title", markup=False)
        with TabbedContent():
            for (number, name), page in zip(enumerate(TABS, start=1), PAGES, strict=True):
                with TabPane(f"{number} {name.title()}", id=name):
                    yield page()
        yield Footer()

    def on_mount(self) -> None:
        self.query_one(Tabs).can_focus = False  # keys are for the page; the mouse reaches the tabs all the same
        self.query_one(AnswerPage).focus()
        self._read()

    def changed(self, changes: list[Document] | None) -> None:
        """Reads the incident again where it is among what changed."""
        if changes is None or any(change["id"] == self._incident_id for change in changes):
            self._read()

    def on_failed(self, event: Failed) -> None:
        """Where there is nothing to show, why stands in its place; everything else the app says."""
        if self._document is None and not isinstance(event.error, Unreachable):
            event.stop()
            self.query_one("#title", Static).update(Content.styled(f"{self._incident_id} {event.error}", "$text-error"))

    async def on_detail_screen_detail_read(self, event: DetailRead) -> None:
        first, self._document = self._document is None, event.document
        self._stale = set(TABS)
        self._tell_title()
        await self._show_active()
        if first and event.document["incident"]["runbook_id"]:
            self._read_runbook(event.document["incident"]["runbook_id"])

    async def on_detail_screen_runbook_read(self, event: RunbookRead) -> None:
        self._runbook = event
        self._stale.add("runbook")
        await self._show_active()

    async def on_tabbed_content_tab_activated(self) -> None:
        await self._show_active()
        self._page().focus()

    def on_done(self, event: Done) -> None:
        """Something else may be begun; the app says what came of it."""
        self._acting = None
        self._tell_title()
        if event.error is None:
            self._reason = ""
            self._read()

    def on_timeline_event_wanted(self, event: Timeline.EventWanted) -> None:
        self.app.push_screen(Reading(event.title, event.text, copied=event.json))

    def on_markdown_link_clicked(self, event: Markdown.LinkClicked) -> None:
        """Where a link leads is said; it is never followed by itself."""
        event.stop()
        copy(self, event.href, event.href)

    def action_tab(self, name: str) -> None:
        self.query_one(TabbedContent).active = name

    def action_next_tab(self, steps: int) -> None:
        tabs = self.query_one(TabbedContent)
        tabs.active = TABS[(TABS.index(tabs.active) + steps) % len(TABS)]

    def action_back(self) -> None:
        self.dismiss()

    def action_copy(self) -> None:
        said = commands(self._document) if self._document else []
        if not said:
            self.notify("there is no command to copy", severity="warning")
            return
        copy(self, "\n".join(said), said[0] + (f" and {len(said) - 1} more" if len(said) > 1 else ""))

    def action_regenerate(self) -> None:
        self._begin(self._regenerate)

    def action_suppress(self) -> None:
        meaning = "Mutes it: no run starts until it is resolved."
        self._ask("Suppress", meaning, "suppressed", self._source.suppress)

    def action_resolve(self) -> None:
        meaning = "Ends it. The firing that is under way does not open it again; a later one opens a new incident."
        self._ask("Resolve", meaning, "resolved", self._source.resolve)

    def _ask(self, verb: str, meaning: str, done: str, decide: Decide) -> None:
        """Asks, where there is something to decide, and does what is confirmed."""
        if self._document is None:
            return
        incident = self._document["incident"]
        if incident["status"] in {done, "resolved"}:
            self.notify(f"Incident {self._incident_id} is {incident['status']} already.", severity="warning")
            return

        def decided(reason: str | None) -> None:
            if reason is not None:
                self._reason = reason
                self._begin(partial(self._decide, done, decide, reason))

        about = f"{_name(incident)}  {one_line(where(incident))}"
        title = f"{verb} incident {self._incident_id}?"
        self.app.push_screen(Confirm(title, about, meaning, reason=self._reason), decided)

    @property
    def _busy(self) -> bool:
        return self._acting is not None and not self._acting.is_finished

    def _begin(self, act: Callable[[], Coroutine[None, None, None]]) -> None:
        """Begins it as the app's work, which goes on where the reader leaves; one thing at a time."""
        if self._busy:
            self.notify("what you asked for before is still under way", severity="warning")
            return
        self._acting = self.app.run_worker(act, name="what you asked for", group=ACTING, exit_on_error=False)
        self._tell_title()

    def _tell(self, done: Done) -> None:
        """Tells this screen, which the app hears too; the app alone where the reader has left."""
        (self if self.is_attached else self.app).post_message(done)

    @work(exclusive=True, group="detail", exit_on_error=False)
    async def _read(self) -> None:
        try:
            self.post_message(self.DetailRead(await self._source.detail(self._incident_id)))
        except SreAgentError as error:
            self.post_message(Failed(error))

    @work(exclusive=True, group="runbook", exit_on_error=False)
    async def _read_runbook(self, runbook_id: str) -> None:
        try:
            self.post_message(self.RunbookRead(await self._source.runbook(runbook_id)))
        except SreAgentError as error:
            self.post_message(self.RunbookRead(None, str(error)))

    async def _regenerate(self) -> None:
        try:
            await self._source.regenerate(self._incident_id)
        except SreAgentError as error:
            self._tell(Done(f"The analysis of incident {self._incident_id} is not written anew, the old stays", error))
        else:
            self._tell(Done(f"The analysis of incident {self._incident_id} is written anew; the old ones are kept."))

    async def _decide(self, done: str, decide: Decide, reason: str) -> None:
        try:
            decision = await decide(self._incident_id, reason or None)
        except SreAgentError as error:
            self._tell(Done(f"Incident {self._incident_id} is not {done}", error))
        else:
            is_or_was = "is" if decision["changed"] else "was already"
            self._tell(Done(f"Incident {self._incident_id} {is_or_was} {done}."))

    async def _show_active(self) -> None:
        """Lays out the tab that is seen, where its document changed since it was seen last."""
        name, document = self.query_one(TabbedContent).active, self._document
        if document is None or name not in self._stale:
            return
        self._stale.discard(name)
        match self.query_one(f"#{name}").children[0]:
            case AnswerPage() as page:
                page.show(document)
            case Analysis() as page:
                await page.show(document)
            case Past() as page:
                page.show(document)
            case Timeline() as page:
                page.show(document["events"])
            case RunbookPage() as page:
                read = self._runbook or self.RunbookRead(None, _no_runbook(document))
                await page.show(read.runbook, document, read.why)

    def _page(self) -> Widget:
        """What is in the tab that is seen."""
        page = self.query_one(f"#{self.query_one(TabbedContent).active}").children[0]
        return page.query_one("#events") if isinstance(page, Timeline) else page

    def _tell_title(self) -> None:
        if self._document is None:
            return
        incident = self._document["incident"]
        severity = incident["severity"] or "no severity"
        said = Content.assemble(
            Content.styled(f"{incident['id']} {_name(incident)}", "bold"),
            f"  {incident['status']} · ",
            Content.styled(severity, SEVERITY_COLOURS.get(severity, "")),
            " · replay" if incident["origin"] == "replay" else "",
            f"  {one_line(where(incident))}",
            Content.styled("  … working", "bold $text-accent") if self._busy else "",
        )
        self.query_one("#title", Static).update(said)


def _name(incident: Document) -> str:
    return one_line(incident["alertname"] or "alert without a name")


def _no_runbook(document: Document) -> str:
    return "The runbook is being read …" if document["incident"]["runbook_id"] else "No runbook was chosen."
