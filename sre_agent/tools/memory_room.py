"""Is there room for a higher memory limit? LimitRange, ResourceQuota and the node's allocatable memory.

Called by `memory` before a change is proposed. A dry run does not show this: the quota refuses the new pods, not the
Deployment. What could not be read means no.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sre_agent.by_hand import word
from sre_agent.evidence import WorkloadEvidence
from sre_agent.objects import Object, containers, init_containers, name
from sre_agent.quantity import bytes_of, format_bytes, parse
from sre_agent.rollout import surge
from sre_agent.run import Judgement, refusal
from sre_agent.tools.workload_rules import memory

_REQUEST_KEYS = ("requests.memory", "memory")


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryStep:
    """The step from one limit to the next of one container. Bytes.

    `request_before` and `request_after` are what counts for the scheduler: an absent request is the limit.
    """

    container: str
    limit_before: int
    limit_after: int
    request_before: int
    request_after: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PodMemory:
    """What one pod takes with the new values: the sums that quota and LimitRange count. Bytes."""

    limits: int
    requests: int


def room_judgements(evidence: WorkloadEvidence, step: MemoryStep) -> list[Judgement]:
    """Everything that has no room for the step, each with its numbers and the command that shows them."""
    found: list[Judgement] = []
    taken = pod_memory(evidence.pod or {}, step)
    node = (evidence.pod or {}).get("spec", {}).get("nodeName")
    bounds = (
        ("limit-range", "LimitRanges", "limitranges", "list limitranges", evidence.limit_ranges, _limit_ranges),
        ("quota-room", "ResourceQuotas", "resourcequotas", "list resourcequotas", evidence.quotas, _quotas),
        ("node-allocatable", "pod's node", f"node {word(node)}", "get nodes", evidence.node, _node),
    )
    for rule, what, shown, right, read, short_of in bounds:
        show = f"kubectl -n {word(evidence.target.namespace)} describe {shown}"
        if read is None:
            reason = f"the {what} could not be read: whether there is room is not known"
            found.append(refusal(rule, reason, f"the right to {right}", by_hand=show))
        short = short_of(evidence, step, taken)
        found += [refusal(rule, reason, "more room there, or a person", by_hand=show) for reason in short]
    return found


def pod_memory(pod: Object, step: MemoryStep) -> PodMemory:
    """The pod's sums with the step made: main containers and sidecars together, or one init container if larger."""
    sidecars = [entry for entry in init_containers(pod) if entry.get("restartPolicy") == "Always"]
    together = [*containers(pod), *sidecars]
    first = [entry for entry in init_containers(pod) if entry not in sidecars]
    overhead = bytes_of((pod.get("spec", {}).get("overhead") or {}).get("memory") or 0)
    return PodMemory(
        limits=_larger(together, first, step, "limits") + overhead,
        requests=_larger(together, first, step, "requests") + overhead,
    )


def _larger(together: list[Object], first: list[Object], step: MemoryStep, field: str) -> int:
    return max(
        sum(_amount(entry, step, field) for entry in together),
        max((_amount(entry, step, field) for entry in first), default=0),
    )


def _amount(entry: Object, step: MemoryStep, field: str) -> int:
    if entry.get("name") == step.container:
        return step.limit_after if field == "limits" else step.request_after
    amount = memory(entry, field)
    if amount is None and field == "requests":
        amount = memory(entry, "limits")
    return bytes_of(amount or 0)


def _limit_ranges(evidence: WorkloadEvidence, step: MemoryStep, taken: PodMemory) -> Iterator[str]:
    for limit_range in evidence.limit_ranges or ():
        for entry in limit_range.get("spec", {}).get("limits") or ():
            match entry.get("type"):
                case "Container":
                    what, limit, request = f"container {step.container}", step.limit_after, step.request_after
                case "Pod":
                    what, limit, request = "the pod", taken.limits, taken.requests
                case _:
                    continue
            most = (entry.get("max") or {}).get("memory")
            if most is not None and limit > bytes_of(most):
                yield f"LimitRange {name(limit_range)} allows {what} {most}; {format_bytes(limit)} would be needed"
            ratio = (entry.get("maxLimitRequestRatio") or {}).get("memory")
            if ratio is not None and (not request or limit > parse(ratio) * request):
                yield (
                    f"LimitRange {name(limit_range)} allows {what} a limit of {ratio} times its request; "
                    f"{format_bytes(limit)} to {format_bytes(request)} would be more"
                )


