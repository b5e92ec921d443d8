"""The planner that asks a language model, and is right without one: whatever it says, code decides.

The model is told the one tool that it may call and the one target that it may name. An answer that is anything else is
told back once; after that, and wherever there is no answer, the scripted call stands. The trace keeps all of it.
"""

import json
import time
from dataclasses import replace
from typing import Any

from sre_agent.border import Border
from sre_agent.errors import Unreachable
from sre_agent.llm.port import Allowance, Answer, Exchange, LanguageModel, Purpose, Question, ToolSpec
from sre_agent.llm.prompts import Prompts
from sre_agent.llm.trace import ACCEPTED, Trace, Transcript, Used, answered_as_data
from sre_agent.llm.untrusted import cut, fenced
from sre_agent.planner.port import Proposal
from sre_agent.planner.scripted import ScriptedPlanner
from sre_agent.redaction import redact
from sre_agent.run import StepRecord, ToolCall
from sre_agent.runbook import Step
from sre_agent.tools.registry import TOOLS
from sre_agent.tools.types import ToolContext
from sre_agent.tools.validate import Rejected, arguments_for, arguments_of, schema_for, validate

MOST_TOKENS = 1000
"""Of an answer: a call is short, and a model may think a little before it."""

MOST_ALERT = 2_048
"""Bytes of the alert's labels and annotations."""

MOST_PROSE = 320
"""Bytes of the runbook's prose: it is background."""

MOST_RESULT = 320
"""Bytes of one earlier step's result, and of what was wrong with an answer."""


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
        call, transcript = (await self._scripted.propose(step, context, allowance)).call, Transcript()
        used, why = Used.SCRIPTED, None
        with Border("planner.crashed", passing=(Unreachable,), step=step.name) as border:
            guided = await self._guided(step, context, allowance, transcript)
            if isinstance(guided, str):
                why = guided
            else:
                call, used = guided
        if border.error is not None:
            why = f"the planner failed: {cut(border.error, MOST_RESULT)}"
        trace = Trace(step=step.name, tool=step.tool, model=self.name, used=used, why=why, exchanges=transcript.taken())
        return Proposal(call=call, trace=trace.as_json())

    async def _guided(
        self, step: Step, context: ToolContext, allowance: Allowance, transcript: Transcript
    ) -> tuple[ToolCall, Used] | str:
        """The model's call and with which answer it came, or why it made none that can be used."""
        until, question, fault = time.monotonic() + self._seconds, self._question(step, context), ""
        for used_if_right in (Used.FIRST, Used.CORRECTED):
            exchange = await self._model.ask(question, allowance, within=until - time.monotonic())
            judged = _judged(exchange, step, context)
            transcript.add(exchange, ACCEPTED if isinstance(judged, ToolCall) else judged)
            if isinstance(judged, ToolCall):
                return judged, used_if_right
            fault = judged
            if exchange.answer is None:
                break
            question = self._corrected(question, exchange.answer, fault)
        return fault

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
                alert=self._fenced("alert", alert, MOST_ALERT),
                earlier="\n".join(self._result(record) for record in context.earlier) or "none",
                runbook=self._background(context),
            ),
            tools=(ToolSpec(name=tool.name, description=tool.summary, parameters=schema_for(tool, context.target)),),
            must_call=tool.name,
            max_tokens=MOST_TOKENS,
        )

    def _background(self, context: ToolContext) -> str:
        """The runbook's prose at the first step; behind it the results of the steps tell more, and cost less."""
        if context.earlier:
            return context.runbook.id
        return self._fenced(context.runbook.id, context.runbook.prose, MOST_PROSE)

    def _result(self, record: StepRecord) -> str:
        """What an earlier step came to: a skipped one has nothing to tell."""
        told = f"{record.step}: {record.status.value}"
        said = record.reason or record.result
        return told if said is None else f"{told}\n{self._fenced(record.step, said, MOST_RESULT)}"

    def _corrected(self, question: Question, answer: Answer, fault: str) -> Question:
        """The question again, behind the answer and what was wrong with it."""
        prompt = self._prompts["correction"]
        told = prompt.messages(tool=question.must_call or "", fault=self._fenced("refusal", fault, MOST_RESULT))
        answered = answered_as_data(answer, emails=self._hide_emails, most=MOST_RESULT)
        return replace(question, prompt=prompt.identity, messages=(*question.messages, answered, *told))

    def _fenced(self, source: str, value: Any, most: int) -> str:
        return fenced(source, value, emails=self._hide_emails, most=most)


def _judged(exchange: Exchange, step: Step, context: ToolContext) -> ToolCall | str:
    """The call that a model made, where it is the one that this step allows; else what is wrong with it."""
    if exchange.answer is None:
        return exchange.error or "there was no answer"
    calls = exchange.answer.calls
    if not calls:
        return f"no tool was called: the answer is text; {step.tool} must be called"
    if len(calls) > 1:
        return f"{len(calls)} tools were called; {step.tool} must be called once, and nothing else"
    (said,) = calls
    arguments = arguments_of(said.arguments)
    if isinstance(arguments, Rejected):
        return cut(arguments.reason, MOST_RESULT)
    call = ToolCall(tool=said.name, arguments=arguments)
    checked = validate(call, step=step, target=context.target, tools=TOOLS)
    return cut(checked.reason, MOST_RESULT) if isinstance(checked, Rejected) else call
