"""Questions about one Node object: is it ready, healthy, leaving, cordoned, and by whom.

Asked by the node tools and the drain. Pure, so that a diagnostic's answer and a remediation's condition can
never differ: both come from here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from sre_agent.cluster.port import FIELD_MANAGER
from sre_agent.objects import (
    Object,
    annotations,
    condition,
    labels,
    node_schedulable,
    owners_of_spec_field,
    terminating,
    time_of,
)

CORDONED_BY_US = "sre-agent/cordoned"
"""Annotation on a node that this agent cordoned; its value is the incident id, or `replay`."""

UNREACHABLE_TAINT = "node.kubernetes.io/unreachable"
UNSCHEDULABLE_TAINT = "node.kubernetes.io/unschedulable"
CONTROL_PLANE_LABELS = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")

LEAVING_TAINTS = frozenset(
    {
        "karpenter.sh/disrupted",
        "karpenter.sh/disruption",
        "cloud.google.com/impending-node-termination",
    }
)
LEAVING_TAINT_PREFIXES = ("ToBeDeleted", "DeletionCandidate", "aws-node-termination-handler/")

GOOD_WHEN_TRUE = frozenset({"EtcdIsVoter"})
"""Condition types beside `*Ready` that are healthy when True (k3s); any other type is a problem when True."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Readiness:
    """What the node's Ready condition and taints say. `reason` is a sentence part for people.

    `ready` and `not_ready` are both False where there is no Ready condition: nothing is known then. The
    unreachable taint alone makes a node not ready, whatever its condition still says.
    """

    ready: bool
    not_ready: bool
    unreachable: bool
    reason: str


def readiness(node: Object) -> Readiness:
    """Ready True, False or Unknown, and whether the node controller still hears from the kubelet."""
    entry = condition(node, "Ready")
    status = None if entry is None else entry.get("status")
    tainted = UNREACHABLE_TAINT in set(taint_keys(node))
    unreachable = tainted or status == "Unknown"
    if entry is None:
        said = "the node has no Ready condition"
    else:
        said = f"Ready is {status or 'without a status'}" + _because(entry)
    return Readiness(
        ready=status == "True" and not unreachable,
        not_ready=unreachable or status == "False",
        unreachable=unreachable,
        reason=said + (f"; taint {UNREACHABLE_TAINT}" if tainted else ""),
    )


def confirmed_not_ready(node: Object) -> bool:
    """Whether the Ready condition itself says False or Unknown: what a change to the node needs."""
    entry = condition(node, "Ready")
    return entry is not None and entry.get("status") in {"False", "Unknown"}


def ready_since(node: Object) -> datetime | None:
    """When Ready last changed, None where that was not recorded."""
    entry = condition(node, "Ready")
    return None if entry is None else time_of(entry.get("lastTransitionTime"))


def other_conditions(node: Object) -> list[Object]:
    """Every status condition but Ready, as the node reports them."""
    return [entry for entry in node.get("status", {}).get("conditions") or () if entry.get("type") != "Ready"]


def condition_problems(node: Object) -> list[str]:
    """What keeps the node from being healthy, one text each; empty where every condition was seen healthy.

    A condition is healthy when False (MemoryPressure, KernelDeadlock, and any type not known here), or when
    True for types that end in `Ready` (node monitoring agents) and those in GOOD_WHEN_TRUE. Unknown never is,
    and a node that reports no condition beside Ready has not been looked at by a kubelet.
    """
    entries = other_conditions(node)
    if not entries:
        return ["the node reports no condition beside Ready"]
    return [
        f"{entry.get('type')} is {entry.get('status') or 'without a status'}{_because(entry)}"
        for entry in entries
        if entry.get("status") != _healthy_status(str(entry.get("type")))
    ]


def _healthy_status(kind: str) -> str:
    names_readiness = kind.endswith("Ready") and not kind.endswith("NotReady")
    return "True" if names_readiness or kind in GOOD_WHEN_TRUE else "False"


def _because(entry: Object) -> str:
    return f" ({entry['reason']})" if entry.get("reason") else ""


def taints(node: Object) -> list[Object]:
    return node.get("spec", {}).get("taints") or []


def taint_keys(node: Object) -> Iterator[str]:
    return (str(taint.get("key")) for taint in taints(node))


def leaving(node: Object) -> str | None:
    """What says that the node is being taken away (by autoscaler, cloud or a person), None where nothing does."""
    if terminating(node):
        return "its deletionTimestamp is set"
    for key in taint_keys(node):
        if key in LEAVING_TAINTS or key.startswith(LEAVING_TAINT_PREFIXES):
            return f"taint {key}"
    return None


def is_control_plane(node: Object) -> bool:
    return any(label in labels(node) for label in CONTROL_PLANE_LABELS)


def cordoned(node: Object) -> bool:
    return not node_schedulable(node)


class CordonOwner(Enum):
    """Whose the cordon is that is there now.

    US        our mark, and managedFields say that we own `spec.unschedulable`
    MARKED    our mark, and nothing that says who owns the field: the mark may have outlived our cordon
    OTHERS    no mark, or another owner of the field
    """

    US = auto()
    MARKED = auto()
    OTHERS = auto()


def cordon_owner(node: Object) -> CordonOwner:
    """Our annotation alone outlives an uncordon by hand, so what managedFields tell decides where they are."""
    owners = {str(entry.get("manager")) for entry in _cordon_entries(node)}
    if CORDONED_BY_US not in annotations(node):
        return CordonOwner.OTHERS
    if not owners:
        return CordonOwner.MARKED
    return CordonOwner.US if FIELD_MANAGER in owners else CordonOwner.OTHERS


def cordon_changed_at(node: Object) -> datetime | None:
    """When the cordon last changed: the newest of managedFields and the taint's timeAdded, None without both."""
    times = [time_of(entry.get("time")) for entry in _cordon_entries(node)]
    times += [time_of(taint.get("timeAdded")) for taint in taints(node) if taint.get("key") == UNSCHEDULABLE_TAINT]
    return max((moment for moment in times if moment is not None), default=None)


def _cordon_entries(node: Object) -> list[Object]:
    return owners_of_spec_field(node, "unschedulable")
