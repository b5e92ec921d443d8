"""Whether the eviction API would let a pod go, judged over its PodDisruptionBudgets as the API server judges.

Called by `snapshot` for `pods/eviction`. Pure: what an allowed eviction takes from a budget is returned, not kept.
"""

from collections.abc import Iterable

from sre_agent import budgets as pdb
from sre_agent import objects
from sre_agent.cluster.port import Refused, TooManyRequests
from sre_agent.objects import Object

_VIOLATION = "Cannot evict pod as it would violate the pod's disruption budget."
_STILL_PROCESSING_RETRY = 10.0


def budget_after(pod: Object, budgets: Iterable[Object]) -> Object | None:
    """The one budget that an allowed eviction of the pod changes, as it is afterwards; None where none changes.

    `budgets` are the PodDisruptionBudgets of the cluster. Raises TooManyRequests, naming the budget, where
    it allows no disruption or has not been observed (a budget without status is one), and Refused where more than
    one matches or the budget is broken. A pod that is pending, finished or terminating needs no budget; one that
    is not ready may go without using it up.
    """
    if pdb.needs_no_budget(pod):
        return None
    matching = pdb.covering(pod, budgets)
    if len(matching) > 1:
        raise Refused(f"{pdb.SEVERAL}.")
    if not matching or pdb.costs_nothing(pod, matching[0]):
        return None
    _check(matching[0])
    return _used(matching[0], pod)


def _check(budget: Object) -> None:
    name = objects.name(budget)
    if not budget.get("status") or pdb.still_processed(budget):
        raise TooManyRequests(
            f"{_VIOLATION} The disruption budget {name} is still being processed by the server.",
            budget=name,
            retry_after=_STILL_PROCESSING_RETRY,
        )
    allowed = pdb.count(budget, "disruptionsAllowed")
    if allowed < 0:
        raise Refused(f'poddisruptionbudgets.policy "{name}" is forbidden: pdb disruptions allowed is negative')
    if pdb.disrupted(budget) > pdb.MAX_DISRUPTED_PODS:
        raise Refused(
            f'poddisruptionbudgets.policy "{name}" is forbidden: DisruptedPods map too big - too many evictions '
            "not confirmed by PDB controller"
        )
    if allowed == 0:
        raise TooManyRequests(f"{_VIOLATION} {_why_none(budget)}", budget=name)


def _why_none(budget: Object) -> str:
    name, failure = objects.name(budget), pdb.failed_sync(budget)
    if failure:
        return f"The disruption budget {name} does not allow evicting pods currently because it failed sync: {failure}"
    healthy, desired = pdb.count(budget, "currentHealthy"), pdb.count(budget, "desiredHealthy")
    if healthy <= desired:
        return f"The disruption budget {name} needs {desired} healthy pods and has {healthy} currently"
    allowed = objects.condition(budget, "DisruptionAllowed") or {}
    told = allowed.get("message") if allowed.get("status") == "False" else None
    reason = f" ({allowed.get('reason')}): {told}" if told else ""
    return f"The disruption budget {name} does not allow evicting pods currently{reason}"


def _used(budget: Object, pod: Object) -> Object:
    """The budget once its controller has seen the pod go: nothing reconciles a recording later."""
    status = {**budget["status"], "disruptionsAllowed": pdb.count(budget, "disruptionsAllowed") - 1}
    if objects.pod_ready(pod):
        status["currentHealthy"] = max(0, pdb.count(budget, "currentHealthy") - 1)
    return {**budget, "status": status}
