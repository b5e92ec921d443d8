"""The app: opens the screens, hears the changes, and keeps going while the other side is away."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import ClassVar

from textual import work
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.reactive import reactive
from textual.screen import Screen
from textual.theme import BUILTIN_THEMES
from textual.worker import Worker

from sre_agent.errors import BadInput, SreAgentError, Unreachable
from sre_agent.log import get_logger
from sre_agent.tui.bars import Presence
from sre_agent.tui.detail_screen import ACTING, DetailScreen
from sre_agent.tui.dialogs import Reading, help_text
from sre_agent.tui.incident_screen import IncidentScreen, crashed
from sre_agent.tui.list_screen import ListScreen
from sre_agent.tui.messages import Away, Changed, Done, Failed, IncidentWanted, StatusRead
from sre_agent.tui.source import Document, Source

AGAIN_SECONDS = 1.0
TOGETHER_SECONDS = 0.2
"""Changes that come within this are looked at together."""
STATUS_SECONDS = 10.0
THEMES = {"dark": "textual-dark", "light": "textual-light"}

log = get_logger(__name__)


class OnCall(App[None]):
    """The on-call browser."""

    CSS_PATH = "style.tcss"
    TITLE = "sre-agent"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("question_mark", "help", "Help", show=False)]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-wide")]  # noqa: RUF012 - Textual declares it for instances

    presence: reactive[Presence] = reactive(Presence())

    def __init__(
        self,
        source: Source,
        *,
        clock: Callable[[], datetime],
        theme: str = "textual-dark",
        incident_id: int | None = None,
    ) -> None:
        super().__init__()
        self._source = source
        self._clock = clock
        self._incident_id = incident_id
        self._waiting: list[Document] | None = []
        self._flushing = False
        self.theme = theme
        self.set_reactive(OnCall.presence, Presence(place=source.place))

    def on_mount(self) -> None:
        self.push_screen(ListScreen(self._source, self._clock))
        if self._incident_id is not None:
            self._open(self._incident_id)
        self._follow(0.0)
        self._read_status()
        self.set_interval(STATUS_SECONDS, self._read_status)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette: the screen's own actions, then what Textual offers."""
        if isinstance(screen, ListScreen):
            yield SystemCommand("Search", "words of alert, place and summary", screen.action_search)
            for name in ("status", "severity"):
                yield SystemCommand(f"Another {name}", "narrow the list", partial(screen.action_cycle, name))
            yield SystemCommand("Live incidents or replays", "the other ones", partial(screen.action_cycle, "origin"))
            yield SystemCommand("Clear", "search and filters", screen.action_clear)
        if isinstance(screen, DetailScreen):
            yield SystemCommand("Copy the command", "kubectl, to your clipboard", screen.action_copy)
            yield SystemCommand("Regenerate the analysis", "the old ones stay", screen.action_regenerate)
            yield SystemCommand("Suppress", "no runs until it is resolved", screen.action_suppress)
            yield SystemCommand("Resolve", "it is over", screen.action_resolve)
        yield SystemCommand("All keys", "help", self.action_help)
        for command in super().get_system_commands(screen):
            if command.title in {"Theme", "Quit", "Screenshot"}:
                yield command

    def action_help(self) -> None:
        self.push_screen(Reading("Keys", help_text()))

    def on_incident_wanted(self, event: IncidentWanted) -> None:
        self._open(event.incident_id)

    def on_changed(self, event: Changed) -> None:
        """Looks at changes that come together once."""
        if event.changes is None or self._waiting is None:
            self._waiting = None
        else:
            self._waiting += event.changes
        if event.changes is None:
            self.presence = replace(self.presence, live=True, away=None, away_since=None)
        if not self._flushing:
            self._flushing = True
            self.set_timer(TOGETHER_SECONDS, self._look_at_changes)

    def on_away(self, event: Away) -> None:
        since = self.presence.away_since or self._clock()
        self.presence = replace(self.presence, live=False, away=event.reason, away_since=since, refuses=event.refuses)

    def on_status_read(self, event: StatusRead) -> None:
        self.presence = replace(self.presence, status=event.status)

    def on_failed(self, event: Failed) -> None:
        """What cannot be reached is waited for; everything else is said."""
        if isinstance(event.error, Unreachable):
            self.post_message(Away(str(event.error)))
            self._follow(AGAIN_SECONDS)
        else:
            self.notify(str(event.error), severity="error", markup=False, timeout=8)

    def on_done(self, event: Done) -> None:
        """Says what came of what a person asked for, wherever the reader is by now."""
        if event.error is None:
            self.notify(event.said, markup=False)
            return
        self.notify(f"{event.said}: {event.error}", severity="error", markup=False, timeout=10)
        if isinstance(event.error, Unreachable):
            self.post_message(Failed(event.error))

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if (failed := crashed(event)) is not None:
            self.post_message(failed)
            if event.worker.group == "follow":
                self._follow(AGAIN_SECONDS)
            elif event.worker.group == ACTING:
                self._tell_screens(None)

    def _open(self, incident_id: int) -> None:
        self.push_screen(DetailScreen(self._source, incident_id))

    def _look_at_changes(self) -> None:
        self._flushing = False
        changes, self._waiting = self._waiting, []
        self._tell_screens(changes)
        if changes is None:
            self._read_status()

    def _tell_screens(self, changes: list[Document] | None) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, IncidentScreen):
                screen.changed(changes)

    def _tell(self, changes: list[Document] | None) -> None:
        self.post_message(Changed(changes))

    @work(exclusive=True, group="follow", exit_on_error=False)
    async def _follow(self, pause: float) -> None:
        """Hears the changes, and begins again for as long as the app runs."""
        await asyncio.sleep(pause)
        while True:
            try:
                await self._source.watch(self._tell)
            except SreAgentError as error:
                self.post_message(Away(str(error), refuses=not isinstance(error, Unreachable)))
            await asyncio.sleep(AGAIN_SECONDS)

    @work(exclusive=True, group="status", exit_on_error=False)
    async def _read_status(self) -> None:
        try:
            self.post_message(StatusRead(await self._source.status()))
        except SreAgentError as error:
            log.debug("tui.status_unknown", error=str(error))


def theme_named(name: str | None) -> str:
    """Textual's name of a theme; dark without one. Raises BadInput with the names that there are."""
    known = sorted(BUILTIN_THEMES)
    theme = THEMES.get(name or "dark", name or "")
    if theme not in known:
        raise BadInput(f"there is no theme {name}: dark, light, {', '.join(known)}")
    return theme
