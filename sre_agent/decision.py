"""What a run decided, as JSON that can be compared with what another run of the same incident decided.

Kept with a run's evidence by `kept_evidence`; compared by `replay_incident`. Pure. Redacted, and without anything that
two equal decisions do not share: times, numbers of incidents, what a diagnostic saw besides.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sre_agent.cluster.port import Write
from sre_agent.redaction import redact
from sre_agent.run import RunRecord, StepRecord
from sre_agent.runbook import UNKNOWN_ID
from sre_agent.tools.node_state import CORDONED_BY_US
from sre_agent.views import target_json, write_json

INCIDENT = "INCIDENT_ID"

_OF_A_RUN = ("mode", "runbook_id", "runbook_sha256", "route_reason", "target", "status")
_OF_A_STEP = ("status", "tool", "gate", "reason", "action")
_AT_THE_END = ("action_taken", "action_recommended", "action_error", "writes", "planned_writes")


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One thing that is not as it was: `what` names it (`step check_oom: status`), None means that it is not there."""

    what: str
    before: Any
    now: Any


def decision(run: RunRecord, *, runbook_sha256: str) -> dict[str, Any]:
    """The decision of a finished run. What a model looked at by itself decided nothing, nor did its target."""
    steps = [step for step in run.steps if not step.investigates]
    target = None if run.runbook_id == UNKNOWN_ID and not steps else run.target
    kept: dict[str, Any] = redact(
        {
            "mode": run.mode.value,
            "runbook_id": run.runbook_id,
            "runbook_sha256": runbook_sha256,
            "route_reason": run.route_reason,
            "target": target_json(target),
            "status": run.status.value,
            "steps": [_step(step) for step in steps],
            "action_taken": run.action_taken,
            "action_recommended": run.action_recommended,
            "action_error": run.action_error,
            "writes": [_write(write) for write in run.writes],
            "planned_writes": [_write(write) for write in run.planned_writes],
        }
    )
    return kept


def _step(step: StepRecord) -> dict[str, Any]:
    return {
        "step": step.step,
        "status": step.status.value,
        "tool": step.tool,
        "gate": step.gate,
        "reason": step.reason,
        "action": (step.result or {}).get("action"),
    }


def _write(write: Write) -> dict[str, Any]:
    """The request without the number of the incident that a cordon leaves on its node."""
    shown = write_json(write)
    metadata = write.body.get("metadata") or {}
    if not (metadata.get("annotations") or {}).get(CORDONED_BY_US):
        return shown
    annotations = {**metadata["annotations"], CORDONED_BY_US: INCIDENT}
    return {**shown, "body": {**write.body, "metadata": {**metadata, "annotations": annotations}}}


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    """Everything in which two decisions differ: the run first, then its steps in today's order, then the end."""
    found = list(_fields("", _OF_A_RUN, before, now))
    found += _of_steps(before["steps"], now["steps"])
    found += _fields("", _AT_THE_END, before, now)
    return found


def _of_steps(before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> Iterator[Difference]:
    """Steps are told apart by their names; one that was added or removed is one difference."""
    then = {step["step"]: step for step in before}
    today = {step["step"]: step for step in now}
    order = [step for step in today if step in then], [step for step in then if step in today]
    if order[0] != order[1]:
        yield Difference(what="order of steps", before=", ".join(order[1]), now=", ".join(order[0]))
    for name in [*today, *(step for step in then if step not in today)]:
        if name in then and name in today:
            yield from _fields(f"step {name}: ", _OF_A_STEP, then[name], today[name])
        else:
            yield Difference(what=f"step {name}", before=then.get(name), now=today.get(name))


def _fields(
    prefix: str, keys: Sequence[str], before: Mapping[str, Any], now: Mapping[str, Any]
) -> Iterator[Difference]:
    for key in keys:
        if before.get(key) != now.get(key):
            yield Difference(what=f"{prefix}{key}", before=before.get(key), now=now.get(key))
