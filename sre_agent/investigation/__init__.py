"""A model looks into an alert that no runbook covers, with tools that only read.

Called by the executor for RB_UNKNOWN, where SRE_AGENT_INVESTIGATE is on and a model is set up. Protects three rules:
code binds what is looked at, and every call passes the one door of validation; each tool is called once, so that the
end is near whatever the model does; and what the run comes to does not rest on any of it.
"""

import json
from dataclasses import replace
from typing import Any

from sre_agent import records
from sre_agent.cluster.port import ClusterError
from sre_agent.investigation.findings import SaidConclusion, what_stands
from sre_agent.investigation.inquiry import MOST_CALLS, MOST_FAULT, Inquiry, offers_for
from sre_agent.llm.port import Answer, LanguageModel, Purpose, Question
from sre_agent.llm.prompts import Prompts
from sre_agent.llm.trace import ACCEPTED, Trace, Used, answered_as_data
from sre_agent.llm.untrusted import cut, fenced
from sre_agent.log import get_logger
from sre_agent.redaction import redact
from sre_agent.run import CONCLUDE, INVESTIGATION, StepRecord, StepStatus
from sre_agent.target import Target, Unbound
from sre_agent.tools.validate import ValidatedCall
from sre_agent.views import target_json
from sre_agent.walk import Walk

__all__ = ["Investigator"]

MOST_TOKENS = 1500
"""Of an answer: a conclusion is a few sentences, and a model may think before it."""

MOST_ALERT = 2_048
"""Bytes of the alert's labels and annotations."""

MOST_RESULT = 3_072
"""Bytes of one step's result that are shown."""

CONCLUSION = f"{INVESTIGATION}{CONCLUDE}"
"""The name of the last step."""

log = get_logger(__name__)


