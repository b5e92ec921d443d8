"""How many pods a rollout of a Deployment takes away and adds, as the Deployment controller resolves it.

Asked by the tool that needs room for the new pods and by the guard that keeps a replica serving. Pure: `strategy` is
`spec.strategy` of a Deployment, {} where it has none; counts are pods.
"""

from sre_agent.objects import Object

DEFAULT_SHARE = "25%"
"""maxSurge and maxUnavailable where they are not set."""


def may_be_missing(strategy: Object, replicas: int) -> int:
    """How many pods a rollout may take away before new ones serve: all of them for Recreate.

    Percentages of maxUnavailable are rounded down, of maxSurge up; both zero means one pod.
    """
    if strategy.get("type") == "Recreate":
        return replicas
    unavailable = _pods_of(strategy, "maxUnavailable", replicas, round_up=False)
    return 1 if unavailable == surge(strategy, replicas) == 0 else unavailable


def surge(strategy: Object, replicas: int) -> int:
    """How many pods a rollout adds at most: maxSurge, 0 for Recreate."""
    if strategy.get("type") == "Recreate":
        return 0
    return _pods_of(strategy, "maxSurge", replicas, round_up=True)


def _pods_of(strategy: Object, field: str, replicas: int, *, round_up: bool) -> int:
    value: int | str = (strategy.get("rollingUpdate") or {}).get(field, DEFAULT_SHARE)
    if isinstance(value, str) and value.endswith("%"):
        return (replicas * int(value[:-1]) + (99 if round_up else 0)) // 100
    return int(value)
