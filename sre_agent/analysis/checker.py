"""Does a text about an incident say only what is known? Judges every analysis, whoever wrote it.

Called on composed texts by the tests and on a model's text before it is stored. It checks the seven sections, event
references, dates, numbers with their nouns, names, actions and quotes. It is strict: what it cannot find in the facts
is a fault, and a fault is a reason to say it otherwise.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from sre_agent.analysis.facts import REMEDIATIONS, CaseFacts
from sre_agent.analysis.known import DURATION, QUANTITY, TIMES, Known, known_of
from sre_agent.analysis.texts import WEEKDAYS, plainly

SECTIONS = (
    "Summary",
    "What happened (evidence)",
    "Root cause hypothesis",
    "Action taken / recommended",
    "Why that action",
    "Historical pattern & SRE recommendation",
    "Follow-ups",
)
"""The headings of an analysis, in their order."""


class FaultKind(StrEnum):
    """What is wrong with a text."""

    SECTION = "section"
    REFERENCE = "reference"
    DATE = "date"
    NUMBER = "number"
    NAME = "name"
    ACTION = "action"
    QUOTE = "quote"
    UNPROVEN = "unproven"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One thing that the facts do not bear out: `said` as it stands in the text, `reason` for whoever wrote it."""

    kind: FaultKind
    said: str
    reason: str


_HEADING = re.compile(r"^#{1,6} +(.*?) *$", re.MULTILINE)
_REFERENCE = re.compile(r"\[events?\b([^\]]*)\]|\bevents? +#?(\d+)", re.IGNORECASE)
_QUOTE = re.compile(r"`([^`\n]*)`")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?)?")
_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_MONTH_DAY = re.compile(rf"\b(?:({_MONTHS}) +(\d{{1,2}})|(\d{{1,2}}) +({_MONTHS}))\b")
_CLOCK = re.compile(r"(?<![\d:])\d{2}:\d{2}(?!\d)")
_SHARE = re.compile(r"\b(\d+) (?:of|out of)(?: the)? (\d+)\b")
_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_TIMES = re.compile(rf"(?:\b(\w+) +)?\b((?:\d+|{'|'.join(_WORDS)}) +times?|twice)\b", re.IGNORECASE)
_COUNT = re.compile(r"(?<![\w.:-])(\d+) +(occurrence|workload|incident|day|week|hour|minute)s?\b")
_INCIDENT = re.compile(r"\bincidents? +#?(\d+)\b")
_PER_CENT = re.compile(r"\d+(?:\.\d+)? ?%")
_NUMBER = re.compile(r"(?<![\w.-])\d+(?:\.\d+)?(?![\w-])")
_ACTION = re.compile(rf"\b(?:{'|'.join(set(REMEDIATIONS.values()))}):[^\s,;]+")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[\w.-]+)*")
_KINDS = r"pods?|nodes?|deployments?|statefulsets?|daemonsets?|replicasets?|jobs?|namespaces?|containers?|workloads?"
_AFTER_KIND = re.compile(rf"\b(?:{_KINDS}) +([a-z0-9][\w.-]*(?:/[\w.-]+)*)", re.IGNORECASE)
_DONE = {
    "cordoned": "cordon_node",
    "uncordoned": "uncordon_node",
    "drained": "drain_node",
    "evicted": "drain_node",
    "deleted": "delete_pod",
    "rolled back": "rollback_deployment",
}
_DONE_WORD = re.compile(rf"(?<!not )\b({'|'.join(_DONE)})\b", re.IGNORECASE)
_READING = re.compile(r"kubectl (?:-n \S+ )?(?:get|describe|logs|top|events|rollout (?:history|status))\b")


def check(text: str, case: CaseFacts) -> list[Fault]:
    """Every fault of a text; empty for one that may be shown."""
    known = known_of(case)
    faults = list(_sections(text))
    section = ""
    for line in text.splitlines():
        if heading := _HEADING.match(line):
            section = heading[1]
            continue
        faults += _line(line, known, advice=section in SECTIONS[-2:] and line.lstrip().startswith(("-", "*")))
    return faults


