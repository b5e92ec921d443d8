"""Turns what happened in a run into its records: a step's record, and the events that are stored.

Called by the executor. Pure.
"""

from sre_agent import guards
from sre_agent.event import Event, Final, FinalState, IntentRecorded, OutcomeRecorded, StepTaken
from sre_agent.execution import Execution
from sre_agent.run import (
    Assessment,
    Change,
    Judgement,
    Outcome,
    RunRecord,
    StepRecord,
    StepStatus,
    Verdict,
)
from sre_agent.runbook import Step
from sre_agent.store import NewAction
from sre_agent.target import Unbound
from sre_agent.tools.validate import ValidatedCall
from sre_agent.views import step_json, write_json


def closed(step: Step, status: StepStatus, *, gate: str | None = None, reason: str | None = None) -> StepRecord:
    """A step at which no tool ran."""
    return StepRecord(step=step.name, tool=step.tool, status=status, gate=gate, reason=reason)


def unbound(step: Step, found: Unbound) -> StepRecord:
    """A step of a run that has no target."""
    judgement = Judgement(
        rule="target",
        verdict=Verdict.REFUSE,
        reason=found.reason,
        allowed_by="an alert whose labels name an object that is there",
        settled=found.settled,
    )
    return StepRecord(
        step=step.name,
        tool=step.tool,
        status=StepStatus.REFUSED,
        reason=found.reason,
        judgements=(judgement,),
    )


def judged(
    step: Step,
    gate: str | None,
    call: ValidatedCall,
    assessment: Assessment,
    judgements: tuple[Judgement, ...],
    execution: Execution | None,
) -> StepRecord:
    """The record of a remediation step: refused, proposed, or what became of the change."""
    change, verdict = assessment.change, guards.worst(judgements)
    against = [judgement.reason for judgement in judgements if judgement.verdict is verdict is not Verdict.ALLOW]
    reason: str | None = "; ".join(against) or None
    result = dict(assessment.output)
    if execution is not None and change is not None:
        status = _STATUS_OF[execution.outcome]
        reason = execution.detail
        result |= {"action": execution.action}
    elif assessment.already is not None and verdict is Verdict.ALLOW:
        status, reason = StepStatus.DONE, assessment.already
    elif change is None or verdict is Verdict.REFUSE:
        status, change = StepStatus.REFUSED, None
    else:
        status = StepStatus.PROPOSED
        result |= {"action": change.action}
    if change is not None:
        result |= {
            "diff": [{"path": line.path, "before": line.before, "after": line.after} for line in change.diff],
            "kubectl": change.kubectl,
            "notes": list(change.notes),
        }
    return StepRecord(
        step=step.name,
        tool=call.tool,
        status=status,
        reason=reason,
        gate=gate,
        arguments=call.arguments,
        result=result or None,
        judgements=judgements,
        change=change,
    )


_STATUS_OF = {
    Outcome.DONE: StepStatus.DONE,
    Outcome.FAILED: StepStatus.FAILED,
    Outcome.UNKNOWN: StepStatus.UNKNOWN,
}


def new_action(change: Change, *, near_limit: bool) -> NewAction:
    """The row of an intent: what is about to be sent, completely."""
    return NewAction(
        tool=change.tool,
        action=change.action,
        target_key=change.target.key,
        value=change.value,
        body={
            "writes": [write_json(write) for write in change.writes],
            "undo": [write_json(write) for write in change.undo],
        },
        near_limit=near_limit,
    )


def step_taken(record: StepRecord) -> Event:
    return Event(payload=StepTaken(**step_json(record)))


def intent(action_id: int, change: Change) -> Event:
    return Event(
        payload=IntentRecorded(
            action_id=action_id,
            tool=change.tool,
            action=change.action,
            target=change.target.key,
            value=change.value,
            writes=[write_json(write) for write in change.writes],
            undo=[write_json(write) for write in change.undo],
        )
    )


def outcome(action_id: int, execution: Execution) -> Event:
    return Event(
        payload=OutcomeRecorded(
            action_id=action_id,
            outcome=execution.outcome,
            detail=execution.detail,
            writes=[write_json(write) for write in execution.writes],
        )
    )


def final(record: RunRecord) -> Event:
    state = FinalState(
        action_taken=record.action_taken,
        action_recommended=record.action_recommended,
        action_error=record.action_error,
        rb_steps=[step_json(step) for step in record.steps],
        llm_trace=list(record.llm_trace),
    )
    return Event(payload=Final(runbook_id=record.runbook_id, state=state))
