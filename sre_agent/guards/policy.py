"""Guard 1: may the agent act by itself here? AGENT_MODE allows, everything else only narrows."""

from fnmatch import fnmatchcase

from sre_agent.evidence import WorkloadEvidence
from sre_agent.facts import Facts
from sre_agent.objects import labels
from sre_agent.run import Change, Judgement, Mode, question

MODE_LABEL = "sre-agent/mode"


def mode(facts: Facts, change: Change) -> Judgement | None:
    """The mode asked for, narrowed by every entry of SRE_AGENT_MODES that matches namespace and runbook."""
    if facts.mode is Mode.RECOMMEND:
        return question("mode", "the mode is recommend", "AGENT_MODE=auto or --mode auto, or a person's approval")
    namespace = change.target.namespace or ""
    for rule in facts.settings.modes:
        applies = fnmatchcase(namespace, rule.namespace_pattern) and fnmatchcase(
            facts.runbook.id, rule.runbook_pattern or "*"
        )
        if applies and rule.mode == Mode.RECOMMEND:
            return question("mode", f"SRE_AGENT_MODES says {rule}", "a person's approval, or another SRE_AGENT_MODES")
    return None


def namespace_mode(facts: Facts, change: Change) -> Judgement | None:
    """The namespace's label `sre-agent/mode` may lower the mode, never raise it."""
    if not isinstance(facts.evidence, WorkloadEvidence):
        return None
    if facts.evidence.namespace is None:
        return question(
            "namespace-mode",
            f"the namespace {change.target.namespace} could not be read",
            "the right to get namespaces",
        )
    value = labels(facts.evidence.namespace).get(MODE_LABEL)
    if value in (None, Mode.AUTO):
        return None
    return question(
        "namespace-mode",
        f"the namespace {change.target.namespace} carries {MODE_LABEL}={value}",
        f"a person's approval, or taking the label {MODE_LABEL} off",
    )


def step_mode(facts: Facts, change: Change) -> Judgement | None:
    """A step with `mode: recommend` never acts by itself, nor does a proposal of another tool than the step's."""
    if facts.step.recommend_only:
        return question(
            "step-mode",
            f"the step {facts.step.name} of {facts.runbook.id} has mode: recommend",
            "a person's approval",
        )
    if change.tool != facts.step.tool:
        return question(
            "step-mode",
            f"{change.tool} stands in for the step's {facts.step.tool}",
            "a person's approval",
        )
    return None


def approval(facts: Facts, change: Change) -> Judgement | None:
    """`approval: required` in the step, or the tool in SRE_AGENT_APPROVE_TOOLS."""
    if facts.step.approval_required:
        return question("approval", f"the step {facts.step.name} has approval: required", "a person's approval")
    if change.tool in facts.settings.approve_tools:
        return question("approval", f"SRE_AGENT_APPROVE_TOOLS names {change.tool}", "a person's approval")
    return None