def _sections(text: str) -> Iterator[Fault]:
    """All seven, in order, none empty, no other."""
    found = [heading[1] for heading in _HEADING.finditer(text)]
    for title in SECTIONS:
        if title not in found:
            yield Fault(kind=FaultKind.SECTION, said=title, reason="the section is missing")
    yield from (
        Fault(kind=FaultKind.SECTION, said=title, reason="no section of an analysis, or there twice")
        for position, title in enumerate(found)
        if title not in SECTIONS or title in found[:position]
    )
    if found != sorted(found, key=lambda title: SECTIONS.index(title) if title in SECTIONS else len(SECTIONS)):
        yield Fault(kind=FaultKind.SECTION, said=", ".join(found), reason="the sections are in another order")
    for title, body in zip(found, _HEADING.split(text)[2::2], strict=True):
        if not body.strip():
            yield Fault(kind=FaultKind.SECTION, said=title, reason="the section is empty")


def _line(line: str, known: Known, *, advice: bool) -> Iterator[Fault]:
    quotes = _QUOTE.findall(line)
    prose = _QUOTE.sub("``", line)
    yield from _references(prose, known)
    for said in quotes:
        if not (known.quotes(plainly(said)) or _harmless_command(said, known)):
            yield Fault(kind=FaultKind.QUOTE, said=said, reason="these words are not in the facts")
    if not advice:
        yield from _unproven(prose)
    prose = _REFERENCE.sub(" ", prose)
    yield from _actions(prose, known)
    yield from _names(prose, known)
    yield from _numbers(prose, known, advice=advice)


def _references(prose: str, known: Known) -> Iterator[Fault]:
    for found in _REFERENCE.finditer(prose):
        ids = re.findall(r"\d+", found[1] or found[2] or "")
        if not ids or any(int(event_id) not in known.event_ids for event_id in ids):
            yield Fault(kind=FaultKind.REFERENCE, said=found[0], reason="there is no such event in this history")


def _harmless_command(said: str, known: Known) -> bool:
    """A kubectl command that only reads, about names that are known."""
    return _READING.match(said) is not None and not list(_names(said, known))


def _unproven(prose: str) -> Iterator[Fault]:
    """A sentence with a date, a count or a share names its event."""
    for sentence in re.split(r"(?<=[.!?])\s+(?=[A-Z`*])", prose):
        plain = _REFERENCE.sub(" ", sentence)
        claims = _DATE.search(plain) or _SHARE.search(plain) or re.search(r"\b\d+ times?\b", plain)
        if claims and not _REFERENCE.search(sentence):
            yield Fault(kind=FaultKind.UNPROVEN, said=claims[0], reason="the sentence names no event that proves it")


def _actions(prose: str, known: Known) -> Iterator[Fault]:
    for said in _ACTION.findall(prose):
        if not known.quotes(said.rstrip(".)")):
            yield Fault(kind=FaultKind.ACTION, said=said, reason="no such action is recorded")
    for word in _DONE_WORD.findall(prose):
        if f"{_DONE[word.lower()]}:" not in known.corpus:
            yield Fault(kind=FaultKind.ACTION, said=word, reason="no such action is recorded")


def _names(prose: str, known: Known) -> Iterator[Fault]:
    """Names of objects: after the word for their kind, or with a hyphen or dot and a digit, as pods and nodes have."""
    after_kind = {found.rstrip(".") for found in _AFTER_KIND.findall(prose)}
    anywhere = {found.rstrip(".") for found in _NAME.findall(_DATE.sub(" ", prose))}
    named = {said for said in after_kind if re.search(r"[-/\d]", said)}
    named |= {said for said in anywhere if re.search(r"[-/.].*\d|\d.*[-/.]", said)}
    for said in sorted(named):
        parts = [part for part in said.split("/") if not re.fullmatch(r"[\d.]+|v\d+", part)]
        if any(part not in known.words for part in parts if not QUANTITY.fullmatch(part)):
            yield Fault(kind=FaultKind.NAME, said=said, reason="no object of this name is in the facts")
    for said in re.findall(r"\b(?:RB_[A-Z_]+|Kube[A-Z]\w+)\b", prose):
        if said not in known.words:
            yield Fault(kind=FaultKind.NAME, said=said, reason="no alert or runbook of this name is in the facts")


