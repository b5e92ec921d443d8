"""Does a text about an incident say only what is known? Judges every analysis, whoever wrote it.

Called on composed texts by the tests and on a model's text before it is stored. It checks the seven sections, event
references, dates, numbers with their nouns, names, actions, commands and quotes, and that the events which a sentence
names hold its quotes and dates. It is strict: what it cannot find in the facts is a fault, and a fault is a reason to
say it otherwise.

What it cannot see: a name without digit, hyphen or slash; which object a verb of action is about (`worker-2` for
`worker-3`, if both are known), or what somebody else than the agent did; verbs behind `if`; causes, comparisons and
vague shares in words (`because`, `more often`, `most`); Roman numerals; a number that is true of something else, with a
noun that is not in `forms`; which of several events in a sentence proves which part of it; whether an advice is good.
"""

import re
from collections.abc import Iterator

from sre_agent.analysis.claims import (
    action_claims,
    advice_claims,
    agent_claims,
    denial_claims,
    history_claims,
    name_claims,
    number_claims,
)
from sre_agent.analysis.commands import TYPED, harmless
from sre_agent.analysis.facts import CaseFacts
from sre_agent.analysis.fault import Fault, FaultKind
from sre_agent.analysis.forms import ACTION, DATE, DEED, FROM_TO, QUANTITY, REFERENCE, SHARE
from sre_agent.analysis.known import Known, known_of
from sre_agent.analysis.prose import plain_prose
from sre_agent.analysis.sections import (
    ANY_HEADING,
    BULLET,
    FOLLOW_UPS,
    HEADING,
    HISTORY,
    HYPOTHESIS,
    SECTIONS,
    blocks,
    split,
    without_emphasis,
)
from sre_agent.analysis.texts import plainly

_QUOTE = re.compile(r"`([^`\n]*)`")
_QUOTED = re.compile("`([\ue000-\uf8ff])`")
"""A quote in prose whose quotes have been set aside: one character of the private use area for each."""
_FIRST_QUOTE = 0xE000
_PRIVATE = re.compile("[\ue000-\uf8ff]")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z`*])")
_OPEN = re.compile(
    r"[^.;]*\b(?:not (?:yet )?(?:been )?(?:yet )?(?:known|verified|clear)|unknown|unclear|unverified)\b[^.;]*\.?$",
    re.IGNORECASE,
)
"""One sentence that says what is not known."""
_MARKUP = re.compile(
    r"\]\(|\]\[|^ *\[[^\]]*\]:|</?[a-zA-Z!?]|\b[a-z][a-z0-9+.-]*://|\b(?:javascript|data|mailto):|www\.|^\s*(?:```|~~~)|``"
    r"|^ *(?:=+|-{2,}) *$|&#?\w+;|^\s*[|>]|\\[^\w\s]",
    re.IGNORECASE,
)
"""Links, HTML, entities, fences, tables and underlined headings: an analysis needs none, each could hide something."""


def check(text: str, case: CaseFacts) -> list[Fault]:
    """Every fault of a text; empty for one that may be shown."""
    known = known_of(case)
    faults = list(_sections(text))
    for title, body in [("", HEADING.split(text)[0]), *split(text)]:
        faults += _body(title, body, known)
    return faults


def check_section(title: str, body: str, known: Known) -> list[Fault]:
    """Every fault of one section by itself: what `check` finds in a whole text, it finds there."""
    if not body.strip():
        return [Fault(kind=FaultKind.SECTION, said=title, reason="the section is empty")]
    return list(_body(title, body, known))


def unproven_parts(title: str, body: str) -> Iterator[Fault]:
    """Paragraphs and bullets that name no event at all, in the sections that tell what was.

    A composed sentence without one says what is not known; a model's may say anything else.
    """
    if title in {HYPOTHESIS, HISTORY, FOLLOW_UPS}:
        return
    for line in blocks(body):
        if line.strip() and not REFERENCE.search(line) and not _OPEN.match(line):
            yield Fault(kind=FaultKind.UNPROVEN, said=line.strip(), reason="it names no event that proves it")


def _body(title: str, body: str, known: Known) -> Iterator[Fault]:
    """What is wrong below one heading."""
    advises = False
    for line in blocks(body):
        if ANY_HEADING.match(line):
            yield Fault(kind=FaultKind.SECTION, said=line.strip(), reason="no heading inside a section")
        bullet = BULLET.match(line) is not None
        if line.strip() and not bullet:
            advises = line.rstrip().endswith(":")  # what a lead-in announces is advice, in the section of the past
        advice = bullet and (title == FOLLOW_UPS or (title == HISTORY and advises))
        yield from _line(line, known, advice=advice, supposes=title == HYPOTHESIS)


