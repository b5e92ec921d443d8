"""From the pod up to the Deployment, and whether the pod is of the template as it is now.

Used by every remediation of a workload. Protects two rules: only Deployments are written to, each link checked by
uid; and a template that somebody already changed is left alone. Each rule returns what speaks against the change.
"""

from typing import Any

from sre_agent.by_hand import word
from sre_agent.evidence import WorkloadEvidence
from sre_agent.objects import (
    Object,
    container,
    containers,
    controlled_by,
    controller_of,
    generation,
    name,
    pod_template,
    revision,
    terminating,
    uid,
)
from sre_agent.quantity import QuantityError, bytes_of
from sre_agent.run import Judgement, refusal
from sre_agent.tools.workload_rules import memory, template_of


def chain_judgements(evidence: WorkloadEvidence, by_hand: str) -> list[Judgement]:
    """pod -> ReplicaSet -> Deployment, each link by uid, and nothing above the Deployment."""
    return [
        judgement
        for judgement in (_deployment(evidence, by_hand), _pod(evidence), _replica_set(evidence, by_hand))
        if judgement is not None
    ]


def _deployment(evidence: WorkloadEvidence, by_hand: str) -> Judgement | None:
    target, controller = evidence.target, evidence.controller
    where = f"{target.kind} {target.namespace}/{target.name}"
    if target.kind != "Deployment":
        reason = _not_a_deployment(evidence, where)
    elif controller is None:
        return refusal(
            "ownership-chain", f"{where} is gone, or another one of its name is there now", "a new alert", settled=True
        )
    elif owner := _owner(controller):
        above = f"{owner.get('kind')} {owner.get('name')}"
        reason = f"{where} is controlled by {above}, which would take the change back"
        if not owner.get("controller"):
            reason = f"{where} is owned by {above}, which may take the change back"
        owner_kind, owner_name = word(str(owner.get("kind")).lower()), word(owner.get("name"))
        show = f"kubectl -n {word(target.namespace)} describe {owner_kind} {owner_name}"
        return refusal("ownership-chain", reason, f"changing {above}", by_hand=show)
    else:
        return None
    return refusal("ownership-chain", reason, "a person making the change by hand", by_hand=by_hand)


def _owner(controller: Object) -> Object | None:
    """What made the object: its controller, else any owner, since operators seldom say that they control."""
    references = controller.get("metadata", {}).get("ownerReferences") or ()
    return controller_of(controller) or next(iter(references), None)


def _not_a_deployment(evidence: WorkloadEvidence, where: str) -> str:
    only = "only Deployments are written to"
    holder = evidence.controller if evidence.target.kind != "Pod" else evidence.pod
    owner = controller_of(holder or {})
    if holder is None:
        return f"{where}, which the pod names as its controller, is not in the cluster; {only}"
    if owner is not None:
        return (
            f"{where} is controlled by {owner.get('kind')} {owner.get('name')}, which is not in the cluster "
            f"or not known to the agent; {only}"
        )
    if evidence.target.kind == "Pod":
        return f"nothing controls pod {evidence.target.namespace}/{evidence.target.name}; {only}"
    return f"the controller is {where}; {only}"


def _pod(evidence: WorkloadEvidence) -> Judgement | None:
    target = evidence.target
    if target.pod is None:
        return refusal(
            "pod",
            f"{target.kind} {target.namespace}/{target.name} has no pod of its newest revision to look at",
            "a pod that shows the symptom",
            by_hand=target.look,
        )
    if evidence.pod is None:
        return refusal(
            "pod",
            f"pod {target.namespace}/{target.pod} is gone; nothing is done to its successor because of it",
            "an alert about the pod that is there now",
            settled=True,
        )
    if terminating(evidence.pod):
        return refusal(
            "pod",
            f"pod {target.namespace}/{target.pod} is being deleted; nothing is done to its successor because of it",
            "an alert about the pod that takes its place",
            settled=True,
        )
    return None


