"""What a sentence claims, rule by rule: actions, history, names, numbers. Called by `checker`, without quotes."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

from sre_agent.analysis import forms
from sre_agent.analysis.fault import Fault, FaultKind
from sre_agent.analysis.known import ANY_VERB, Known
from sre_agent.analysis.texts import WEEKDAYS

_DENIED = re.compile(r" (?:nothing|no|neither|not)\b", re.IGNORECASE)
_ORDERED = {"delete": "delete_pod", "remove": "delete_pod"}
"""Orders that an analysis may give where the agent offers that action itself."""
_CONDITION = re.compile(
    r"\b(?:if|unless|whether|who|whoever|what|why|should|would|could)\b[^,;:]*$"
    r"|\b(?:when|whenever|once|until|before|after)\b[^,;:]*\b(?:is|are|gets?|has been|have been|being)(?: \w+ly)? $",
    re.IGNORECASE,
)
"""Behind such words, in the same clause, nothing is claimed to have been done."""
_LIMIT = re.compile(r"\blimits?\b", re.IGNORECASE)
_NEVER_BEFORE = re.compile(
    r"\b(?:never (?:before|fired|happened|occurred|seen)|first recorded (?:occurrence|incident)|for the first time"
    r"|(?:this|it|which) (?:is|was)(?: the| its| only the)? (?:very )?first (?:occurrence|time|incident)"
    r"|no (?:earlier|previous|past|prior|similar) \w+|not (?:fired|occurred|happened|been seen) before)\b",
    re.IGNORECASE,
)
_AGAIN = re.compile(
    r"\b(?:recurr(?:ed|ing|ence|ent)|repeatedly|again and again|(?:each|every) time|many times|several times"
    r"|keeps? (?:firing|happening|coming back)|(?:fires?|happens?|occurs?) (?:hourly|daily|nightly|weekly|often)"
    r"|(?:many|several|multiple|numerous|a few|a couple of) (?:times|occurrences|incidents))\b",
    re.IGNORECASE,
)
_OPEN_QUESTION = re.compile(r"\b(?:if|whether|unless|until)\b[^,;:]*$", re.IGNORECASE)
_CURED = re.compile(
    r"\b(?:was|were|has|have|had|been|agent|it|this|that|change|raise|limit|rollback|drain)"
    r"(?: \w+ly)? (fixed|solved|cured|mitigated|remediated|helped|recovered|resolved|healed)\b",
    re.IGNORECASE,
)


def action_claims(prose: str, known: Known, *, proven: bool) -> Iterator[Fault]:
    """Action strings are recorded ones; a verb of action was done, and the sentence names an event."""
    for said in forms.ACTION.findall(prose):
        if not known.quotes(said.rstrip(".,)")):
            yield Fault(kind=FaultKind.ACTION, said=said, reason="no such action is recorded")
    for found in forms.DONE_WORD.finditer(prose):
        word, before = found[0], prose[: found.start()]
        if _CONDITION.search(before) or (word.lower() in forms.OF_A_LIMIT and not _LIMIT.search(prose)):
            continue
        actions = forms.DONE_WORDS.get(word.lower(), "").split("|")
        if not known.done.intersection(actions):
            yield Fault(kind=FaultKind.ACTION, said=word, reason="nothing of the kind was done, as the facts say")
        elif not proven:
            yield Fault(kind=FaultKind.UNPROVEN, said=word, reason="the sentence names no event that proves it")


def agent_claims(prose: str, known: Known) -> Iterator[Fault]:
    """What the agent is said to do is what it can do, a change only where it sent one; so for deeds in nouns."""
    for found in forms.AGENT_VERB.finditer(prose):
        verb = found[1].lower()
        changed = verb in forms.AGENT_CHANGES and (known.sent_words or known.done)
        looked = verb in forms.AGENT_LOOKS or _DENIED.match(prose, found.end())
        if not (looked or changed) and not _CONDITION.search(prose[: found.start()]):
            yield Fault(kind=FaultKind.ACTION, said=found[0], reason="that is not what the agent did, as the facts say")
    for found in forms.DEED_NOUN.finditer(prose):
        deed = (found[1] or found[2]).lower()
        if forms.DEED_NOUN_WORDS.get(deed) not in known.done:
            yield Fault(kind=FaultKind.ACTION, said=found[0], reason="nothing of the kind was done, as the facts say")
    for found in forms.DECIDED.finditer(prose):
        by_guard = re.search(r"\bguards?\b", prose, re.IGNORECASE)
        if not (by_guard or _CONDITION.search(prose[: found.start()]) or found[1].lower() in known.decisions):
            yield Fault(kind=FaultKind.ACTION, said=found[0], reason="nobody decided on it, as the facts say")


def denial_claims(prose: str, known: Known) -> Iterator[Fault]:
    """That nothing was done, where the last run sent something; that all is well, before the incident has ended."""
    for found in forms.NOT_DONE.finditer(prose):
        words = forms.DONE_WORDS[(found[1] or found[2]).lower()].split("|")
        if known.sent_words.intersection(words):
            yield Fault(kind=FaultKind.ACTION, said=found[0], reason="the last run did that, as the facts say")
    if known.sent_words and (nothing := forms.NOTHING_DONE.search(prose)):
        yield Fault(kind=FaultKind.ACTION, said=nothing[0], reason="the last run sent a change, as the facts say")
    calm = forms.CALM.search(prose)
    if calm and not known.ended and not _OPEN_QUESTION.search(prose[: calm.start()]):
        yield Fault(kind=FaultKind.HISTORY, said=calm[0], reason="the incident has not ended, as the facts say")


def advice_claims(prose: str, known: Known) -> Iterator[Fault]:
    """A change that the agent is said to recommend, it does; what destroys or opens something, nobody else advises."""
    for found in forms.OFFER.finditer(prose):
        words = {action for action, said in forms.OFFERED_WORDS.items() if re.fullmatch(said, found[1], re.IGNORECASE)}
        if not known.offered_words.intersection(words):
            yield Fault(kind=FaultKind.ACTION, said=found[1], reason="the agent recommends nothing of the kind")
    for found in forms.RISKY.finditer(prose):
        verb = found[1].lower()
        if _ORDERED.get(verb) not in known.offered_words:
            yield Fault(kind=FaultKind.ACTION, said=found[1], reason="an analysis gives no such order")


def history_claims(prose: str, known: Known, *, advice: bool) -> Iterator[Fault]:
    """Whether it happened before, and whether anything helped."""
    if advice:
        return
    if known.occurrences > 1 and (found := _NEVER_BEFORE.search(prose)):
        yield Fault(kind=FaultKind.HISTORY, said=found[0], reason=f"there are {known.occurrences} occurrences")
    if known.occurrences < forms.FEWER_THAN_LOTS and (found := forms.LOTS.search(prose)):
        yield Fault(kind=FaultKind.HISTORY, said=found[0], reason="there are not so many occurrences")
    if known.occurrences == 1 and (found := _AGAIN.search(prose)):
        yield Fault(kind=FaultKind.HISTORY, said=found[0], reason="there is one occurrence")
    for found in _CURED.finditer(prose):
        word = found[1]
        if not _OPEN_QUESTION.search(prose[: found.start()]) and not (
            known.ended if word.lower() == "resolved" else known.verified
        ):
            yield Fault(kind=FaultKind.HISTORY, said=word, reason="that is not verified, as the facts say")


def name_claims(prose: str, known: Known) -> Iterator[Fault]:
    """Names of objects: after the word for their kind, or with a hyphen or dot and a digit, as pods and nodes have."""
    after_kind = {found.rstrip(".") for found in forms.AFTER_KIND.findall(prose)}
    anywhere = {found.rstrip(".") for found in forms.NAME.findall(forms.DATE.sub(" ", prose))}
    named = {said for said in after_kind if re.search(r"[-/\d]", said) and not said.isdigit()}
    named |= {said for said in anywhere if re.search(r"[-/.].*\d|\d.*[-/.]", said)}
    for said in sorted(named):
        parts = [part for part in said.split("/") if not re.fullmatch(r"[\d.]+|v\d+", part)]
        if any(part not in known.words for part in parts if not forms.QUANTITY.fullmatch(part)):
            yield Fault(kind=FaultKind.NAME, said=said, reason="no object of this name is in the facts")
    for said in forms.ADDRESS.findall(prose):
        if said not in known.corpus:
            yield Fault(kind=FaultKind.NAME, said=said, reason="no such address is in the facts")
    for said in re.findall(r"\b(?:RB_[A-Z_]+|Kube[A-Z]\w+)\b", prose):
        if said not in known.words:
            yield Fault(kind=FaultKind.NAME, said=said, reason="no alert or runbook of this name is in the facts")


@dataclass(frozen=True, kw_only=True, slots=True)
class _NumberRule:
    """One form of a number: `holds` says whether a match is in the facts; None for a form that is not allowed at all.

    `free_in_advice`: an advice may name a wait or a threshold of its own.
    """

    pattern: re.Pattern[str]
    reason: str
    holds: Callable[[re.Match[str], Known], bool] | None = None
    kind: FaultKind = FaultKind.NUMBER
    free_in_advice: bool = False


def _is_day(found: re.Match[str], known: Known) -> bool:
    month, day, year = found[1] or found[4], int(found[2] or found[3]), found[5] or ""
    number = [name[:3] for name in forms.MONTHS].index(month[:3]) + 1
    return any(f"{year}-{number:02}-{day:02} " in moment for moment in known.moments)


def _is_weekday(found: re.Match[str], known: Known) -> bool:
    days = {date.fromisoformat(moment[:10]).weekday() for moment in known.moments}
    return found[1] in {WEEKDAYS[day] for day in days}


def _is_count_of_times(found: re.Match[str], known: Known) -> bool:
    """`fired 6 times`, `twice`: by the verb before, or `after`, where it is one that counts something of its own."""
    number = found[2].split()[0].lower()
    verb = (found[3] or found[1] or "").lower()
    counts = known.counts_of_times.get(verb, known.counts_of_times[ANY_VERB])
    return (2 if number == "twice" else int(number)) in counts


_NUMBER_RULES = (
    _NumberRule(pattern=forms.ZONE, reason="moments are in UTC", kind=FaultKind.DATE),
    _NumberRule(
        pattern=forms.DATE,
        holds=lambda found, known: known.dates(found[0]),
        reason="not a moment of this history",
        kind=FaultKind.DATE,
    ),
    _NumberRule(
        pattern=forms.OTHER_DATE,
        reason="write a moment as 2026-03-17 14:22 UTC",
        kind=FaultKind.DATE,
        free_in_advice=True,
    ),
    _NumberRule(pattern=forms.MONTH_DAY, holds=_is_day, reason="not a day of this history", kind=FaultKind.DATE),
    _NumberRule(
        pattern=forms.CLOCK,
        holds=lambda found, known: not found[2] and found[1] in known.clock_times,
        reason="not a time of this history",
        kind=FaultKind.DATE,
    ),
    _NumberRule(pattern=forms.HALF_DAY, reason="write a time as 14:22 UTC", kind=FaultKind.DATE),
    _NumberRule(pattern=forms.WEEKDAY, holds=_is_weekday, reason="not a day of this history", kind=FaultKind.DATE),
    _NumberRule(
        pattern=forms.DURATION,
        holds=lambda found, known: found[0] in known.durations,
        reason="no such duration",
        free_in_advice=True,
    ),
    _NumberRule(
        pattern=forms.QUANTITY,
        holds=lambda found, known: found[0] in known.quantities,
        reason="no such amount",
    ),
    _NumberRule(
        pattern=forms.SHARE,
        holds=lambda found, known: (int(found[1]), int(found[2])) in known.shares,
        reason="not so many of so many",
    ),
    _NumberRule(pattern=forms.TIMES, holds=_is_count_of_times, reason="not so many times"),
    _NumberRule(
        pattern=forms.COUNT,
        holds=lambda found, known: int(found[1]) in known.counts[found[2]],
        reason="not so many",
    ),
    _NumberRule(
        pattern=forms.EXIT_CODE,
        holds=lambda found, known: re.search(rf"exit code {found[1]}\b", known.corpus) is not None,
        reason="no such exit code",
    ),
    _NumberRule(
        pattern=forms.INCIDENT,
        holds=lambda found, known: int(found[1]) in known.incident_ids,
        reason="no such incident in this history",
        kind=FaultKind.REFERENCE,
    ),
    _NumberRule(
        pattern=forms.COUNTED,
        holds=lambda found, known: known.counts_of(found[1], found[2]),
        reason="no such count is in the facts",
    ),
    _NumberRule(
        pattern=forms.PER_CENT,
        holds=lambda found, known: found[0].replace(" ", "") in known.shares_in_percent,
        reason="no such share",
        free_in_advice=True,
    ),
    _NumberRule(
        pattern=forms.NUMBER,
        holds=lambda found, known: found[0] in known.numbers,
        reason="no such number",
    ),
)
"""In the order in which they are taken out of the prose: what is a date is no longer a number."""


def number_claims(prose: str, known: Known, *, advice: bool) -> Iterator[Fault]:
    """Dates, clock times, amounts, counts with their nouns; at last whatever number is left outside names."""
    left = forms.ADVISED_SPAN.sub(" ", prose) if advice else prose
    for rule in _NUMBER_RULES:
        if rule.pattern is forms.NUMBER:
            left = forms.NAME.sub(lambda name: name[0] if name[0].replace(".", "").isdigit() else " ", left)
        for found in rule.pattern.finditer(left):
            free = advice and rule.free_in_advice
            if not free and (rule.holds is None or not rule.holds(found, known)):
                yield Fault(kind=rule.kind, said=found[0].strip(), reason=rule.reason)
        left = rule.pattern.sub(" ", left)
