"""The tools that look at one pod: its events, its logs, and what the runbook says beside it.

Collected by the registry. Read-only; that something is not there is an answer.
"""

from sre_agent.cluster.port import Cluster, NotFound, Refused, Resource
from sre_agent.diagnosis import container_of_event, oom_kills, oom_spoken_of, sandbox_failed
from sre_agent.evidence import events_of
from sre_agent.objects import Object, containers, event_time
from sre_agent.redaction import redact_text
from sre_agent.target import Subject
from sre_agent.tools.types import DiagnosticTool, Permission, Tool, ToolContext, ToolModel, WorkloadInput
from sre_agent.tools.workload_rules import GET_POD, LIST_EVENTS

MOST_EVENTS = 50
MOST_LINES = 100
"""Lines of each log, the newest."""

LONGEST_LINE = 2000
"""Characters of one log line; the rest is cut off."""


class EventOutput(ToolModel):
    """One Kubernetes Event. `time` is RFC 3339 in UTC, None for an undated one."""

    time: str | None
    type: str
    reason: str
    message: str
    count: int
    container: str | None


class PodEventsOutput(ToolModel):
    """The newest events, newest last. Status and events together decide on `oom_detected`."""

    oom_detected: bool
    sandbox_failure_detected: bool
    events: list[EventOutput]


class PodLogsOutput(ToolModel):
    """The end of the container's log, and of the one before its last restart. Empty where there is none."""

    container: str | None
    lines: list[str]
    previous_available: bool
    previous_lines: list[str]
    reason: str | None


class NoInput(ToolModel):
    """A tool that needs no argument."""


class RunbookOutput(ToolModel):
    """The runbook that is being walked."""

    runbook_id: str
    fallback_image: str | None


async def _get_pod_events(cluster: Cluster, arguments: WorkloadInput, context: ToolContext) -> PodEventsOutput:
    if arguments.pod is None:
        return PodEventsOutput(oom_detected=False, sandbox_failure_detected=False, events=[])
    pod = await _pod(cluster, arguments)
    told = await events_of(cluster, Resource.PODS, arguments.namespace, arguments.pod, context.target.pod_uid)
    return PodEventsOutput(
        oom_detected=bool(oom_spoken_of(told) or oom_kills(pod)),
        sandbox_failure_detected=sandbox_failed(told),
        events=[_event(event) for event in told[-MOST_EVENTS:]],
    )


def _event(event: Object) -> EventOutput:
    moment = event_time(event)
    return EventOutput(
        time=moment.isoformat() if moment else None,
        type=str(event.get("type") or ""),
        reason=str(event.get("reason") or ""),
        message=str(event.get("message") or ""),
        count=int((event.get("series") or {}).get("count") or event.get("count") or 1),
        container=container_of_event(event),
    )


async def _pod(cluster: Cluster, arguments: WorkloadInput) -> Object:
    """The pod as it is now, {} when it is gone."""
    if arguments.pod is None:
        return {}
    try:
        return await cluster.get(Resource.PODS, arguments.namespace, arguments.pod)
    except NotFound:
        return {}


async def _get_pod_logs(cluster: Cluster, arguments: WorkloadInput, _context: ToolContext) -> PodLogsOutput:
    pod = await _pod(cluster, arguments)
    names = [str(entry.get("name")) for entry in containers(pod)]
    wanted = arguments.container or (names[0] if len(names) == 1 else None)
    if not pod or wanted is None:
        reason = "the pod is gone" if not pod else f"no container is bound; the pod has {', '.join(names)}"
        return PodLogsOutput(container=wanted, lines=[], previous_available=False, previous_lines=[], reason=reason)
    lines = await _log(cluster, arguments, wanted, previous=False)
    before = await _log(cluster, arguments, wanted, previous=True)
    return PodLogsOutput(
        container=wanted,
        lines=lines or [],
        previous_available=before is not None,
        previous_lines=before or [],
        reason="the container has no log" if lines is None and before is None else None,
    )


async def _log(cluster: Cluster, arguments: WorkloadInput, wanted: str, *, previous: bool) -> list[str] | None:
    """The last lines, None where there is no such log (the container has not started, or not before).

    Secrets go here already: what is one over several lines, such as a private key, is none on each of them.
    """
    try:
        text = await cluster.pod_logs(
            arguments.namespace, str(arguments.pod), wanted, previous=previous, tail_lines=MOST_LINES
        )
    except (NotFound, Refused):
        return None
    return [line[:LONGEST_LINE] for line in redact_text(text).splitlines()[-MOST_LINES:]]


async def _get_runbook(_cluster: Cluster, _arguments: NoInput, context: ToolContext) -> RunbookOutput:
    return RunbookOutput(runbook_id=context.runbook.id, fallback_image=context.runbook.fallback_image)


TOOLS: tuple[Tool, ...] = (
    DiagnosticTool(
        name="get_pod_events",
        summary="The newest Kubernetes Events of the pod; do they speak of a kill for memory, or of a failed sandbox?",
        subject=Subject.WORKLOAD,
        input=WorkloadInput,
        output=PodEventsOutput,
        permissions=(GET_POD, LIST_EVENTS),
        run=_get_pod_events,
    ),
    DiagnosticTool(
        name="get_pod_logs",
        summary="The end of the container's log, and of the log before its last restart.",
        subject=Subject.WORKLOAD,
        input=WorkloadInput,
        output=PodLogsOutput,
        permissions=(GET_POD, Permission(verb="get", resource=Resource.PODS, subresource="log")),
        run=_get_pod_logs,
    ),
    DiagnosticTool(
        name="get_runbook",
        summary="The runbook's id and its fallback image.",
        subject=None,
        input=NoInput,
        output=RunbookOutput,
        permissions=(),
        run=_get_runbook,
    ),
)
