"""What a run decided, as JSON that can be compared with what another run of the same incident decided.

Kept with a run's evidence by `testimony`; compared by `replay_incident`. Pure. Redacted, and without anything that
two equal decisions do not share: times, numbers of incidents, what a diagnostic saw besides.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sre_agent.run import RunRecord
from sre_agent.tools.node_state import CORDONED_BY_US
from sre_agent.views import run_json

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
    """The decision of a finished run."""
    shown = run_json(run)
    kept = {key: shown[key] for key in _OF_A_RUN + _AT_THE_END if key in shown}
    for key in ("writes", "planned_writes"):
        kept[key] = [{**write, "body": _without_number(write["body"])} for write in kept[key]]
    kept["runbook_sha256"] = runbook_sha256
    kept["steps"] = [
        {
            "step": step["step"],
            **{key: step[key] for key in ("tool", "status", "gate", "reason")},
            "action": (step["result"] or {}).get("action"),
        }
        for step in shown["steps"]
    ]
    return kept


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    """Everything in which two decisions differ: the run first, then its steps in today's order, then the end."""
    found = list(_fields("", _OF_A_RUN, before, now))
    found += _of_steps(before.get("steps") or (), now.get("steps") or ())
    found += _fields("", _AT_THE_END, before, now)
    return found


def _of_steps(before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> Iterator[Difference]:
    """Steps are told apart by their names; one that was added or removed differs in all it has."""
    then = {step["step"]: step for step in before}
    today = {step["step"]: step for step in now}
    order = [step for step in today if step in then], [step for step in then if step in today]
    if order[0] != order[1]:
        yield Difference(what="order of steps", before=", ".join(order[1]), now=", ".join(order[0]))
    for name in [*today, *(step for step in then if step not in today)]:
        yield from _fields(f"step {name}: ", _OF_A_STEP, then.get(name, {}), today.get(name, {}))


def _fields(
    prefix: str, keys: Sequence[str], before: Mapping[str, Any], now: Mapping[str, Any]
) -> Iterator[Difference]:
    for key in keys:
        if before.get(key) != now.get(key):
            yield Difference(what=f"{prefix}{key}", before=before.get(key), now=now.get(key))


def _without_number(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a write without the number of the incident that a cordon leaves on its node."""
    metadata = body.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, Mapping) else None
    if not isinstance(annotations, Mapping) or not annotations.get(CORDONED_BY_US):
        return dict(body)
    return {**body, "metadata": {**body["metadata"], "annotations": {**annotations, CORDONED_BY_US: INCIDENT}}}
