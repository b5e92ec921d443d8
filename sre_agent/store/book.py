"""The book of incidents: leaf through it by filters, find one's way, and what a person decides about one.

Used by the command line, and by whatever else lists incidents. Protects one rule: a page is read by its place in the
order (a cursor), so the last page costs what the first one does.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from sre_agent.errors import BadInput
from sre_agent.event import Event, Resolved, Suppressed
from sre_agent.incident import Incident, IncidentStatus, Origin
from sre_agent.store.columns import name_column
from sre_agent.store.database import Database
from sre_agent.store.event_json import payload
from sre_agent.store.rows import incident_from_row

MOST = 200
"""The longest page."""
LONGEST_TEXT = 200
MOST_COUNTED = 10_000
"""Of the incidents of a time; more are not counted, so that it takes no longer."""
NEIGHBOURS = 2
"""How many ids on each side of an unknown one are named."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CURSOR = re.compile(r"(-?[0-9]{1,18})-([0-9]{1,19})")
_WORD = re.compile(r"[^\s!-/:-@\[-`{-~]")
_LARGEST_ID = 2**63 - 1


class UnknownIncident(BadInput):
    """There is no incident of that id; the message names the nearest ones."""


class StateForbids(BadInput):
    """The incident is in a state that forbids what was asked; the message says which."""