def _quotas(evidence: WorkloadEvidence, step: MemoryStep, taken: PodMemory) -> Iterator[str]:
    controller = evidence.controller or {}
    replicas = int(controller.get("spec", {}).get("replicas", 1))
    added = surge(controller.get("spec", {}).get("strategy") or {}, replicas)
    needed_limits = replicas * (step.limit_after - step.limit_before) + added * taken.limits
    needed_requests = replicas * (step.request_after - step.request_before) + added * taken.requests
    for quota in evidence.quotas or ():
        if not quota_applies(quota, evidence.pod or {}):
            continue
        for key, needed in (("limits.memory", needed_limits), *((key, needed_requests) for key in _REQUEST_KEYS)):
            if reason := _over(quota, key, needed):
                yield (
                    f"{reason} ({replicas} replicas, {added} more while rolling out, "
                    f"{format_bytes(step.limit_before)} → {format_bytes(step.limit_after)})"
                )


def _over(quota: Object, key: str, needed: int) -> str | None:
    status = quota.get("status") or {}
    hard = (status.get("hard") or quota.get("spec", {}).get("hard") or {}).get(key)
    used = (status.get("used") or {}).get(key)
    if hard is None:
        return None
    if used is None:
        return f"ResourceQuota {name(quota)} bounds {key}, and how much of it is used could not be read"
    free = bytes_of(hard) - bytes_of(used)
    if needed <= free:
        return None
    return (
        f"ResourceQuota {name(quota)} has {format_bytes(max(free, 0))} of {key} free ({used} of {hard} used); "
        f"{format_bytes(needed)} would be needed"
    )


def quota_applies(quota: Object, pod: Object) -> bool:
    """Whether the quota counts a pod with a memory limit. In doubt it does."""
    spec = quota.get("spec", {})
    scopes = [{"scopeName": scope, "operator": "Exists"} for scope in spec.get("scopes") or ()]
    scopes += (spec.get("scopeSelector") or {}).get("matchExpressions") or ()
    return all(_in_scope(scope, pod) for scope in scopes)


def _in_scope(scope: Object, pod: Object) -> bool:
    ends = pod.get("spec", {}).get("activeDeadlineSeconds") is not None
    match scope.get("scopeName"):
        case "BestEffort":
            return False
        case "Terminating":
            return ends
        case "NotTerminating":
            return not ends
        case "PriorityClass":
            return _priority_in_scope(scope, pod.get("spec", {}).get("priorityClassName"))
        case _:
            return True


def _priority_in_scope(scope: Object, priority_class: str | None) -> bool:
    values = scope.get("values") or ()
    match scope.get("operator"):
        case "In":
            return priority_class in values
        case "NotIn":
            return priority_class not in values
        case "DoesNotExist":
            return priority_class is None
        case _:
            return True


def _node(evidence: WorkloadEvidence, step: MemoryStep, taken: PodMemory) -> Iterator[str]:
    """The node that runs the pod stands for all: a limit that it cannot hold is not tried elsewhere."""
    node = evidence.node or {}
    allocatable = (node.get("status", {}).get("allocatable") or {}).get("memory")
    if allocatable is None:
        return
    room = bytes_of(allocatable)
    if step.limit_after > room:
        yield f"node {name(node)} has {allocatable} allocatable; the limit would be {format_bytes(step.limit_after)}"
    if taken.requests > room:
        yield f"node {name(node)} has {allocatable} allocatable; the pod would request {format_bytes(taken.requests)}"
