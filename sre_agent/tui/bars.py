"""The lines at the top of every screen: whose incidents these are, whether the agent may act, whether all is live."""

from dataclasses import dataclass
from datetime import datetime

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Static

from sre_agent.tui.listing import age
from sre_agent.tui.source import Document


@dataclass(frozen=True, kw_only=True, slots=True)
class Presence:
    """Whether the other side is there. `away` is why not, since `away_since`; `status` is what it said last.

    `refuses`: it is there, and lets nobody in.
    """

    place: str = ""
    live: bool = False
    status: Document | None = None
    away: str | None = None
    away_since: datetime | None = None
    refuses: bool = False


class StatusBar(Horizontal):
    """One line: cluster, mode, planner, what holds changes back, and whether changes are heard."""

    def compose(self) -> ComposeResult:
        yield Static(id="whose", markup=False)
        yield Static(id="alive", markup=False)

    def on_mount(self) -> None:
        self.watch(self.app, "presence", self._show)

    def _show(self, presence: Presence) -> None:
        self.query_one("#whose", Static).update(_whose(presence))
        self.query_one("#alive", Static).update(_alive(presence))


class AwayBar(Static):
    """Says that the other side is away, and since when; not there otherwise."""

    def on_mount(self) -> None:
        self.watch(self.app, "presence", self._show)

    def _show(self, presence: Presence) -> None:
        self.display = presence.away is not None
        if presence.away is not None:
            since = f" since {presence.away_since:%H:%M:%S} UTC" if presence.away_since else ""
            who = "server" if presence.place.startswith("http") else "database"
            state = "refuses" if presence.refuses else f"is away{since}"
            self.update(Content(f"The {who} {state}, trying again: {presence.away}"))


def _whose(presence: Presence) -> Content:
    status = presence.status
    if status is None:
        return Content.assemble(Content.styled("sre-agent", "bold"), f"  {presence.place}")
    mode = Content.styled(status["mode"], "bold $text-warning" if status["mode"] == "auto" else "")
    cluster = "cluster unknown" if status["cluster"] == "unknown" else status["cluster"]
    said = [Content(cluster), mode]
    held = [brake["name"] for brake in status["brakes"] if brake["on"]]
    if held:
        said.append(Content.styled(f"HELD BY {', '.join(held)}", "bold $text-error"))
    said += [Content(_last_alert(status)), Content(f"planner {status['planner']}")]
    return Content.assemble(Content.styled("sre-agent", "bold"), "  ", Content(" · ").join(said))


def _last_alert(status: Document) -> str:
    """Whether alerts arrive at all: how long before the status was read the last one came."""
    if status["last_alert_at"] is None:
        return "no alert yet"
    last, read = (datetime.fromisoformat(status[key]) for key in ("last_alert_at", "at"))
    return f"last alert {age(last, read)} ago"


def _alive(presence: Presence) -> Content:
    if presence.away is not None:
        return Content.styled("✗ away", "bold $text-error")
    return (
        Content.styled("● live", "$text-success")
        if presence.live
        else Content.styled("… connecting", "$foreground-muted")
    )
