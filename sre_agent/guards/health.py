"""Guard 8: what must stay alive: enough Ready nodes, and one ready replica of every workload that has one."""

from sre_agent.evidence import NodeEvidence, WorkloadEvidence
from sre_agent.facts import Facts
from sre_agent.objects import Object, name, namespace, node_schedulable, pod_ready
from sre_agent.rollout import may_be_missing
from sre_agent.run import Change, Judgement, question, refusal
from sre_agent.tools.drain import workloads_left_without_ready
from sre_agent.tools.node_state import leaving, readiness


def ready_nodes(facts: Facts, change: Change) -> Judgement | None:
    """Afterwards SRE_AGENT_HEALTH_FLOOR percent of the nodes are Ready and schedulable, and at least one other.

    In a small cluster the percentage says nothing: there one other node must do, and a person is asked.
    """
    evidence = facts.evidence
    if not change.takes_node_away or not isinstance(evidence, NodeEvidence):
        return None
    if not evidence.nodes:
        return refusal("ready-nodes", "the nodes of the cluster could not be read", "the right to list nodes")
    serving = [node for node in evidence.nodes if name(node) != change.target.name and _serves(node)]
    floor, total = facts.settings.health_floor, len(evidence.nodes)
    enough = len(serving) * 100 >= floor * total or total < facts.settings.min_nodes
    if enough and not all(map(_tainted, serving)):
        return None
    return refusal(
        "ready-nodes",
        f"only {len(serving)} of {total} nodes would be Ready and schedulable; at least {floor} % must, "
        "and one of them without a taint that keeps pods away",
        "more Ready nodes: look at the control plane and the network first, many nodes rarely fail alone",
    )


def _serves(node: Object) -> bool:
    """Whether a node can take pods over: Ready, schedulable, and not on its way out."""
    return readiness(node).ready and node_schedulable(node) and leaving(node) is None


def _tainted(node: Object) -> bool:
    return any(taint.get("effect") in {"NoSchedule", "NoExecute"} for taint in node.get("spec", {}).get("taints") or ())


def small_cluster(facts: Facts, change: Change) -> Judgement | None:
    """In a cluster of fewer than SRE_AGENT_MIN_NODES nodes a person decides."""
    evidence = facts.evidence
    if not change.takes_node_away or not isinstance(evidence, NodeEvidence):
        return None
    few = facts.settings.min_nodes
    if not evidence.nodes:
        return question("small-cluster", "the nodes of the cluster could not be counted", "the right to list nodes")
    total = len(evidence.nodes)
    if total >= few:
        return None
    return question("small-cluster", f"the cluster has fewer than {few} nodes: {total}", "a person's approval")


def last_ready_replica(facts: Facts, change: Change) -> Judgement | None:
    """No eviction takes the last ready replica of a workload that has one."""
    evidence = facts.evidence
    if not change.evicts or not isinstance(evidence, NodeEvidence):
        return None
    if evidence.workload_pods is None:
        return refusal("last-ready-replica", "the pods of the cluster could not be read", "the right to list pods")
    evicted = {(write.namespace, write.name) for write in change.writes}
    pods = [pod for pod in evidence.workload_pods if (namespace(pod), name(pod)) in evicted]
    lost = workloads_left_without_ready(evidence, pods)
    if not lost:
        return None
    return refusal(
        "last-ready-replica",
        f"the drain would take the last ready replica of {', '.join(lost)}",
        "another ready replica of it on another node",
    )


def rollout_keeps_a_replica(facts: Facts, change: Change) -> Judgement | None:
    """A patched template rolls out without taking the only ready replica first."""
    evidence = facts.evidence
    if not change.patches_template or not isinstance(evidence, WorkloadEvidence):
        return None
    controller = evidence.controller or {}
    serves = any(pod_ready(pod) for pod in evidence.pods) or controller.get("status", {}).get("readyReplicas")
    if not serves:
        return None
    strategy = controller.get("spec", {}).get("strategy") or {}
    replicas = controller.get("spec", {}).get("replicas", 1)
    if replicas - may_be_missing(strategy, replicas) >= 1:
        return None
    return refusal(
        "rollout-keeps-a-replica",
        f"its strategy ({strategy.get('type', 'RollingUpdate')}, {replicas} replicas) "
        "would take the last ready replica before the new one is there",
        "a second replica, or a strategy that starts the new pod first",
    )
