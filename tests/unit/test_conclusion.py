"""What a run comes to, from its steps."""

from datetime import timedelta
from typing import Any

import pytest

from sre_agent.conclusion import brake_to_tell, conclude, summary
from sre_agent.run import Judgement, Mode, RunRecord, RunStatus, StepRecord, StepStatus, Tells, Verdict
from tests.unit.guard_cases import NOW, alert, change

LATER = NOW + timedelta(minutes=30)


def step(status: StepStatus, *judgements: Judgement, **fields: Any) -> StepRecord:
    return StepRecord(step="s", tool="t", status=status, judgements=judgements, reason="why", **fields)


def against(verdict: Verdict = Verdict.REFUSE, **fields: Any) -> Judgement:
    return Judgement(rule="r", verdict=verdict, reason="why", allowed_by="this", **fields)


def acting(status: StepStatus, action: str = "patch:x") -> StepRecord:
    return step(status, change=change(action=action), result={"action": action})


def record(**fields: Any) -> RunRecord:
    values: dict[str, Any] = {
        "incident_id": 1,
        "run_id": None,
        "alert": alert(),
        "target": None,
        "runbook_id": "RB_OOM",
        "route_reason": "label runbook_id",
        "mode": Mode.AUTO,
        "status": RunStatus.SUCCEEDED,
        "steps": (),
    }
    return RunRecord(**(values | fields))


def concluded(steps: list[StepRecord], *, error: str | None, recorded: bool) -> RunRecord:
    return conclude(record(steps=tuple(steps)), error=error, recorded=recorded)


CASES = [
    pytest.param([], None, RunStatus.SUCCEEDED, id="a runbook without steps"),
    pytest.param([step(StepStatus.DONE), step(StepStatus.SKIPPED)], None, RunStatus.SUCCEEDED, id="nothing to do"),
    pytest.param([acting(StepStatus.DONE)], None, RunStatus.SUCCEEDED, id="acted"),
    pytest.param([acting(StepStatus.PROPOSED)], None, RunStatus.SUCCEEDED, id="recommended"),
    pytest.param([step(StepStatus.REFUSED, against())], None, RunStatus.ESCALATED, id="a guard refused"),
    pytest.param([step(StepStatus.REFUSED)], None, RunStatus.ESCALATED, id="validation refused"),
    pytest.param(
        [step(StepStatus.REFUSED, against(settled=True))], None, RunStatus.SUCCEEDED, id="nothing is left to do"
    ),
    pytest.param(
        [step(StepStatus.REFUSED, against(settled=True), against())],
        None,
        RunStatus.SUCCEEDED,
        id="nothing is left to do, whatever else speaks against it",
    ),
    pytest.param([acting(StepStatus.UNKNOWN)], None, RunStatus.ESCALATED, id="an unproven outcome"),
    pytest.param([step(StepStatus.FAILED)], None, RunStatus.FAILED, id="a failed step"),
    pytest.param([acting(StepStatus.DONE)], "crashed", RunStatus.FAILED, id="cut short after acting"),
]


@pytest.mark.parametrize(("steps", "error", "status"), CASES)
def test_the_status_follows_from_the_steps(steps: list[StepRecord], error: str | None, status: RunStatus) -> None:
    assert concluded(steps, error=error, recorded=True).status is status


def test_two_actions_are_joined_and_the_planned_writes_kept() -> None:
    end = concluded(
        [acting(StepStatus.PROPOSED, "cordon_node:a"), acting(StepStatus.PROPOSED, "drain_node:a:evicted=1,left=0")],
        error=None,
        recorded=True,
    )
    assert end.action_recommended == "cordon_node:a; drain_node:a:evicted=1,left=0"
    assert end.action_taken is None
    assert len(end.planned_writes) == 2


def test_an_unknown_outcome_is_an_error_and_no_action_taken() -> None:
    end = concluded([acting(StepStatus.UNKNOWN)], error=None, recorded=False)
    assert (end.action_taken, end.action_error, end.escalation) == (None, "s: why", "s: why")


@pytest.mark.parametrize(
    ("recorded", "word"),
    [pytest.param(True, "recording", id="a snapshot"), pytest.param(False, "not verified", id="a live cluster")],
)
def test_a_run_that_acted_says_that_its_effect_is_not_proven(recorded: bool, word: str) -> None:
    assert word in concluded([acting(StepStatus.DONE)], error=None, recorded=recorded).notes[0]
    assert concluded([acting(StepStatus.PROPOSED)], error=None, recorded=recorded).notes == ()


