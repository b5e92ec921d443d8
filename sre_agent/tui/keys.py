"""The keys of terminal users, for whatever scrolls or has a cursor; and the words about all keys."""

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import OptionList

SCROLLING: list[BindingType] = [
    Binding("j", "scroll_down", "Down", show=False),
    Binding("k", "scroll_up", "Up", show=False),
    Binding("g", "scroll_home", "Top", show=False),
    Binding("G", "scroll_end", "End", show=False),
    Binding("space", "page_down", "Page down", show=False),
]
CHOOSING: list[BindingType] = [
    Binding("j", "cursor_down", "Down", show=False),
    Binding("k", "cursor_up", "Up", show=False),
    Binding("g", "first", "First", show=False),
    Binding("G", "last", "Last", show=False),
    Binding("space", "page_down", "Page down", show=False),
]

HELP = (
    (
        "Everywhere",
        (
            ("j k ↓ ↑", "down, up"),
            ("g G", "to the beginning, to the end"),
            ("space pgup", "a page down, a page up"),
            ("enter", "open what is selected"),
            ("q esc", "back; in the list q ends, everywhere ctrl+q"),
            ("ctrl+p", "all commands, themes too"),
            ("?", "this help"),
        ),
    ),
    (
        "List",
        (
            ("/", "search: words of alert, place and summary"),
            ("s v o", "another status, severity; live or replays"),
            ("esc", "clear search and filters"),
        ),
    ),
    (
        "Incident",
        (
            ("1 … 5 ← →", "answer, analysis, past, timeline, runbook"),
            ("y", "copy the kubectl command, over ssh too"),
            ("R", "write the analysis anew; the old ones stay"),
            ("S X", "suppress, resolve: both ask first"),
        ),
    ),
    (
        "Marks",
        (
            ("✓ → ✗", "done, recommended, failed"),
            ("– ·", "nothing done, no run has ended yet"),
        ),
    ),
)


class Page(VerticalScroll):
    """A page of text that scrolls."""

    BINDINGS: ClassVar[list[BindingType]] = SCROLLING


class Choice(OptionList):
    """A list of which one may be opened."""

    BINDINGS: ClassVar[list[BindingType]] = [*CHOOSING, Binding("enter", "select", "Open")]
