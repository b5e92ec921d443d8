"""Which of a model's findings stand: what they name must be in what their step read, or in the alert."""

from typing import Any

import pytest

from sre_agent.alert import Alert
from sre_agent.investigation.findings import LONGEST, SaidConclusion, said_conclusion, what_stands
from sre_agent.run import StepRecord, StepStatus
from tests.investigation.investigated import unknown_alert

LINE = "2026-05-07T15:30:13Z FATAL exit 137, 512Mi used by registry.example.com/pay/api:5.13.0"
LOGS = {"container": "app", "lines": [LINE]}
STEPS = (
    StepRecord(step="investigate-1-get_pod_logs", tool="get_pod_logs", status=StepStatus.DONE, result=LOGS),
    StepRecord(step="investigate-2-check_oom", tool="check_oom", status=StepStatus.DONE, result={"restarts": 4}),
    StepRecord(step="investigate-3-get_pod_events", tool="get_pod_events", status=StepStatus.FAILED, reason="gone"),
)
ALERT: Alert = unknown_alert()
BOUND = {"kind": "Deployment", "namespace": "payments", "name": "payments-api", "container": "app"}


def dropped_because(statement: str, step: str = "investigate-1-get_pod_logs") -> str | None:
    """Why a finding does not stand, None for one that does."""
    said = SaidConclusion.model_validate({"findings": [{"statement": statement, "step": step}], "hypothesis": None})
    stands = what_stands(said, STEPS, ALERT, BOUND)
    assert len(stands.findings) + len(stands.dropped) == 1
    return stands.dropped[0].reason if stands.dropped else None


@pytest.mark.parametrize(
    "statement",
    [
        "The container exits with 137.",
        "It used 512Mi, and 512 MiB is the same.",
        "The image is registry.example.com/pay/api:5.13.0.",
        "Image api 5.13.0 fails.",
        "Deployment payments/payments-api logs an error.",
        "deployment Payments-API logs an error.",
        "The log says FATAL.",
        "The alert has the severity warning.",
        "Pod payments-api-5n6jv7fnbf-cpk6n is the alert's.",
    ],
)
def test_what_is_in_the_result_or_the_alert_stands(statement: str) -> None:
    assert dropped_because(statement) is None


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        pytest.param("The container exits with 1.", "1", id="another number"),
        pytest.param("It exits with 13.", "13", id="a part of a number"),
        pytest.param("It was killed four times.", "4", id="a number in words, of another step"),
        pytest.param("It exits with ١٣.", "13", id="digits of another script"),
        pytest.param("Pod ledger-0 fails.", "ledger-0", id="another pod"),
        pytest.param("Pod payments-api-5n6jv7fnbf fails, and payments-ap-1.", "payments-ap-1", id="almost the name"),
        pytest.param("Image api:5.13.1 fails.", "5.13.1", id="another tag"),
        pytest.param("Object kube-system/payments-api fails.", "kube-system", id="another namespace"),
        pytest.param("kubectl delete pod payments-api", "a command", id="a command"),
        pytest.param("Somebody should run rm -rf there.", "a command", id="another command"),
        pytest.param("It needs patch_image:payments/payments-api/app:api.", "an action", id="an action"),
        pytest.param("x" * (LONGEST + 1), "characters", id="too long"),
        pytest.param(" \u200b\n", "says nothing", id="empty"),
    ],
)
def test_what_is_not_there_is_dropped_with_the_reason(statement: str, why: str) -> None:
    assert why in (dropped_because(statement) or "stands")


def test_a_finding_is_held_against_its_own_step() -> None:
    assert dropped_because("There were 4 restarts.", "investigate-2-check_oom") is None
    assert dropped_because("There were 4 restarts.") is not None


@pytest.mark.parametrize("step", ["investigate-3-get_pod_events", "investigate-4-get_pod_logs", "", "conclude"])
def test_a_finding_names_a_step_that_read_something(step: str) -> None:
    assert dropped_because("The log says FATAL.", step) == "no step of this name read anything"


def test_a_hypothesis_may_join_what_several_steps_read_and_nothing_else() -> None:
    def hypothesis(text: str) -> str | None:
        return what_stands(SaidConclusion(findings=[], hypothesis=text), STEPS, ALERT, BOUND).hypothesis

    assert hypothesis("After 4 restarts it ends with 137.") == "After 4 restarts it ends with 137."
    assert hypothesis("The node has 3 disks.") is None
    assert hypothesis("  ") is None


def test_five_findings_are_kept() -> None:
    said = [{"statement": "The log says FATAL.", "step": "investigate-1-get_pod_logs"}] * 50
    stands = what_stands(SaidConclusion.model_validate({"findings": said}), STEPS, ALERT, BOUND)
    assert len(stands.findings) == 5
    assert len(stands.dropped) == 5


def test_what_cannot_be_seen_and_what_would_end_a_quote_is_taken_out() -> None:
    said = SaidConclusion.model_validate(
        {"findings": [{"statement": "The \x1b[31mlog\u202e says\n`FATAL`.", "step": "investigate-1-get_pod_logs"}]}
    )
    (finding,) = what_stands(said, STEPS, ALERT, BOUND).findings
    assert finding.statement == "The log says 'FATAL'."


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"findings": None, "hypothesis": None},
        {"findings": [{"statement": 1, "step": "a"}], "hypothesis": None},
        {"findings": [{"statement": "a"}], "hypothesis": None},
        {"findings": [], "hypothesis": None, "action": "delete_pod"},
        {"findings": [{"statement": "a", "step": "b", "kubectl": "c"}], "hypothesis": None},
        {"findings": [{"x" * 5000: 1}], "hypothesis": None},
    ],
)
def test_a_conclusion_in_another_form_says_what_is_wrong(arguments: dict[str, Any]) -> None:
    fault = said_conclusion(arguments)
    assert isinstance(fault, str)
    assert fault.startswith("the arguments of conclude are wrong: ")
    assert len(fault) < 400