@dataclass(frozen=True, kw_only=True, slots=True)
class IncidentFilters:
    """What a listed incident must be; None asks nothing. Names are exact.

    `since` is the earliest last update. `text` is words, each the beginning of one in alert, namespace, pod,
    workload, node or summary.
    """

    origin: Origin | None = None
    status: IncidentStatus | None = None
    alertname: str | None = None
    namespace: str | None = None
    node: str | None = None
    severity: str | None = None
    runbook_id: str | None = None
    since: datetime | None = None
    text: str | None = None

    def __post_init__(self) -> None:
        if self.text is not None and (len(self.text) > LONGEST_TEXT or not _WORD.search(self.text)):
            raise BadInput(
                f"the text {self.text[:40]!r} cannot be searched for: at most {LONGEST_TEXT} characters are allowed, "
                "at least one of them a letter or digit"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Cursor:
    """A place in the list, newest update first: behind the incident with this update and id."""

    updated_at: datetime
    id: int

    def __str__(self) -> str:
        return f"{(self.updated_at - _EPOCH) // timedelta(microseconds=1)}-{self.id}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The cursor that a page gave out. Raises BadInput for another text."""
        refused = BadInput(f"the cursor {text[:40]!r} is none: give the next_cursor of a page as it stands")
        parts = _CURSOR.fullmatch(text)
        if parts is None or int(parts[2]) > _LARGEST_ID:
            raise refused
        try:
            return cls(updated_at=_EPOCH + timedelta(microseconds=int(parts[1])), id=int(parts[2]))
        except OverflowError:
            raise refused from None


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """A part of the list, newest update first. `next_cursor` leads to what follows; None at the end."""

    incidents: tuple[Incident, ...]
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A change: what, when, for which incident, and whether it is known to have been made."""

    incident_id: int
    action: str
    at: datetime
    known: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Lately:
    """What went on since a moment: incidents opened, what came of them, changes made; `newest` are the newest few.

    `open` are those that are open now. It and `incidents` are MOST_COUNTED where there are so many or more.
    """

    open: int
    incidents: int
    recommended: int
    failed: int
    changes: int
    newest: tuple[Change, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """An incident after a person spoke. `changed` is False where it was so already, and nothing was written."""

    incident: Incident
    changed: bool


class IncidentBook:
    """All incidents, live ones and replays. Every method raises Unreachable when the server is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, filters: IncidentFilters, *, limit: int = 50, cursor: str | None = None, offset: int = 0
    ) -> Page:
        """At most `limit` incidents (1 to MOST) behind a cursor, after `offset` more. Raises BadInput."""
        if not 1 <= limit <= MOST:
            raise BadInput(f"limit={limit}: a page has 1 to {MOST} incidents")
        if not 0 <= offset <= _LARGEST_ID:
            raise BadInput(f"offset={offset}: give 0 or more")
        place = None if cursor is None else Cursor.parse(cursor)
        rows = await self._database.rows(
            "incident_page",
            prepare=False,
            **_columns(filters),
            cursor_at=place and place.updated_at,
            cursor_id=place and place.id,
            most=limit + 1,
            skipped=offset,
        )
        incidents = [incident_from_row(row) for row in rows[:limit]]
        last = incidents[-1] if len(rows) > limit else None
        return Page(
            incidents=tuple(incidents),
            next_cursor=None if last is None else str(Cursor(updated_at=last.updated_at, id=last.id)),
        )

    async def find(self, incident_id: int) -> Incident:
        """One incident. Raises UnknownIncident, which says when it was pruned, or names the nearest ids."""
        rows = await self._database.rows("incident", incident_id=incident_id)
        if rows:
            return incident_from_row(rows[0])
        pruned = await self._database.rows("pruned_at", incident_id=incident_id)
        if pruned:
            raise UnknownIncident(
                f"incident {incident_id} was removed by `sre-agent db prune` at {pruned[0]['pruned_at']:%Y-%m-%d}; "
                "only its checkpoint is left"
            )
        nearest = await self.nearest_ids(incident_id)
        there = f"the nearest are {', '.join(map(str, nearest))}" if nearest else "none is stored yet"
        raise UnknownIncident(f"there is no incident {incident_id}: {there}")

    async def lately(self, *, cluster: str, since: datetime, most: int = 5) -> Lately:
        """What live incidents brought since a moment, and what was changed in this cluster."""
        (row,) = await self._database.rows("lately", cluster=cluster, since=since, most=most, most_counted=MOST_COUNTED)
        newest = [each | {"at": datetime.fromisoformat(each["at"])} for each in row["newest"]]
        return Lately(**(dict(row) | {"newest": tuple(Change(**each) for each in newest)}))

    async def nearest_ids(self, incident_id: int) -> Sequence[int]:
        """The ids next to one, at most NEIGHBOURS on each side, in ascending order."""
        rows = await self._database.rows("nearest_incidents", incident_id=incident_id, each_side=NEIGHBOURS)
        return [row["id"] for row in rows]

    async def resolve(self, incident_id: int, *, by: str, reason: str | None, now: datetime) -> Decision:
        """A person ends an incident: firings with the same or an earlier startsAt do not reopen it.

        A queued run is cancelled. Raises UnknownIncident.
        """
        resolved = Resolved(by="person", reason=_said("resolved", by, reason))
        rows = await self._database.rows(
            "resolve_by_person", incident_id=incident_id, now=now, resolved=payload(Event(payload=resolved))
        )
        return Decision(incident=await self.find(incident_id), changed=bool(rows))

    async def suppress(self, incident_id: int, *, by: str, reason: str | None, now: datetime) -> Decision:
        """A person mutes an open incident: no run until it is resolved. A queued run is cancelled.

        Raises UnknownIncident, and StateForbids for a resolved one.
        """
        before = await self.find(incident_id)
        suppressed = Suppressed(reason=_said("muted", by, reason), fingerprint=before.fingerprint)
        rows = await self._database.rows(
            "suppress_by_person", incident_id=incident_id, now=now, suppressed=payload(Event(payload=suppressed))
        )
        after = await self.find(incident_id)
        if after.status is IncidentStatus.RESOLVED:
            raise StateForbids(f"incident {incident_id} is resolved: only an open one can be suppressed")
        return Decision(incident=after, changed=bool(rows))


def _columns(filters: IncidentFilters) -> dict[str, Any]:
    """The filters as parameters; a name is asked for as it is kept, shortened and without secrets."""
    return {
        "origin": filters.origin,
        "status": filters.status,
        "alertname": name_column(filters.alertname),
        "namespace": name_column(filters.namespace),
        "node": name_column(filters.node),
        "severity": name_column(filters.severity),
        "runbook_id": filters.runbook_id,
        "since": filters.since,
        "text": filters.text,
    }


def _said(what: str, by: str, reason: str | None) -> str:
    return f"{what} by {by}" + (f": {reason}" if reason else "")
