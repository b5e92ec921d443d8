"""What a run saw around its target that later incidents are compared with: node, last deploy, value found.

Called by the executor: purely on the evidence of its remediations, and with one read where none of them looked.
"""

from sre_agent.analysis.facts import REMEDIATIONS
from sre_agent.cluster.port import FIELD_MANAGER, Cluster, ClusterError, Resource
from sre_agent.evidence import Evidence, WorkloadEvidence
from sre_agent.guards.freshness import template_changes
from sre_agent.objects import container
from sre_agent.quantity import QuantityError, bytes_of, format_bytes
from sre_agent.run import Assessment
from sre_agent.store.history_rows import Surroundings
from sre_agent.target import Target
from sre_agent.tools.workload_rules import memory, template_of


def seen(evidence: Evidence, tool: str, assessment: Assessment) -> Surroundings:
    """What the evidence of one remediation says."""
    if not isinstance(evidence, WorkloadEvidence):
        return Surroundings(node=evidence.target.node)
    target = evidence.target
    changed = [moment for moment, manager in template_changes(evidence) if manager != FIELD_MANAGER]
    wanted = assessment.output.get("container")
    value = _found(evidence, tool, wanted)
    known = value is not None
    return Surroundings(
        node=_node_of(evidence.pod),
        template_changed_at=max(changed, default=None),
        found_field=f"{REMEDIATIONS[tool]}:{target.namespace}/{target.name}/{wanted}" if known else None,
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


def _found(evidence: WorkloadEvidence, tool: str, wanted: str | None) -> str | None:
    """What stands in the template where this tool would write; None where nothing does, or nothing readable."""
    spec = container(template_of(evidence), wanted) or {}
    if tool == "fix_imagepullbackoff":
        image = spec.get("image")
        return str(image) if image else None
    limit = memory(spec, "limits") if tool == "increase_memory_limit" else None
    try:
        return None if limit is None else format_bytes(bytes_of(limit))
    except QuantityError:
        return None


def _node_of(pod: dict[str, object] | None) -> str | None:
    spec = (pod or {}).get("spec")
    node = spec.get("nodeName") if isinstance(spec, dict) else None
    return str(node) if node else None
