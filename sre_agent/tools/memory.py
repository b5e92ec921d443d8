"""check_oom and increase_memory_limit: was the container killed for memory, and what limit comes next.

Collected by the registry. The new limit is computed once, from the template's current one, and stored as an absolute
number: 256Mi below 256Mi, else twice, never above the cap.
"""

from dataclasses import replace

from sre_agent.by_hand import word
from sre_agent.cluster.port import Cluster, Resource
from sre_agent.diagnosis import oom_event_notes, oom_kills
from sre_agent.evidence import Evidence, WorkloadEvidence, read_pod
from sre_agent.objects import Object, container
from sre_agent.quantity import QuantityError, bytes_of, format_bytes
from sre_agent.run import Assessment, Change, FieldChange, Judgement, Verdict, refusal, worst
from sre_agent.settings import Settings
from sre_agent.target import Subject
from sre_agent.tools.memory_room import MemoryStep, room_judgements
from sre_agent.tools.memory_symptom import pressure_judgements, symptom_judgements, without_a_kill
from sre_agent.tools.types import (
    DiagnosticTool,
    Permission,
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
    main_container_judgement,
    memory,
    set_by_hand,
    template_of,
    undo_patch,
    workload_evidence,
)


class OomOutput(ToolModel):
    """Whether the bound container (any, where none is bound) was OOMKilled. `reasons` say what was seen."""

    oom_detected: bool
    reasons: list[str]
    container: str | None


class MemoryOutput(ToolModel):
    """The limit as it is and as it would be; both None where none could be computed."""

    container: str | None
    limit_before: str | None = None
    limit_after: str | None = None
    reasons: tuple[str, ...] = ()


async def _check_oom(cluster: Cluster, arguments: WorkloadInput, context: ToolContext) -> OomOutput:
    pod, events = await read_pod(cluster, context.target)
    if pod is None:
        return OomOutput(oom_detected=False, reasons=["the pod is gone"], container=arguments.container)
    kills = oom_kills(pod)
    own = [kill for kill in kills if arguments.container in {None, kill.container}]
    reasons = [str(kill) for kill in own]
    reasons += [f"{kill}, but the alert is about {arguments.container}" for kill in kills if kill not in own]
    reasons += oom_event_notes(pod, events or ())
    if events is None:
        reasons.append("the events of the pod could not be listed")
    only = own[0].container if len(own) == 1 else None
    return OomOutput(oom_detected=bool(own), reasons=reasons, container=arguments.container or only)


def assess_memory(arguments: WorkloadInput, evidence: Evidence, context: ToolContext) -> Assessment:
    """The step to the next limit, and every condition that forbids it."""
    found = workload_evidence(evidence)
    try:
        return _assess(arguments, found, context)
    except QuantityError as error:
        reason = f"an amount of memory around {found.target.key} could not be read: {error}"
        return Assessment(
            judgements=(refusal("quantity", reason, "a readable amount", by_hand=found.target.look),),
            output=MemoryOutput(container=arguments.container).model_dump(mode="json"),
        )


def _assess(arguments: WorkloadInput, found: WorkloadEvidence, context: ToolContext) -> Assessment:
    kills = oom_kills(found.pod or {})
    killed = [kill.container for kill in kills]
    wanted = arguments.container or (killed[0] if len(killed) == 1 else None)
    kill = next((kill for kill in kills if kill.container == wanted), None)
    step, obstacle = _step(found, wanted, context.settings)
    against: list[Judgement] = []
    if found.pod is not None:
        about_container = main_container_judgement(found, wanted, killed)
        against += [about_container] if about_container else []
        if wanted is not None and about_container is None:
            against += symptom_judgements(found, wanted, kill, context)
            against += same_container_judgements(found, wanted)
        against += newest_revision_judgements(found)
        against += [obstacle] if obstacle else []
        against += room_judgements(found, step) if step else []
    # what is refused for its own sake is not suggested to a person either
    possible = found.pod is not None and worst(against) is not Verdict.REFUSE
    by_hand = _by_hand(found, step) if step and possible else found.target.look
    judgements = [*chain_judgements(found, by_hand), *against, *pressure_judgements(found, by_hand)]
    change = None
    if step and worst(judgements) is not Verdict.REFUSE:
        change = replace(_change(found, step), near_limit=without_a_kill(found, kill, context))
    output = MemoryOutput(
        container=wanted,
        limit_before=format_bytes(step.limit_before) if step else None,
        limit_after=format_bytes(step.limit_after) if step else None,
        reasons=(str(kill),) if kill else (),
    )
    return Assessment(change=change, judgements=tuple(judgements), output=output.model_dump(mode="json"))


def next_limit(current: int, settings: Settings) -> int:
    """The limit after this one. Bytes; not above `current` where the cap leaves nothing."""
    return min(settings.memory_floor if current < settings.memory_floor else 2 * current, settings.memory_cap)


