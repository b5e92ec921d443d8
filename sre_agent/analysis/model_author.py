"""The author that asks a language model, and publishes nothing of it that code cannot bear out.

The model gets the facts and writes the sections around them. Each section is checked by itself; what is wrong is told
once, and only those sections are asked for again. What is wrong then is composed, as is everything where there is no
answer. So a section is either the model's and checked, or the composer's.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

from sre_agent.analysis.author import COMPOSED, Draft, composed
from sre_agent.analysis.briefing import briefing
from sre_agent.analysis.checker import check_section, unproven_parts
from sre_agent.analysis.facts import CaseFacts
from sre_agent.analysis.fault import Fault, FaultKind
from sre_agent.analysis.known import Known, known_of
from sre_agent.analysis.sections import SECTIONS, join, read_answer, split
from sre_agent.llm.port import Allowance, Answer, LanguageModel, Purpose, Question
from sre_agent.llm.prompts import Prompts
from sre_agent.llm.trace import ACCEPTED, Trace, Transcript, Used, answered_as_data
from sre_agent.llm.untrusted import cut, fenced

MOST_TOKENS = 2_000
"""Of an answer: an analysis is read in a minute."""
MOST_ANSWER = 20_000
"""Characters of an answer that are looked at."""
MOST_OF_A_SECTION = 3_000
"""Characters of one section."""
MOST_FAULTS = 8
"""Of one section: so many are told and kept."""
MOST_SAID = 200
"""Bytes of what was refused, where it is told and kept."""

Faults = dict[str, list[Fault]]
"""What is wrong, by the heading of its section."""


class ModelAuthor:
    """Asks the model for an analysis, at most twice."""

    def __init__(self, model: LanguageModel, prompts: Prompts, *, hide_emails: bool) -> None:
        self._model = model
        self._prompts = prompts
        self._hide_emails = hide_emails

    @property
    def name(self) -> str:
        """The model's name."""
        return self._model.name

    async def write(self, case: CaseFacts, allowance: Allowance) -> Draft:
        """The model's sections where they hold, the composed ones elsewhere, with the trace of how it came to that."""
        known, plain = known_of(case), composed(case)
        bodies = dict(split(plain.markdown))
        accepted: dict[str, str] = {}
        refused: list[dict[str, Any]] = []
        question, why, transcript = self._question(case, bodies), None, Transcript()
        wanted: tuple[str, ...] = SECTIONS
        for number in (1, 2):
            exchange = await self._model.ask(question, allowance)
            if exchange.answer is None:
                why = exchange.error or "there was no answer"
                transcript.add(exchange, why)
                break
            good, faults = judged(exchange.answer, wanted, known)
            accepted |= good
            refused += [_as_json(title, number, fault) for title, found in faults.items() for fault in found]
            why = f"refused: {', '.join(faults)}" if faults else None
            transcript.add(exchange, why or ACCEPTED)
            if not faults:
                break
            wanted = tuple(faults)
            question = self._corrected(question, exchange.answer, faults)
        used, exchanges = _used(accepted, told=bool(refused)), transcript.taken()
        trace = Trace(step=Purpose.ANALYSIS.value, tool=None, model=self.name, used=used, why=why, exchanges=exchanges)
        return Draft(
            markdown=join(bodies | accepted),
            sections={title: self.name if title in accepted else COMPOSED for title in SECTIONS},
            model=self.name,
            why=why,
            faults=tuple(refused),
            trace=trace.as_json(),
        )

    def _question(self, case: CaseFacts, notes: Mapping[str, str]) -> Question:
        prompt = self._prompts["analysis"]
        return Question(
            purpose=Purpose.ANALYSIS,
            prompt=prompt.identity,
            messages=prompt.messages(**briefing(case, notes, hide_emails=self._hide_emails)),
            max_tokens=MOST_TOKENS,
        )

    def _corrected(self, question: Question, answer: Answer, faults: Faults) -> Question:
        """The question again, behind the answer and what was wrong with it; for the faulty sections alone."""
        prompt = self._prompts["analysis_correction"]
        listed = "\n".join(f"{title}: {_told(fault)}" for title, found in faults.items() for fault in found)
        told = prompt.messages(
            sections="\n".join(f"## {title}" for title in faults),
            faults=fenced("refusals", listed, emails=self._hide_emails),
        )
        said = answered_as_data(answer, emails=self._hide_emails)
        return replace(question, prompt=prompt.identity, messages=(*question.messages, said, *told))


def _used(accepted: Mapping[str, str], *, told: bool) -> Used:
    """What stands of the answers, by the sections that hold; `told`: the model was told what was wrong."""
    if len(accepted) < len(SECTIONS):
        return Used.SOME if accepted else Used.COMPOSED
    return Used.CORRECTED if told else Used.FIRST


def judged(answer: Answer, wanted: Iterable[str], known: Known) -> tuple[dict[str, str], Faults]:
    """The sections of an answer that hold, and what is wrong with the others that were wanted."""
    text = answer.text or ""
    if len(text) > MOST_ANSWER:
        too_long = _section_fault("the answer", f"it has {len(text)} characters, an analysis at most {MOST_ANSWER}")
        return {}, {title: [too_long] for title in wanted}
    said = read_answer(text)
    unfinished = next(reversed(said), None) if answer.cut else None
    good: dict[str, str] = {}
    faults: Faults = {}
    for title in wanted:
        found = _faults(title, said.get(title), known)
        if title == unfinished:
            found = [_section_fault(title, "it was cut off: write shorter"), *found]
        if found:
            faults[title] = found[:MOST_FAULTS]
        else:
            good[title] = said[title]
    return good, faults


def _faults(title: str, body: str | None, known: Known) -> list[Fault]:
    if body is None:
        return [_section_fault(title, "the section is missing")]
    if len(body) > MOST_OF_A_SECTION:
        return [_section_fault(title, f"it has {len(body)} characters, a section at most {MOST_OF_A_SECTION}")]
    return [*check_section(title, body, known), *unproven_parts(title, body)]


def _section_fault(said: str, reason: str) -> Fault:
    return Fault(kind=FaultKind.SECTION, said=said, reason=reason)


def _told(fault: Fault) -> str:
    return f"{cut(fault.said, MOST_SAID)!r}: {fault.reason}"


def _as_json(title: str, number: int, fault: Fault) -> dict[str, Any]:
    """A refusal as the event keeps it; `answer` is 1 or 2."""
    return {"section": title, "answer": number, **asdict(fault), "said": cut(fault.said, MOST_SAID)}
