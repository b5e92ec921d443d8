"""What a run came to, said from its steps alone: status, actions, what a person must know.

Called by the executor at the end of a run. Pure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from sre_agent.run import Judgement, RunRecord, RunStatus, StepRecord, StepStatus, Tells, Verdict


def conclude(
    run: RunRecord,
    *,
    error: str | None,
    given_up: str | None = None,
    no_cluster: str | None = None,
    recorded: bool,
    told_by: int | None = None,
    look_again: datetime | None = None,
) -> RunRecord:
    """The run with its end, summed up from its steps.

    `error` is what cut it short, `given_up` why nobody takes it up again, `no_cluster` why there was none to look at,
    `recorded` whether the cluster is a snapshot. `told_by` is the incident that told a person of the brake of the whole
    cluster which this run met: then it is put off without escalating. `look_again` is when what could not be read is
    tried again.
    """
    steps = [step for step in run.steps if not step.investigates]
    failures = [f"{step.step}: {step.reason}" for step in steps if step.status is StepStatus.FAILED]
    unproven = [f"{step.step}: {step.reason}" for step in steps if step.status is StepStatus.UNKNOWN]
    tells = _run_tells(steps)
    told = tells is Tells.EACH or (tells is Tells.ONCE and told_by is None)
    refusals = [f"{step.step}: {step.reason}" for step in steps if told and _tells(step) is not None]
    left = [said for said in (given_up, no_cluster) if said] + unproven + ([] if no_cluster else refusals)
    proposed = [step.change for step in steps if step.status is StepStatus.PROPOSED and step.change]
    taken = _joined(step for step in steps if step.status is StepStatus.DONE and step.change)
    if error is not None or failures:
        status = RunStatus.FAILED
    elif left:
        status = RunStatus.ESCALATED
    else:
        status = RunStatus.SUCCEEDED
    return replace(
        run,
        status=status,
        action_taken=taken,
        action_recommended=_joined(step for step in steps if step.status is StepStatus.PROPOSED),
        action_error="; ".join([said for said in (error, given_up) if said] + failures + unproven) or None,
        planned_writes=tuple(write for change in proposed for write in change.writes),
        notes=(
            *(_put_off(tells, told_by) if status is RunStatus.SUCCEEDED else ()),
            *_notes(run, taken, recorded=recorded),
        ),
        escalation="; ".join(left) if status is RunStatus.ESCALATED else None,
        retry_at=_retry_at(steps) or (look_again if status is RunStatus.FAILED and taken is None else None),
    )


def summary(record: RunRecord) -> str:
    """One line for lists: what was done or recommended, else why nothing was."""
    if record.action_error:
        return f"{record.runbook_id}: {record.action_error}"
    if record.action_taken:
        return f"{record.runbook_id}: done {record.action_taken}"
    if record.action_recommended:
        return f"{record.runbook_id}: recommended {record.action_recommended}"
    refused = next((step.reason for step in record.steps if step.status is StepStatus.REFUSED), None)
    return f"{record.runbook_id}: nothing done; {refused or record.route_reason}"


def brake_to_tell(steps: Iterable[StepRecord]) -> str | None:
    """The brake of the whole cluster that a run met and that one run tells of for all; None without one."""
    met = (step for step in steps if _tells(step) is Tells.ONCE)
    return next((entry.rule for step in met for entry in _refusing(step) if entry.tells is Tells.ONCE), None)


def _run_tells(steps: Iterable[StepRecord]) -> Tells | None:
    """Whom a run's refusals are told to: once, if a step says so, else as the first says, on which the others rest."""
    each = [tells for step in steps if (tells := _tells(step)) is not None]
    return Tells.ONCE if Tells.ONCE in each else next(iter(each), None)


def _tells(step: StepRecord) -> Tells | None:
    """Whom a refusal is told to. None where it leaves no symptom: one of its reasons is that nothing is left to do.

    What holds for the whole cluster comes first: when it is over the run looks again, and then tells what is left.
    """
    refusing = _refusing(step)
    if step.status is not StepStatus.REFUSED or any(judgement.settled for judgement in refusing):
        return None
    tells = {judgement.tells for judgement in refusing} or {Tells.EACH}
    return next(whom for whom in Tells if whom in tells)


def _refusing(step: StepRecord) -> list[Judgement]:
    return [judgement for judgement in step.judgements if judgement.verdict is Verdict.REFUSE]


def _retry_at(steps: Sequence[StepRecord]) -> datetime | None:
    """When every reason against the change will have passed; None when one of them does not pass by itself.

    Under a brake of the whole cluster the others are looked at again when that is over. A drain that is done has a
    reason against it where it was stopped before its last pods.
    """
    for step in steps:
        if step.status not in {StepStatus.REFUSED, StepStatus.PROPOSED, StepStatus.DONE}:
            continue
        against = [judgement for judgement in step.judgements if judgement.verdict is not Verdict.ALLOW]
        moments = [judgement.retry_at for judgement in against if judgement.retry_at]
        if moments and (len(moments) == len(against) or _tells(step) is Tells.ONCE):
            return max(moments)
    return None


def _put_off(tells: Tells | None, told_by: int | None) -> tuple[str, ...]:
    """That nobody was woken because of a brake, and why."""
    if told_by is not None:
        return (f"put off until the brake is over; incident {told_by} escalated for all that met it",)
    return ("put off until the brake is over",) if tells is Tells.NOBODY else ()


def _notes(run: RunRecord, taken: str | None, *, recorded: bool) -> tuple[str, ...]:
    """What a reader must know: that an effect is not proven, and where to look when nothing was changed."""
    if taken is None:
        said = any(judgement.by_hand for step in run.steps for judgement in step.judgements)
        proposed = any(step.status is StepStatus.PROPOSED for step in run.steps)
        return () if said or proposed or run.target is None else (f"by hand: {run.target.look}",)
    if recorded:
        return ("nothing was verified or undone: the objects are a recording and cannot heal",)
    return ("the effect was not verified",)


def _joined(steps: Iterable[StepRecord]) -> str | None:
    actions = [str((step.result or {}).get("action")) for step in steps if (step.result or {}).get("action")]
    return "; ".join(actions) or None
