"""What a model is told about an incident before it writes: alert, history, events, and the composed notes. Pure.

Called by `model_author`. All of it is fenced: names, messages and logs come from outside. It is short on purpose, since
a model reads it for each analysis: an ordinary incident takes about 2,500 tokens with the prompt around it.
"""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sre_agent.analysis.facts import CaseFacts
from sre_agent.analysis.sections import SECTIONS, join
from sre_agent.analysis.texts import moment
from sre_agent.event import EventType
from sre_agent.llm.untrusted import MOST_BYTES, cut, fenced
from sre_agent.store import EventRow

MOST_OF_AN_EVENT = 400
"""Bytes of what one event says; the notes quote what is most telling in it."""

FEW = 3
"""A tally of fewer is no habit."""
_TALLIES = ("recent", "node", "hours", "weekday")
_TOLD = (EventType.STEP, EventType.INTENT, EventType.OUTCOME, EventType.VERIFIED, EventType.UNDONE, EventType.ERROR)


def briefing(case: CaseFacts, notes: Mapping[str, str], *, hide_emails: bool) -> dict[str, str]:
    """The places of the prompt `analysis`. `notes` are the composed sections."""
    shown = partial(fenced, emails=hide_emails)
    return {
        "sections": "\n".join(f"## {title}" for title in SECTIONS),
        "facts": f"{shown('alert', _alert(case))}\n{shown('history', _history(case))}",
        "evidence": shown("events", "\n".join(map(_event, case.of_run(*_TOLD))), most=MOST_BYTES // 2),
        "draft": shown("notes", join(notes), most=MOST_BYTES),
    }


def _alert(case: CaseFacts) -> dict[str, Any]:
    """The alert as it came; its name and subject stand in the notes."""
    incident, opened = case.incident, case.opened_by
    said: dict[str, Any] = {
        "event": opened.id if opened else None,
        "incident": incident.id,
        "labels": incident.labels,
        "annotations": opened.payload["annotations"] if opened else None,
        "firing since": incident.starts_at,
    }
    return {key: _without_nothing(value) for key, value in said.items() if value}


def _history(case: CaseFacts) -> dict[str, Any]:
    """The counted past, where there is one beside this incident."""
    past = case.past
    if past.occurrences == 1 and past.neighbour_workloads < 2:
        return {"occurrences": 1, "event": past.first.event_id}
    told: dict[str, Any] = _without_nothing(past)
    told.pop("windows")
    if past.neighbour_workloads < 2:
        told.pop("neighbours", None)
    if past.raises:
        told.pop("limits", None)  # what was found is what the raise before had left
    few = [name for name in _TALLIES if told.get(name, {}).get("times", FEW) < FEW]
    return {name: value for name, value in told.items() if name not in few}


def _event(event: EventRow) -> str:
    """`[event 12] step: {...}`, with its telling parts alone."""
    payload = event.payload
    if event.event_type is EventType.STEP:
        said = {key: payload[key] for key in ("step", "status", "reason", "gate", "result")}
    else:
        said = {key: value for key, value in payload.items() if key not in {"writes", "undo", "action_id"}}
    text = json.dumps(_without_nothing(said), ensure_ascii=False, separators=(",", ":"))
    return f"[event {event.id}] {event.event_type.value}: {cut(text, MOST_OF_AN_EVENT)}"


def _without_nothing(value: Any) -> Any:
    """A value as JSON has it, moments as analyses write them, without what is null or empty."""
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if is_dataclass(value):
        return _without_nothing({field.name: getattr(value, field.name) for field in fields(value)})
    if isinstance(value, Mapping):
        shown = {key: _without_nothing(inner) for key, inner in value.items()}
        return {key: inner for key, inner in shown.items() if inner not in (None, "", [], {}, ())}
    if isinstance(value, list | tuple):
        return [_without_nothing(inner) for inner in value]
    return value
