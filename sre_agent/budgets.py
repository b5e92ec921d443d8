"""What the eviction API reads in a PodDisruptionBudget, as the API server 1.37 reads it (core/pod/storage/eviction.go).

Asked by the recorded cluster, which answers an eviction, and by the drain, which plays many of them through before one
is sent. Here is what both must see alike; what follows from it each decides by itself.
"""

from collections.abc import Iterable

from sre_agent.objects import (
    Object,
    condition,
    labels,
    matches,
    namespace,
    pod_finished,
    pod_phase,
    pod_ready,
    terminating,
)

MAX_DISRUPTED_PODS = 2000
"""Above this many unconfirmed evictions of one budget the API server refuses more."""

SEVERAL = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support"


def count(budget: Object, field: str) -> int:
    """A number of the budget's status; absent is 0, as for the API server."""
    return int((budget.get("status") or {}).get(field) or 0)


def needs_no_budget(pod: Object) -> bool:
    """A pod that is pending, finished or terminating goes whatever the budgets say."""
    return pod_phase(pod) == "Pending" or pod_finished(pod) or terminating(pod)


def covering(pod: Object, budgets: Iterable[Object]) -> list[Object]:
    """The budgets of the pod's namespace that select it."""
    return [
        budget
        for budget in budgets
        if namespace(budget) == namespace(pod) and matches(budget.get("spec", {}).get("selector"), labels(pod))
    ]


def costs_nothing(pod: Object, budget: Object) -> bool:
    """A pod that is not ready goes without using the budget up when the rest is healthy, or if AlwaysAllow."""
    if pod_ready(pod):
        return False
    if budget.get("spec", {}).get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    return count(budget, "currentHealthy") >= count(budget, "desiredHealthy") > 0


def still_processed(budget: Object) -> bool:
    """Whether the disruption controller has not seen this generation of the budget yet."""
    return count(budget, "observedGeneration") < int(budget.get("metadata", {}).get("generation") or 0)


def never_allows(budget: Object) -> bool:
    """Whether no number of healthy pods makes room: nothing may be unavailable, or all that are expected must be there.

    A workload that is scaled up changes that; waiting does not.
    """
    spec = budget.get("spec") or {}
    if str(spec.get("maxUnavailable")) in {"0", "0%"}:
        return True
    least, expected = str(spec.get("minAvailable", "")), count(budget, "expectedPods")
    if least.endswith("%"):
        return least.removesuffix("%").isdecimal() and int(least.removesuffix("%")) >= 100
    return least.isdecimal() and 0 < expected <= int(least)


def failed_sync(budget: Object) -> str | None:
    """The controller's message where it could not compute the budget: the other numbers are not to be trusted then."""
    allowed = condition(budget, "DisruptionAllowed") or {}
    if allowed.get("reason") != "SyncFailed" or allowed.get("status") != "False":
        return None
    return str(allowed.get("message") or "")


def disrupted(budget: Object) -> int:
    """How many evictions the controller has not confirmed yet."""
    return len((budget.get("status") or {}).get("disruptedPods") or ())
