"""How the words of a model came to be used, as a run keeps it: what was asked, what was answered, what became of it.

Written by the planner, the investigation and the analysis. Protects two rules: all of them keep one form, so that
whoever tells a trace reads it in one way; and what a model said goes back to it as data, never as its own words.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sre_agent.llm.port import Answer, Exchange, Message
from sre_agent.llm.untrusted import MOST_BYTES, cut, fenced

ACCEPTED = "accepted"
"""The verdict on an answer that is used."""


class Used(StrEnum):
    """What stands where a model was asked."""

    FIRST = "first answer"
    CORRECTED = "corrected answer"
    SCRIPTED = "scripted call"
    """Of a step: the model made no call that could be used."""
    NO_CONCLUSION = "no conclusion"
    """Of an investigation: it ended without one."""
    SOME = "some sections"
    """Of an analysis: the others are composed."""
    COMPOSED = "composed"
    """Of an analysis: no section held."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """What was asked for one step of a run, or for its analysis.

    `tool` is None where no call was asked for. `why` says why not all of the answer was used, None where a step's own
    reason says it. `dropped` are the findings of a conclusion that do not stand, None where there is no conclusion.
    """

    step: str
    tool: str | None
    model: str
    used: Used
    why: str | None
    exchanges: Sequence[dict[str, Any]]
    dropped: Sequence[dict[str, Any]] | None = None

    def as_json(self) -> dict[str, Any]:
        """The trace as events keep it: `llm` of a step, an entry of `llm_trace`."""
        told = {
            "step": self.step,
            "tool": self.tool,
            "model": self.model,
            "used": self.used.value,
            "why": self.why,
            "exchanges": list(self.exchanges),
        }
        return told if self.dropped is None else told | {"dropped": list(self.dropped)}


@dataclass(kw_only=True, slots=True)
class Transcript:
    """The exchanges of one conversation while it goes on; each of them keeps the messages that came since the last."""

    _exchanges: list[dict[str, Any]] = field(default_factory=list)
    _shown: int = 0

    def add(self, exchange: Exchange, verdict: str) -> None:
        """Keeps an exchange, with what validation said of its answer."""
        self._exchanges.append(exchange.as_json(verdict, since=self._shown))
        self._shown = len(exchange.question.messages)

    def taken(self) -> list[dict[str, Any]]:
        """The exchanges since this was called last: those of one trace."""
        exchanges, self._exchanges = self._exchanges, []
        return exchanges


def answered_as_data(answer: Answer, *, emails: bool, most: int = MOST_BYTES) -> Message:
    """An answer that was refused, as the message that goes before what was wrong with it; at most `most` bytes.

    As words, since a call that was refused is not to be answered as one; and fenced, since a model may have repeated
    what stands in a log. With `emails`, addresses are hidden.
    """
    said = [answer.text or "", *(f"{call.name}({cut(call.arguments, most)})" for call in answer.calls)]
    words = "\n".join(filter(None, said)) or "(nothing)"
    return {"role": "assistant", "content": fenced("answer", words, emails=emails, most=most)}
