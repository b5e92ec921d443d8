"""delete_pod: have a stuck pod recreated, where that can help and somebody else serves meanwhile.

Collected by the registry. Its symptom is a pod that was scheduled and is not Ready for a reason that a new pod need
not share: a stuck sandbox, a hung process. A missing image, a lack of memory or of a node would be the same again.
"""

from sre_agent.by_hand import word
from sre_agent.cluster.port import Resource, Write, WriteVerb
from sre_agent.diagnosis import image_pulls, oom_kills
from sre_agent.evidence import Evidence, WorkloadEvidence
from sre_agent.objects import name, pod_finished, pod_ready, resource_version, terminating, uid
from sre_agent.run import Assessment, Change, FieldChange, Judgement, Verdict, refusal, worst
from sre_agent.target import Subject
from sre_agent.tools.types import (
    Permission,
    RemediationTool,
    Tool,
    ToolContext,
    ToolModel,
    WorkloadInput,
)
from sre_agent.tools.workload_chain import chain_judgements
from sre_agent.tools.workload_rules import CHANGE_PERMISSIONS, LIST_EVENTS, workload_evidence


class DeletionOutput(ToolModel):
    """The pod, and the ready pods of the same workload that serve while it is recreated."""

    pod: str | None
    ready_elsewhere: list[str]


def assess_deletion(_arguments: WorkloadInput, evidence: Evidence, _context: ToolContext) -> Assessment:
    """Deleting the bound pod, and every condition that forbids it."""
    found = workload_evidence(evidence)
    pod, target = found.pod, found.target
    ready = [
        name(other)
        for other in found.pods
        if pod_ready(other) and not terminating(other) and uid(other) != target.pod_uid
    ]
    against = [] if pod is None else _symptom(found)
    if pod is not None and not ready:
        against.append(
            refusal(
                "other-ready-replica",
                f"no other pod of {target.kind} {target.name} is Ready: nothing would serve meanwhile",
                "another ready replica",
                by_hand=found.target.look,
            )
        )
    # what is refused for its own sake is not suggested to a person either
    possible = pod is not None and worst(against) is not Verdict.REFUSE
    by_hand = f"kubectl -n {word(target.namespace)} delete pod {word(target.pod)}" if possible else found.target.look
    judgements = [*chain_judgements(found, by_hand), *against]
    return Assessment(
        change=None if worst(judgements) is Verdict.REFUSE else _change(found, by_hand),
        judgements=tuple(judgements),
        output=DeletionOutput(pod=target.pod, ready_elsewhere=ready).model_dump(mode="json"),
    )


def _symptom(evidence: WorkloadEvidence) -> list[Judgement]:
    pod = evidence.pod or {}
    if pod_ready(pod):
        return [refusal("symptom", f"pod {name(pod)} is Ready", "a pod that is scheduled and not Ready", settled=True)]
    if evidence.events is None:
        why = f"the events of pod {name(pod)} could not be listed: whether a new one would wait as well is not known"
        return [refusal("symptom", why, "the right to list events", by_hand=evidence.target.look)]
    if pod_finished(pod):
        why = "has finished, and its controller has replaced it if it wanted to"
    elif not pod.get("spec", {}).get("nodeName"):
        why = "is not scheduled: a new one would wait for a node as well"
    elif image_pulls(pod, evidence.events):
        why = "waits for an image: a new one would wait as well"
    elif oom_kills(pod):
        why = "lacks memory: a new one would as well"
    else:
        return []
    return [
        refusal(
            "symptom",
            f"pod {name(pod)} {why}",
            "a pod that is stuck for a reason which a new one need not share",
            by_hand=evidence.target.look,
        )
    ]


def _change(evidence: WorkloadEvidence, by_hand: str) -> Change:
    target, pod = evidence.target, evidence.pod or {}
    write = Write(
        verb=WriteVerb.DELETE,
        resource=Resource.PODS,
        namespace=target.namespace,
        name=name(pod),
        body={
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid(pod), "resourceVersion": resource_version(pod)},
        },
        uid=uid(pod),
        resource_version=resource_version(pod),
    )
    return Change(
        tool="delete_pod",
        action=f"delete_pod:{target.namespace}/{name(pod)}",
        target=target,
        writes=(write,),
        diff=(FieldChange(path=f"Pod {target.namespace}/{name(pod)}", before=f"uid {uid(pod)}", after=None),),
        kubectl=by_hand,
        notes=("a deletion cannot be undone; the ReplicaSet makes a new pod",),
    )


TOOLS: tuple[Tool, ...] = (
    RemediationTool(
        name="delete_pod",
        summary="Delete a stuck pod of a Deployment so that it is recreated, while another replica serves.",
        subject=Subject.WORKLOAD,
        input=WorkloadInput,
        output=DeletionOutput,
        permissions=(*CHANGE_PERMISSIONS, LIST_EVENTS, Permission(verb="delete", resource=Resource.PODS)),
        action_format="delete_pod:NS/POD",
        assess=assess_deletion,
    ),
)
