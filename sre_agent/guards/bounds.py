"""Guard 5: values inside their bounds, whoever computed them. The tools compute; this checks once more."""

from sre_agent import quantity
from sre_agent.evidence import WorkloadEvidence
from sre_agent.facts import Facts
from sre_agent.objects import annotations, container, pod_template
from sre_agent.run import Change, Judgement, refusal
from sre_agent.tools.images import FALLBACK_ANNOTATION


def image(facts: Facts, change: Change) -> Judgement | None:
    """A patched image is the runbook's, or the one that the workload itself names."""
    if change.tool != "fix_imagepullbackoff":
        return None
    allowed = {facts.runbook.fallback_image}
    if isinstance(facts.evidence, WorkloadEvidence) and facts.evidence.controller:
        allowed.add(annotations(facts.evidence.controller).get(FALLBACK_ANNOTATION))
    if change.value is not None and change.value in allowed:
        return None
    return refusal(
        "image-bound",
        f"the image {change.value} is neither {facts.runbook.id}'s nor the workload's fallback image",
        f"fallback_image in {facts.runbook.id}, or the annotation {FALLBACK_ANNOTATION}",
    )


def memory(facts: Facts, change: Change) -> Judgement | None:
    """A new limit is at most the larger of the floor and twice the current one, and at most the cap."""
    if change.tool != "increase_memory_limit":
        return None
    settings, evidence = facts.settings, facts.evidence
    template = pod_template(evidence.controller or {}) if isinstance(evidence, WorkloadEvidence) else {}
    resources = (container(template, change.target.container) or {}).get("resources") or {}
    current = quantity.bytes_of((resources.get("limits") or {}).get("memory", "0"))
    wanted = quantity.bytes_of(change.value or "0")
    ceiling = min(max(settings.memory_floor, 2 * current), settings.memory_cap)
    if current < wanted <= ceiling:
        return None
    return refusal(
        "memory-bound",
        f"the new limit {change.value} is not above {quantity.format_bytes(current)} "
        f"and at most {quantity.format_bytes(ceiling)}",
        "a person setting the limit by hand",
    )
