"""Whether the eviction API would let a pod go, judged over its PodDisruptionBudgets as the API server judges.

Called by `snapshot` for `pods/eviction`. Pure: what an allowed eviction takes from a budget is returned, not kept.
"""

from collections.abc import Iterable

from sre_agent import objects
from sre_agent.cluster.port import Refused, TooManyRequests
from sre_agent.objects import Object

_VIOLATION = "Cannot evict pod as it would violate the pod's disruption budget."
_MAX_DISRUPTED_PODS = 2000
_STILL_PROCESSING_RETRY = 10.0


def budget_after(pod: Object, budgets: Iterable[Object]) -> Object | None:
    """The one budget that an allowed eviction of the pod changes, as it is afterwards; None where none changes.

    `budgets` are the PodDisruptionBudgets of the pod's namespace. Raises TooManyRequests, naming the budget, where
    it allows no disruption or has not been observed (a budget without status is one), and Refused where more than
    one matches or the budget is broken. A pod that is pending, finished or terminating needs no budget; one that
    is not ready may go without using it up.
    """
    if objects.terminating(pod) or objects.pod_phase(pod) in {"Pending", "Succeeded", "Failed"}:
        return None
    matching = [
        budget
        for budget in budgets
        if objects.namespace(budget) == objects.namespace(pod)
        and objects.matches(budget.get("spec", {}).get("selector"), objects.labels(pod))
    ]
    if len(matching) > 1:
        raise Refused(
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        )
    if not matching:
        return None
    budget = matching[0]
    if not objects.pod_ready(pod) and _lets_unready_go(budget):
        return None
    _check(budget)
    return _used(budget, pod)


def _lets_unready_go(budget: Object) -> bool:
    if budget.get("spec", {}).get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    healthy, desired = _count(budget, "currentHealthy"), _count(budget, "desiredHealthy")
    return healthy >= desired > 0


def _check(budget: Object) -> None:
    name, status = objects.name(budget), budget.get("status") or {}
    generation = int(budget["metadata"].get("generation") or 0)
    if not status or _count(budget, "observedGeneration") < generation:
        raise TooManyRequests(
            f"{_VIOLATION} The disruption budget {name} is still being processed by the server.",
            budget=name,
            retry_after=_STILL_PROCESSING_RETRY,
        )
    allowed = _count(budget, "disruptionsAllowed")
    if allowed < 0:
        raise Refused(f'poddisruptionbudgets.policy "{name}" is forbidden: pdb disruptions allowed is negative')
    if len(status.get("disruptedPods") or ()) > _MAX_DISRUPTED_PODS:
        raise Refused(
            f'poddisruptionbudgets.policy "{name}" is forbidden: DisruptedPods map too big - too many evictions '
            "not confirmed by PDB controller"
        )
    if allowed == 0:
        raise TooManyRequests(f"{_VIOLATION} {_why_none(budget)}", budget=name)


def _why_none(budget: Object) -> str:
    name = objects.name(budget)
    allowed = objects.condition(budget, "DisruptionAllowed") or {}
    message = allowed.get("message") if allowed.get("status") == "False" else None
    healthy, desired = _count(budget, "currentHealthy"), _count(budget, "desiredHealthy")
    if message and allowed.get("reason") == "SyncFailed":
        return f"The disruption budget {name} does not allow evicting pods currently because it failed sync: {message}"
    if healthy <= desired:
        return f"The disruption budget {name} needs {desired} healthy pods and has {healthy} currently"
    reason = f" ({allowed.get('reason')}): {message}" if message else ""
    return f"The disruption budget {name} does not allow evicting pods currently{reason}"


def _used(budget: Object, pod: Object) -> Object:
    """The budget once its controller has seen the pod go: nothing reconciles a recording later."""
    status = {**budget["status"], "disruptionsAllowed": _count(budget, "disruptionsAllowed") - 1}
    if objects.pod_ready(pod):
        status["currentHealthy"] = max(0, _count(budget, "currentHealthy") - 1)
    return {**budget, "status": status}


def _count(budget: Object, field: str) -> int:
    return int((budget.get("status") or {}).get(field) or 0)