def _sections(text: str) -> Iterator[Fault]:
    """All seven, in order, none empty, no other."""
    found = [heading[1] for heading in HEADING.finditer(text)]
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
    for title, body in split(text):
        if not body.strip():
            yield Fault(kind=FaultKind.SECTION, said=title, reason="the section is empty")


def _line(line: str, known: Known, *, advice: bool, supposes: bool) -> Iterator[Fault]:
    quotes = [plainly(said) for said in _QUOTE.findall(line)]
    aside = iter(range(_FIRST_QUOTE, _FIRST_QUOTE + len(quotes)))
    spoken = _QUOTE.sub(lambda _: f"`{chr(next(aside))}`", _PRIVATE.sub(" ", line))
    prose = plain_prose(without_emphasis(spoken))
    bare = _QUOTED.sub(" ", prose)
    if found := _MARKUP.search(bare):
        yield Fault(kind=FaultKind.MARKUP, said=found[0], reason="plain paragraphs and bullets only, without links")
    for command in TYPED.findall(bare):
        yield Fault(kind=FaultKind.QUOTE, said=command, reason="a command stands in a code span, word for word")
    for said in quotes:
        if TYPED.match(said):
            if said not in known.commands and not harmless(said, known.words):
                yield Fault(kind=FaultKind.QUOTE, said=said, reason="no command of the agent, nor one that only reads")
        elif not known.quotes(said):
            yield Fault(kind=FaultKind.QUOTE, said=said, reason="these words are not in the facts")
    yield from _references(bare, known)
    for sentence in _SENTENCE_END.split(prose):
        yield from _sentence(sentence, quotes, known, advice=advice, supposes=supposes)


def _sentence(sentence: str, quotes: list[str], known: Known, *, advice: bool, supposes: bool) -> Iterator[Fault]:
    """`supposes`: a guess may take up what was done, which its event proves elsewhere."""
    said = [quotes[ord(place) - _FIRST_QUOTE] for place in _QUOTED.findall(sentence)]
    references = REFERENCE.findall(_QUOTED.sub(" ", sentence))
    plain = REFERENCE.sub(" ", sentence)
    bare = _QUOTED.sub("``", plain)
    claim = DATE.search(bare) or SHARE.search(bare) or QUANTITY.search(bare) or re.search(r"\b\d+ times?\b", bare)
    if claim and not references and not advice:
        yield Fault(kind=FaultKind.UNPROVEN, said=claim[0], reason="the sentence names no event that proves it")
    if references:
        ids = [int(number) for found in references for number in re.findall(r"\d+", found)]
        yield from _not_in_events(said, DATE.findall(bare), ids, known)
    for deed in DEED.finditer(plain):
        action = quotes[ord(deed[2]) - _FIRST_QUOTE]
        if ACTION.match(action) and not known.did(action, sent=deed[1].lower() == "sent"):
            yield Fault(kind=FaultKind.ACTION, said=action, reason=f"this was not {deed[1]}, as the facts say")
    yield from action_claims(bare, known, proven=bool(references) or advice or supposes)
    for change in _changes(sentence, quotes):
        if change not in known.changes:
            yield Fault(kind=FaultKind.NUMBER, said=" to ".join(change), reason="no such change is in the facts")
    yield from agent_claims(bare, known)
    yield from denial_claims(bare, known)
    yield from advice_claims(bare, known)
    yield from history_claims(bare, known, advice=advice)
    yield from name_claims(bare, known)
    yield from number_claims(bare, known, advice=advice)


def _changes(sentence: str, quotes: list[str]) -> list[tuple[str, str]]:
    """The changes of an amount that a sentence tells, in quotes or not."""
    return FROM_TO.findall(_QUOTED.sub(lambda found: f"`{quotes[ord(found[1]) - _FIRST_QUOTE]}`", sentence))


def _references(prose: str, known: Known) -> Iterator[Fault]:
    for found in REFERENCE.finditer(prose):
        ids = re.findall(r"\d+", found[0])
        if not ids or any(int(event_id) not in known.event_ids for event_id in ids):
            yield Fault(kind=FaultKind.REFERENCE, said=found[0], reason="there is no such event in this history")
        elif re.search(r"\d *(?:-|–|to|\.\.) *\d", found[0]):
            yield Fault(kind=FaultKind.REFERENCE, said=found[0], reason="name each event by itself, not a range")


def _not_in_events(quotes: list[str], dates: list[str], ids: list[int], known: Known) -> Iterator[Fault]:
    """What the events that a sentence names do not hold; the incident's own names need no event."""
    reason = f"not in {', '.join(f'event {event_id}' for event_id in ids)}"
    for said in quotes:
        if known.quotes(said) and not known.proves(ids, said):
            yield Fault(kind=FaultKind.UNPROVEN, said=said, reason=reason)
    for said in dates:
        if known.dates(said) and not known.dates(said, ids):
            yield Fault(kind=FaultKind.UNPROVEN, said=said, reason=reason)
