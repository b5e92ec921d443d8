"""Which pods a drain may evict: kubectl's filters in kubectl's order, then this agent's own protections.

Asked by the drain's plan. Protects the promise that a drain does what `kubectl drain` would do, or less; every
pod that stays carries its reason. kubectl's filters are those of kubectl 1.37 (pkg/drain/filters.go).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from sre_agent.objects import (
    OPT_OUT,
    Object,
    annotations,
    controller_of,
    name,
    namespace,
    opted_out,
    pod_finished,
    terminating,
)
from sre_agent.tools.node_state import UNREACHABLE_TAINT

MIRROR_POD = "kubernetes.io/config.mirror"
SYSTEM_NAMESPACE = "kube-system"
PROTECTING_ANNOTATIONS = (
    ("cluster-autoscaler.kubernetes.io/safe-to-evict", "false"),
    ("karpenter.sh/do-not-disrupt", "true"),
)
DEFAULT_TOLERATION_SECONDS = 300
"""How long every pod tolerates an unreachable node unless it says otherwise (DefaultTolerationSeconds)."""

DAEMON_SET_ERROR = "DaemonSet-managed Pods (use --ignore-daemonsets to ignore)"
LOCAL_STORAGE_ERROR = "Pods with local storage (use --delete-emptydir-data to override)"
LOCAL_STORAGE_WARNING = "deleting Pods with local storage"
UNMANAGED_ERROR = "Pods that declare no controller (use --force to override)"
UNMANAGED_WARNING = "deleting Pods that declare no controller"
OPT_OUT_ERROR = f"Pods that {OPT_OUT}=true opts out, by a mark on them, their controller or their namespace"


@dataclass(frozen=True, kw_only=True, slots=True)
class KubectlFlags:
    """The flags of `kubectl drain` that turn an error into a warning."""

    ignore_daemonsets: bool = False
    delete_emptydir_data: bool = False
    force: bool = False


DEFAULT_FLAGS = KubectlFlags(ignore_daemonsets=True, delete_emptydir_data=True)
"""How this agent drains: what kubectl would still call an error is left on the node."""

STRICT_FLAGS = KubectlFlags()
"""`strict`: `kubectl drain NODE` without a flag, so that one forbidden pod keeps every pod where it is."""


class Fate(Enum):
    """What becomes of a pod. FORBIDDEN is an error of kubectl, or an opt-out: strict stops at it, else it is left."""

    EVICTED = auto()
    LEFT = auto()
    FORBIDDEN = auto()


@dataclass(frozen=True, kw_only=True, slots=True)
class Filtered:
    """A pod's fate. `reason` says why it stays, `error` and `warnings` are kubectl's words, or in their manner."""

    pod: Object
    fate: Fate
    reason: str = ""
    error: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """What the filters need to know beside the pod. `daemon_sets` is None where they could not be read.

    `controllers` and `namespaces` are those of `NodeEvidence`.
    """

    daemon_sets: Mapping[tuple[str, str], Object] | None
    controllers: Mapping[tuple[str, str, str], Object]
    namespaces: Mapping[str, Object]
    flags: KubectlFlags
    agent_namespace: str
    unreachable: bool


def pod_key(pod: Object) -> str:
    """`namespace/name`, as kubectl prints it."""
    return f"{namespace(pod)}/{name(pod)}"


def judge_pod(pod: Object, around: Surroundings) -> Filtered:
    """One pod's fate before any PodDisruptionBudget is asked."""
    asked = kubectl_judges(pod, around)
    if asked.fate is Fate.FORBIDDEN and around.flags == STRICT_FLAGS:
        return asked
    if terminating(pod):
        return Filtered(pod=pod, fate=Fate.LEFT, reason="already terminating: nothing more to ask of it")
    if asked.fate is not Fate.EVICTED:
        return asked
    for protection, error in _PROTECTIONS:
        reason = protection(pod, around)
        if reason is not None:
            return Filtered(pod=pod, fate=Fate.FORBIDDEN if error else Fate.LEFT, reason=reason, error=error)
    return asked


def kubectl_judges(pod: Object, around: Surroundings) -> Filtered:
    """What `kubectl drain` with these flags does with a pod: the first filter that keeps it ends the chain."""
    warnings: list[str] = []
    for judge in _KUBECTL_FILTERS:
        found = judge(pod, around)
        if found is None:
            continue
        if found.fate is not Fate.EVICTED:
            return found
        warnings += found.warnings
    return Filtered(pod=pod, fate=Fate.EVICTED, warnings=tuple(warnings))


def _daemon_set(pod: Object, around: Surroundings) -> Filtered | None:
    owner = controller_of(pod)
    if owner is None or (owner.get("kind"), owner.get("apiVersion")) != ("DaemonSet", "apps/v1"):
        return None
    if pod_finished(pod):
        return None
    owner_name = str(owner.get("name"))
    if around.daemon_sets is None:
        error = f'daemonsets.apps "{owner_name}" could not be read'
        return Filtered(pod=pod, fate=Fate.FORBIDDEN, reason=error, error=error)
    if (namespace(pod), owner_name) not in around.daemon_sets:
        error = f'daemonsets.apps "{owner_name}" not found'
        if around.flags.force:
            return Filtered(pod=pod, fate=Fate.EVICTED, warnings=(error,))
        reason = f"its DaemonSet is gone ({error}): nothing would recreate it"
        return Filtered(pod=pod, fate=Fate.FORBIDDEN, reason=reason, error=error)
    reason = f"managed by DaemonSet {owner_name}, which ignores the cordon"
    if around.flags.ignore_daemonsets:
        return Filtered(pod=pod, fate=Fate.LEFT, reason=reason)
    return Filtered(pod=pod, fate=Fate.FORBIDDEN, reason=reason, error=DAEMON_SET_ERROR)