def _replica_set(evidence: WorkloadEvidence, by_hand: str) -> Judgement | None:
    """The link between the two: one of the Deployment's own ReplicaSets controls the pod."""
    pod = evidence.pod
    if evidence.target.kind != "Deployment" or evidence.controller is None or pod is None:
        return None
    if any(controlled_by(pod, uid(entry)) for entry in evidence.replica_sets):
        return None
    return refusal(
        "ownership-chain",
        f"no ReplicaSet of Deployment {evidence.target.name} controls pod {name(pod)}",
        "a pod whose ReplicaSet and Deployment are both there, by uid",
        by_hand=by_hand,
    )


def newest_revision_judgements(evidence: WorkloadEvidence) -> list[Judgement]:
    """The pod must be of the template as it is now, and the Deployment's controller must have seen that template."""
    controller, pod = evidence.controller, evidence.pod
    if evidence.target.kind != "Deployment" or controller is None or pod is None or not evidence.replica_sets:
        return []
    newest = evidence.replica_sets[0]
    observed = controller.get("status", {}).get("observedGeneration")
    written = generation(controller)
    if written is not None and observed is not None and observed < written:
        return [
            refusal(
                "rollout-observed",
                f"Deployment {name(controller)} is at generation {written}, its controller has seen {observed}",
                "its controller having caught up",
            )
        ]
    if revision(controller) and revision(newest) and revision(controller) != revision(newest):
        return [
            refusal(
                "rollout-observed",
                f"Deployment {name(controller)} is at revision {revision(controller)}, its newest ReplicaSet "
                f"{name(newest)} at {revision(newest)}: the one between is not there",
                "the ReplicaSet of the newest revision",
            )
        ]
    if not controlled_by(pod, uid(newest)):
        return [
            refusal(
                "already-changed",
                f"already changed: pod {name(pod)} is of an older revision than ReplicaSet {name(newest)}",
                "the symptom in a pod of the newest revision",
                settled=True,
            )
        ]
    return []


def same_container_judgements(evidence: WorkloadEvidence, wanted: str) -> list[Judgement]:
    """The container's image and memory are the same in pod, its ReplicaSet and the template.

    Where the template differs from that ReplicaSet, somebody already changed it. Where the pod does, somebody
    changed the pod alone, and a new template would not change that.
    """
    pod, template = evidence.pod or {}, template_of(evidence)
    replica_set = next((entry for entry in evidence.replica_sets if controlled_by(pod, uid(entry))), {})
    known = bool(containers(pod_template(replica_set)))
    made_from = pod_template(replica_set) if known else template
    if changes := _differences(wanted, ("ReplicaSet of the pod", made_from), ("template", template)):
        return [
            refusal(
                "already-changed",
                f"already changed: {changes}",
                "the symptom in a pod of the template as it is now",
                settled=True,
            )
        ]
    if changes := _differences(wanted, ("pod", pod), ("template", made_from)):
        by_whom = "set on the pod by an admission webhook or by hand" if known else "one of the two was changed"
        return [
            refusal(
                "pod-differs",
                f"{changes}: {by_whom}",
                "a pod that is as its template says, or a person changing what sets it",
                by_hand=evidence.target.look,
            )
        ]
    return []


def _differences(wanted: str, before: tuple[str, Object], after: tuple[str, Object]) -> str:
    """What differs of one container between two templates or pods, as (what it is, itself); empty for nothing.

    What the second does not set, the API server may have filled in for the first.
    """
    (where, first), (there, second) = before, after
    ours, theirs = container(second, wanted), container(first, wanted)
    if ours is None or theirs is None:
        only = there if theirs is None else where
        return "" if ours is theirs else f"container {wanted} is in the {only} alone"
    changes = [
        f"{what} is {old or 'unset'} in the {where} and {new} in the {there}"
        for what, old, new in (
            ("image", theirs.get("image"), ours.get("image")),
            ("memory limit", memory(theirs, "limits"), memory(ours, "limits")),
            ("memory request", memory(theirs, "requests"), memory(ours, "requests")),
        )
        if new is not None and not _equal(old, new)
    ]
    return f"of container {wanted}, {'; '.join(changes)}" if changes else ""


def _equal(one: Any, other: Any) -> bool:
    """Whether two values are the same text or the same quantity (1Gi, 1024Mi)."""
    if one is None or one == other:
        return bool(one == other)
    try:
        return bytes_of(one) == bytes_of(other)
    except QuantityError:
        return False
