"""Parameters of requests, read strictly: one that is misspelt or stands twice is refused by its name, never ignored."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches
from enum import StrEnum
from typing import TypeVar

from aiohttp import web
from multidict import MultiMapping

from sre_agent.errors import BadInput
from sre_agent.incident import IncidentStatus, Origin
from sre_agent.store.book import MOST, Cursor, IncidentFilters
from sre_agent.times import parse_duration, parse_moment
from sre_agent.web.errors import Refused

LARGEST = 2**63 - 1
USUAL_LIMIT = 50
LONGEST_NAME = 1000
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

Read = TypeVar("Read")
Closed = TypeVar("Closed", bound=StrEnum)


@dataclass(frozen=True, kw_only=True, slots=True)
class PageAsked:
    """What GET /api/incidents asks for."""

    filters: IncidentFilters
    limit: int
    cursor: str | None
    offset: int


def incident_id(request: web.Request) -> int:
    """The id in the path. Raises Refused."""
    return whole(request.match_info["id"], "id", least=1, most=LARGEST)


def page_asked(query: MultiMapping[str], *, now: datetime) -> PageAsked:
    """The page that a query asks for: live incidents, unless it says otherwise. Raises Refused naming the parameter."""
    given = _each_once(query)
    names = {name: _given(given, name, _name) for name in ("alertname", "namespace", "node", "severity", "runbook")}
    return PageAsked(
        filters=IncidentFilters(
            origin=_given(given, "origin", _one_of(Origin)) or Origin.LIVE,
            status=_given(given, "status", _one_of(IncidentStatus)),
            alertname=names["alertname"],
            namespace=names["namespace"],
            node=names["node"],
            severity=names["severity"],
            runbook_id=names["runbook"],
            since=_given(given, "since", lambda text, name: _moment(text, name, now)),
            text=_given(given, "q", _words),
        ),
        limit=_given(given, "limit", lambda text, name: whole(text, name, least=1, most=MOST)) or USUAL_LIMIT,
        cursor=_given(given, "cursor", _cursor),
        offset=_given(given, "offset", lambda text, name: whole(text, name, least=0, most=LARGEST)) or 0,
    )


PAGE_PARAMETERS = (
    *("limit", "offset", "cursor", "origin", "status"),
    *("alertname", "namespace", "node", "severity", "runbook", "since", "q"),
)


def origin_asked(query: MultiMapping[str]) -> Origin:
    """Whose changes a stream is about."""
    return _given(_each_once(query, known=("origin",)), "origin", _one_of(Origin)) or Origin.LIVE


AUTHORS = ("composed", "llm")


def author_asked(query: MultiMapping[str]) -> str | None:
    """Who is to write an analysis: one of AUTHORS, None where nothing is said. Raises Refused."""
    return _given(_each_once(query, known=("planner",)), "planner", _author)


def _author(text: str, name: str) -> str:
    if text not in AUTHORS:
        raise Refused(400, f"must be {' or '.join(AUTHORS)}", path=name)
    return text


def _each_once(query: MultiMapping[str], known: tuple[str, ...] = PAGE_PARAMETERS) -> Mapping[str, str]:
    for name in query:
        if name not in known:
            nearest = get_close_matches(name, known, n=1)
            hint = f"; did you mean {nearest[0]}?" if nearest else f": {', '.join(known)}"
            raise Refused(400, f"there is no such parameter{hint}", path=name)
        if len(query.getall(name)) > 1:
            raise Refused(400, "stands there more than once", path=name)
    return dict(query)


def _given(given: Mapping[str, str], name: str, read: Callable[[str, str], Read]) -> Read | None:
    """A parameter that is not there, or empty, asks for nothing."""
    text = given.get(name, "")
    return read(text, name) if text else None


def whole(text: str, name: str, *, least: int, most: int = LARGEST) -> int:
    if not re.fullmatch("[0-9]{1,19}", text) or not least <= int(text) <= most:
        raise Refused(400, f"must be a whole number from {least} to {most}", path=name)
    return int(text)


def _name(text: str, name: str) -> str:
    if len(text) > LONGEST_NAME:
        raise Refused(400, f"{len(text)} characters; at most {LONGEST_NAME} are taken", path=name)
    return text


def _words(text: str, name: str) -> str:
    try:
        IncidentFilters(text=text)
    except BadInput as error:
        raise Refused(400, str(error), path=name) from None
    return text


def _cursor(text: str, name: str) -> str:
    try:
        Cursor.parse(text)
    except BadInput as error:
        raise Refused(400, str(error), path=name) from None
    return text


def _one_of(closed: type[Closed]) -> Callable[[str, str], Closed]:
    def read(text: str, name: str) -> Closed:
        try:
            return closed(text)
        except ValueError:
            raise Refused(400, f"must be {' or '.join(closed)}", path=name) from None

    return read


def _moment(text: str, name: str, now: datetime) -> datetime:
    """How long ago, a date, or an RFC 3339 time."""
    return _time(text, name, "how long ago such as 7d or 1h30m", lambda duration: now - duration)


def end_asked(text: str, name: str, now: datetime) -> datetime:
    """For how long, a date, or an RFC 3339 time; not one that is over. Raises Refused."""
    end = _time(text, name, "for how long such as 2h or 90m", lambda duration: now + duration)
    if end <= now:
        raise Refused(400, "is over already", path=name)
    return end


def _time(text: str, name: str, relative: str, moved: Callable[[timedelta], datetime]) -> datetime:
    """A `+` that a query turned into a space is meant."""
    try:
        return moved(parse_duration(text))
    except ValueError:
        pass  # not a duration, so it is a time
    try:
        moment = parse_moment(f"{text}T00:00:00Z" if _DATE.fullmatch(text) else text.replace(" ", "+"))
    except ValueError:
        moment = None
    if moment is None:
        allowed = f"a date, an RFC 3339 time such as 2026-11-23T03:00:00Z, or {relative}"
        raise Refused(400, f"must be {allowed}", path=name)
    return moment
