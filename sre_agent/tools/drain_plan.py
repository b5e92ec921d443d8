"""The plan of a drain: every pod of the node through the filters, then through the budgets.

Made for `drain`. Protects the rule that each pod of the node is in the plan exactly once, evicted or left with its
reason, in a stable order (namespace, name).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sre_agent.evidence import NodeEvidence
from sre_agent.objects import Object, name, namespace
from sre_agent.settings import Settings
from sre_agent.times import duration_text
from sre_agent.tools.drain_budgets import play_budgets
from sre_agent.tools.drain_filters import (
    DEFAULT_FLAGS,
    STRICT_FLAGS,
    Fate,
    Filtered,
    Surroundings,
    judge_pod,
    pod_key,
)
from sre_agent.tools.node_state import readiness
from sre_agent.tools.types import ToolModel


class LeftPod(ToolModel):
    """A pod that stays on the node: `namespace/name` and why."""

    pod: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DrainPlan:
    """What a drain would do, by namespace and name.

    `errors` is what forbids all of it (strict only), in kubectl's words; `blocked` the part of `left` that only a
    PodDisruptionBudget keeps. Where a drain may wait, the pods whose budget may have room later are evicted too, last.
    """

    evicted: tuple[Object, ...]
    left: tuple[LeftPod, ...]
    blocked: tuple[LeftPod, ...]
    warnings: tuple[str, ...]
    errors: tuple[str, ...]


def plan_drain(
    node: Object, pods: Iterable[Object], budgets: Iterable[Object], evidence: NodeEvidence, settings: Settings
) -> DrainPlan:
    """Filters the node's pods as kubectl would, then asks the budgets in the order of the evictions."""
    around = Surroundings(
        daemon_sets=evidence.daemon_sets,
        controllers=evidence.controllers or {},
        namespaces=evidence.namespaces or {},
        flags=STRICT_FLAGS if settings.drain_strict else DEFAULT_FLAGS,
        agent_namespace=settings.agent_namespace,
        unreachable=readiness(node).unreachable,
    )
    ordered = sorted(pods, key=lambda pod: (namespace(pod), name(pod)))
    filtered = [judge_pod(pod, around) for pod in ordered]
    errors = _errors(filtered) if settings.drain_strict else ()
    going = {pod_key(entry.pod): entry for entry in filtered if entry.fate is Fate.EVICTED}
    now, kept = play_budgets((entry.pod for entry in going.values()), tuple(budgets))
    waiting = [entry for entry in kept if entry.passing and settings.drain_timeout]
    taken = (*now, *(entry.pod for entry in waiting))
    blocked = tuple(LeftPod(pod=pod_key(entry.pod), reason=entry.reason) for entry in kept if entry not in waiting)
    stays = [
        LeftPod(pod=pod_key(entry.pod), reason=entry.reason) for entry in filtered if entry.fate is not Fate.EVICTED
    ]
    warnings = [*_warnings(going[pod_key(pod)] for pod in taken)]
    if waiting:
        named = "; ".join(f"{pod_key(entry.pod)}: {entry.reason}" for entry in waiting)
        wait = duration_text(settings.drain_timeout)
        warnings.append(f"waits up to {wait} for budgets to have room: {named}")
    if around.unreachable and taken:
        warnings.append(
            "the node is unreachable: evicted pods stay Terminating until its kubelet answers or the node is "
            "deleted; nothing waits for them and nothing forces them"
        )
    return DrainPlan(
        evicted=taken,
        left=tuple(sorted([*stays, *blocked], key=lambda entry: tuple(entry.pod.split("/", 1)))),
        blocked=blocked,
        warnings=tuple(warnings),
        errors=errors,
    )


def _errors(filtered: Iterable[Filtered]) -> tuple[str, ...]:
    """kubectl's errors, one for each message with all its pods."""
    grouped: dict[str, list[str]] = {}
    for entry in filtered:
        if entry.fate is Fate.FORBIDDEN:
            grouped.setdefault(entry.error, []).append(pod_key(entry.pod))
    return tuple(f"cannot delete {error}: {', '.join(pods)}" for error, pods in grouped.items())


def _warnings(filtered: Iterable[Filtered]) -> Iterator[str]:
    """kubectl's warnings, one for each message with all its pods."""
    grouped: dict[str, list[str]] = {}
    for entry in filtered:
        for warning in entry.warnings:
            grouped.setdefault(warning, []).append(pod_key(entry.pod))
    return (f"{warning}: {', '.join(pods)}" for warning, pods in grouped.items())