class Investigator:
    """Asks the model what to look at, looks, and keeps what it found."""

    def __init__(self, model: LanguageModel, prompts: Prompts, *, seconds: float, hide_emails: bool) -> None:
        """`seconds` is how long one answer is waited for."""
        self._model = model
        self._prompts = prompts
        self._seconds = seconds
        self._hide_emails = hide_emails

    async def investigate(self, walk: Walk, bound: Target | Unbound) -> None:
        """Adds the steps of the investigation to the walk, and stores each at once, so that none is made twice.

        Raises LostFence and Unreachable; what the cluster or the model refuses is part of a step.
        """
        made = [step for step in walk.steps if step.investigates]
        if any(step.step == CONCLUSION for step in made):
            return
        if isinstance(bound, Unbound):
            await _keep(walk, _end(StepStatus.SKIPPED, f"nothing was investigated: {bound.reason}"))
            return
        inquiry = await self._begin(walk, bound, made)
        last = await self._inquire(walk, inquiry)
        await _keep(walk, last)
        log.event(
            "investigation.ended",
            incident_id=walk.assignment.incident_id,
            calls=len(inquiry.made),
            status=last.status,
            reason=last.reason,
        )

    async def _begin(self, walk: Walk, bound: Target, made: list[StepRecord]) -> Inquiry:
        prompt, alert = self._prompts["investigation"], walk.assignment.alert
        messages = prompt.messages(
            target=json.dumps(redact(target_json(bound)), ensure_ascii=False),
            alert=self._fenced("alert", {"labels": alert.labels, "annotations": alert.annotations}, MOST_ALERT),
            earlier="\n".join(map(self._result, made)) or "none",
            most=str(MOST_CALLS),
        )
        offers = await offers_for(walk, bound)
        return Inquiry(target=bound, offers=offers, made=made, prompt=prompt.identity, messages=list(messages))

    async def _inquire(self, walk: Walk, inquiry: Inquiry) -> StepRecord:
        """Asks and looks until the model concludes, or cannot be asked any more; returns the last step."""
        while inquiry.allowed:
            tools = inquiry.specs
            question = Question(
                purpose=Purpose.INVESTIGATION,
                prompt=inquiry.prompt,
                messages=tuple(inquiry.messages),
                tools=tools,
                must_call=tools[0].name if len(tools) == 1 else None,
                max_tokens=MOST_TOKENS,
            )
            exchange = await self._model.ask(question, walk.allowance, within=self._seconds)
            answer = exchange.answer
            said = inquiry.judged(answer) if answer is not None else exchange.error or "there was no answer"
            verdict = said if isinstance(said, str) else ACCEPTED
            inquiry.transcript.add(exchange, verdict)
            if isinstance(said, SaidConclusion):
                return self._concluded(walk, inquiry, said)
            if isinstance(said, ValidatedCall):
                await self._look(walk, inquiry, said)
            elif answer is None:
                return self._ended(inquiry, f"the model did not answer: {said}")
            elif inquiry.refused is not None:
                return self._ended(inquiry, f"two answers in a row were refused: {said}")
            else:
                self._correct(inquiry, answer, said)
        return self._ended(inquiry, "nothing of the target could be read")

    async def _look(self, walk: Walk, inquiry: Inquiry, call: ValidatedCall) -> None:
        """Makes the call, keeps its step, and shows the model what it came to."""
        step, offer = inquiry.step(call.tool), inquiry.offers[call.tool]
        try:
            output = await offer.tool.run(walk.cluster, call.input, walk.context(offer.target))
            record = records.diagnosed(step, call, output)
        except ClusterError as error:
            record = records.closed(step, StepStatus.FAILED, reason=f"{type(error).__name__}: {error}")
        record = replace(record, llm=self._trace(inquiry, record))
        await _keep(walk, record)
        inquiry.made.append(record)
        number = f"call_{len(inquiry.made)}"
        function = {"name": call.tool, "arguments": json.dumps(redact(call.arguments), ensure_ascii=False)}
        said = {"id": number, "type": "function", "function": function}
        inquiry.messages += [
            {"role": "assistant", "content": None, "tool_calls": [said]},
            {"role": "tool", "tool_call_id": number, "content": self._result(record)},
        ]

    def _correct(self, inquiry: Inquiry, answer: Answer, fault: str) -> None:
        """Tells the model once what was wrong with its answer."""
        prompt = self._prompts["investigation_correction"]
        told = prompt.messages(fault=self._fenced("refusal", fault, MOST_FAULT), tools=", ".join(inquiry.allowed))
        inquiry.messages += [answered_as_data(answer, emails=self._hide_emails, most=MOST_FAULT), *told]
        inquiry.prompt, inquiry.refused = prompt.identity, fault

    def _concluded(self, walk: Walk, inquiry: Inquiry, said: SaidConclusion) -> StepRecord:
        """The last step, with what stands of the findings."""
        stands = what_stands(said, inquiry.made, walk.assignment.alert, target_json(inquiry.target) or {})
        record = StepRecord(step=CONCLUSION, tool=CONCLUDE, status=StepStatus.DONE, result=stands.as_json())
        return replace(record, llm=self._trace(inquiry, record, dropped=stands.dropped_json()))

    def _ended(self, inquiry: Inquiry, why: str) -> StepRecord:
        """The last step of an investigation without a conclusion; what was read stays."""
        record = _end(StepStatus.FAILED, f"it ended without a conclusion: {why}")
        return replace(record, llm=self._trace(inquiry, record))

    def _trace(
        self, inquiry: Inquiry, record: StepRecord, *, dropped: list[dict[str, Any]] | None = None
    ) -> dict[str, Any] | None:
        """What was asked and answered for this step, None where nothing was. The next step begins its own."""
        exchanges, refused = inquiry.transcript.taken(), inquiry.refused
        inquiry.refused = None
        if not exchanges:
            return None
        used = Used.FIRST if refused is None else Used.CORRECTED
        if record.tool == CONCLUDE and record.status is not StepStatus.DONE:
            used = Used.NO_CONCLUSION
        trace = Trace(
            step=record.step,
            tool=record.tool,
            model=self._model.name,
            used=used,
            why=None,  # the step's own reason says it
            exchanges=exchanges,
            dropped=dropped,
        )
        return trace.as_json()

    def _result(self, record: StepRecord) -> str:
        said = record.result if record.result is not None else record.reason
        return f"{record.step}: {record.status.value}\n{self._fenced(record.step, said, MOST_RESULT)}"

    def _fenced(self, source: str, value: Any, most: int) -> str:
        return fenced(source, value, emails=self._hide_emails, most=most)


def _end(status: StepStatus, reason: str) -> StepRecord:
    return StepRecord(step=CONCLUSION, tool=CONCLUDE, status=status, reason=cut(reason, 2 * MOST_FAULT))


async def _keep(walk: Walk, record: StepRecord) -> None:
    """Adds a step to the walk, and commits what is not stored yet."""
    walk.steps.append(record)
    walk.unsaved.append(records.step_taken(record))
    await walk.store.record_steps(walk.active, walk.unsaved, now=walk.clock())
    walk.unsaved.clear()
