"""What stands over a screen for a moment: a question before something is done, the help, one event as JSON."""

from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widgets import Input, Static

from sre_agent.tui.keys import HELP, Page

LONGEST_REASON = 1000


class Confirm(ModalScreen[str | None]):
    """Asks whether something is to be done, and why; the answer is the reason, None for no.

    `reason` is what was typed before, where that could not be done.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "no", "No")]

    def __init__(self, title: str, about: str, meaning: str, *, reason: str = "") -> None:
        super().__init__()
        self._title = title
        self._about = about
        self._meaning = meaning
        self._reason = reason

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Content.styled(self._title, "bold"))
            yield Static(Content(self._about), classes="about")
            yield Static(Content(self._meaning))
            yield Input(self._reason, placeholder="reason (optional, it is kept)", max_length=LONGEST_REASON)
            yield Static("[b]enter[/] yes    [b]esc[/] no", classes="hint")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.dismiss(event.value.strip())

    def action_no(self) -> None:
        self.dismiss(None)


class Reading(ModalScreen[None]):
    """A text to be read and closed. `copied` is what y copies of it, None for nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,enter", "close", "Close"),
        Binding("y", "copy", "Copy"),
    ]

    def __init__(self, title: str, text: Content, *, copied: str | None = None) -> None:
        super().__init__()
        self._title = title
        self._text = text
        self._copied = copied

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog tall"):
            yield Static(Content.styled(self._title, "bold"))
            with Page():
                yield Static(self._text)
            yield Static("[b]esc[/] close" + ("    [b]y[/] copies the JSON" if self._copied else ""), classes="hint")

    def on_mount(self) -> None:
        self.query_one(Page).focus()

    def action_close(self) -> None:
        self.dismiss(None)

    def action_copy(self) -> None:
        if self._copied is not None:
            copy(self, self._copied, "the JSON")


def copy(screen: Screen[Any], text: str, what: str) -> None:
    """Hands a text to the clipboard of the reader's terminal, which never answers whether it took it, and says so."""
    screen.app.copy_to_clipboard(text)
    screen.notify(f"sent to the clipboard of your terminal: {what}", markup=False)


def help_text() -> Content:
    """All keys, by where they are good for something."""
    lines: list[Content] = []
    for place, keys in HELP:
        lines += [Content.styled(place, "bold"), *(_key(*entry) for entry in keys)]
    return Content("\n").join(lines)


def _key(key: str, meaning: str) -> Content:
    return Content.assemble(Content.styled(f"  {key:<12}", "$text-accent"), " ", meaning)
