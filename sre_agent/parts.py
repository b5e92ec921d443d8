"""What a replay plays: saved payloads, each with the recording beside it and the time that they speak of.

Called by `sre-agent replay`. Protects one rule: everything is found, read and parsed before anything runs.
"""

import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sre_agent.alert import MAX_BYTES, AlertStatus, Payload, parse
from sre_agent.alert.standing import Standing
from sre_agent.cluster.port import Clock, Cluster
from sre_agent.cluster.recording import Recording, load, newest_time
from sre_agent.cluster.snapshot import SnapshotCluster
from sre_agent.errors import BadInput
from sre_agent.facts import Past, PastBrakes
from sre_agent.incident import Origin
from sre_agent.settings import Settings

STDIN = "-"
PAYLOAD = "payload.json"
RECORDINGS = ("cluster.yaml", "cluster.yml", "cluster.json", "cluster")
META = "meta.yaml"
NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""The clock of a replay in which nothing carries a time: fixed, so that today's date never matters."""

_NUMBER = re.compile("[0-9]+")


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
