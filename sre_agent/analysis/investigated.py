"""What a model found where no runbook fits: its words as quotes, each with the events that bear it out. Pure.

Called by the composer and by `evidence_text`. Protects one rule: a reader sees at once that a model says it.
"""

from sre_agent.analysis.facts import CaseFacts
from sre_agent.analysis.texts import quote, reference
from sre_agent.run import CONCLUDE
from sre_agent.store import EventRow


def conclusion_of(case: CaseFacts) -> EventRow | None:
    """The last step of the run's investigation, None where there was none."""
    return next((step for step in case.steps if step.payload["tool"] == CONCLUDE), None)


def finding_lines(case: CaseFacts) -> list[str]:
    """Each finding with the step that it rests on, what was dropped, or why there is none."""
    concluded = conclusion_of(case)
    if concluded is None:
        return []
    if concluded.payload["result"] is None:
        return [f"The model's investigation: {quote(concluded.payload['reason'])}{reference(concluded.id)}."]
    result = concluded.payload["result"]
    events = {step.payload["step"]: step.id for step in case.steps}
    lines = [
        f"The model notes: {quote(finding['statement'], whole=True)}"
        f"{reference(events.get(finding['step']), concluded.id)}."
        for finding in result["findings"]
    ]
    if not lines:
        lines = [f"The model looked and notes nothing that can be proven{reference(concluded.id)}."]
    if (concluded.payload.get("llm") or {}).get("dropped"):
        lines.append(f"Some of what the model said was dropped, because no step bears it out{reference(concluded.id)}.")
    return lines


def supposition(case: CaseFacts) -> str:
    """The model's hypothesis, empty where it has none that stands."""
    concluded = conclusion_of(case)
    supposed = None if concluded is None else (concluded.payload["result"] or {}).get("hypothesis")
    if concluded is None or supposed is None:
        return ""
    return f"The model supposes, which nothing proves: {quote(supposed, whole=True)}{reference(concluded.id)}."
