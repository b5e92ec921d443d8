"""Records what a decision reads of a cluster: the target is bound and looked at exactly as a run would do it.

Called by `sre-agent snapshot`. Protects one rule: what is recorded is what the reads of a run see, because it is
recorded through those reads. Binding, evidence and every diagnostic tool run against a recording cluster;
nothing is written to it, and a kind that the port does not know (a Secret) cannot be read.
"""

import asyncio
import sys
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from sre_agent.alert import Alert, AlertStatus
from sre_agent.cluster.playback import logs_of, objects_at_the_end
from sre_agent.cluster.port import Clock, Cluster, ClusterError, Forbidden, NotFound, Refused, Resource
from sre_agent.cluster.recorder import Answer, Look, RecordingCluster
from sre_agent.cluster.recording import Recording, from_objects
from sre_agent.cluster.unread import Unread
from sre_agent.errors import BadInput
from sre_agent.evidence import WorkloadEvidence, read_node, read_nodes, read_workload
from sre_agent.objects import Object, containers, init_containers, name, namespace, pod_ready
from sre_agent.runbook import Runbook
from sre_agent.settings import Settings
from sre_agent.target import Subject, Target, Unbound, bind
from sre_agent.target.labels import WORKLOAD_LABELS
from sre_agent.tools.registry import TOOLS
from sre_agent.tools.types import DiagnosticTool, ToolContext
from sre_agent.tools.validate import arguments_for

MOST_LOGGED = 10
"""Pods of one workload whose logs are recorded, those that are not Ready first."""

AT_ONCE = 8
"""Logs that are asked for at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What is to be recorded: an alert, as a run would take it up. `subject` is what its runbook acts on."""

    alert: Alert
    subject: Subject | None
    runbook: Runbook


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """A recording, what it is about, and why some alerts are about nothing that could be found."""

    recording: Recording
    targets: tuple[Target, ...]
    unbound: tuple[str, ...]


def labels_of_pod(space: str, pod: str) -> dict[str, str]:
    """The labels of an alert about this pod."""
    return {"namespace": space, "pod": pod}


def labels_of_workload(space: str, workload: str) -> dict[str, str]:
    """The labels of an alert about `Deployment/app`. Raises BadInput for what is no such name."""
    kind, slash, called = workload.partition("/")
    label = next((label for label, known in WORKLOAD_LABELS.items() if known.lower() == kind.lower()), None)
    if not slash or not called or label is None:
        known = ", ".join(f"{each}/NAME" for each in WORKLOAD_LABELS.values())
        raise BadInput(f"--workload {workload}: expected one of {known}")
    return {"namespace": space, label: called}


def alert_with(labels: dict[str, str]) -> Alert:
    """An alert that says nothing but its labels."""
    return Alert(
        index=0,
        status=AlertStatus.FIRING,
        labels=labels,
        annotations={},
        starts_at=None,
        ends_at=None,
        fingerprint="",
        generator_url="",
        group_key=None,
    )


async def record(cluster: Cluster, wanted: Sequence[Wanted], *, settings: Settings, clock: Clock) -> Recorded:
    """Reads everything that a run about these alerts would read.

    What cannot be read is noted in the recording. Raises ClusterError where the target itself cannot be read, and
    BadInput where there is none.
    """
    recorder = RecordingCluster(cluster, most=sys.maxsize)
    targets: list[Target] = []
    unbound: list[str] = []
    for entry in wanted:
        bound = await bind(entry.alert, entry.subject, recorder)
        if isinstance(bound, Unbound):
            unbound.append(bound.reason)
        elif bound not in targets:
            targets.append(bound)
            await _look_at(recorder, bound, entry, settings, clock)
    if not targets:
        raise BadInput(f"nothing to record: {'; '.join(dict.fromkeys(unbound)) or 'no alert is firing'}")
    recording = from_objects(objects_at_the_end(recorder.answers), logs=logs_of(recorder.answers), recorded_at=clock())
    return Recorded(
        recording=replace(recording, unread=unread_in(recorder.answers)),
        targets=tuple(targets),
        unbound=tuple(dict.fromkeys(unbound)),
    )


async def _look_at(
    recorder: RecordingCluster, target: Target, wanted: Wanted, settings: Settings, clock: Clock
) -> None:
    """Everything that the tools of this target read, then what a person wants to see beside it."""
    context = ToolContext(alert=wanted.alert, target=target, runbook=wanted.runbook, now=clock(), settings=settings)
    if target.kind == "Node":
        await read_node(recorder, target, context.now)
        about = {"involvedObject.kind": "Node", "involvedObject.name": target.name}
        await _tried(recorder.list(Resource.EVENTS, None, fields=about))
    else:
        evidence = await read_workload(recorder, target, context.now)
        await read_nodes(recorder)
        await _tried(recorder.list(Resource.EVENTS, target.namespace))
        await _tried(recorder.list(Resource.POD_DISRUPTION_BUDGETS, target.namespace))
        await _read_logs(recorder, evidence)
    for tool in TOOLS.values():
        if isinstance(tool, DiagnosticTool) and tool.subject is _subject(target):
            await _tried(tool.run(recorder, tool.input.model_validate(arguments_for(tool, target)), context))


def _subject(target: Target) -> Subject:
    return Subject.NODE if target.kind == "Node" else Subject.WORKLOAD


async def _tried(reading: Awaitable[object]) -> None:
    """Waits for a read whose failure the recording cluster remembers."""
    with suppress(ClusterError):
        await reading


async def _read_logs(recorder: RecordingCluster, evidence: WorkloadEvidence) -> None:
    """The current and the previous log of each container of the workload's pods, the pod of the alert first."""
    others = sorted((pod for pod in evidence.pods if name(pod) != evidence.target.pod), key=pod_ready)
    pods = [pod for pod in (evidence.pod, *others) if pod is not None][:MOST_LOGGED]
    gate = asyncio.Semaphore(AT_ONCE)

    async def read(pod: Object, container: str, previous: bool) -> None:
        async with gate:
            await _tried(recorder.pod_logs(namespace(pod), name(pod), container, previous=previous))

    await asyncio.gather(
        *(
            read(pod, str(entry.get("name")), previous)
            for pod in pods
            for entry in (*init_containers(pod), *containers(pod))
            for previous in (False, True)
        )
    )


def unread_in(answers: Sequence[Answer]) -> tuple[Unread, ...]:
    """What the answers leave unknown, each kind of read once. That something is not there, or has no log, is known."""
    found: dict[tuple[Look, Resource, str | None], Unread] = {}
    for answer in answers:
        question, error = answer.question, answer.error
        if error is None or isinstance(error, NotFound) or (question.look is Look.LOG and isinstance(error, Refused)):
            continue
        unread = Unread(
            look=question.look,
            resource=question.resource,
            namespace=question.namespace,
            forbidden=isinstance(error, Forbidden),
            why=str(error),
        )
        found.setdefault((unread.look, unread.resource, unread.namespace), unread)
    return tuple(found.values())
