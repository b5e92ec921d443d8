"""What the remediations of a workload share: how they refuse, what they say to do by hand, how they patch.

Used by `memory`, `images`, `rollback` and `deletion`. Protects the rule that a Deployment is only patched as it was
read (uid, resourceVersion), and that the patch holds only what changes.
"""

from typing import Any

from sre_agent.by_hand import word
from sre_agent.cluster.port import Resource, Write, WriteVerb
from sre_agent.evidence import Evidence, WorkloadEvidence
from sre_agent.objects import (
    Object,
    init_containers,
    pod_template,
    resource_version,
    uid,
)
from sre_agent.run import Judgement, refusal
from sre_agent.tools.types import Permission

LOOK_PERMISSIONS = (
    *(
        Permission(verb="get", resource=resource)
        for resource in (
            Resource.DEPLOYMENTS,
            Resource.STATEFUL_SETS,
            Resource.DAEMON_SETS,
            Resource.JOBS,
        )
    ),
    Permission(verb="list", resource=Resource.PODS),
    Permission(verb="list", resource=Resource.REPLICA_SETS),
)
"""Without these `evidence.read_workload` has nothing to judge. What else it reads is named where it is needed."""

GET_POD = Permission(verb="get", resource=Resource.PODS)
LIST_EVENTS = Permission(verb="list", resource=Resource.EVENTS)
CHANGE_PERMISSIONS = (*LOOK_PERMISSIONS, Permission(verb="get", resource=Resource.NAMESPACES))
"""What every change needs: the namespace may lower the mode, or opt out."""

PATCH_PERMISSIONS = (*CHANGE_PERMISSIONS, Permission(verb="patch", resource=Resource.DEPLOYMENTS))
"""The same, and patching the Deployment."""

_ROLLED_OUT = frozenset({"Deployment", "StatefulSet", "DaemonSet"})
"""Kinds that `kubectl set` and `kubectl rollout` know."""


def workload_evidence(evidence: Evidence) -> WorkloadEvidence:
    """The evidence of a workload tool; raises TypeError for a node's, which no bound workload can lead to."""
    if not isinstance(evidence, WorkloadEvidence):
        raise TypeError(f"a workload tool was given the evidence of {evidence.target.key}")
    return evidence


def set_by_hand(evidence: WorkloadEvidence, command: str) -> str:
    """`kubectl set COMMAND` on the workload; elsewhere the pod is fixed, and can only be looked at."""
    target = evidence.target
    if target.kind not in _ROLLED_OUT:
        return evidence.target.look
    verb, _, rest = command.partition(" ")
    return f"kubectl -n {word(target.namespace)} set {verb} {target.kind.lower()}/{word(target.name)} {rest}"


def history_by_hand(evidence: WorkloadEvidence) -> str:
    """The kubectl command that shows a person the revisions; of what has none, the pod."""
    target = evidence.target
    if target.kind not in _ROLLED_OUT:
        return evidence.target.look
    return f"kubectl -n {word(target.namespace)} rollout history {target.kind.lower()}/{word(target.name)}"


def template_of(evidence: WorkloadEvidence) -> Object:
    """The pod template of the controller; of a bare pod the pod itself, which has the same shape."""
    if evidence.controller is not None:
        return pod_template(evidence.controller)
    return evidence.pod or {}


def memory(spec: Object, field: str) -> Any:
    """`limits` or `requests` memory of a container as it is written, None where it is not set."""
    return ((spec.get("resources") or {}).get(field) or {}).get("memory")


def main_container_judgement(evidence: WorkloadEvidence, wanted: str | None, candidates: list[str]) -> Judgement | None:
    """One main container is meant, and it is known which."""
    if wanted is None:
        shown = f"several do: {', '.join(candidates)}" if candidates else "none does by itself"
        return refusal(
            "container",
            f"the alert names no container, and not exactly one shows the symptom ({shown})",
            "an alert with a label `container`",
            by_hand=evidence.target.look,
        )
    if any(entry.get("name") == wanted for entry in init_containers(evidence.pod or {})):
        return refusal(
            "init-container",
            f"{wanted} is an init container; only main containers are changed",
            "a person making the change by hand",
            by_hand=evidence.target.look,
        )
    return None


def deployment_patch(evidence: WorkloadEvidence, body: Object) -> Write:
    """The patch of the Deployment as it was read: its uid and resourceVersion are the preconditions."""
    controller = evidence.controller or {}
    return Write(
        verb=WriteVerb.PATCH,
        resource=Resource.DEPLOYMENTS,
        namespace=evidence.target.namespace,
        name=evidence.target.name,
        body=body,
        uid=uid(controller),
        resource_version=resource_version(controller),
    )


def undo_patch(evidence: WorkloadEvidence, body: Object) -> Write:
    """The patch that restores former values. Without resourceVersion: our own write has moved it by then."""
    return Write(
        verb=WriteVerb.PATCH,
        resource=Resource.DEPLOYMENTS,
        namespace=evidence.target.namespace,
        name=evidence.target.name,
        body=body,
        uid=uid(evidence.controller or {}),
    )


def container_patch(wanted: str, fields: Object) -> Object:
    """A strategic merge patch of one container of the pod template."""
    return {"spec": {"template": {"spec": {"containers": [{"name": wanted, **fields}]}}}}
