"""The node tools: is a node ready, is it healthy, cordon it, uncordon it.

Collected by the registry. The diagnostics answer from the same questions (`node_state`) as the conditions of
the two changes (`cordon`), so that a gate and the change behind it cannot disagree.
"""

from sre_agent.cluster.port import Cluster, NotFound, Resource
from sre_agent.target import Subject
from sre_agent.tools.cordon import CordonOutput, UncordonOutput, assess_cordon, assess_uncordon
from sre_agent.tools.node_rules import LIST_NODES, LIST_PODS
from sre_agent.tools.node_state import condition_problems, cordoned, other_conditions, readiness
from sre_agent.tools.types import (
    DiagnosticTool,
    NodeInput,
    Permission,
    RemediationTool,
    Tool,
    ToolContext,
    ToolModel,
)


class NodeReadyOutput(ToolModel):
    """The Ready condition. `ready` and `not_ready` are both False where nothing is known; `reason` says why."""

    ready: bool
    not_ready: bool
    unschedulable: bool
    unreachable: bool
    reason: str


class NodeCondition(ToolModel):
    """One status condition as the node reports it; texts are empty where absent."""

    type: str
    status: str
    reason: str
    message: str
    last_transition_time: str | None


class NodeConditionsOutput(ToolModel):
    """All conditions but Ready. `healthy` needs each of them seen in its healthy state; Unknown is not."""

    healthy: bool
    problems: list[str]
    conditions: list[NodeCondition]


async def _get_node_ready(cluster: Cluster, arguments: NodeInput, _context: ToolContext) -> NodeReadyOutput:
    try:
        node = await cluster.get(Resource.NODES, None, arguments.node)
    except NotFound:
        return NodeReadyOutput(
            ready=False,
            not_ready=False,
            unschedulable=False,
            unreachable=False,
            reason=f"there is no node {arguments.node}",
        )
    state = readiness(node)
    return NodeReadyOutput(
        ready=state.ready,
        not_ready=state.not_ready,
        unschedulable=cordoned(node),
        unreachable=state.unreachable,
        reason=state.reason,
    )


async def _get_node_conditions(cluster: Cluster, arguments: NodeInput, _context: ToolContext) -> NodeConditionsOutput:
    try:
        node = await cluster.get(Resource.NODES, None, arguments.node)
    except NotFound:
        return NodeConditionsOutput(healthy=False, problems=[f"there is no node {arguments.node}"], conditions=[])
    problems = condition_problems(node)
    return NodeConditionsOutput(
        healthy=not problems,
        problems=problems,
        conditions=[
            NodeCondition(
                type=str(entry.get("type") or ""),
                status=str(entry.get("status") or ""),
                reason=str(entry.get("reason") or ""),
                message=str(entry.get("message") or ""),
                last_transition_time=entry.get("lastTransitionTime"),
            )
            for entry in other_conditions(node)
        ],
    )


_READ_NODE = (Permission(verb="get", resource=Resource.NODES),)
_PATCH_NODE = (LIST_NODES, Permission(verb="patch", resource=Resource.NODES))

TOOLS: tuple[Tool, ...] = (
    DiagnosticTool(
        name="get_node_ready",
        summary="Is the node Ready, cordoned, reachable?",
        subject=Subject.NODE,
        input=NodeInput,
        output=NodeReadyOutput,
        permissions=_READ_NODE,
        run=_get_node_ready,
    ),
    DiagnosticTool(
        name="get_node_conditions",
        summary="Every condition of the node but Ready, and which of them are problems.",
        subject=Subject.NODE,
        input=NodeInput,
        output=NodeConditionsOutput,
        permissions=_READ_NODE,
        run=_get_node_conditions,
    ),
    RemediationTool(
        name="cordon_node",
        summary="Keep new pods off a node that is not ready.",
        subject=Subject.NODE,
        input=NodeInput,
        output=CordonOutput,
        permissions=_PATCH_NODE,
        action_format="cordon_node:NODE",
        assess=assess_cordon,
    ),
    RemediationTool(
        name="uncordon_node",
        summary="Let pods onto a node again that has been Ready and healthy for a while.",
        subject=Subject.NODE,
        input=NodeInput,
        output=UncordonOutput,
        permissions=(*_PATCH_NODE, LIST_PODS),
        action_format="uncordon_node:NODE",
        assess=assess_uncordon,
    ),
)
