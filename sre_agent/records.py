"""Turns what happened in a run into its records: the steps, the rows, and the events that are stored.

Called by the executor, and for a plan by the replay. Pure; keeps every reason that was given.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from sre_agent.alert import Alert
from sre_agent.event import Event, Final, FinalState, IntentRecorded, OutcomeRecorded, Seen, StepTaken
from sre_agent.execution import Execution
from sre_agent.intents import intent_json
from sre_agent.routing import Route
from sre_agent.run import (
    Assessment,
    Change,
    Judgement,
    Mode,
    Outcome,
    RunRecord,
    RunStatus,
    StepRecord,
    StepStatus,
    Tells,
    Verdict,
    refusal,
    worst,
)
from sre_agent.runbook import Step
from sre_agent.store import NewAction
from sre_agent.store.history_rows import Surroundings
from sre_agent.target import Unbound
from sre_agent.tools.types import ToolModel
from sre_agent.tools.validate import ValidatedCall
from sre_agent.views import step_json, write_json


def closed(step: Step, status: StepStatus, *, gate: str | None = None, reason: str | None = None) -> StepRecord:
    """A step at which no tool ran."""
    return StepRecord(step=step.name, tool=step.tool, status=status, gate=gate, reason=reason)


def planned(alert: Alert, chosen: Route, mode: Mode) -> RunRecord:
    """What would be walked, where there is no cluster to walk it on. It is not stored."""
    return RunRecord(
        incident_id=None,
        run_id=None,
        alert=alert,
        target=None,
        runbook_id=chosen.runbook.id,
        route_reason=chosen.reason,
        mode=mode,
        status=RunStatus.PLANNED,
        steps=tuple(closed(step, StepStatus.PLANNED, gate=str(step.gate) or None) for step in chosen.runbook.workflow),
        notes=("no cluster: give --live or --snapshot PATH, or put cluster.yaml beside the payload",),
    )


def diagnosed(step: Step, call: ValidatedCall, output: ToolModel) -> StepRecord:
    """A step that looked, with what it saw."""
    return StepRecord(
        step=step.name,
        tool=call.tool,
        status=StepStatus.DONE,
        arguments=call.arguments,
        result=output.model_dump(mode="json"),
    )


def unbound(step: Step, found: Unbound) -> StepRecord:
    """A step of a run that has no target."""
    judgement = refusal("target", found.reason, found.allowed_by, settled=found.settled)
    return replace(closed(step, StepStatus.REFUSED, reason=found.reason), judgements=(judgement,))


def judged(
    step: Step,
    call: ValidatedCall,
    assessment: Assessment,
    judgements: tuple[Judgement, ...],
    execution: Execution | None,
) -> StepRecord:
    """A step that judged a change: refused, proposed, or what became of it."""
    status, reason = _what_became(assessment, judgements, execution)
    change = None if status is StepStatus.REFUSED else assessment.change
    result = dict(assessment.output)
    if change is not None and change.evicts and execution is not None:
        change, result = _as_drained(change, result, execution)
    if assessment.change is not None:
        result |= {"kubectl": assessment.change.kubectl}
    if change is not None:
        result |= _result_of(change, execution)
    return StepRecord(
        step=step.name,
        tool=call.tool,
        status=status,
        reason=reason,
        arguments=call.arguments,
        result=result or None,
        judgements=judgements,
        change=change,
    )


def _result_of(change: Change, execution: Execution | None) -> dict[str, Any]:
    """What a step says of its change beside the tool's own output."""
    return {
        "kubectl": change.kubectl,
        "action": execution.action if execution else change.action,
        "diff": [{"path": line.path, "before": line.before, "after": line.after} for line in change.diff],
        "notes": list(change.notes),
    }


