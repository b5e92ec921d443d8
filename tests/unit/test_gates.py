"""Gates: every combination of key, value and missing result, with the text that a person reads."""

import pytest

from sre_agent.gates import GateResult, evaluate
from sre_agent.runbook import Gate, GateReference

OOM = GateReference(step="check_oom", field="oom_detected")
PULL = GateReference(step="check_imagepullbackoff", field="imagepull_detected")
NO_STEP = "is not known, since step check_oom was skipped, refused or failed"
NO_ANSWER = "is not known, since check_oom did not answer it with true or false"


def results(oom: object = None, pull: object = None) -> dict[str, dict[str, object]]:
    return {"check_oom": {"oom_detected": oom}, "check_imagepullbackoff": {"imagepull_detected": pull}}


@pytest.mark.parametrize(
    ("gate", "answers", "opens", "text"),
    [
        pytest.param(Gate(), {}, True, "", id="a step without gate always runs"),
        pytest.param(
            Gate(all_of=(OOM,)), results(oom=True), True, "check_oom.oom_detected is true", id="when: true opens"
        ),
        pytest.param(
            Gate(all_of=(OOM,)), results(oom=False), False, "check_oom.oom_detected is false", id="when: false closes"
        ),
        pytest.param(
            Gate(all_of=(OOM, PULL)),
            results(oom=True, pull=True),
            True,
            "check_oom.oom_detected is true; check_imagepullbackoff.imagepull_detected is true",
            id="when_all: all true opens",
        ),
        pytest.param(
            Gate(all_of=(OOM, PULL)),
            results(oom=True, pull=False),
            False,
            "check_oom.oom_detected is true; check_imagepullbackoff.imagepull_detected is false",
            id="when_all: one false closes, and both values are said",
        ),
        pytest.param(
            Gate(any_of=(OOM, PULL)),
            results(oom=False, pull=True),
            True,
            "check_oom.oom_detected is false; check_imagepullbackoff.imagepull_detected is true",
            id="when_any: one true opens",
        ),
        pytest.param(
            Gate(any_of=(OOM, PULL)),
            results(oom=False, pull=False),
            False,
            "check_oom.oom_detected is false; check_imagepullbackoff.imagepull_detected is false; "
            "one of check_oom.oom_detected, check_imagepullbackoff.imagepull_detected must be true",
            id="when_any: none true closes",
        ),
        pytest.param(
            Gate(none_of=(OOM,)), results(oom=False), True, "check_oom.oom_detected is false", id="unless: false opens"
        ),
        pytest.param(
            Gate(none_of=(OOM,)),
            results(oom=True),
            False,
            "check_oom.oom_detected is true and must be false",
            id="unless: true closes",
        ),
        pytest.param(
            Gate(all_of=(PULL,), none_of=(OOM,)),
            results(oom=True, pull=True),
            False,
            "check_imagepullbackoff.imagepull_detected is true; check_oom.oom_detected is true and must be false",
            id="when and unless: both must agree",
        ),
        pytest.param(Gate(all_of=(OOM,)), {}, False, f"{OOM} {NO_STEP}", id="when: a step that never ran closes"),
        pytest.param(
            Gate(all_of=(OOM,)), {"check_oom": None}, False, f"{OOM} {NO_STEP}", id="when: a failed step closes"
        ),
        pytest.param(
            Gate(none_of=(OOM,)), {"check_oom": None}, False, f"{OOM} {NO_STEP}", id="unless: a failed step closes"
        ),
        pytest.param(
            Gate(any_of=(PULL, OOM)),
            {"check_imagepullbackoff": {"imagepull_detected": True}, "check_oom": None},
            False,
            f"{PULL} is true; {OOM} {NO_STEP}",
            id="when_any: a failed step closes, although another reference is true",
        ),
        pytest.param(Gate(all_of=(OOM,)), {"check_oom": {}}, False, f"{OOM} {NO_ANSWER}", id="a missing field closes"),
        pytest.param(
            Gate(none_of=(OOM,)), {"check_oom": {}}, False, f"{OOM} {NO_ANSWER}", id="unless: a missing field closes"
        ),
        *(
            pytest.param(
                Gate(all_of=(OOM,)), results(oom=value), False, f"{OOM} {NO_ANSWER}", id=f"{value!r} is not true"
            )
            for value in (None, 1, "true", [True])
        ),
        *(
            pytest.param(
                Gate(none_of=(OOM,)),
                results(oom=value),
                False,
                f"{OOM} {NO_ANSWER}",
                id=f"unless: {value!r} is not false",
            )
            for value in (None, 0, "", [])
        ),
    ],
)
def test_a_gate_opens_only_on_known_answers_and_says_every_value(
    gate: Gate, answers: dict[str, dict[str, object] | None], opens: bool, text: str
) -> None:
    assert evaluate(gate, answers) == GateResult(open=opens, text=text)
