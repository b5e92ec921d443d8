"""A saved payload through the same executor: finds payload and recording, sets the clock, runs, gives a report.

Called by `sre-agent replay`. A replay runs in its own process, on recorded objects, and counts for nothing live:
its cool-downs see only what this command did.
"""

import math
import re
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from sre_agent import records
from sre_agent.agent import Agent, open_agent
from sre_agent.alert import MAX_BYTES, Alert, AlertStatus, Payload, parse
from sre_agent.alert.standing import Standing
from sre_agent.cluster.port import Clock, Cluster
from sre_agent.cluster.recording import Recording, load, newest_time
from sre_agent.cluster.snapshot import SnapshotCluster
from sre_agent.errors import BadInput
from sre_agent.executor import Assignment, run_incident
from sre_agent.facts import Past, PastBrakes
from sre_agent.incident import Origin
from sre_agent.intake import Admission, Sender, cluster_of, identify, receive
from sre_agent.queue import InlineQueue
from sre_agent.redaction import redact_text
from sre_agent.routing import ignored, route
from sre_agent.run import Mode, RunRecord, Skipped
from sre_agent.runbook import Runbooks
from sre_agent.settings import Settings
from sre_agent.times import duration_text

STDIN = "-"
PAYLOAD = "payload.json"
LIVE_SCOPE = "live"
RECORDINGS = ("cluster.yaml", "cluster.yml", "cluster.json", "cluster")
META = "meta.yaml"
_NUMBER = re.compile("[0-9]+")
NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""The clock of a replay in which nothing carries a time: fixed, so that today's date never matters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One payload with its recording. Parts of one example share `group`, and so cool-downs.

    A stored incident comes with its own clock, its `settings`, and the `past`, `brakes` and `standing` that it was
    judged by. On the live cluster a part is like a webhook: `origin` is live, and the clock is today's.
    """

    source: str
    group: str
    payload: Payload
    cluster: Cluster | None
    now: datetime
    clock: Clock | None = None
    settings: Settings | None = None
    past: Past | None = None
    standing: Standing | None = None
    brakes: PastBrakes | None = None
    origin: Origin = Origin.REPLAY


@dataclass(frozen=True, kw_only=True, slots=True)
class _Source:
    """One payload file. `example` is the example that it belongs to, `named` says that a directory was given."""

    file: str
    example: Path | None
    named: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class _Recorded:
    """A recording and the cluster that is played on it."""

    recording: Recording
    cluster: SnapshotCluster


def load_parts(payloads: Sequence[str], *, snapshot: Path | None) -> list[Part]:
    """Reads and parses everything before anything runs. Raises BadInput naming file and place."""
    recordings: dict[tuple[str, Path], _Recorded] = {}
    parts = []
    for source in (source for name in payloads for source in _sources(name)):
        payload = parse(_read(source.file), source=source.file)
        beside = None if snapshot or source.example is None else _beside(Path(source.file), source.example)
        path = snapshot or beside
        group = str(source.example) if source.named or beside else ""
        recorded = None
        if path is not None:
            key = (group, path.resolve())
            if key not in recordings:
                recording = load(path)
                recordings[key] = _Recorded(recording=recording, cluster=SnapshotCluster(recording))
            recorded = recordings[key]
        parts.append(
            Part(
                source=source.file,
                group=group,
                payload=payload,
                cluster=recorded.cluster if recorded else None,
                now=_moment(payload, recorded.recording if recorded else None),
            )
        )
    return parts


async def replay(
    parts: Sequence[Part],
    *,
    settings: Settings,
    runbooks: Runbooks,
    mode: Mode,
    live: Cluster | None = None,
    assume_firing: bool = False,
) -> AsyncGenerator[tuple[Part, RunRecord | Skipped], None]:
    """Plays the parts in order and yields each run, and each alert without one, as it is done.

    A part without a recording is played on the `live` cluster, where there is one; `assume_firing` says that a person
    knows its alerts to fire still, however old they are. The store is opened only when some part has a cluster. Raises
    Unreachable where it cannot be.
    """
    scopes = {part.group: str(uuid4()) for part in parts}
    planned: set[tuple[str, str, str]] = set()
    async with AsyncExitStack() as stack:
        agent: Agent | None = None
        for part in parts:
            for rejected in part.payload.rejected:
                yield part, _rejected(part, rejected.path, rejected.reason)
            cluster = part.cluster or live
            if cluster is None:
                for alert in part.payload.alerts:
                    yield part, _plan(part, alert, planned, settings, runbooks, mode)
                continue
            if agent is None:
                agent = await stack.enter_async_context(open_agent(settings, runbooks=runbooks))
            recorded = part.cluster is not None
            told = replace(settings, alert_max_age=timedelta(0)) if assume_firing else settings
            played, scope = (part, scopes[part.group]) if recorded else (_on_live(part, told), LIVE_SCOPE)
            async for result in play(played, agent, cluster, scope, mode):
                yield part, result


def check_age(parts: Sequence[Part], *, now: datetime, limit: timedelta) -> None:
    """Raises BadInput for a firing alert that began longer ago than the limit: it may be over since. 0 is no limit."""
    if not limit:
        return
    for part in parts:
        for alert in part.payload.alerts:
            firing = alert.status is AlertStatus.FIRING
            if part.cluster is None and firing and alert.starts_at is not None and now - alert.starts_at > limit:
                raise BadInput(
                    f"{part.source}: alert {alert.name or 'without a name'} began at "
                    f"{alert.starts_at:%Y-%m-%d %H:%M} UTC, more than {duration_text(limit)} ago, and may be over; "
                    "look, and add --assume-firing if it still fires"
                )


def _on_live(part: Part, settings: Settings) -> Part:
    """The part as the live cluster sees it: now, with the settings as they are."""
    return replace(part, origin=Origin.LIVE, now=_utc_now(), clock=_utc_now, settings=settings)


def _utc_now() -> datetime:
    return datetime.now(UTC)


def for_recordings(settings: Settings) -> Settings:
    """Nothing is waited for where nothing can change: a budget without room now has none later."""
    return replace(settings, drain_timeout=timedelta(0))


async def play(
    part: Part, agent: Agent, cluster: Cluster, scope: str, mode: Mode
) -> AsyncIterator[RunRecord | Skipped]:
    """One part: each alert is admitted and, when a run is queued for it, run at once."""
    queue, settings = InlineQueue(), part.settings or for_recordings(agent.settings)

    def clock() -> datetime:
        return part.now

    for alert in part.payload.alerts:
        (admission,) = await receive(
            [alert],
            sender=Sender(origin=part.origin, scope=scope, mode=mode, by_hand=part.origin is Origin.LIVE),
            store=agent.store,
            queue=queue,
            runbooks=agent.runbooks,
            settings=settings,
            cluster=cluster,
            now=part.now,
        )
        run_id = queue.take()
        if run_id is None or admission.incident_id is None:
            yield _skipped(part, admission)
            continue
        yield await run_incident(
            Assignment(
                run_id=run_id,
                incident_id=admission.incident_id,
                alert=alert,
                scope=scope,
                mode=mode,
                past=part.past,
                standing=part.standing,
                past_brakes=part.brakes,
            ),
            store=agent.store,
            cluster=cluster,
            planner=agent.minds.planner,
            runbooks=agent.runbooks,
            settings=settings,
            clock=part.clock or clock,
            investigator=agent.minds.investigator,
            author=agent.minds.author,
        )


def _plan(
    part: Part, alert: Alert, planned: set[tuple[str, str, str]], settings: Settings, runbooks: Runbooks, mode: Mode
) -> RunRecord | Skipped:
    """What would be walked, where there is no cluster to walk it on. Nothing is stored."""
    chosen = route(alert.labels, runbooks)
    key, _ = identify(alert, chosen.runbook)
    problem = (part.group, cluster_of(alert, settings), key)
    reason = ignored(alert.labels, settings.ignore_alerts)
    if reason is None and alert.status is AlertStatus.RESOLVED:
        reason = "resolved: closes its incident and acts on nothing"
    if reason is None and problem in planned:
        reason = f"joined {redact_text(key)}: the same problem, planned already"
    if reason is not None:
        return _skipped(part, Admission(alert=alert, incident_id=None, run_id=None, reason=reason))
    planned.add(problem)
    return records.planned(alert, chosen, mode)


def _sources(name: str) -> list[_Source]:
    """What one argument stands for: a file, stdin, an example, or a directory of numbered parts or examples."""
    path = Path(name)
    if name == STDIN:
        return [_Source(file=STDIN, example=None, named=False)]
    if not path.is_dir():
        return [_Source(file=name, example=_example_of(path.parent), named=False)]
    if (path / PAYLOAD).is_file():
        return [_Source(file=str(path / PAYLOAD), example=_example_of(path), named=True)]
    inner = {file.parent for file in path.glob(f"*/{PAYLOAD}")}
    outer = {file.parent.parent for file in path.glob(f"*/*/{PAYLOAD}")}
    if not inner and not outer:
        raise BadInput(f"{name}: the directory holds no {PAYLOAD}, nor do its sub-directories")
    return [source for entry in sorted(inner | outer, key=_place) for source in _sources(str(entry))]


def _example_of(directory: Path) -> Path:
    """The example that a payload's directory belongs to: a numbered part's is the directory above it."""
    directory = directory.resolve()
    above = directory.parent
    if _NUMBER.match(directory.name) and (_recording_in(above) or _holds_only_parts(above)):
        return above
    return directory


def _holds_only_parts(directory: Path) -> bool:
    """Whether there are payloads one level below, each of them in a numbered directory."""
    holders = [file.parent.name for file in directory.glob(f"*/{PAYLOAD}")]
    return bool(holders) and all(_NUMBER.match(name) for name in holders)


def _place(directory: Path) -> tuple[float, str]:
    """By leading number, then by name: 2 before 10, and what has no number last."""
    number = _NUMBER.match(directory.name)
    return (int(number[0]) if number else math.inf, directory.name)


def _beside(payload: Path, example: Path) -> Path | None:
    """The recording beside a payload; a numbered part without one uses its example's."""
    return _recording_in(payload.parent) or _recording_in(example)


