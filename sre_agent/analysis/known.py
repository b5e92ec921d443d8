"""Everything that a text about an incident may say: ids, moments, numbers with their nouns, names, quotes.

Made from the facts by `checker`, once for each text. Protects one rule: what is not in here is not known.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime, timedelta
from typing import Any

from sre_agent.analysis.facts import CaseFacts, of_the_world
from sre_agent.analysis.forms import ACTION, ACTION_WORDS, DURATION, NUMBER, PER_CENT, QUANTITY
from sre_agent.analysis.memory_patterns import field_of, rising_chain
from sre_agent.analysis.proofs import Proofs, leaves, proofs_of, stamps
from sre_agent.analysis.texts import CUT, plainly, span
from sre_agent.event import EventType
from sre_agent.times import duration_text
from sre_agent.tools.registry import REMEDIATIONS

_ARROW = re.compile(r"([\d.]+[KMGT]i?) ?→ ?([\d.]+[KMGT]i?)")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")

ANY_VERB = ""
"""The key of `counts_of_times` for verbs that are not listed."""
_FIRED = ("fired", "triggered", "occurred", "happened", "recurred", "seen", "firing")
_RAISED = ("raised", "increased", "doubled")
_OF_TIMES = frozenset({"raise", "alert", "action", "attempt", "run"})
"""Nouns that count what also happened so many times."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """What may be said. `counts` holds numbers by their noun in the singular, `counts_of_times` by the verb before.

    `done` are the words of actions that were done, `done_actions` and `sent_actions` whole action strings; `commands`
    those that the agent's own tools and guards wrote: an alert or a log may hold commands, too. `sent_words` are the
    words of what the last run sent, `offered_words` of what was done, recommended or could be done by hand;
    `decisions` hold the types of all events, `changes` from what to what an amount went or would go.
    """

    event_ids: frozenset[int]
    incident_ids: frozenset[int]
    occurrences: int
    ended: bool
    verified: bool
    done: frozenset[str]
    done_actions: frozenset[str]
    sent_actions: frozenset[str]
    sent_words: frozenset[str]
    offered_words: frozenset[str]
    decisions: frozenset[str]
    changes: frozenset[tuple[str, str]]
    moments: frozenset[str]
    counts: Mapping[str, frozenset[int]]
    counts_of_times: Mapping[str, frozenset[int]]
    shares: frozenset[tuple[int, int]]
    numbers: frozenset[str]
    durations: frozenset[str]
    quantities: frozenset[str]
    shares_in_percent: frozenset[str]
    words: frozenset[str]
    clock_times: frozenset[str]
    commands: frozenset[str]
    corpus: str
    proofs: Proofs

    def quotes(self, said: str) -> bool:
        """Whether a quote stands in the facts word for word; one that was cut, up to the cut."""
        return _holds(self.corpus, said)

    def proves(self, event_ids: Iterable[int], said: str) -> bool:
        """Whether a quote stands in one of these events, or is one of the incident's own names."""
        return any(_holds(corpus, said) for corpus in self.proofs.texts(event_ids))

    def dates(self, said: str, event_ids: Iterable[int] | None = None) -> bool:
        """Whether a moment, written to the day, the minute or the second, is known, or known from these events."""
        moments = self.moments if event_ids is None else set(map(_second, self.proofs.moments(event_ids)))
        return any(moment.startswith(said.replace("T", " ")) for moment in moments)

    def did(self, actions: str, *, sent: bool) -> bool:
        """Whether each of these action strings (`;` between them) was done, or at least sent."""
        known = self.done_actions | self.sent_actions if sent else self.done_actions
        return all(action in known for action in actions.split("; "))

    def counts_of(self, number: str, noun: str) -> bool:
        """Whether the facts say so many of these: `2 ready replicas`, `evicted=2`."""
        if noun in _OF_TIMES and int(number) in self.counts_of_times[ANY_VERB]:
            return True
        said = rf"(?<![\w.-]){number}(?: [\w.-]+)? {noun}|(?:evicted|left)={number}\b"
        return re.search(said, self.corpus, re.IGNORECASE) is not None


def known_of(case: CaseFacts) -> Known:
    """What is known of a case."""
    values = list(leaves([case.incident, [_of_event(event) for event in case.events], case.past]))
    said = [plainly(value) for value in values if isinstance(value, str)]
    said += [case.subject, *(f"{entry.namespace}/{entry.workload}" for entry in case.past.neighbours)]
    said += [part for step in case.past.raises for part in re.split("[:→]", step.action)]
    corpus = "\n".join(said)
    moments = [value for value in values if isinstance(value, datetime)] + list(stamps(corpus))
    done = set(_done_actions(case))
    done_words = frozenset(_done_words(case, done))
    return Known(
        event_ids=frozenset({event.id for event in case.events} | set(_ids_in(case.past))),
        incident_ids=frozenset({case.incident.id, case.past.first.incident_id, case.past.last.incident_id}),
        occurrences=case.past.occurrences,
        ended=case.incident.resolved_at is not None,
        verified=bool(case.of_incident(EventType.VERIFIED)),
        done=done_words,
        done_actions=frozenset(done),
        sent_actions=frozenset(event.payload["action"] for event in case.of_incident(EventType.INTENT)),
        sent_words=frozenset(_word_of(event.payload["action"]) for event in case.of_run(EventType.INTENT)),
        offered_words=done_words | frozenset(_offered_words(case)),
        decisions=frozenset(event.event_type.value for event in case.events),
        changes=frozenset(_changes(case)),
        moments=frozenset(map(_second, moments)),
        counts=_counts(case),
        counts_of_times=_times(case),
        shares=frozenset(_shares(case)),
        numbers=frozenset(NUMBER.findall(corpus)) | {str(value) for value in values if isinstance(value, int)},
        durations=frozenset(_durations(case)) | frozenset(DURATION.findall(corpus)),
        quantities=frozenset(QUANTITY.findall(corpus)),
        shares_in_percent=frozenset(said.replace(" ", "") for said in PER_CENT.findall(corpus)),
        words=frozenset(word.rstrip(".") for word in _WORD.findall(corpus)),
        clock_times=frozenset(f"{moment:%H:%M}" for moment in moments) | frozenset(_hours(case)),
        commands=frozenset(map(plainly, _commands(case))),
        corpus=corpus,
        proofs=proofs_of(case),
    )


