"""The first screen: the list, its filters, and what the selected incident came to."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import ClassVar, TypeVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Footer, Input, Static

from sre_agent.errors import BadInput, SreAgentError
from sre_agent.incident import IncidentStatus, Origin
from sre_agent.store.book import LONGEST_TEXT, IncidentFilters
from sre_agent.tui.bars import AwayBar, StatusBar
from sre_agent.tui.columns import MARK_COLOURS
from sre_agent.tui.incident_screen import IncidentScreen
from sre_agent.tui.listing import Listing, Row
from sre_agent.tui.messages import Failed
from sre_agent.tui.source import Document, Source
from sre_agent.tui.table import IncidentTable

TYPING_SECONDS = 0.12
"""After so long without a key the search is asked."""

STATUSES = (None, *IncidentStatus)
SEVERITIES = (None, "critical", "warning", "info")
ORIGINS = (Origin.LIVE, Origin.REPLAY)

EMPTY = {
    IncidentFilters(origin=Origin.LIVE): (
        "No live incident is stored yet.\n\n"
        "Let Alertmanager post to  /alertmanager  of `sre-agent serve`,\n"
        "or play a recorded alert:  sre-agent replay examples/oom-killed\n\n"
        "o shows replays."
    ),
    IncidentFilters(origin=Origin.REPLAY): (
        "No replay is stored yet.\n\nPlay one:  sre-agent replay examples/oom-killed\n\no shows live incidents."
    ),
}
"""What stands where nothing is narrowed and nothing is there."""
NONE_FITS = "No incident fits.\n\nesc clears search and filters."


Value = TypeVar("Value")


class ListScreen(IncidentScreen):
    """Reads a page at a time, and what changed on top of it."""

    AUTO_FOCUS = "IncidentTable"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "Search"),
        Binding("s", "cycle('status')", "Status"),
        Binding("v", "cycle('severity')", "Severity"),
        Binding("o", "cycle('origin')", "Replays"),
        Binding("escape", "clear", "Clear", show=False),
        Binding("question_mark", "app.help", "Help"),
        Binding("q", "app.quit", "Quit"),
    ]

    class NewestRead(Message):
        """The top of the list. `filters` are those that it was read by; `changes` None: it replaces what is held."""

        def __init__(self, pages: list[Document], filters: IncidentFilters, changes: Sequence[Document] | None) -> None:
            super().__init__()
            self.pages = pages
            self.filters = filters
            self.changes = changes

    class MoreRead(Message):
        """The page behind a cursor."""

        def __init__(self, page: Document, filters: IncidentFilters, cursor: str) -> None:
            super().__init__()
            self.page = page
            self.filters = filters
            self.cursor = cursor

    def __init__(self, source: Source, clock: Callable[[], datetime]) -> None:
        super().__init__()
        self._source = source
        self._filters = IncidentFilters(origin=Origin.LIVE)
        self._listing = Listing()
        self._shown_by: IncidentFilters | None = None
        self._reading_more: str | None = None
        self._typing: Timer | None = None
        self._clock = clock

    def compose(self) -> ComposeResult:
        yield StatusBar()
        yield AwayBar(markup=False)
        with Horizontal(id="asked"):
            yield Static(id="filters")
            yield Input(placeholder="/ search", max_length=LONGEST_TEXT, id="search", compact=True)
        yield IncidentTable(self._clock)
        yield Static(id="empty", markup=False)
        yield Static(id="peek", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        self.query_one("#empty").display = False
        self.query_one(IncidentTable).focus()
        self._tell_filters()
        self._read_newest(None)

    def changed(self, changes: list[Document] | None) -> None:
        """Reads what changed."""
        self._read_newest(changes if self._shown_by == self._filters else None)

    def on_list_screen_newest_read(self, event: NewestRead) -> None:
        if event.filters != self._filters:
            return
        from_the_top = self._shown_by != event.filters
        self._shown_by = event.filters
        if event.changes is None:
            self._listing = Listing.of(event.pages[0])
            for page in event.pages[1:]:
                self._listing = self._listing.with_more(page)
        else:
            self._listing = self._listing.with_newest(event.pages[0], event.changes)
        self._show(from_the_top=from_the_top)

    def on_list_screen_more_read(self, event: MoreRead) -> None:
        self._reading_more = None
        if event.filters == self._shown_by and event.cursor == self._listing.next_cursor:
            self._listing = self._listing.with_more(event.page)
            self._show(from_the_top=False)

    def on_incident_table_near_end(self) -> None:
        cursor = self._listing.next_cursor
        if cursor is not None and self._reading_more != cursor and self._shown_by == self._filters:
            self._reading_more = cursor
            self._read_more(cursor)

    def on_incident_table_highlighted(self, event: IncidentTable.Highlighted) -> None:
        self.query_one("#peek", Static).update(_peek(event.row), layout=False)

    def on_input_changed(self, event: Input.Changed) -> None:
        if self._typing is not None:
            self._typing.stop()
        self._typing = self.set_timer(TYPING_SECONDS, lambda: self._search(event.value.strip()))

    def on_input_submitted(self) -> None:
        self.query_one(IncidentTable).focus()

    def action_search(self) -> None:
        self.query_one("#search", Input).focus()

    def action_clear(self) -> None:
        """Leaves the search; in the list, takes back search and filters."""
        if self.query_one("#search").has_focus:
            self.query_one(IncidentTable).focus()
            return
        self.query_one("#search", Input).value = ""
        self._ask(IncidentFilters(origin=self._filters.origin))

    def action_cycle(self, name: str) -> None:
        """The next value of a filter."""
        match name:
            case "status":
                self._ask(replace(self._filters, status=_after(STATUSES, self._filters.status)))
            case "severity":
                self._ask(replace(self._filters, severity=_after(SEVERITIES, self._filters.severity)))
            case _:
                self._ask(replace(self._filters, origin=_after(ORIGINS, self._filters.origin)))

    def _search(self, text: str) -> None:
        """Asks for what stands in the field; for nothing where that cannot be searched for, which is said."""
        try:
            filters = replace(self._filters, text=text or None)
        except BadInput as error:
            self.post_message(Failed(error))
            filters = replace(self._filters, text=None)
        self._ask(filters)

    def _ask(self, filters: IncidentFilters) -> None:
        if filters != self._filters:
            self._filters = filters
            self._tell_filters()
            self._read_newest(None)

    @work(exclusive=True, group="newest", exit_on_error=False)
    async def _read_newest(self, changes: list[Document] | None) -> None:
        """The newest page; where nobody knows what changed, as many pages as the reader has gone through."""
        filters, pages = self._filters, list[Document]()
        least = self.query_one(IncidentTable).cursor if filters == self._shown_by and changes is None else 0
        try:
            pages.append(await self._source.page(filters, None))
            while sum(len(page["incidents"]) for page in pages) <= least and pages[-1]["next_cursor"] is not None:
                pages.append(await self._source.page(filters, pages[-1]["next_cursor"]))
        except SreAgentError as error:
            self.post_message(Failed(error))
        else:
            self.post_message(self.NewestRead(pages, filters, changes))

    @work(exclusive=True, group="more", exit_on_error=False)
    async def _read_more(self, cursor: str) -> None:
        filters = self._filters
        try:
            page = await self._source.page(filters, cursor)
        except SreAgentError as error:
            self._reading_more = None
            self.post_message(Failed(error))
        else:
            self.post_message(self.MoreRead(page, filters, cursor))

    def _show(self, *, from_the_top: bool) -> None:
        table, empty = self.query_one(IncidentTable), self.query_one("#empty", Static)
        table.show(self._listing, from_the_top=from_the_top)
        nothing = not self._listing.rows
        empty.display = nothing
        # Hidden it would lose the focus, and the next key would be text for the search.
        table.set_class(nothing, "-empty")
        if nothing:
            empty.update(Content(EMPTY.get(self._filters, NONE_FITS)))
        self._tell_filters()

    def _tell_filters(self) -> None:
        """The filters as words that the mouse may press, and how many incidents are read."""
        asked = self._filters
        count, more = len(self._listing.rows), "+" if self._listing.next_cursor else ""
        said = (
            f"[@click=screen.cycle('origin')]{'live' if asked.origin is Origin.LIVE else 'replays'}[/]",
            f"[@click=screen.cycle('status')]{_or_any(asked.status, 'status')}[/]",
            f"[@click=screen.cycle('severity')]{_or_any(asked.severity, 'severity')}[/]",
            f"{count}{more} incident{'' if count == 1 else 's'}",
        )
        self.query_one("#filters", Static).update(Content.from_markup(" · ".join(said)))


def _or_any(asked: str | None, name: str) -> str:
    return f"[b]{asked}[/b]" if asked else f"any {name}"


def _after(values: Sequence[Value], value: Value) -> Value:
    return values[(values.index(value) + 1) % len(values)]


def _peek(row: Row | None) -> Content:
    """The selected incident in full: what the columns may have cut, and the time of its last update."""
    if row is None:
        return Content("")
    said = [row.where, f"{row.updated_at:%m-%d %H:%M} UTC", row.runbook]
    first = Content.assemble(
        Content.styled(f"{row.id} {row.alertname}", "bold"), *(f"  {words}" for words in said if words)
    )
    done = Content.styled(f"{row.mark} {row.done}", MARK_COLOURS[row.colour])
    return Content("\n").join([first, done])
