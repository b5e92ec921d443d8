"""The part of the list that is held: rows as they were read, and how what changed is put in without reading it anew.

Used by the list's screen; no widget is touched here. Protects one rule: after a change the rows are those that a fresh
read would give, as far as they were read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from sre_agent.sentences import NOTHING_DONE, Document, mark_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One incident as the list shows it. Labels and annotations are left out: ten thousand rows are held."""

    id: int
    updated_at: datetime
    status: str
    severity: str
    alertname: str
    where: str
    runbook: str
    mark: str
    done: str
    colour: str

    @classmethod
    def of(cls, incident: Document) -> Self:
        mark, done, colour = mark_of(incident)
        if (mark, done, colour) == NOTHING_DONE:  # the summary says why
            done = incident["summary"].removeprefix(f"{incident['runbook_id']}: ") or done
        return cls(
            id=incident["id"],
            updated_at=datetime.fromisoformat(incident["updated_at"]),
            status=incident["status"],
            severity=incident["severity"] or "none",
            alertname=one_line(incident["alertname"] or "alert without a name"),
            where=one_line(where(incident)),
            runbook=incident["runbook_id"] or "none",
            mark=mark,
            done=one_line(done),
            colour=colour,
        )

    @property
    def place(self) -> tuple[datetime, int]:
        """Where it stands: the list is by last update and id, newest first."""
        return self.updated_at, self.id


def where(entry: Document) -> str:
    """The place that a reader looks for first: pod, else workload, else node, else namespace."""
    name = entry["pod"] or entry["workload"]
    if name:
        return f"{entry['namespace']}/{name}" if entry["namespace"] else str(name)
    return entry["node"] or entry["namespace"] or ""


def one_line(text: str) -> str:
    """The text on one line: a label may hold newlines and tabs, which would push the rest of a row out of sight."""
    return " ".join(text.split())


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """Rows from the newest on, and the cursor to what follows; None where nothing does."""

    rows: tuple[Row, ...] = ()
    next_cursor: str | None = None

    @classmethod
    def of(cls, page: Document) -> Self:
        return cls(rows=tuple(map(Row.of, page["incidents"])), next_cursor=page["next_cursor"])

    def with_more(self, page: Document) -> "Listing":
        """The page that follows, behind the others. What moved up meanwhile stands once, where it was read first."""
        more = Listing.of(page)
        held = {row.id for row in self.rows}
        rows = self.rows + tuple(row for row in more.rows if row.id not in held)
        return Listing(rows=rows, next_cursor=more.next_cursor)

    def with_newest(self, page: Document, changes: Sequence[Document]) -> "Listing":
        """The newest page put on top of what is held.

        What changed and is not on it fits the filters no more. Where the page does not reach down to what is held,
        too much has changed: the list begins with it anew.
        """
        newest = Listing.of(page)
        if newest.next_cursor is None or not self.rows:
            return newest
        held = {row.place for row in self.rows}
        if not any(row.place in held for row in newest.rows):
            return newest
        last = newest.rows[-1].place
        fresh = {row.id for row in newest.rows}
        moved = {change["id"]: datetime.fromisoformat(change["updated_at"]) for change in changes}
        below = tuple(
            row
            for row in self.rows
            if row.place < last and row.id not in fresh and moved.get(row.id, row.updated_at) == row.updated_at
        )
        return Listing(rows=newest.rows + below, next_cursor=self.next_cursor if below else newest.next_cursor)

    def index_of(self, incident_id: int | None) -> int | None:
        """Where an incident stands; None where it does not."""
        return next((index for index, row in enumerate(self.rows) if row.id == incident_id), None)


def age(moment: datetime, now: datetime) -> str:
    """How long ago, in at most four characters; `+3d` for a recorded time that is ahead."""
    seconds = int((now - moment).total_seconds())
    if seconds < -59:
        return f"+{_rounded(-seconds)}"
    return _rounded(max(seconds, 0))


_UNITS: tuple[tuple[int, int, str], ...] = ((90, 1, "s"), (90 * 60, 60, "m"), (48 * 3600, 3600, "h"))


def _rounded(seconds: int) -> str:
    for most, unit, letter in _UNITS:
        if seconds < most:
            return f"{seconds // unit}{letter}"
    days = seconds // 86400
    return f"{days}d" if days < 1000 else f"{days // 365}y"