def _mirror(pod: Object, _around: Surroundings) -> Filtered | None:
    if MIRROR_POD not in annotations(pod):
        return None
    return Filtered(pod=pod, fate=Fate.LEFT, reason="mirror of a static pod: only its kubelet can stop it")


def _local_storage(pod: Object, around: Surroundings) -> Filtered | None:
    volumes = pod.get("spec", {}).get("volumes") or ()
    if pod_finished(pod) or not any(volume.get("emptyDir") is not None for volume in volumes):
        return None
    if around.flags.delete_emptydir_data:
        return Filtered(pod=pod, fate=Fate.EVICTED, warnings=(LOCAL_STORAGE_WARNING,))
    return Filtered(
        pod=pod,
        fate=Fate.FORBIDDEN,
        reason="its emptyDir data would be lost",
        error=LOCAL_STORAGE_ERROR,
    )


def _unreplicated(pod: Object, around: Surroundings) -> Filtered | None:
    if pod_finished(pod) or controller_of(pod) is not None:
        return None
    if around.flags.force:
        return Filtered(pod=pod, fate=Fate.EVICTED, warnings=(UNMANAGED_WARNING,))
    return Filtered(
        pod=pod,
        fate=Fate.FORBIDDEN,
        reason="bare pod: it declares no controller that would recreate it",
        error=UNMANAGED_ERROR,
    )


_KUBECTL_FILTERS: tuple[Callable[[Object, Surroundings], Filtered | None], ...] = (
    _daemon_set,
    _mirror,
    _local_storage,
    _unreplicated,
)


def _system(pod: Object, _around: Surroundings) -> str | None:
    return "in kube-system, which this agent never touches" if namespace(pod) == SYSTEM_NAMESPACE else None


def _own(pod: Object, around: Surroundings) -> str | None:
    if namespace(pod) != around.agent_namespace:
        return None
    return f"in {around.agent_namespace}, where this agent and its database run"


def _ignored(pod: Object, around: Surroundings) -> str | None:
    """The opt-out may stand on the pod, on whatever controls it, or on its namespace."""
    if opted_out(pod):
        return f"marked {OPT_OUT}=true"
    for title, controller in _controllers_of(pod, around):
        if opted_out(controller):
            return f"its {title} is marked {OPT_OUT}=true"
    if opted_out(around.namespaces.get(namespace(pod), {})):
        return f"its namespace {namespace(pod)} is marked {OPT_OUT}=true"
    return None


def _controllers_of(pod: Object, around: Surroundings) -> Iterator[tuple[str, Object]]:
    """The pod's controller and the Deployment above a ReplicaSet with their titles, as far as they are known."""
    held = pod
    for _ in range(2):
        owner = controller_of(held) or {}
        found = around.controllers.get((str(owner.get("kind")), namespace(pod), str(owner.get("name"))))
        if found is None:
            return
        yield f"{owner['kind']} {owner['name']}", found
        held = found


def _marked(pod: Object, _around: Surroundings) -> str | None:
    for annotation, protecting in PROTECTING_ANNOTATIONS:
        if str(annotations(pod).get(annotation)).lower() == protecting:
            return f"marked {annotation}={protecting}"
    return None


def _ordered_replica(pod: Object, around: Surroundings) -> str | None:
    """An unreachable kubelet may still run the pod: its replacement waits for a deletion that nobody confirms."""
    owner = controller_of(pod)
    if not around.unreachable or owner is None or owner.get("kind") != "StatefulSet":
        return None
    return f"of StatefulSet {owner.get('name')}, and the node is unreachable: it may still be running there"


def _tolerates_unreachable(pod: Object, around: Surroundings) -> str | None:
    """Whoever lets a pod tolerate unreachable for longer than the default wants it to wait for its node."""
    if not around.unreachable:
        return None
    for toleration in pod.get("spec", {}).get("tolerations") or ():
        if not _matches_unreachable(toleration):
            continue
        seconds = toleration.get("tolerationSeconds")
        if seconds is None:
            return "tolerates an unreachable node without end"
        if seconds > DEFAULT_TOLERATION_SECONDS:
            return f"tolerates an unreachable node for {seconds} s"
    return None


def _matches_unreachable(toleration: Object) -> bool:
    """Whether a toleration covers the taint unreachable:NoExecute, which has no value."""
    key, operator = toleration.get("key") or "", toleration.get("operator") or "Equal"
    if toleration.get("effect") not in {None, "", "NoExecute"}:
        return False
    if operator == "Exists":
        return key in {"", UNREACHABLE_TAINT}
    return key == UNREACHABLE_TAINT and not toleration.get("value")


_PROTECTIONS: tuple[tuple[Callable[[Object, Surroundings], str | None], str], ...] = (
    (_system, ""),
    (_own, ""),
    (_ignored, OPT_OUT_ERROR),
    (_marked, ""),
    (_ordered_replica, ""),
    (_tolerates_unreachable, ""),
)
"""Each with the error that it is in strict; "" is none: the pod is left, and the others go."""
