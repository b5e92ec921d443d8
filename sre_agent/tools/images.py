"""check_imagepullbackoff and fix_imagepullbackoff: why an image cannot be pulled, and when another may stand in.

Collected by the registry. Protects one rule above all: a stuck rollout whose old pods serve is never "fixed" into
replacing them by a stand-in image.
"""

from dataclasses import replace

from sre_agent.by_hand import word
from sre_agent.cluster.port import Cluster
from sre_agent.diagnosis import ImageCause, ImagePull, image_pulls
from sre_agent.evidence import Evidence, WorkloadEvidence, read_pod
from sre_agent.objects import Object, annotations, container, container_status, name, pod_ready
from sre_agent.run import Assessment, Change, FieldChange, Judgement, Verdict, question, refusal, worst
from sre_agent.runbook import Runbook, image_fault
from sre_agent.target import Subject
from sre_agent.tools.rollback import rollback, rollback_output, serving_revision
from sre_agent.tools.types import (
    DiagnosticTool,
    RemediationTool,
    Tool,
    ToolContext,
    ToolModel,
    WorkloadInput,
)
from sre_agent.tools.workload_chain import (
    chain_judgements,
    newest_revision_judgements,
    same_container_judgements,
)
from sre_agent.tools.workload_rules import (
    GET_POD,
    LIST_EVENTS,
    PATCH_PERMISSIONS,
    container_patch,
    deployment_patch,
    history_by_hand,
    main_container_judgement,
    set_by_hand,
    template_of,
    undo_patch,
    workload_evidence,
)

FALLBACK_ANNOTATION = "sre-agent/fallback-image"
"""On a workload: its own stand-in image, pinned."""

CURABLE = frozenset({ImageCause.NOT_FOUND, ImageCause.INVALID_NAME})
"""Causes that another image cures."""

ADVICE = {
    ImageCause.UNAUTHORIZED: "the registry refuses it: correct the name, or give the pod an imagePullSecret that may",
    ImageCause.REGISTRY_ERROR: "the registry or the way to it fails: the kubelet tries again by itself",
    ImageCause.NO_PLATFORM: "the image has no build for the node's platform: build it, or choose other nodes",
    ImageCause.UNKNOWN: "neither status nor events say why: look at the pod",
}
"""What a person can do where another image would not help."""


class ImagePullOutput(ToolModel):
    """Whether the bound container (any, where none is bound) waits for its image. `cause` None without detection."""

    imagepull_detected: bool
    reasons: list[str]
    cause: ImageCause | None
    container: str | None
    init: bool


class ImageOutput(ToolModel):
    """The image as it is and as it would be."""

    container: str | None
    cause: ImageCause | None
    image_before: str | None
    image_after: str | None
    reasons: list[str]


async def _check_imagepullbackoff(cluster: Cluster, arguments: WorkloadInput, context: ToolContext) -> ImagePullOutput:
    pod, events = await read_pod(cluster, context.target)
    pulls = image_pulls(pod or {}, events)
    own = [pull for pull in pulls if arguments.container in {None, pull.container}]
    reasons = [reason for pull in own for reason in pull.reasons]
    reasons += [
        f"{'init container' if pull.init else 'container'} {pull.container} waits for its image, "
        f"but the alert is about {arguments.container}"
        for pull in pulls
        if pull not in own
    ]
    if pod is None:
        reasons.append("the pod is gone")
    if events is None:
        reasons.append("the events of the pod could not be listed")
    causes = {pull.cause for pull in own}
    return ImagePullOutput(
        imagepull_detected=bool(own),
        reasons=reasons,
        cause=causes.pop() if len(causes) == 1 else (ImageCause.UNKNOWN if own else None),
        container=arguments.container or (own[0].container if len(own) == 1 else None),
        init=bool(own) and all(pull.init for pull in own),
    )


