"""Guard 3: does somebody else own the field that would be changed?

A reconciler would take the change back, an autoscaler would fight it: then a person decides. Helm alone does not
reconcile, so it does not block unless SRE_AGENT_HELM says so.
"""

from sre_agent.evidence import WorkloadEvidence
from sre_agent.facts import Facts
from sre_agent.objects import Object, annotations, labels, name
from sre_agent.run import Change, Judgement, Verdict, question, refusal

RECONCILER_MARKS = (
    ("Argo CD", "argocd.argoproj.io/tracking-id"),
    ("Argo CD", "argocd.argoproj.io/instance"),
    ("Flux", "kustomize.toolkit.fluxcd.io/name"),
    ("Flux", "helm.toolkit.fluxcd.io/name"),
)
RECONCILER_MANAGERS = {
    "argocd-controller": "Argo CD",
    "argocd-application-controller": "Argo CD",
    "kustomize-controller": "Flux",
    "helm-controller": "Flux",
}


def reconciler(facts: Facts, change: Change) -> Judgement | None:
    """Argo CD or Flux, by label, annotation or field manager."""
    controller = _template_owner(facts, change)
    owner = controller and reconciler_of(controller)
    if not owner:
        return None
    return question(
        "reconciler",
        f"{owner} reconciles {change.target.kind} {change.target.name} and would take the change back",
        f"the same change in Git: {_wanted(change)}; or a person's approval",
    )


def reconciler_of(controller: Object) -> str | None:
    """The name of the GitOps tool that owns an object, None where nothing says so."""
    for owner, mark in RECONCILER_MARKS:
        if mark in labels(controller) or mark in annotations(controller):
            return owner
    for entry in controller.get("metadata", {}).get("managedFields") or ():
        if entry.get("manager") in RECONCILER_MANAGERS:
            return RECONCILER_MANAGERS[entry["manager"]]
    return None


def helm(facts: Facts, change: Change) -> Judgement | None:
    """Helm alone: act and say which value to change in the chart; SRE_AGENT_HELM=recommend asks instead."""
    controller = _template_owner(facts, change)
    if not controller or reconciler_of(controller):
        return None
    release = annotations(controller).get("meta.helm.sh/release-name")
    if not release and labels(controller).get("app.kubernetes.io/managed-by") != "Helm":
        return None
    asks = facts.settings.helm == "recommend"
    return Judgement(
        rule="helm",
        verdict=Verdict.ASK if asks else Verdict.ALLOW,
        reason=f"Helm release {release or 'unknown'} installed this: change the chart's value too "
        f"({_wanted(change)}), or the next upgrade takes it back; Helm 4 will report a conflict",
        allowed_by="SRE_AGENT_HELM=act, or a person's approval" if asks else "nothing more is needed",
    )


def horizontal_autoscaler(facts: Facts, change: Change) -> Judgement | None:
    """An HPA that scales this workload on memory moves with the limit."""
    evidence = facts.evidence
    if change.tool != "increase_memory_limit" or not isinstance(evidence, WorkloadEvidence):
        return None
    if evidence.autoscalers is None:
        return _unread("horizontal-autoscaler", "horizontalpodautoscalers")
    for autoscaler in evidence.autoscalers:
        spec = autoscaler.get("spec", {})
        if _names(spec.get("scaleTargetRef"), change) and _scales_on_memory(spec, change.target.container):
            return question(
                "horizontal-autoscaler",
                f"the HorizontalPodAutoscaler {name(autoscaler)} scales {change.target.name} on memory",
                "a person's approval",
            )
    return None


def vertical_autoscaler(facts: Facts, change: Change) -> Judgement | None:
    """A VPA that is not Off and controls memory sets the limit itself."""
    evidence = facts.evidence
    if change.tool != "increase_memory_limit" or not isinstance(evidence, WorkloadEvidence):
        return None
    if evidence.vertical_autoscalers is None:
        return _unread("vertical-autoscaler", "verticalpodautoscalers")
    for autoscaler in evidence.vertical_autoscalers:
        spec = autoscaler.get("spec", {})
        mode = (spec.get("updatePolicy") or {}).get("updateMode", "Auto")
        controls = mode != "Off" and _controls_memory(spec, change.target.container)
        if controls and _names(spec.get("targetRef"), change):
            return question(
                "vertical-autoscaler",
                f"the VerticalPodAutoscaler {name(autoscaler)} ({mode}) controls the memory of {change.target.name}",
                "raising maxAllowed of the VPA, or a person's approval",
            )
    return None


def _template_owner(facts: Facts, change: Change) -> Object | None:
    """The controller whose pod template would be changed, None where none would be."""
    evidence = facts.evidence
    if not change.patches_template or not isinstance(evidence, WorkloadEvidence):
        return None
    return evidence.controller


def _wanted(change: Change) -> str:
    return ", ".join(f"{line.path} = {line.after}" for line in change.diff) or change.action


def _names(reference: Object | None, change: Change) -> bool:
    return bool(
        reference and reference.get("kind") == change.target.kind and reference.get("name") == change.target.name
    )


def _scales_on_memory(spec: Object, container: str | None) -> bool:
    """Whether some metric is the memory of the pod, or of this container."""
    for metric in spec.get("metrics") or ():
        source = metric.get("resource") or metric.get("containerResource") or {}
        if source.get("name") == "memory" and source.get("container", container) == container:
            return True
    return False


def _controls_memory(spec: Object, container: str | None) -> bool:
    policies = (spec.get("resourcePolicy") or {}).get("containerPolicies") or ()
    by_name = {policy.get("containerName"): policy for policy in policies}
    policy = by_name.get(container) or by_name.get("*") or {}
    if policy.get("mode") == "Off":
        return False
    return "memory" in (policy.get("controlledResources") or ("cpu", "memory"))


def _unread(rule: str, plural: str) -> Judgement:
    return refusal(rule, f"the {plural} of the namespace could not be read", f"the right to list {plural}")
