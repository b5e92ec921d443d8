"""Which event proves what: the texts and moments of each event that a sentence may name. Called by `known`.

An event of the incident proves what its payload holds. An event of another incident was not read whole: it proves the
fact that names it. Totals that no single event holds are cited with the newest occurrence; the incident's own names
need no proof.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

from sre_agent.analysis.facts import CaseFacts, of_the_world
from sre_agent.analysis.texts import plainly
from sre_agent.event import EventType
from sre_agent.store.history_rows import Neighbour

_STAMP = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2})?(?:\.\d+)?(?:Z|[+-]\d{2}:?\d{2})?")
_OWN_NAMES = (
    "alertname", "namespace", "pod", "container", "node", "workload", "cluster", "dedup_key", "severity", "agent_mode",
    "runbook_id", "created_at", "starts_at",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Proofs:
    """The plain values of each event by its id, and those that need no event."""

    of_event: Mapping[int, tuple[Any, ...]]
    anywhere: tuple[Any, ...]

    def texts(self, event_ids: Iterable[int]) -> Iterator[str]:
        """Each text as a quote would hold it."""
        yield from (plainly(value) for value in self._values(event_ids) if isinstance(value, str))

    def moments(self, event_ids: Iterable[int]) -> Iterator[datetime]:
        """Moments, and those that are written in texts."""
        for value in self._values(event_ids):
            if isinstance(value, datetime):
                yield value
            elif isinstance(value, str):
                yield from stamps(value)

    def _values(self, event_ids: Iterable[int]) -> Iterator[Any]:
        yield from self.anywhere
        for event_id in event_ids:
            yield from self.of_event.get(event_id, ())


def proofs_of(case: CaseFacts) -> Proofs:
    """What each event of the case, and of its past, proves."""
    of_event: dict[int, tuple[Any, ...]] = {
        event.id: (event.ts, *leaves(of_the_world(event)))
        for event in case.events
        if event.event_type != EventType.ANALYSIS
    }
    anywhere: list[Any] = [getattr(case.incident, name) for name in _OWN_NAMES]
    anywhere += [case.subject, case.past.template_changed_at]
    for fact in _facts_in(case.past):
        held = tuple(_plain(fact))
        ids = [getattr(fact, field.name) for field in fields(fact) if field.name.endswith("event_id")]
        for event_id in ids or [case.past.last.event_id]:
            of_event[event_id] = of_event.get(event_id, ()) + held
    return Proofs(of_event=of_event, anywhere=tuple(anywhere))


def leaves(value: Any) -> Iterator[Any]:
    """Every plain value in nested dataclasses, mappings and lists, the keys of mappings too; no booleans."""
    if isinstance(value, Mapping):
        yield from value
        for inner in value.values():
            yield from leaves(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from leaves(inner)
    elif is_dataclass(value):
        for field in fields(value):
            yield from leaves(getattr(value, field.name))
    elif value is not None and not isinstance(value, bool):
        yield value


def _facts_in(value: Any) -> Iterator[Any]:
    """Every fact below the facts as a whole."""
    for field in fields(value):
        held = getattr(value, field.name)
        for inner in held if isinstance(held, tuple) else (held,):
            if is_dataclass(inner):
                yield inner
                yield from _facts_in(inner)


def _plain(fact: Any) -> Iterator[Any]:
    """The plain values of one fact, without those of facts inside it."""
    values = [getattr(fact, field.name) for field in fields(fact)]
    yield from (value for value in values if not is_dataclass(value) and not isinstance(value, tuple))
    if isinstance(fact, Neighbour):
        yield f"{fact.namespace}/{fact.workload}"


def stamps(text: str) -> Iterator[datetime]:
    """The moments that are written in a text, in UTC."""
    for found in _STAMP.findall(text):
        try:
            moment = datetime.fromisoformat(found)
        except ValueError:
            continue
        yield moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
