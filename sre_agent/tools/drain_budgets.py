"""What the Eviction API will answer: PodDisruptionBudgets played through over the planned evictions.

Asked by the drain's plan before anything is evicted. Protects the promise that no eviction is sent that a budget
forbids now. The rules are those of the API server 1.37 (pkg/registry/core/pod/storage/eviction.go).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sre_agent.objects import Object, condition, labels, matches, name, namespace, pod_finished, pod_phase, pod_ready
from sre_agent.objects import terminating as is_terminating

MAX_DISRUPTED_PODS = 2000
"""Above this many unconfirmed evictions of one budget the API server refuses more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Blocked:
    """A pod that no eviction can take now, with the API server's words for it."""

    pod: Object
    reason: str


def play_budgets(pods: Iterable[Object], budgets: Sequence[Object]) -> tuple[tuple[Object, ...], tuple[Blocked, ...]]:
    """The pods that evictions in this order would take, and those that a budget keeps."""
    spent: dict[tuple[str, str], int] = {}
    taken: list[Object] = []
    blocked: list[Blocked] = []
    for pod in pods:
        reason = _keeps(pod, budgets, spent)
        if reason is None:
            taken.append(pod)
        else:
            blocked.append(Blocked(pod=pod, reason=reason))
    return tuple(taken), tuple(blocked)


def _keeps(pod: Object, budgets: Sequence[Object], spent: dict[tuple[str, str], int]) -> str | None:
    """Why the API server would not evict this pod; counts the disruption in `spent` where it would."""
    if pod_phase(pod) == "Pending" or pod_finished(pod) or is_terminating(pod):
        return None
    covering = [budget for budget in budgets if _covers(budget, pod)]
    if not covering:
        return None
    if len(covering) > 1:
        names = ", ".join(sorted(map(name, covering)))
        return (
            f"This pod has more than one PodDisruptionBudget, which the eviction subresource does not support ({names})"
        )
    budget = covering[0]
    if not pod_ready(pod) and _lets_unhealthy_go(budget):
        return None
    key = (namespace(budget), name(budget))
    reason = _refuses(budget, spent.get(key, 0))
    if reason is None:
        spent[key] = spent.get(key, 0) + 1
    return reason


def _covers(budget: Object, pod: Object) -> bool:
    return namespace(budget) == namespace(pod) and matches(budget.get("spec", {}).get("selector"), labels(pod))


def _lets_unhealthy_go(budget: Object) -> bool:
    """A pod that is not ready costs the budget nothing: it goes when the rest is healthy, or if AlwaysAllow."""
    if budget.get("spec", {}).get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    healthy, wanted = _number(budget, "currentHealthy"), _number(budget, "desiredHealthy")
    return healthy >= wanted > 0


def _refuses(budget: Object, spent: int) -> str | None:
    """The API server's refusal of one more disruption after `spent` of this drain, None where it allows it."""
    called = f"The disruption budget {name(budget)}"
    if _number(budget, "observedGeneration") < int(budget.get("metadata", {}).get("generation") or 0):
        return f"{called} is still being processed by the server"
    allowed = _number(budget, "disruptionsAllowed")
    if allowed < 0:
        return f"{called} does not allow evicting pods currently: pdb disruptions allowed is negative"
    if len(budget.get("status", {}).get("disruptedPods") or ()) + spent > MAX_DISRUPTED_PODS:
        return f"{called} does not allow evicting pods currently: too many pending evictions not confirmed"
    if allowed - spent > 0:
        return None
    return f"{called} {_why_none(budget)}" + (
        f"; the {spent} eviction(s) before this one are all that it allows" if spent else ""
    )


def _why_none(budget: Object) -> str:
    """Why nothing is allowed: needs and has, unless these numbers are not to be trusted."""
    allowed = condition(budget, "DisruptionAllowed") or {}
    if allowed.get("reason") == "SyncFailed" and allowed.get("status") == "False":
        return f"does not allow evicting pods currently because it failed sync: {allowed.get('message')}"
    if "status" not in budget:
        return "has no status yet, so what it allows cannot be told"
    needs, has = _number(budget, "desiredHealthy"), _number(budget, "currentHealthy")
    return f"needs {needs} healthy pods and has {has} currently"


def _number(budget: Object, field: str) -> int:
    """A count of the budget's status; absent is 0, as for the API server."""
    return int(budget.get("status", {}).get(field) or 0)