def assess_image(arguments: WorkloadInput, evidence: Evidence, context: ToolContext) -> Assessment:
    """The stand-in image where nothing serves; the way back where an older revision does; else the reasons."""
    found = workload_evidence(evidence)
    pulls = image_pulls(found.pod or {}, found.events)
    waiting = [pull.container for pull in pulls]
    wanted = arguments.container or (waiting[0] if len(waiting) == 1 else None)
    pull = next((pull for pull in pulls if pull.container == wanted), None)
    if pull is not None and pull.cause in CURABLE | {ImageCause.UNKNOWN} and serving_revision(found) is not None:
        return _way_back(found, pull)
    image, annotated = fallback_image(found, context.runbook)
    against = [] if found.pod is None else _against(found, wanted, pulls, context.runbook)
    # what is refused for its own sake is not suggested to a person either
    possible = found.pod is not None and worst(against) is not Verdict.REFUSE
    by_hand = set_by_hand(found, f"image {word(wanted)}={word(image)}") if possible else found.target.look
    judgements = [*chain_judgements(found, by_hand), *against]
    if pull is not None and image is not None and not annotated:
        judgements += _fallback_namespace(found, image, context.runbook, by_hand)
    change = None
    if pull is not None and image is not None and worst(judgements) is not Verdict.REFUSE:
        change = _change(found, pull, image)
    return Assessment(change=change, judgements=tuple(judgements), output=_output(found, wanted, pull, change))


def _against(
    evidence: WorkloadEvidence, wanted: str | None, pulls: list[ImagePull], runbook: Runbook
) -> list[Judgement]:
    """Every condition of the pod, its container and the image that is not met."""
    about_container = main_container_judgement(evidence, wanted, [pull.container for pull in pulls])
    against = [about_container] if about_container else []
    if wanted is not None:
        against += _symptom(evidence, wanted, next((pull for pull in pulls if pull.container == wanted), None))
    if wanted is not None and about_container is None:
        against += same_container_judgements(evidence, wanted)
        against += _own_command(evidence, wanted)
        against += _fallback(evidence, wanted, runbook)
    return [*against, *newest_revision_judgements(evidence), *_serving(evidence)]


def fallback_image(evidence: WorkloadEvidence, runbook: Runbook) -> tuple[str | None, bool]:
    """The stand-in image, and whether the workload itself names it; its own goes before the runbook's."""
    own = annotations(evidence.controller or {}).get(FALLBACK_ANNOTATION)
    return (own, True) if own is not None else (runbook.fallback_image, False)


def _way_back(evidence: WorkloadEvidence, pull: ImagePull) -> Assessment:
    """An older revision serves: its return is recommended, the stand-in image would kill it."""
    change, judgements = rollback(evidence)
    same = [] if pull.init else same_container_judgements(evidence, pull.container)
    judgements = [*same, *judgements]
    return Assessment(
        change=None if (worst(judgements) is Verdict.REFUSE) else change,
        judgements=tuple(judgements),
        output={
            **_output(evidence, pull.container, pull, None),
            **rollback_output(evidence).model_dump(mode="json"),
        },
    )


def _symptom(evidence: WorkloadEvidence, wanted: str, pull: ImagePull | None) -> list[Judgement]:
    by_hand = evidence.target.look
    if pull is None:
        return [
            refusal(
                "symptom",
                f"container {wanted} does not wait for its image, as status and events say",
                "a waiting reason such as ImagePullBackOff",
                settled=bool(container_status(evidence.pod or {}, wanted).get("ready")),
                by_hand=by_hand,
            )
        ]
    if pull.cause in CURABLE:
        return []
    unread = "; the events of the pod could not be listed" if evidence.events is None else ""
    return [
        refusal(
            "image-cause",
            f"{pull.image} cannot be pulled, cause {pull.cause}: {ADVICE[pull.cause]}{unread}",
            "a cause not_found or invalid_name, which another image cures",
            by_hand=by_hand,
        )
    ]


def _own_command(evidence: WorkloadEvidence, wanted: str) -> list[Judgement]:
    spec = container(template_of(evidence), wanted) or {}
    own = [field for field in ("command", "args") if spec.get(field)]
    if not own:
        return []
    return [
        refusal(
            "own-command",
            f"container {wanted} has its own {' and '.join(own)}, which another image would not understand",
            "a container that runs its image's own command",
            by_hand=evidence.target.look,
        )
    ]


