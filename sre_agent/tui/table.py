"""The list as a widget: one line for each row, drawn when it is seen, so that ten thousand cost what forty do.

Protects one rule: the cursor is on an incident, not on a line. When rows come and go it stays on its incident, and
the reader's eyes stay on the line where it was.
"""

from collections.abc import Callable
from datetime import datetime
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.cache import LRUCache
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.visual import Visual

from sre_agent.tui.columns import Columns
from sre_agent.tui.keys import CHOOSING
from sre_agent.tui.listing import Listing, Row, age
from sre_agent.tui.messages import IncidentWanted

AHEAD = 60
"""So many rows before its end more of the list is asked for."""
AGES_SECONDS = 15.0
KEPT = 500
"""Lines that are kept as they were drawn."""


class IncidentTable(ScrollView, can_focus=True):
    """Shows a listing under the names of its columns."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "incident-table--header",
        "incident-table--cursor",
        "incident-table--hover",
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        *CHOOSING,
        Binding("down", "cursor_down", "Down", show=False),
        Binding("up", "cursor_up", "Up", show=False),
        Binding("pagedown", "page_down", "Page down", show=False),
        Binding("pageup", "page_up", "Page up", show=False),
        Binding("home", "first", "First", show=False),
        Binding("end", "last", "Last", show=False),
        Binding("enter", "open", "Open"),
    ]

    class Highlighted(Message):
        """The cursor is on another row, or on none."""

        def __init__(self, row: Row | None) -> None:
            super().__init__()
            self.row = row

    class NearEnd(Message):
        """The rows that follow will soon be seen."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        super().__init__()
        self._clock = clock
        self._listing = Listing()
        self._cursor = 0
        self._hover: int | None = None
        self._columns = Columns.of(80, 3)
        self._drawn: LRUCache[object, Strip] = LRUCache(KEPT)

    def on_mount(self) -> None:
        self.set_interval(AGES_SECONDS, self.refresh)

    @property
    def listing(self) -> Listing:
        """What is shown."""
        return self._listing

    @property
    def cursor(self) -> int:
        """The line of the cursor, from 0."""
        return self._cursor

    @property
    def selected(self) -> Row | None:
        """The row under the cursor."""
        rows = self._listing.rows
        return rows[self._cursor] if self._cursor < len(rows) else None

    def show(self, listing: Listing, *, from_the_top: bool) -> None:
        """Shows another state of the list; `from_the_top`: it is another list."""
        before, was = self.selected, self._cursor
        self._listing = listing
        kept = None if from_the_top or before is None else listing.index_of(before.id)
        self._cursor = max(0, min(0 if from_the_top else was, len(listing.rows) - 1)) if kept is None else kept
        self._measure()
        offset = 0 if from_the_top else self.scroll_offset.y
        if offset:
            offset += self._cursor - was
        self.scroll_to(y=self._in_view(offset), animate=False, immediate=True)
        self.refresh()
        self.post_message(self.Highlighted(self.selected))
        self._look_ahead()

    def on_resize(self, _: events.Resize) -> None:
        self._measure()
        self.scroll_to(y=self._in_view(self.scroll_offset.y), animate=False, immediate=True)

    def render_line(self, y: int) -> Strip:
        if y == 0:
            return self._strip(self._columns.header(), "header")
        index = y - 1 + self.scroll_offset.y
        if index >= len(self._listing.rows):
            return Strip.blank(self.scrollable_content_region.width, self.visual_style.rich_style)
        row, now = self._listing.rows[index], self._clock()
        state = "cursor" if index == self._cursor else "hover" if index == self._hover else ""
        key = (row, age(row.updated_at, now), state, self._columns, self.visual_style)
        strip = self._drawn.get(key)
        if strip is None:
            strip = self._strip(self._columns.row(row, now, selected=state == "cursor"), state)
            self._drawn[key] = strip
        return strip

    def _strip(self, content: Content, state: str) -> Strip:
        """One line of the screen; `state` names its style."""
        style = self.get_visual_style(f"incident-table--{state}") if state else self.visual_style
        width = self.scrollable_content_region.width
        strips = Visual.to_strips(self, content, width, 1, style, pad=True, apply_selection=False)
        return strips[0] if strips else Strip.blank(width)

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._drawn.clear()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._look_ahead()

    def on_click(self, event: events.Click) -> None:
        index = self._index_at(event.y)
        if index is None:
            return
        self._go(index)
        if event.chain > 1:
            self.action_open()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        self._hovered(self._index_at(event.y))

    def on_leave(self, _: events.Leave) -> None:
        self._hovered(None)

    def action_cursor_down(self) -> None:
        self._go(self._cursor + 1)

    def action_cursor_up(self) -> None:
        self._go(self._cursor - 1)

    def action_page_down(self) -> None:
        self._go(self._cursor + self._lines)

    def action_page_up(self) -> None:
        self._go(self._cursor - self._lines)

    def action_first(self) -> None:
        self._go(0)

    def action_last(self) -> None:
        """The last row that was read; what follows is read meanwhile."""
        self._go(len(self._listing.rows) - 1)

    def action_open(self) -> None:
        if self.selected is not None:
            self.post_message(IncidentWanted(self.selected.id))

    @property
    def _lines(self) -> int:
        """How many rows are seen at once."""
        return max(1, self.scrollable_content_region.height - 1)

    def _go(self, index: int) -> None:
        before = self._cursor
        self._cursor = max(0, min(index, len(self._listing.rows) - 1))
        if self._cursor == before:
            return
        self._redraw(before)
        self._redraw(self._cursor)
        offset = self._in_view(self.scroll_offset.y)
        if offset != self.scroll_offset.y:
            self.scroll_to(y=offset, animate=False, immediate=True)
        self.post_message(self.Highlighted(self.selected))
        self._look_ahead()

    def _in_view(self, offset: int) -> int:
        """The scroll offset next to one at which the cursor is seen."""
        return max(self._cursor - self._lines + 1, min(offset, self._cursor), 0)

    def _redraw(self, index: int) -> None:
        self.refresh_lines(index + 1, 1)

    def _hovered(self, index: int | None) -> None:
        before, self._hover = self._hover, index
        for changed in {before, index} - {None}:
            self._redraw(changed or 0)

    def _index_at(self, y: int) -> int | None:
        index = y - 1 + self.scroll_offset.y
        return index if y >= 1 and index < len(self._listing.rows) else None

    def _measure(self) -> None:
        width = self.scrollable_content_region.width
        longest = max((row.id for row in self._listing.rows), default=0)
        self._columns = Columns.of(width, len(str(longest)))
        self.virtual_size = Size(width, len(self._listing.rows) + 1)

    def _look_ahead(self) -> None:
        seen = max(self.scroll_offset.y + self._lines, self._cursor)
        if self._listing.next_cursor is not None and seen + AHEAD > len(self._listing.rows):
            self.post_message(self.NearEnd())
