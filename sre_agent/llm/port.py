"""What is asked of a language model, what it answered, and what it may cost.

Used by the planner, the analysis and the investigation. Protects two rules: whatever a server does, `ask` returns an
exchange that says so; and every exchange is whole, so that a person can read later what was asked and answered.
"""

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, Self
from uuid import UUID

from sre_agent.llm.untrusted import cut

MOST_NAME, MOST_ARGUMENTS = 200, 2048
"""Bytes that a trace keeps of the name of a tool, and of its arguments."""

Message = dict[str, Any]
"""One message as the Chat Completions API has it: `role`, `content`, and for an answer `tool_calls`."""


class Purpose(StrEnum):
    """What a model is asked for."""

    STEP = "step"
    ANALYSIS = "analysis"
    INVESTIGATION = "investigation"
    PROBE = "probe"


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolSpec:
    """A tool as a model sees it. `parameters` is its JSON schema, closed and with every property required."""

    name: str
    description: str
    parameters: dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What is asked. `prompt` names the prompt file and its version; `must_call`: the one tool that may answer.

    With tools and without `must_call`, one of them must answer.
    """

    purpose: Purpose
    prompt: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    must_call: str | None = None
    max_tokens: int = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class SaidCall:
    """A tool call as it was said: `arguments` is text that should be a JSON object, and may be anything."""

    name: str
    arguments: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a model said. `cut`: it was not done when it had to stop."""

    text: str | None
    calls: tuple[SaidCall, ...] = ()
    cut: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    """One question and what became of it: an answer, or the error that stands for it.

    `cost` is in the currency of the prices, None where there are none. `without` are the parameters that this server
    was asked without because it refuses them.
    """

    question: Question
    model: str
    answer: Answer | None
    error: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None
    latency_ms: int = 0
    without: tuple[str, ...] = ()

    def as_json(self, verdict: str | None = None, *, since: int = 0) -> dict[str, Any]:
        """The exchange for a trace, long answers cut. `verdict` is what validation said.

        `since`: so many messages stand in the trace already.
        """
        return {
            "purpose": self.question.purpose.value,
            "model": self.model,
            "prompt": self.question.prompt,
            "asked": list(self.question.messages[since:]),
            "tools": [tool.name for tool in self.question.tools],
            "must_call": self.question.must_call,
            "answered": None if self.answer is None else _answer_json(self.answer),
            "error": self.error,
            "verdict": verdict,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "cost": self.cost,
            "latency_ms": self.latency_ms,
            "without": list(self.without),
        }


def _answer_json(answer: Answer) -> dict[str, Any]:
    calls = [
        {"name": cut(call.name, MOST_NAME), "arguments": cut(call.arguments, MOST_ARGUMENTS)} for call in answer.calls
    ]
    return {"text": None if answer.text is None else cut(answer.text), "calls": calls, "cut": answer.cut}


@dataclass(kw_only=True, slots=True)
class Allowance:
    """What one run, or one analysis on demand, may still ask.

    `budget_id` is what calls and tokens are counted under, in the database and so over all attempts at a run.
    `until` is the monotonic time in seconds at which nothing is asked any more. Once `silenced` says why, a model that
    could not be reached is not waited for again.
    """

    budget_id: UUID
    incident_id: int | None
    until: float
    silenced: str | None = None

    @classmethod
    def begin(cls, budget_id: UUID, incident_id: int | None, *, seconds: float) -> Self:
        """What may be asked from now on, for so many seconds."""
        return cls(budget_id=budget_id, incident_id=incident_id, until=time.monotonic() + seconds)


class LanguageModel(Protocol):
    """Answers, or says why there is no answer."""

    @property
    def name(self) -> str:
        """The model's name, as its server knows it."""
        ...

    async def ask(self, question: Question, allowance: Allowance, *, within: float | None = None) -> Exchange:
        """One exchange, kept within the budgets and within so many seconds. Raises nothing but Unreachable (the store).

        Cancellation goes through.
        """
        ...