RETRIES = [
    pytest.param([against(retry_at=LATER)], LATER, id="one reason that passes"),
    pytest.param([against(retry_at=NOW), against(retry_at=LATER)], LATER, id="the last of them"),
    pytest.param([against(retry_at=LATER), against()], None, id="one reason that stays"),
    pytest.param([against(retry_at=LATER), against(Verdict.ALLOW)], LATER, id="a note is no reason"),
    pytest.param([], None, id="no reason"),
]


@pytest.mark.parametrize(("judgements", "expected"), RETRIES)
def test_a_run_comes_back_when_every_reason_has_passed(judgements: list[Judgement], expected: Any) -> None:
    assert concluded([step(StepStatus.REFUSED, *judgements)], error=None, recorded=True).retry_at == expected


def refused(*tells: Tells, **fields: Any) -> StepRecord:
    return step(StepStatus.REFUSED, *(against(tells=each, **fields) for each in tells))


ONCE, EACH, NOBODY = Tells.ONCE, Tells.EACH, Tells.NOBODY
PUT_OFF = "put off until the brake is over"
TOLD = [
    pytest.param([refused(EACH)], None, RunStatus.ESCALATED, (), id="a reason of its own"),
    pytest.param([refused(NOBODY)], None, RunStatus.SUCCEEDED, (PUT_OFF,), id="it passes within minutes"),
    pytest.param([refused(NOBODY, EACH)], None, RunStatus.ESCALATED, (), id="and a reason of its own"),
    pytest.param([refused(ONCE, EACH)], None, RunStatus.ESCALATED, (), id="the first to tell of a brake"),
    pytest.param(
        [refused(ONCE, EACH)],
        7,
        RunStatus.SUCCEEDED,
        (f"{PUT_OFF}; incident 7 escalated for all that met it",),
        id="incident 7 told of it",
    ),
    pytest.param(
        [refused(EACH), refused(ONCE)],
        7,
        RunStatus.SUCCEEDED,
        (f"{PUT_OFF}; incident 7 escalated for all that met it",),
        id="a brake at one step holds the run",
    ),
    pytest.param(
        [refused(NOBODY), refused(EACH)], None, RunStatus.SUCCEEDED, (PUT_OFF,), id="a drain needs its cordon"
    ),
    pytest.param([refused(EACH), refused(NOBODY)], None, RunStatus.ESCALATED, (), id="the first reason is its own"),
    pytest.param(
        [acting(StepStatus.UNKNOWN), refused(NOBODY)], None, RunStatus.ESCALATED, (), id="an unproven outcome"
    ),
]


@pytest.mark.parametrize(("steps", "told_by", "status", "notes"), TOLD)
def test_a_brake_of_the_whole_cluster_wakes_one_person_once(
    steps: list[StepRecord], told_by: int | None, status: RunStatus, notes: tuple[str, ...]
) -> None:
    end = conclude(record(steps=tuple(steps)), error=None, recorded=True, told_by=told_by)
    assert (end.status, end.notes, bool(end.escalation)) == (status, notes, status is RunStatus.ESCALATED)


def test_what_speaks_beside_a_brake_of_the_whole_cluster_is_looked_at_when_that_is_over() -> None:
    both = step(StepStatus.REFUSED, against(tells=ONCE, retry_at=LATER), against())
    assert concluded([both], error=None, recorded=True).retry_at == LATER
    assert brake_to_tell([refused(EACH), refused(ONCE)]) == "r"
    assert brake_to_tell([refused(EACH), step(StepStatus.DONE)]) is None


SUMMARIES = [
    pytest.param({"action_error": "boom", "action_taken": "x"}, "RB_OOM: boom", id="an error first"),
    pytest.param({"action_taken": "x"}, "RB_OOM: done x", id="what was done"),
    pytest.param({"action_recommended": "x"}, "RB_OOM: recommended x", id="what is recommended"),
    pytest.param({"steps": (step(StepStatus.REFUSED),)}, "RB_OOM: nothing done; why", id="why nothing was done"),
    pytest.param({}, "RB_OOM: nothing done; label runbook_id", id="no step spoke"),
]


@pytest.mark.parametrize(("fields", "expected"), SUMMARIES)
def test_the_summary_is_one_line(fields: dict[str, Any], expected: str) -> None:
    assert summary(record(**fields)) == expected
