"""Conditions that more than one node remediation must meet, and the rights they need to look.

Used by `cordon` and `drain`. Each rule is a pure function: what speaks against the change, or None.
"""

from datetime import timedelta

from sre_agent.by_hand import word
from sre_agent.cluster.port import Resource
from sre_agent.evidence import Evidence, NodeEvidence
from sre_agent.objects import Object
from sre_agent.run import Judgement, StepStatus, Verdict, question, refusal
from sre_agent.times import duration_text, moment_text
from sre_agent.tools.node_state import (
    CordonOwner,
    confirmed_not_ready,
    cordon_changed_at,
    cordon_owner,
    is_control_plane,
    leaving,
    readiness,
)
from sre_agent.tools.types import Permission, ToolContext

LIST_NODES = Permission(verb="list", resource=Resource.NODES)
LIST_PODS = Permission(verb="list", resource=Resource.PODS)
EVIDENCE_PERMISSIONS = (
    LIST_NODES,
    LIST_PODS,
    *(
        Permission(verb="list", resource=resource)
        for resource in (
            Resource.POD_DISRUPTION_BUDGETS,
            Resource.DAEMON_SETS,
            Resource.REPLICA_SETS,
            Resource.DEPLOYMENTS,
            Resource.STATEFUL_SETS,
            Resource.JOBS,
            Resource.NAMESPACES,
        )
    ),
)
"""What `evidence.read_node` reads. A drain judges all of it, a cordon the nodes, an uncordon node and pods."""


def node_evidence(evidence: Evidence) -> NodeEvidence:
    """The evidence of a node tool; raises TypeError for a workload's, which no node target leads to."""
    if not isinstance(evidence, NodeEvidence):
        raise TypeError(f"a node tool was given the evidence of {evidence.target.key}")
    return evidence


def node_gone(node: str) -> Judgement:
    """There is no such node any more."""
    return refusal(
        "node-exists",
        f"node {node} is not in the cluster any more",
        "a node of that name joining again",
        settled=True,
        by_hand="kubectl get nodes",
    )


def not_leaving(node: Object, node_name: str) -> Judgement | None:
    """A node that its owner takes away is not ours to hold or to give back: nothing is left to do."""
    sign = leaving(node)
    if sign is None:
        return None
    return refusal(
        "node-leaving",
        f"node {node_name} is being taken away already ({sign})",
        "nothing: whoever removes the node empties it too; without the mark the next alert is judged anew",
        settled=True,
        by_hand=f"kubectl describe node {word(node_name)}",
    )


def not_ready(node: Object, node_name: str, by_hand: str) -> Judgement | None:
    """The symptom, in the node's own Ready condition: False or Unknown."""
    if confirmed_not_ready(node):
        return None
    state = readiness(node)
    return refusal(
        "node-not-ready",
        f"node {node_name} is not confirmed as not ready: {state.reason}",
        "the Ready condition of the node being False or Unknown",
        settled=state.ready,
        by_hand=by_hand,
    )


def not_control_plane(node: Object, node_name: str, by_hand: str) -> Judgement | None:
    """Control-plane nodes carry the cluster itself: a person decides."""
    if not is_control_plane(node):
        return None
    return Judgement(
        rule="control-plane",
        verdict=Verdict.ASK,
        reason=f"node {node_name} is a control-plane node",
        allowed_by="a person's approval",
        by_hand=by_hand,
    )


def cordon_is_ours_or_settled(node: Object, node_name: str, context: ToolContext, by_hand: str) -> Judgement | None:
    """Nobody's hand is on the cordon: it is ours, or it is older than SRE_AGENT_CORDON_SETTLE; 0 is off.

    Our mark alone, without managedFields, may have outlived our cordon: it counts where nothing says that the cordon
    is younger, and where this run set it.
    """
    settle, owner, changed = context.settings.cordon_settle, cordon_owner(node), cordon_changed_at(node)
    if not settle or owner is CordonOwner.US or _cordoned_in_this_run(context):
        return None
    if changed is None and owner is CordonOwner.MARKED:
        return None
    if changed is not None and context.now - changed > settle:
        return None
    if changed is None:
        reason = f"somebody else cordoned node {node_name}, and when cannot be told"
        return question("cordon-settle", reason, "a person's approval", by_hand=by_hand)
    who = "somebody else"
    if owner is CordonOwner.MARKED:
        who = "somebody (this agent's mark is there, but nothing says whose this cordon is)"
    return question(
        "cordon-settle",
        f"{who} cordoned node {node_name} {moment_text(changed)}, not more than {duration_text(settle)} ago",
        f"a person's approval, or waiting until after {moment_text(changed + settle)}",
        retry_at=changed + settle + timedelta(seconds=1),
        by_hand=by_hand,
    )


def _cordoned_in_this_run(context: ToolContext) -> bool:
    """Whether an earlier step sent a cordon; one that found the node cordoned already has no change."""
    return any(
        record.tool == "cordon_node" and record.status is StepStatus.DONE and record.change is not None
        for record in context.earlier
    )
