"""The third tab, similar incidents; and whether the like was seen on the same object before.

Protects one rule: "the first time" is said only where nothing that was left out could deny it.
"""

from collections.abc import Sequence
from datetime import datetime

from textual.content import Content
from textual.widgets.option_list import Option

from sre_agent.sentences import Document, is_same, mark_of, moment
from sre_agent.store.history import SIMILAR
from sre_agent.tui.columns import MARK_COLOURS
from sre_agent.tui.keys import Choice
from sre_agent.tui.listing import where
from sre_agent.tui.messages import IncidentWanted

ONE_LINE = 72
"""Characters of place and deed that stand on one line, on the narrowest terminal that is meant."""


class Past(Choice):
    """Similar incidents, those on the same object first, each newest first; enter opens one."""

    def show(self, document: Document) -> None:
        """Shows them; the cursor stays on its incident."""
        kept = self.highlighted_option.id if self.highlighted_option else None
        incident = document["incident"]
        past = sorted(document["past_incidents"], key=lambda entry: not is_same(entry, incident))
        options = [Option(_entry(entry, here=is_same(entry, incident)), id=str(entry["id"])) for entry in past]
        self.set_options(options or [Option("No similar incident is stored: this is the first.", disabled=True)])
        if past:
            ids = [option.id for option in options]
            self.highlighted = ids.index(kept) if kept in ids else 0

    def on_option_list_option_selected(self, event: Choice.OptionSelected) -> None:
        event.stop()
        if event.option_id is not None:
            self.post_message(IncidentWanted(int(event.option_id)))


def seen_before(document: Document) -> str:
    """Whether this is the first time on this object, what was done the last time, and how often since and elsewhere."""
    incident, past = document["incident"], document["past_incidents"]
    if not past:
        return "First time: no similar incident is stored."
    here = [entry for entry in past if is_same(entry, incident)]
    before = [entry for entry in here if _place(entry) < _place(incident)]
    since, elsewhere = len(here) - len(before), len(past) - len(here)
    all_known = len(past) < SIMILAR
    least = "" if all_known else "at least "
    if before:
        said = [f"Here {least}{_times(len(before))} before, last {_last(before)}."]
    else:
        said = ["First time here." if all_known else "Not here of late."]
    if since:
        said.append(f"Again {least}{_times(since)} since.")
    if elsewhere:
        said.append(f"Elsewhere {least}{_times(elsewhere)}{'' if before else f', last {_last(past)}'}.")
    return " ".join(said)


def _place(entry: Document) -> tuple[datetime, int]:
    return datetime.fromisoformat(entry["created_at"]), entry["id"]


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _last(newest_first: Sequence[Document]) -> str:
    mark, words, _ = mark_of(newest_first[0])
    return f"{moment(newest_first[0]['created_at'])[:10]}: {mark} {words}"


def _entry(entry: Document, *, here: bool) -> Content:
    mark, done, colour = mark_of(entry)
    first = Content.assemble(
        Content.styled(mark, f"bold {MARK_COLOURS[colour]}"),
        f" {moment(entry['created_at'])[:16]}  {entry['id']:>4}  ",
        Content.styled(entry["alertname"], "bold"),
        f"  {entry['status']}",
        Content.styled("  the same" if here else "", "$text-accent"),
    )
    place = where(entry)
    gap = " " if len(place) + len(done) <= ONE_LINE else "\n    "
    second = Content.assemble(f"  {place}:{gap}" if place else "  ", Content.styled(done, MARK_COLOURS[colour]))
    return Content("\n").join([first, second])