def _as_drained(change: Change, result: dict[str, Any], execution: Execution) -> tuple[Change, dict[str, Any]]:
    """The drain as it went: only what was evicted counts as evicted, and every pod that stayed says why."""
    gone = [f"{write.namespace}/{write.name}" for write in execution.writes]
    left = [*result["left"], *({"pod": pod.pod, "reason": pod.reason} for pod in execution.stayed)]
    diff = tuple(line for line in change.diff if line.path.removeprefix("pods/") in gone)
    return replace(change, diff=diff), result | {"evicted": gone, "left": left}


def _what_became(
    assessment: Assessment, judgements: tuple[Judgement, ...], execution: Execution | None
) -> tuple[StepStatus, str | None]:
    verdict = worst(judgements)
    if execution is not None and execution.held is not None and execution.outcome is Outcome.FAILED:
        return StepStatus.REFUSED, execution.held.reason
    if execution is not None and execution.conflict:
        return StepStatus.REFUSED, f"somebody else kept changing the object while it was judged: {execution.detail}"
    if execution is not None:
        return _STATUS_OF[execution.outcome], execution.detail
    if assessment.already is not None and verdict is Verdict.ALLOW:
        return StepStatus.DONE, assessment.already
    refuses = assessment.change is None or verdict is Verdict.REFUSE
    against = [entry.reason for entry in judgements if entry.verdict is verdict is not Verdict.ALLOW]
    return StepStatus.REFUSED if refuses else StepStatus.PROPOSED, "; ".join(against) or None


_STATUS_OF = {
    Outcome.DONE: StepStatus.DONE,
    Outcome.FAILED: StepStatus.FAILED,
    Outcome.UNKNOWN: StepStatus.UNKNOWN,
}


def carried_out(step: str, change: Change, execution: Execution) -> StepRecord:
    """A step whose change an earlier attempt at the run has sent."""
    return StepRecord(
        step=step,
        tool=change.tool,
        status=_STATUS_OF[execution.outcome],
        reason=execution.detail,
        result=_result_of(change, execution),
        change=change,
    )


def step_of(kept: Mapping[str, Any]) -> StepRecord:
    """A step as its event keeps it. Its change stands in the intent."""
    judgements = tuple(
        Judgement(
            rule=each["rule"],
            verdict=Verdict[each["verdict"].upper()],
            reason=each["reason"],
            allowed_by=each["allowed_by"],
            retry_at=None if each["retry_at"] is None else datetime.fromisoformat(each["retry_at"]),
            settled=each.get("settled", False),
            tells=Tells(each.get("tells", Tells.EACH)),
            by_hand=each["by_hand"],
        )
        for each in kept["judgements"]
    )
    return StepRecord(**{**kept, "status": StepStatus(kept["status"]), "judgements": judgements})


def new_action(step: str, change: Change) -> NewAction:
    """The row of an intent: what is about to be sent, completely."""
    return NewAction(
        tool=change.tool,
        action=change.action,
        target_key=change.target.key,
        value=change.value,
        body=intent_json(step, change),
        near_limit=change.near_limit,
        evictions=tuple(
            {"namespace": write.namespace, "name": write.name, "uid": write.uid}
            for write in change.writes
            if write.subresource == "eviction"
        ),
    )


def step_taken(record: StepRecord) -> Event:
    return Event(payload=StepTaken(**step_json(record), llm=record.llm))


def intent(change: Change) -> Event:
    """What is about to be sent. The store numbers it, in the commit that keeps it."""
    return Event(
        payload=IntentRecorded(
            action_id=0,
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


def final(record: RunRecord, around: Surroundings) -> Event:
    """How the run ended, and what later incidents will be compared with."""
    state = FinalState(
        action_taken=record.action_taken,
        action_recommended=record.action_recommended,
        action_error=record.action_error,
        rb_steps=[step_json(step) for step in record.steps],
        llm_trace=list(record.llm_trace),
    )
    return Event(payload=Final(runbook_id=record.runbook_id, state=state, seen=Seen(**asdict(around))))
