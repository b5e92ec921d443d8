"""What counts as a difference between two decisions, and what does not."""

import json
from dataclasses import replace
from typing import Any

import pytest

from sre_agent.alert import parse
from sre_agent.cluster.port import Resource, Write, WriteVerb
from sre_agent.decision import INCIDENT, Difference, decision, differences
from sre_agent.run import Mode, RunRecord, RunStatus, StepRecord, StepStatus
from sre_agent.tools.node_state import CORDONED_BY_US

ALERT = parse(b'{"alerts": [{"labels": {"alertname": "NodeDown", "node": "n1"}}]}', source="test").alerts[0]


def cordon(number: str) -> Write:
    return Write(
        verb=WriteVerb.PATCH,
        resource=Resource.NODES,
        namespace=None,
        name="n1",
        body={"spec": {"unschedulable": True}, "metadata": {"annotations": {CORDONED_BY_US: number}}},
    )


def run(number: int = 7, *steps: StepRecord, **changed: Any) -> RunRecord:
    values: dict[str, Any] = {
        "incident_id": number,
        "run_id": str(number),
        "alert": ALERT,
        "target": None,
        "runbook_id": "RB_NODE_NOTREADY",
        "route_reason": "alertname is NodeDown",
        "mode": Mode.AUTO,
        "status": RunStatus.SUCCEEDED,
        "steps": steps,
        "writes": (cordon(str(number)),),
    }
    return RunRecord(**{**values, **changed})


def step(name: str, status: StepStatus = StepStatus.DONE, **changed: Any) -> StepRecord:
    return StepRecord(step=name, tool=name, status=status, **changed)


def between(before: RunRecord, now: RunRecord, sha256: str = "a") -> list[Difference]:
    return differences(decision(before, runbook_sha256="a"), decision(now, runbook_sha256=sha256))


SAME = [
    pytest.param(run(7), run(8), id="the incident's number, in the run and on the cordoned node"),
    pytest.param(run(7, notes=("one",)), run(7, notes=("two",)), id="notes"),
    pytest.param(
        run(7, step("look", result={"reasons": ["a"]})), run(7, step("look", result={"reasons": ["b"]})), id="sight"
    ),
]


@pytest.mark.parametrize(("before", "now"), SAME)
def test_what_two_equal_decisions_do_not_share_is_no_difference(before: RunRecord, now: RunRecord) -> None:
    assert between(before, now) == []


OTHERS = [
    pytest.param(run(mode=Mode.RECOMMEND), "mode", "auto", "recommend", id="mode"),
    pytest.param(run(runbook_id="RB_UNKNOWN"), "runbook_id", "RB_NODE_NOTREADY", "RB_UNKNOWN", id="runbook"),
    pytest.param(run(route_reason="label"), "route_reason", "alertname is NodeDown", "label", id="route"),
    pytest.param(run(status=RunStatus.FAILED), "status", "succeeded", "failed", id="status"),
    pytest.param(run(action_taken="x"), "action_taken", None, "x", id="action taken"),
    pytest.param(run(action_recommended="x"), "action_recommended", None, "x", id="action recommended"),
    pytest.param(run(action_error="x"), "action_error", None, "x", id="error"),
]


@pytest.mark.parametrize(("now", "what", "was", "is_"), OTHERS)
def test_each_part_of_a_run_is_compared(now: RunRecord, what: str, was: Any, is_: Any) -> None:
    assert between(run(), now) == [Difference(what=what, before=was, now=is_)]


def test_another_text_of_the_runbook_is_a_difference() -> None:
    assert [entry.what for entry in between(run(), run(), sha256="b")] == ["runbook_sha256"]


def test_other_writes_are_shown_in_full() -> None:
    (found,) = between(run(), run(writes=()))
    assert found.what == "writes"
    assert found.before[0]["body"]["metadata"]["annotations"] == {CORDONED_BY_US: INCIDENT}
    assert found.now == []


STEPS = [
    pytest.param([step("a", StepStatus.REFUSED)], ["step a: status"], id="a status"),
    pytest.param([step("a", reason="why")], ["step a: reason"], id="a reason"),
    pytest.param([step("a", gate="when b.c")], ["step a: gate"], id="a gate"),
    pytest.param([step("a", result={"action": "x"})], ["step a: action"], id="an action"),
    pytest.param([], ["step a"], id="a step that is no more"),
    pytest.param([step("b"), step("a")], ["step b"], id="a new step"),
    pytest.param([step("b")], ["step b", "step a"], id="a renamed step"),
]


@pytest.mark.parametrize(("steps", "what"), STEPS)
def test_steps_are_told_apart_by_their_names(steps: list[StepRecord], what: list[str]) -> None:
    assert [entry.what for entry in between(run(7, step("a")), run(7, *steps))] == what


def test_a_step_that_is_no_more_is_shown_as_it_was() -> None:
    (found,) = between(run(7, step("a", reason="why")), run(7))
    assert found == Difference(
        what="step a",
        before={"step": "a", "status": "done", "tool": "a", "gate": None, "reason": "why", "action": None},
        now=None,
    )


def test_a_decision_holds_no_secret_of_its_writes() -> None:
    write = replace(cordon("7"), body={"spec": {"env": [{"name": "A", "value": "c4n4ry"}]}})
    assert "c4n4ry" not in json.dumps(decision(run(7, writes=(write,)), runbook_sha256=""))


def test_another_order_of_the_same_steps_is_a_difference() -> None:
    (found,) = between(run(7, step("a"), step("b"), step("c")), run(7, step("c"), step("a"), step("b")))
    assert (found.what, found.before, found.now) == ("order of steps", "a, b, c", "c, a, b")