def _fallback(evidence: WorkloadEvidence, wanted: str, runbook: Runbook) -> list[Judgement]:
    """There is a pinned stand-in image, and it is not what fails already."""
    image, annotated = fallback_image(evidence, runbook)
    source = f"annotation {FALLBACK_ANNOTATION}" if annotated else f"fallback_image of {runbook.id}"
    if image is None:
        reason = f"{runbook.id} has no fallback_image, and the workload no annotation {FALLBACK_ANNOTATION}"
        allowed_by = "one of the two, pinned"
    elif fault := image_fault(image):
        reason, allowed_by = f"the {source} {fault}: {image}", "a tag other than latest, or a digest"
    elif (container(template_of(evidence), wanted) or {}).get("image") == image:
        reason = f"{image} is the {source} already, and it is what cannot be pulled"
        allowed_by = "another fallback image that can be pulled"
    else:
        return []
    return [refusal("fallback-image", reason, allowed_by, by_hand=evidence.target.look)]


def _fallback_namespace(evidence: WorkloadEvidence, image: str, runbook: Runbook, by_hand: str) -> list[Judgement]:
    """The runbook's image may stand in without asking only in the namespaces that the runbook names."""
    namespace = evidence.target.namespace
    if namespace in runbook.fallback_namespaces:
        return []
    return [
        question(
            "fallback-namespace",
            f"namespace {namespace} is not among the fallback_namespaces of {runbook.id}: {image} is not its own",
            f"the annotation {FALLBACK_ANNOTATION} on the workload, or a person's approval",
            by_hand=by_hand,
        )
    ]


def _serving(evidence: WorkloadEvidence) -> list[Judgement]:
    """A stand-in image is for a workload that does not serve at all, also by pods whose owners were not read."""
    target = evidence.target
    ready = [name(pod) for pod in (*evidence.pods, *evidence.selected) if pod_ready(pod)]
    status = (evidence.controller or {}).get("status") or {}
    counted = max(int(status.get(field) or 0) for field in ("readyReplicas", "availableReplicas"))
    if ready:
        seen = f"{len(ready)} pods of {target.name} are Ready ({', '.join(ready[:3])})"
    elif counted:
        seen = f"the status of {target.kind} {target.name} counts {counted} ready replicas"
    else:
        return []
    return [
        refusal(
            "ready-pods",
            f"{seen}: they serve, and another image would replace them",
            "no pod of any revision being Ready",
            by_hand=history_by_hand(evidence),
        )
    ]


def _change(evidence: WorkloadEvidence, pull: ImagePull, image: str) -> Change:
    target = replace(evidence.target, container=pull.container)
    before = str((container(template_of(evidence), pull.container) or {}).get("image"))
    return Change(
        tool="fix_imagepullbackoff",
        action=f"patch_image:{target.namespace}/{target.name}/{pull.container}:{image}",
        target=target,
        value=image,
        writes=(deployment_patch(evidence, container_patch(pull.container, {"image": image})),),
        undo=(undo_patch(evidence, container_patch(pull.container, {"image": before})),),
        diff=(FieldChange(path=f"spec.template.spec.containers[{pull.container}].image", before=before, after=image),),
        kubectl=set_by_hand(evidence, f"image {word(pull.container)}={word(image)}"),
        notes=(f"{image} stands in for {before} until the workload has an image that can be pulled",),
    )


def _output(
    evidence: WorkloadEvidence, wanted: str | None, pull: ImagePull | None, change: Change | None
) -> dict[str, object]:
    return ImageOutput(
        container=wanted,
        cause=pull.cause if pull else None,
        image_before=(container(template_of(evidence), wanted) or {}).get("image"),
        image_after=change.value if change else None,
        reasons=list(pull.reasons) if pull else [],
    ).model_dump(mode="json")


def _image_in(spec: Object) -> str | None:
    return str(spec["image"]) if spec.get("image") else None


TOOLS: tuple[Tool, ...] = (
    DiagnosticTool(
        name="check_imagepullbackoff",
        summary="Does the container wait for an image that cannot be pulled, and why can it not?",
        subject=Subject.WORKLOAD,
        input=WorkloadInput,
        output=ImagePullOutput,
        permissions=(GET_POD, LIST_EVENTS),
        run=_check_imagepullbackoff,
    ),
    RemediationTool(
        name="fix_imagepullbackoff",
        summary="Put the runbook's fallback image in place of one that does not exist; never while a pod serves.",
        subject=Subject.WORKLOAD,
        input=WorkloadInput,
        output=ImageOutput,
        permissions=(*PATCH_PERMISSIONS, LIST_EVENTS),
        action_format="patch_image:NS/DEPLOYMENT/CONTAINER:IMAGE",
        assess=assess_image,
        value_in=_image_in,
    ),
)