def _numbers(prose: str, known: Known, *, advice: bool) -> Iterator[Fault]:
    """Dates, clock times, amounts, counts with their nouns; at last whatever number is left."""
    left = prose
    faults: list[Fault] = []

    def take(pattern: re.Pattern[str], kind: FaultKind, reason: str, *wrong: str) -> None:
        nonlocal left
        faults.extend(Fault(kind=kind, said=said, reason=reason) for said in wrong)
        left = pattern.sub(" ", left)

    take(_DATE, FaultKind.DATE, "not a moment of this history", *(d for d in _DATE.findall(left) if not known.dates(d)))
    take(_MONTH_DAY, FaultKind.DATE, "not a day of this history", *_wrong_days(left, known))
    take(_CLOCK, FaultKind.DATE, "not a time of this history", *(set(_CLOCK.findall(left)) - known.clock_times))
    weekdays = re.compile(rf"\b(?:{'|'.join(WEEKDAYS)})\b")
    take(weekdays, FaultKind.DATE, "not a day of this history", *(set(weekdays.findall(left)) - _weekdays(known)))
    take(DURATION, FaultKind.NUMBER, "no such duration", *(set(DURATION.findall(left)) - known.durations))
    take(QUANTITY, FaultKind.NUMBER, "no such amount", *(set(QUANTITY.findall(left)) - known.quantities))
    shares = [found for found in _SHARE.finditer(left) if (int(found[1]), int(found[2])) not in known.shares]
    take(_SHARE, FaultKind.NUMBER, "not so many of so many", *(found[0] for found in shares))
    take(_TIMES, FaultKind.NUMBER, "not so many times", *_wrong_times(left, known))
    counts = [found[0] for found in _COUNT.finditer(left) if int(found[1]) not in known.counts[found[2]]]
    take(_COUNT, FaultKind.NUMBER, "not so many", *counts)
    ids = [found[0] for found in _INCIDENT.finditer(left) if int(found[1]) not in known.incident_ids]
    take(_INCIDENT, FaultKind.REFERENCE, "no such incident in this history", *ids)
    shares_said = [] if advice else [said for said in _PER_CENT.findall(left) if said not in known.corpus]
    take(_PER_CENT, FaultKind.NUMBER, "no such share", *shares_said)
    left = _NAME.sub(lambda found: found[0] if found[0].replace(".", "").isdigit() else " ", left)
    take(_NUMBER, FaultKind.NUMBER, "no such number", *(set(_NUMBER.findall(left)) - known.numbers))
    yield from faults


def _wrong_times(prose: str, known: Known) -> Iterator[str]:
    """`fired 6 times`, `six times`, `twice`: by the verb before, where it is one that counts something of its own."""
    for found in _TIMES.finditer(prose):
        number = found[2].split()[0].lower()
        count = 2 if number == "twice" else _WORDS.index(number) if number in _WORDS else int(number)
        verb = (found[1] or "").lower()
        if count not in known.counts_of_times.get(verb, known.counts_of_times[TIMES]):
            yield found[0]


def _wrong_days(prose: str, known: Known) -> Iterator[str]:
    for found in _MONTH_DAY.finditer(prose):
        month, day = found[1] or found[4], int(found[2] or found[3])
        wanted = f"-{_MONTHS.split('|').index(month) + 1:02}-{day:02} "
        if not any(wanted in moment for moment in known.moments):
            yield found[0]


def _weekdays(known: Known) -> set[str]:
    return {WEEKDAYS[date.fromisoformat(moment[:10]).weekday()] for moment in known.moments}
