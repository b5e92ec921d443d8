"""drain_node: the plan of a drain, computed once over the evidence: what is evicted, what is left and why.

Collected by the registry; the executor sends the evictions, guard 8 asks `workloads_left_without_ready`.
Protects the promise that nothing is evicted from a node that is not cordoned, and that no pod leaves unless
`kubectl drain --ignore-daemonsets --delete-emptydir-data` would evict it and its budgets allow it now.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from sre_agent.by_hand import word
from sre_agent.cluster.port import Resource, Write, WriteVerb
from sre_agent.evidence import Evidence, NodeEvidence
from sre_agent.objects import Object, controller_of, name, namespace, pod_finished, pod_ready, terminating, uid
from sre_agent.run import Assessment, Change, FieldChange, Judgement, StepStatus, Verdict, refusal, worst
from sre_agent.target import Subject
from sre_agent.tools.drain_filters import pod_key
from sre_agent.tools.drain_plan import DrainPlan, LeftPod, plan_drain
from sre_agent.tools.node_rules import (
    EVIDENCE_PERMISSIONS,
    cordon_is_ours_or_settled,
    node_evidence,
    node_gone,
    not_control_plane,
    not_leaving,
    not_ready,
)
from sre_agent.tools.node_state import cordoned, readiness
from sre_agent.tools.types import NodeInput, Permission, RemediationTool, Tool, ToolContext, ToolModel


class DrainOutput(ToolModel):
    """Pods as `namespace/name`: evicted (or to be), left with their reasons; warnings in kubectl's words."""

    evicted: list[str]
    left: list[LeftPod]
    warnings: list[str]


def drained_action(node: str, evicted: int, left: int) -> str:
    """The action string of a drain, planned or done: numbers of pods."""
    return f"drain_node:{node}:evicted={evicted},left={left}"


def drain_over(node: Object) -> str | None:
    """Why no pod shall leave the node any more that had to wait until now, None while its drain is still wanted."""
    if not cordoned(node):
        return "the node was uncordoned meanwhile"
    return "the node is Ready again" if readiness(node).ready else None


def assess_drain(_arguments: NodeInput, evidence: Evidence, context: ToolContext) -> Assessment:
    """Plans the drain of a node that is not ready, is or may soon be cordoned, and that nobody takes away."""
    found = node_evidence(evidence)
    node, node_name = found.node, found.target.name
    if node is None:
        return _refused(node_gone(node_name))
    judgements = tuple(_against_drain(found, node, context))
    if found.pods is None or found.budgets is None or worst(judgements) is Verdict.REFUSE:
        return _refused(*judgements)
    plan = plan_drain(node, found.pods, found.budgets, found, context.settings)
    stopped = tuple(_against_plan(plan, node_name, strict=context.settings.drain_strict))
    if stopped:
        return Assessment(judgements=(*judgements, *stopped), output=_output(left=plan.left))
    output = _output(evicted=plan.evicted, left=plan.left, warnings=plan.warnings)
    if not plan.evicted:
        return Assessment(already=f"nothing to evict; left={len(plan.left)}", output=output)
    return Assessment(change=_drain_change(found, plan), judgements=judgements, output=output)


def _refused(*judgements: Judgement) -> Assessment:
    return Assessment(judgements=judgements, output=_output())


def _output(
    *, evicted: Iterable[Object] = (), left: Iterable[LeftPod] = (), warnings: Iterable[str] = ()
) -> dict[str, Any]:
    return DrainOutput(evicted=[pod_key(pod) for pod in evicted], left=list(left), warnings=list(warnings)).model_dump()


def _against_drain(evidence: NodeEvidence, node: Object, context: ToolContext) -> Iterator[Judgement]:
    """Every condition of the node that is not met, and every part of the evidence that is missing."""
    node_name = evidence.target.name
    by_hand = _kubectl(node_name)
    for judgement in (
        not_leaving(node, node_name),
        not_ready(node, node_name, by_hand),
        _cordon_holds(node, node_name, context),
        cordon_is_ours_or_settled(node, node_name, context, by_hand) if cordoned(node) else None,
        not_control_plane(node, node_name, by_hand),
    ):
        if judgement is not None:
            yield judgement
    for part in _unread(evidence):
        yield refusal(
            "drain-evidence",
            f"the {part} could not be read",
            f"the right to list {part}",
            by_hand=by_hand,
        )


def _unread(evidence: NodeEvidence) -> Iterator[str]:
    """What is missing that may speak against an eviction: a budget, or an opt-out."""
    if evidence.pods is None:
        yield "pods"
    elif evidence.controllers is None:
        yield "ReplicaSets, Deployments, StatefulSets and Jobs that control its pods"
    if evidence.budgets is None:
        yield "PodDisruptionBudgets"
    if evidence.namespaces is None:
        yield "namespaces"


