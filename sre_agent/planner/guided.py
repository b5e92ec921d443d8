"""The planner that asks a language model, and is right without one: whatever it says, code decides.

The model is told the one tool that it may call and the one target that it may name. An answer that is anything else is
told back once; after that, and wherever there is no answer, the scripted call stands. The trace keeps all of it.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any

from sre_agent.llm.port import Allowance, Answer, Exchange, LanguageModel, Message, Purpose, Question, ToolSpec
from sre_agent.llm.prompts import Prompts
from sre_agent.llm.untrusted import MOST_BYTES, cut, fenced
from sre_agent.planner.port import Proposal
from sre_agent.planner.scripted import ScriptedPlanner
from sre_agent.redaction import redact
from sre_agent.run import StepRecord, ToolCall
from sre_agent.runbook import Step
from sre_agent.tools.registry import TOOLS
from sre_agent.tools.types import Tool, ToolContext
from sre_agent.tools.validate import Rejected, arguments_for, validate

MOST_TOKENS = 500
"""Of an answer: a call is short, and a model may think a little before it."""

MOST_ARGUMENTS = 4_000
"""Characters of arguments that are looked at."""

MOST_PROSE = 700
"""Bytes of the runbook's prose: it is background."""

MOST_RESULT = 400
"""Bytes of one earlier step's result."""


ACCEPTED = "accepted"
"""The verdict on an answer that is used."""


class Used(StrEnum):
    """Whose call a step got."""

    FIRST = "first answer"
    CORRECTED = "corrected answer"
    SCRIPTED = "scripted call"


class GuidedPlanner:
    """Asks the model at every step, at most twice."""

    def __init__(self, model: LanguageModel, prompts: Prompts, *, seconds: float, hide_emails: bool) -> None:
        """`seconds` is how long one step waits for the model, both questions together."""
        self._model = model
        self._prompts = prompts
        self._seconds = seconds
        self._hide_emails = hide_emails
        self._scripted = ScriptedPlanner()

    @property
    def name(self) -> str:
        """The model's name."""
        return self._model.name

    async def propose(self, step: Step, context: ToolContext, allowance: Allowance) -> Proposal:
        """The model's call where it is the step's own, else the scripted one; with the trace of how it came to it."""
        scripted = (await self._scripted.propose(step, context, allowance)).call
        began, question, shown = time.monotonic(), self._question(step, context), 0
        exchanges: list[dict[str, Any]] = []
        call, used, why = scripted, Used.SCRIPTED, None
        for used_if_right in (Used.FIRST, Used.CORRECTED):
            left = self._seconds - (time.monotonic() - began)
            exchange = await self._model.ask(question, allowance, within=left)
            found = _judged(exchange, step, context)
            if isinstance(found, ToolCall):
                exchanges.append(exchange.as_json(ACCEPTED, since=shown))
                call, used, why = found, used_if_right, None
                break
            exchanges.append(exchange.as_json(found, since=shown))
            why = found
            if exchange.answer is None:
                break
            shown = len(question.messages)
            question = self._corrected(question, exchange.answer, found)
        trace = {"step": step.name, "tool": step.tool, "model": self.name, "used": used.value, "why": why}
        return Proposal(call=call, trace=trace | {"exchanges": exchanges})

    def _question(self, step: Step, context: ToolContext) -> Question:
        tool = TOOLS[step.tool]
        bound = arguments_for(tool, context.target)
        alert = {"labels": context.alert.labels, "annotations": context.alert.annotations}
        prompt = self._prompts["step"]
        return Question(
            purpose=Purpose.STEP,
            prompt=prompt.identity,
            messages=prompt.messages(
                tool=tool.name,
                purpose=tool.summary,
                target=json.dumps(redact(bound), ensure_ascii=False),
                alert=self._fenced("alert", alert, MOST_BYTES),
                earlier="\n".join(self._result(record) for record in context.earlier) or "none",
                runbook=self._fenced(context.runbook.id, context.runbook.prose, MOST_PROSE),
            ),
            tools=(ToolSpec(name=tool.name, description=tool.summary, parameters=schema_for(tool, bound)),),
            must_call=tool.name,
            max_tokens=MOST_TOKENS,
        )

    def _result(self, record: StepRecord) -> str:
        said = record.result if record.result is not None else record.reason or record.gate or ""
        return f"{record.step}: {record.status.value}\n{self._fenced(record.step, said, MOST_RESULT)}"

    def _corrected(self, question: Question, answer: Answer, fault: str) -> Question:
        """The question again, behind the answer and what was wrong with it."""
        prompt = self._prompts["correction"]
        told = prompt.messages(tool=question.must_call or "", fault=self._fenced("refusal", fault, MOST_RESULT))
        return replace(question, prompt=prompt.identity, messages=(*question.messages, _as_message(answer), *told))

    def _fenced(self, source: str, value: Any, most: int) -> str:
        return fenced(source, value, emails=self._hide_emails, most=most)


def schema_for(tool: Tool, bound: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON schema of a tool's arguments; of what the target binds, the bound value alone is allowed."""
    model = tool.input.model_json_schema()
    properties = dict(model.get("properties", {}))
    for name, value in bound.items():
        shown = redact(value)
        properties[name] = {"type": "null"} if value is None else {"type": "string", "enum": [shown]}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _judged(exchange: Exchange, step: Step, context: ToolContext) -> ToolCall | str:
    """The call that a model made, where it is the one that this step allows; else what is wrong with it."""
    if exchange.answer is None:
        return exchange.error or "there was no answer"
    calls = exchange.answer.calls
    if not calls:
        return f"no tool was called: the answer is text; {step.tool} must be called"
    if len(calls) > 1:
        return f"{len(calls)} tools were called; {step.tool} must be called once, and nothing else"
    if len(calls[0].arguments) > MOST_ARGUMENTS:
        return f"the arguments have {len(calls[0].arguments)} characters; at most {MOST_ARGUMENTS} are looked at"
    try:
        arguments = json.loads(calls[0].arguments or "{}", object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        return f"the arguments are no JSON: {error}"
    if not isinstance(arguments, dict):
        return "the arguments are no JSON object"
    call = ToolCall(tool=calls[0].name, arguments=arguments)
    checked = validate(call, step=step, target=context.target, tools=TOOLS)
    return checked.reason if isinstance(checked, Rejected) else call


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are all there once. Raises ValueError."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _as_message(answer: Answer) -> Message:
    """What the model said, as words: a call that was refused is not to be answered as one."""
    said = [answer.text or ""] + [f"{call.name}({cut(call.arguments, MOST_RESULT)})" for call in answer.calls]
    return {"role": "assistant", "content": "\n".join(filter(None, said)) or "(nothing)"}
