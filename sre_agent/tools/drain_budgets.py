"""What the Eviction API will answer: PodDisruptionBudgets played through over the planned evictions.

Asked by the drain's plan before anything is evicted. Protects the promise that no eviction is sent that a budget
forbids now.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sre_agent import budgets as pdb
from sre_agent.objects import Object, name, namespace


@dataclass(frozen=True, kw_only=True, slots=True)
class Blocked:
    """A pod that no eviction can take now, with the API server's words for it.

    `passing` says that waiting may help: once more pods are healthy elsewhere, the budget has room.
    """

    pod: Object
    reason: str
    passing: bool


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
            blocked.append(Blocked(pod=pod, reason=reason, passing=_may_pass(pod, budgets)))
    return tuple(taken), tuple(blocked)


def _keeps(pod: Object, budgets: Sequence[Object], spent: dict[tuple[str, str], int]) -> str | None:
    """Why the API server would not evict this pod; counts the disruption in `spent` where it would."""
    if pdb.needs_no_budget(pod):
        return None
    covering = pdb.covering(pod, budgets)
    if len(covering) > 1:
        return f"{pdb.SEVERAL} ({', '.join(sorted(map(name, covering)))})"
    if not covering or pdb.costs_nothing(pod, covering[0]):
        return None
    budget = covering[0]
    key = (namespace(budget), name(budget))
    reason = _refuses(budget, spent.get(key, 0))
    if reason is None:
        spent[key] = spent.get(key, 0) + 1
    return reason


def _may_pass(pod: Object, budgets: Sequence[Object]) -> bool:
    """Whether the budget that keeps a pod can ever let it go by itself."""
    covering = pdb.covering(pod, budgets)
    return len(covering) == 1 and not pdb.never_allows(covering[0])


def _refuses(budget: Object, spent: int) -> str | None:
    """The API server's refusal of one more disruption after `spent` of this drain, None where it allows it."""
    called = f"The disruption budget {name(budget)}"
    if pdb.still_processed(budget):
        return f"{called} is still being processed by the server"
    allowed = pdb.count(budget, "disruptionsAllowed")
    if allowed < 0:
        return f"{called} does not allow evicting pods currently: pdb disruptions allowed is negative"
    if pdb.disrupted(budget) + spent > pdb.MAX_DISRUPTED_PODS:
        return f"{called} does not allow evicting pods currently: too many pending evictions not confirmed"
    if allowed - spent > 0:
        return None
    return f"{called} {_why_none(budget)}" + (
        f"; the {spent} eviction(s) before this one are all that it allows" if spent else ""
    )


def _why_none(budget: Object) -> str:
    """Why nothing is allowed: needs and has, unless these numbers are not to be trusted."""
    if (failure := pdb.failed_sync(budget)) is not None:
        return f"does not allow evicting pods currently because it failed sync: {failure}"
    if "status" not in budget:
        return "has no status yet, so what it allows cannot be told"
    needs, has = pdb.count(budget, "desiredHealthy"), pdb.count(budget, "currentHealthy")
    return f"needs {needs} healthy pods and has {has} currently"
