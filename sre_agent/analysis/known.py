"""Everything that a text about an incident may say: ids, moments, numbers with their nouns, names, quotes.

Made from the facts by `checker`, once for each text. Protects one rule: what is not in here is not known.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sre_agent.analysis.facts import CaseFacts
from sre_agent.analysis.patterns import rising_chain
from sre_agent.analysis.texts import CUT, plainly, span
from sre_agent.times import duration_text

QUANTITY = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?:[KMGTPE]i?|m)(?![\w])")
DURATION = re.compile(r"(?<![\w.:-])(?:\d+[dhms])+(?!\w)")
_STAMP = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2})?(?:\.\d+)?(?:Z|[+-]\d{2}:?\d{2})?")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_NUMBER = re.compile(r"(?<![\w.-])\d+(?:\.\d+)?(?![\w-])")

TIMES = ""
"""The key of `counts_of_times` for verbs that are not listed."""
_FIRED = ("fired", "triggered", "occurred", "happened", "recurred", "seen", "firing")
_RAISED = ("raised", "increased", "doubled")


@dataclass(frozen=True, kw_only=True)
class Known:
    """What may be said. `counts` holds numbers by their noun in the singular, `counts_of_times` by the verb before."""

    event_ids: frozenset[int]
    incident_ids: frozenset[int]
    moments: frozenset[str]
    counts: Mapping[str, frozenset[int]]
    counts_of_times: Mapping[str, frozenset[int]]
    shares: frozenset[tuple[int, int]]
    numbers: frozenset[str]
    durations: frozenset[str]
    quantities: frozenset[str]
    words: frozenset[str]
    clock_times: frozenset[str]
    corpus: str

    def quotes(self, said: str) -> bool:
        """Whether a quote stands in the facts word for word; one that was cut, up to the cut."""
        cut = said.endswith(CUT)
        wanted = re.escape(said.removesuffix(CUT))
        return re.search(rf"(?<![\w-]){wanted}" + ("" if cut else r"(?![\w-])"), self.corpus) is not None

    def dates(self, said: str) -> bool:
        """Whether a moment, written to the day, the minute or the second, is one of those that are known."""
        return any(moment.startswith(said.replace("T", " ")) for moment in self.moments)


def known_of(case: CaseFacts) -> Known:
    """What is known of a case."""
    values = list(_leaves([case.incident, [_of_event(event) for event in case.events], case.past]))
    said = [plainly(value) for value in values if isinstance(value, str)]
    said += [case.subject, *(f"{entry.namespace}/{entry.workload}" for entry in case.past.neighbours)]
    said += [part for step in case.past.raises for part in re.split("[:→]", step.action)]
    corpus = "\n".join(said)
    moments = [value for value in values if isinstance(value, datetime)] + list(_stamps(corpus))
    return Known(
        event_ids=frozenset(_event_ids(case)),
        incident_ids=frozenset({case.incident.id, case.past.first.incident_id, case.past.last.incident_id}),
        moments=frozenset(f"{moment:%Y-%m-%d %H:%M:%S}" for moment in moments),
        counts=_counts(case),
        counts_of_times=_times(case),
        shares=frozenset(_shares(case)),
        numbers=frozenset(_NUMBER.findall(corpus)) | {str(value) for value in values if isinstance(value, int)},
        durations=frozenset(_durations(case)) | frozenset(DURATION.findall(corpus)),
        quantities=frozenset(QUANTITY.findall(corpus)),
        words=frozenset(word.rstrip(".") for word in _WORD.findall(corpus)),
        clock_times=frozenset(f"{moment:%H:%M}" for moment in moments) | frozenset(_hours(case)),
        corpus=corpus,
    )


def _of_event(event: Any) -> list[Any]:
    """What an event says of the world; an earlier analysis proves nothing."""
    return [event.ts, [] if event.event_type == "analysis" else event.payload]


def _leaves(value: Any) -> Iterator[Any]:
    """Every plain value in nested dataclasses, mappings and lists, the keys of mappings too."""
    if isinstance(value, Mapping):
        yield from value
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _leaves(inner)
    elif is_dataclass(value):
        for field in fields(value):
            yield from _leaves(getattr(value, field.name))
    elif value is not None and not isinstance(value, bool):
        yield value


def _stamps(corpus: str) -> Iterator[datetime]:
    """The moments that are written in texts, in UTC."""
    for found in _STAMP.findall(corpus):
        try:
            moment = datetime.fromisoformat(found)
        except ValueError:
            continue
        yield moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _event_ids(case: CaseFacts) -> Iterator[int]:
    yield from (event.id for event in case.events)
    yield from _ids_in(case.past)


def _ids_in(value: Any) -> Iterator[int]:
    """The event ids anywhere in the facts: those fields are called so."""
    if isinstance(value, tuple):
        for inner in value:
            yield from _ids_in(inner)
    elif is_dataclass(value):
        for field in fields(value):
            held = getattr(value, field.name)
            if field.name.endswith("event_id"):
                yield from [] if held is None else [held]
            else:
                yield from _ids_in(held)


def _times(case: CaseFacts) -> dict[str, frozenset[int]]:
    """How many times what happened."""
    past = case.past
    repeats = len([event for event in case.events if event.event_type == "webhook_received"]) - 1
    by_verb = {
        "tried": {entry.times for entry in past.tried},
        "replaced": {past.undone.times} if past.undone else set(),
        "came": {past.recent.times} if past.recent else set(),
        "sent": {repeats},
        "change": {past.recommended.times} if past.recommended else set(),
    }
    by_verb |= {verb: {past.occurrences} for verb in _FIRED}
    by_verb |= {verb: {len(rising_chain(past.raises)), len(past.raises)} for verb in _RAISED}
    return {verb: frozenset(counts) for verb, counts in by_verb.items()} | {
        TIMES: frozenset(count for counts in by_verb.values() for count in counts)
    }


def _counts(case: CaseFacts) -> dict[str, frozenset[int]]:
    """Numbers by their noun."""
    past = case.past
    apart = past.last.at - past.first.at
    counts = {
        "occurrence": {past.occurrences, past.deploys.known, past.node.known if past.node else 0},
        "workload": {past.neighbour_workloads},
        "incident": {past.alert_total.incidents if past.alert_total else 0, past.occurrences},
        "day": {past.hours.days if past.hours else 0, apart // timedelta(days=1)},
        "week": {past.weekday.weeks if past.weekday else 0, apart // timedelta(days=7), round(apart.days / 7)},
        "hour": {apart // timedelta(hours=1)},
        "minute": {apart // timedelta(minutes=1)},
    }
    number, noun = span(apart).split()
    counts[noun.rstrip("s")].add(int(number))
    return {noun: frozenset(numbers) for noun, numbers in counts.items()}


def _shares(case: CaseFacts) -> Iterator[tuple[int, int]]:
    """`5 of 6`."""
    past = case.past
    if past.node:
        yield past.node.times, past.node.known
    if past.hours:
        yield past.hours.times, past.occurrences
    if past.weekday:
        yield past.weekday.times, past.occurrences
    yield past.deploys.times, past.deploys.known


def _durations(case: CaseFacts) -> Iterator[str]:
    windows = case.past.windows
    yield from (duration_text(getattr(windows, field.name)) for field in fields(windows))


def _hours(case: CaseFacts) -> Iterator[str]:
    if case.past.hours:
        yield from (f"{(case.past.hours.hour + later) % 24:02}:00" for later in (0, 2))