def _cordon_holds(node: Object, node_name: str, context: ToolContext) -> Judgement | None:
    """Nothing is evicted from a node that takes new pods: kubectl goes on after a failed cordon, this does not."""
    if cordoned(node):
        return None
    cordon = next((record for record in reversed(context.earlier) if record.tool == "cordon_node"), None)
    by_hand = f"kubectl cordon {word(node_name)}"
    if cordon is not None and cordon.status is StepStatus.PROPOSED:
        return Judgement(
            rule="node-cordoned",
            verdict=Verdict.ASK,
            reason=f"the cordon of node {node_name} is only proposed so far",
            allowed_by="approve the cordon first",
            by_hand=by_hand,
        )
    if cordon is None:
        why = "no earlier step of this run cordoned it"
    elif cordon.status is StepStatus.DONE:
        why = "this run cordoned it and somebody took the cordon off since"
    else:
        why = f"step {cordon.step} ended {cordon.status}" + (f": {cordon.reason}" if cordon.reason else "")
    return refusal("node-cordoned", f"node {node_name} is not cordoned: {why}", "a cordoned node", by_hand=by_hand)


def _against_plan(plan: DrainPlan, node_name: str, *, strict: bool) -> Iterator[Judgement]:
    """What stops the whole drain: kubectl's errors in strict, and budgets where nothing else could go."""
    by_hand = _kubectl(node_name)
    for error in plan.errors:
        yield refusal(
            "drain-strict",
            error,
            "moving these pods by hand, or draining without strict (they are left on the node then)",
            by_hand=by_hand,
        )
    if plan.blocked and (strict or not plan.evicted):
        named = "; ".join(f"{entry.pod}: {entry.reason}" for entry in plan.blocked)
        yield refusal(
            "disruption-budget",
            f"blocked by PodDisruptionBudgets: {named}",
            "healthy replicas on other nodes, until the budgets allow a disruption",
            by_hand="kubectl get poddisruptionbudgets --all-namespaces",
        )


def _drain_change(evidence: NodeEvidence, plan: DrainPlan) -> Change:
    node_name = evidence.target.name
    return Change(
        tool="drain_node",
        action=drained_action(node_name, len(plan.evicted), len(plan.left)),
        target=evidence.target,
        writes=tuple(_eviction(pod) for pod in plan.evicted),
        diff=tuple(
            FieldChange(path=f"pods/{pod_key(pod)}", before=f"on {node_name}", after="evicted") for pod in plan.evicted
        ),
        kubectl=_kubectl(node_name),
        notes=plan.warnings,
        leaves=len(plan.left),
        awaited=not readiness(evidence.node or {}).unreachable,
    )


def _eviction(pod: Object) -> Write:
    return Write(
        verb=WriteVerb.CREATE,
        resource=Resource.PODS,
        namespace=namespace(pod),
        name=name(pod),
        subresource="eviction",
        body={
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name(pod), "namespace": namespace(pod)},
        },
        uid=uid(pod),
    )


def _kubectl(node_name: str) -> str:
    return f"kubectl drain {word(node_name)} --ignore-daemonsets --delete-emptydir-data"


def workloads_left_without_ready(evidence: NodeEvidence, evicted_pods: Iterable[Object]) -> list[str]:
    """Workloads (`Deployment/demo/app`) that have a ready pod now and would have none after these evictions.

    Ready pods that terminate already do not count, nor do those on another node that is not ready or unreachable:
    their readiness is what its kubelet said last. A ReplicaSet's pods count for its Deployment. Jobs have no
    replicas that serve, and bare and finished pods no workload. Where the pods of the cluster could not be read,
    only this node's count: whatever may run elsewhere proves nothing.
    """
    pods = evidence.workload_pods if evidence.workload_pods is not None else evidence.pods or ()
    evicted = {(namespace(pod), name(pod), uid(pod)) for pod in evicted_pods}
    silent = {name(node) for node in evidence.nodes or () if not readiness(node).ready} - {evidence.target.name}
    before: dict[str, str] = {}
    after: set[str] = set()
    for pod in pods:
        workload = _workload_of(pod, evidence)
        if workload is None or terminating(pod) or pod_finished(pod) or not pod_ready(pod):
            continue
        if pod.get("spec", {}).get("nodeName") in silent:
            continue
        identity, title = workload
        before[identity] = title
        if (namespace(pod), name(pod), uid(pod)) not in evicted:
            after.add(identity)
    return sorted(title for identity, title in before.items() if identity not in after)


def _workload_of(pod: Object, evidence: NodeEvidence) -> tuple[str, str] | None:
    """The identity (uid, else title) and the title of the topmost controller that is known, None without one."""
    owner = controller_of(pod)
    if owner is None or owner.get("kind") == "Job":
        return None
    if owner.get("kind") == "ReplicaSet":
        replica_set = (evidence.controllers or {}).get(("ReplicaSet", namespace(pod), str(owner.get("name"))))
        if replica_set is not None:
            owner = controller_of(replica_set) or owner
    title = f"{owner.get('kind')}/{namespace(pod)}/{owner.get('name')}"
    return str(owner.get("uid") or title), title


TOOLS: tuple[Tool, ...] = (
    RemediationTool(
        name="drain_node",
        summary="Evict what may go from a cordoned node that is not ready, through the Eviction API.",
        subject=Subject.NODE,
        input=NodeInput,
        output=DrainOutput,
        permissions=(
            *EVIDENCE_PERMISSIONS,
            Permission(verb="create", resource=Resource.PODS, subresource="eviction"),
        ),
        action_format="drain_node:NODE:evicted=3,left=2",
        assess=assess_drain,
    ),
)