def _recording_in(directory: Path) -> Path | None:
    """The recording in a directory; one that `sre-agent snapshot` made, with its `meta.yaml`, is a recording itself."""
    beside = next((directory / name for name in RECORDINGS if (directory / name).exists()), None)
    return directory if beside is None and (directory / META).is_file() else beside


def _read(file: str) -> bytes:
    """The bytes of a payload, at most one more than is allowed, so that the parser can refuse the size."""
    try:
        if file == STDIN:
            return sys.stdin.buffer.read(MAX_BYTES + 1)
        with Path(file).open("rb") as handle:
            return handle.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadInput(f"{file}: cannot be read: {error.strerror}") from error


def _moment(payload: Payload, recording: Recording | None) -> datetime:
    """The replay's time: recorded_at, else the newest time that the recording or the alerts carry."""
    if recording is not None and recording.recorded_at is not None:
        return recording.recorded_at
    times = [newest_time(recording)] if recording is not None else []
    for alert in payload.alerts:
        times.append(alert.starts_at)
        if alert.status is AlertStatus.RESOLVED:
            times.append(alert.ends_at)
    return max((moment for moment in times if moment is not None), default=NO_TIME)


def _rejected(part: Part, path: str, reason: str) -> Skipped:
    return Skipped(source=part.source, alertname=None, fingerprint=None, incident_id=None, reason=reason, path=path)


def _skipped(part: Part, admission: Admission) -> Skipped:
    return Skipped(
        source=part.source,
        alertname=admission.alert.name or None,
        fingerprint=admission.alert.fingerprint,
        incident_id=admission.incident_id,
        reason=admission.reason,
    )