def _holds(corpus: str, said: str) -> bool:
    """Whether the words stand there as words; the plain look first, because it is the quick one."""
    wanted = said.removesuffix(CUT)
    if wanted not in corpus:
        return False
    end = "" if wanted != said else r"(?![\w-])"
    return re.search(rf"(?<![\w-]){re.escape(wanted)}{end}", corpus) is not None


def _second(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _done_actions(case: CaseFacts) -> Iterator[str]:
    """The action strings of what was done: in this incident by its outcomes and ends, in the past by the facts."""
    intents = {event.payload["action_id"]: event.payload["action"] for event in case.of_incident(EventType.INTENT)}
    for event in case.of_incident(EventType.OUTCOME):
        if event.payload["outcome"] == "done" and event.payload["action_id"] in intents:
            yield intents[event.payload["action_id"]]
    for end in case.of_incident(EventType.FINAL):
        yield from (end.payload["state"]["action_taken"] or "").split("; ")
    yield from (step.action for step in case.past.raises)
    yield from [case.past.undone.action] if case.past.undone else []


def _done_words(case: CaseFacts, done: set[str]) -> Iterator[str]:
    """The words that those actions begin with; a node that somebody cordoned is cordoned, too."""
    yield from ACTION_WORDS.intersection(map(_word_of, done))
    yield from (REMEDIATIONS[entry.tool].action_word for entry in case.past.tried if entry.tool in REMEDIATIONS)
    if any((step.payload["result"] or {}).get("unschedulable") is True for step in case.of_incident(EventType.STEP)):
        yield REMEDIATIONS["cordon_node"].action_word


def _offered_words(case: CaseFacts) -> Iterator[str]:
    """The words of what was recommended in this incident, or offered to be done by hand where the agent did not."""
    for end in case.of_incident(EventType.FINAL):
        yield from map(_word_of, ACTION.findall(end.payload["state"]["action_recommended"] or ""))
    for step in case.of_incident(EventType.STEP):
        by_hand = any(judgement["by_hand"] for judgement in step.payload["judgements"])
        offered = by_hand or step.payload["status"] in {"proposed", "refused"}
        if offered and step.payload["tool"] in REMEDIATIONS:
            yield REMEDIATIONS[step.payload["tool"]].action_word


def _changes(case: CaseFacts) -> Iterator[tuple[str, str]]:
    """From what to what something was changed, or would be; over several raises too."""
    for step in case.of_incident(EventType.STEP):
        for change in (step.payload["result"] or {}).get("diff") or ():
            yield change["before"], change["after"]
    chain = [_ARROW.findall(step.action) for step in case.past.raises]
    steps = [pair for pairs in chain for pair in pairs]
    yield from ((before, after) for place, (before, _) in enumerate(steps) for _, after in steps[place:])
    for value in leaves([_of_event(event) for event in case.events]):
        if isinstance(value, str):
            yield from _ARROW.findall(value)


def _word_of(action: str) -> str:
    return action.partition(":")[0]


def _commands(case: CaseFacts) -> Iterator[str]:
    for step in case.of_incident(EventType.STEP):
        offered = [judgement["by_hand"] for judgement in step.payload["judgements"]]
        yield from filter(None, [*offered, (step.payload["result"] or {}).get("kubectl")])


def _of_event(event: Any) -> list[Any]:
    """What an event says of the world; an earlier analysis proves nothing."""
    return [event.ts, [] if event.event_type == "analysis" else of_the_world(event)]


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
        "after": {entry.times for entry in past.tried},
        "undone": {past.undone.times} if past.undone else set(),
        "came": {past.recent.times} if past.recent else set(),
        "sent": {repeats},
        "change": {past.recommended.times} if past.recommended else set(),
    }
    by_verb |= {verb: {past.occurrences} for verb in _FIRED}
    by_container = Counter(map(field_of, past.raises))
    by_verb |= {verb: {len(rising_chain(past.raises)), *by_container.values()} for verb in _RAISED}
    return {verb: frozenset(counts) for verb, counts in by_verb.items()} | {
        ANY_VERB: frozenset(count for counts in by_verb.values() for count in counts)
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
        "month": {apart // timedelta(days=30)},
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
