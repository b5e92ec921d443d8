"""What a run saw around its target that later incidents are compared with: node, last deploy, value found.

Called by `remediation`, purely on its evidence; by the executor, with one read, where no remediation looked.
"""

from sre_agent.cluster.port import FIELD_MANAGER, Cluster, ClusterError, Resource
from sre_agent.evidence import Evidence, WorkloadEvidence
from sre_agent.guards.freshness import template_changes
from sre_agent.objects import container
from sre_agent.run import Assessment
from sre_agent.store.history_rows import Surroundings
from sre_agent.target import Target
from sre_agent.tools.types import RemediationTool
from sre_agent.tools.workload_rules import template_of


def seen(evidence: Evidence, tool: RemediationTool, assessment: Assessment) -> Surroundings:
    """What the evidence of one remediation says; the value is what stands where the tool would write."""
    if not isinstance(evidence, WorkloadEvidence):
        return Surroundings(node=evidence.target.node)
    target = evidence.target
    changed = [moment for moment, manager in template_changes(evidence) if manager != FIELD_MANAGER]
    wanted = assessment.output.get("container")
    spec = container(template_of(evidence), wanted) or {}
    value = None if tool.value_in is None else tool.value_in(spec)
    known = value is not None
    return Surroundings(
        node=_node_of(evidence.pod),
        template_changed_at=max(changed, default=None),
        found_field=f"{tool.action_word}:{target.namespace}/{target.name}/{wanted}" if known else None,
        found_value=value if known else None,
        found_at=evidence.read_at if known else None,
    )


async def look(cluster: Cluster, target: Target | None) -> Surroundings:
    """The pod's node, where no remediation of the run looked at it. What cannot be read stays unknown."""
    if target is None or target.pod is None or target.namespace is None:
        return Surroundings(node=None if target is None else target.node)
    try:
        return Surroundings(node=_node_of(await cluster.get(Resource.PODS, target.namespace, target.pod)))
    except ClusterError:
        return Surroundings()


def _node_of(pod: dict[str, object] | None) -> str | None:
    spec = (pod or {}).get("spec")
    node = spec.get("nodeName") if isinstance(spec, dict) else None
    return str(node) if node else None
