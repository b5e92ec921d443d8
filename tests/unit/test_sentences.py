"""An incident in sentences: why nothing was done is said, whether a guard refused it or no runbook fits."""

from typing import Any

import pytest

from sre_agent.sentences import answer, why_nothing


def document(summary: str | None, *events: dict[str, Any]) -> dict[str, Any]:
    incident = {"origin": "live", "status": "open", "summary": summary}
    incident |= {"action_taken": None, "action_recommended": None, "action_error": None}
    return {"incident": incident, "events": list(events), "past_incidents": []}


FINAL = {"event_type": "final", "payload": {"runbook_id": "RB_UNKNOWN", "state": {"rb_steps": []}}}


@pytest.mark.parametrize(
    ("summary", "why"),
    [
        ("RB_UNKNOWN: nothing done; no runbook claims alert 'X'", "no runbook claims alert 'X'"),
        ("RB_OOM: nothing done; twice; today", "twice; today"),
        ("RB_OOM: done patch_memory_limit:a/b/c:1Gi→2Gi", ""),
        (None, ""),
    ],
)
def test_why_nothing_was_done_stands_in_the_summary(summary: str | None, why: str) -> None:
    assert why_nothing({"summary": summary}) == why


def test_the_answer_says_why_nothing_was_done_without_a_step_that_was_refused() -> None:
    said = answer(document("RB_UNKNOWN: nothing done; no runbook claims alert 'X'", FINAL))
    assert said == "The agent changed nothing: no runbook claims alert 'X'. The incident is open."
    assert answer(document(None)) == "No run has ended yet. The incident is open."