def _step(
    evidence: WorkloadEvidence, wanted: str | None, settings: Settings
) -> tuple[MemoryStep | None, Judgement | None]:
    """The step from the template's current limit, or what forbids one."""
    spec = container(template_of(evidence), wanted)
    if wanted is None or spec is None:
        return None, None
    limit, request = memory(spec, "limits"), memory(spec, "requests")
    by_hand = evidence.target.look
    before = bytes_of(limit or 0)
    request_before = before if request is None else bytes_of(request)
    if before <= 0:
        reason = (
            f"container {wanted} has no memory limit in the template, so no limit killed it: "
            "the node ran out of memory, or a limit was set on the pod from outside"
        )
        return None, refusal("no-limit", reason, "a memory limit in the template", by_hand=by_hand)
    after = next_limit(before, settings)
    if after <= before:
        doubled = format_bytes(2 * before)
        reason = (
            f"the limit of container {wanted} is {format_bytes(before)}, at or above the cap of "
            f"{format_bytes(settings.memory_cap)}: more memory is no longer the answer, look for a leak"
        )
        by_hand = set_by_hand(evidence, f"resources -c {word(wanted)} --limits=memory={doubled}")
        return None, refusal("memory-cap", reason, "a higher SRE_AGENT_MEMORY_CAP, or a person", by_hand=by_hand)
    return (
        MemoryStep(
            container=wanted,
            limit_before=before,
            limit_after=after,
            request_before=request_before,
            request_after=after if request_before == before else request_before,
        ),
        None,
    )


def _by_hand(evidence: WorkloadEvidence, step: MemoryStep) -> str:
    return set_by_hand(evidence, f"resources -c {word(step.container)} {_flags(evidence, step)}")


def _flags(evidence: WorkloadEvidence, step: MemoryStep) -> str:
    """`--limits=memory=512Mi`, and the request where the template sets it and it moves along."""
    after = format_bytes(step.limit_after)
    flags = f"--limits=memory={after}"
    return f"{flags} --requests=memory={after}" if _request_moves(evidence, step) else flags


def _request_moves(evidence: WorkloadEvidence, step: MemoryStep) -> bool:
    """Whether the template sets a request that must stay equal to the limit (Guaranteed)."""
    spec = container(template_of(evidence), step.container) or {}
    return step.request_after != step.request_before and memory(spec, "requests") is not None


def _change(evidence: WorkloadEvidence, step: MemoryStep) -> Change:
    target = replace(evidence.target, container=step.container)
    spec = container(template_of(evidence), step.container) or {}
    before, after = format_bytes(step.limit_before), format_bytes(step.limit_after)
    fields = ["limits", "requests"] if _request_moves(evidence, step) else ["limits"]
    path = f"spec.template.spec.containers[{step.container}].resources"
    return Change(
        tool="increase_memory_limit",
        action=f"patch_memory_limit:{target.namespace}/{target.name}/{step.container}:{before}→{after}",
        target=target,
        value=after,
        writes=(deployment_patch(evidence, _patch(step.container, dict.fromkeys(fields, after))),),
        undo=(undo_patch(evidence, _patch(step.container, {field: memory(spec, field) for field in fields})),),
        diff=tuple(FieldChange(path=f"{path}.{field}.memory", before=before, after=after) for field in fields),
        kubectl=_by_hand(evidence, step),
        notes=_notes(evidence, spec),
    )


def _patch(wanted: str, amounts: Object) -> Object:
    return container_patch(wanted, {"resources": {field: {"memory": text} for field, text in amounts.items()}})


def _notes(evidence: WorkloadEvidence, spec: Object) -> tuple[str, ...]:
    notes = []
    if memory(spec, "requests") is None:
        notes.append("the template sets no memory request, so the request follows the limit")
    if not (((evidence.node or {}).get("status") or {}).get("allocatable") or {}).get("memory"):
        notes.append("the allocatable memory of the pod's node is not known here and was not compared")
    return tuple(notes)


def _limit_in(spec: Object) -> str | None:
    """The memory limit of a container, None where none is set or nobody can read it."""
    limit = memory(spec, "limits")
    try:
        return None if limit is None else format_bytes(bytes_of(limit))
    except QuantityError:
        return None


_ROOM_PERMISSIONS = (
    Permission(verb="get", resource=Resource.NODES),
    Permission(verb="get", resource=Resource.POD_METRICS),
    *(
        Permission(verb="list", resource=resource)
        for resource in (
            Resource.RESOURCE_QUOTAS,
            Resource.LIMIT_RANGES,
            Resource.HORIZONTAL_POD_AUTOSCALERS,
            Resource.VERTICAL_POD_AUTOSCALERS,
            Resource.POD_METRICS,
        )
    ),
)
"""Is there room for more, does it need more, and does nobody else set it."""

TOOLS: tuple[Tool, ...] = (
    DiagnosticTool(
        name="check_oom",
        summary="Was the container OOMKilled? Reads status, last state, init containers and events.",
        subject=Subject.WORKLOAD,
        input=WorkloadInput,
        output=OomOutput,
        permissions=(GET_POD, LIST_EVENTS),
        run=_check_oom,
    ),
    RemediationTool(
        name="increase_memory_limit",
        summary="Raise the memory limit of an OOMKilled container of a Deployment: twice, at least 256Mi, at most 4Gi.",
        subject=Subject.WORKLOAD,
        input=WorkloadInput,
        output=MemoryOutput,
        permissions=(*PATCH_PERMISSIONS, *_ROOM_PERMISSIONS),
        action_format="patch_memory_limit:NS/DEPLOYMENT/CONTAINER:BEFORE→AFTER",
        assess=assess_memory,
        value_in=_limit_in,
    ),
)
