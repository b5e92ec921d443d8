"""Reads a recorded piece of a cluster: a file or a directory of what `kubectl get -o yaml|json` prints, with logs.

Called by `replay` and by the tests; `snapshot` serves what is read here. Files are read once and never changed,
and whatever is wrong with one is said with its name, line and what was expected.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sre_agent import objects
from sre_agent.cluster import manifest
from sre_agent.cluster.normal_form import EXPECTED, Placed, objects_in
from sre_agent.cluster.unread import Unread
from sre_agent.errors import BadInput
from sre_agent.objects import Object

MAX_BYTES = 200 * 2**20
"""A recording larger than this, all files together, is refused rather than read into memory."""

LogKey = tuple[str, str, str, bool]
"""(namespace, pod, container, previous)"""

TIME_FIELDS = (
    frozenset({"creationTimestamp", "firstTimestamp", "lastTimestamp", "eventTime", "timestamp"})
    | {"lastTransitionTime", "lastUpdateTime", "lastHeartbeatTime", "lastProbeTime", "lastObservedTime"}
    | {"startedAt", "finishedAt", "startTime", "completionTime"}
    | {"lastScheduleTime", "lastSuccessfulTime", "lastScaleTime"}
)
"""Fields in which a cluster writes when something happened.

`deletionTimestamp` is not one: with a grace period it lies in the future.
"""

SPEC_TIME_FIELDS = frozenset({"timeAdded", "renewTime", "acquireTime"})
"""The only times below `spec` that a cluster writes; any other is somebody's plan (a start next week)."""

_NOT_TIMES = frozenset({"labels", "annotations", "data", "binaryData", "stringData", "fieldsV1"})
META = ("meta.yaml", "meta.yml")
LOGS = "logs"
_NEIGHBOURS = frozenset({"payload.json", "expected.yaml", "expected.yml"})
_SUFFIXES = frozenset({".yaml", ".yml", ".json"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """What a recording holds. `objects` have the shape of the live API; kinds that nobody reads are kept.

    `unread` is what could not be read while it was made: unknown, where everything else that is not there is absent.
    """

    objects: tuple[Object, ...]
    logs: Mapping[LogKey, str] = field(default_factory=dict)
    recorded_at: datetime | None = None
    unread: tuple[Unread, ...] = ()


def load(path: Path) -> Recording:
    """Reads one YAML or JSON file, or a directory of them with `logs/` and `meta.yaml`.

    Raises BadInput for a path that is not there, a file that is no YAML or JSON or holds no Kubernetes objects,
    an object that occurs twice with different content, and more than MAX_BYTES.
    """
    budget = _Budget()
    if not path.is_dir():
        return Recording(objects=_unique(_objects_of(path, budget)))
    files = list(_files_below(path))
    meta = next((file for file in files if file.parent == path and file.name in META), None)
    recorded_at, unread = (None, ()) if meta is None else _read_meta(meta, budget)
    manifests = [file for file in files if _is_manifest(file)]
    if not manifests:
        raise BadInput(f"{path}: no .yaml, .yml or .json file with Kubernetes objects; {EXPECTED}")
    placed = (entry for file in manifests for entry in _objects_of(file, budget))
    logs = _logs_below(path / LOGS, budget)
    return Recording(objects=_unique(placed), logs=logs, recorded_at=recorded_at, unread=unread)


def from_objects(
    values: Iterable[Object], *, logs: Mapping[LogKey, str] | None = None, recorded_at: datetime | None = None
) -> Recording:
    """A recording of objects (or Lists) that are in memory already; they are checked as those of a file are."""
    placed = (entry for number, value in enumerate(values) for entry in objects_in(value, f"objects[{number}]"))
    return Recording(objects=_unique(placed), logs=dict(logs or {}), recorded_at=recorded_at)


def newest_time(recording: Recording) -> datetime | None:
    """The newest moment that the cluster itself wrote into an object, None where there is none.

    Looks at TIME_FIELDS (below `spec` at SPEC_TIME_FIELDS only) and at `managedFields[].time`; never at text,
    labels, annotations or the data of ConfigMaps.
    """
    moments = (moment for obj in recording.objects for moment in _times_of(obj))
    return max(moments, default=None)


def _times_of(obj: Object) -> Iterator[datetime]:
    for key, value in obj.items():
        if key not in _NOT_TIMES:
            yield from _times_in(key, value, SPEC_TIME_FIELDS if key == "spec" else TIME_FIELDS)


def _times_in(key: str, value: Any, names: frozenset[str]) -> Iterator[datetime]:
    if isinstance(value, str):
        if key in names and "T" in value and (moment := objects.time_of(value)):
            yield moment
    elif isinstance(value, dict):
        for name, entry in value.items():
            if name not in _NOT_TIMES:
                yield from _times_in(name, entry, names)
    elif isinstance(value, list):
        inner = names | {"time"} if key == "managedFields" else names
        for entry in value:
            if isinstance(entry, dict):
                yield from _times_in(key, entry, inner)


class _Budget:
    """Counts what has been read, so that a wrong path does not fill the memory."""

    def __init__(self) -> None:
        self._left = MAX_BYTES

    def read(self, file: Path) -> str:
        try:
            with file.open("rb") as stream:
                data = stream.read(self._left + 1)
        except OSError as error:
            raise BadInput(f"{file}: cannot be read: {error.strerror}") from None
        self._left -= len(data)
        if self._left < 0:
            raise BadInput(f"{file}: the recording is larger than {MAX_BYTES >> 20} MiB; record fewer objects")
        return _decoded(data, file)


def _decoded(data: bytes, file: Path) -> str:
    """UTF-8, or UTF-16 with its mark as some shells write it. A log may hold any byte."""
    encoding = "utf-16" if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"
    try:
        return data.decode(encoding, errors="replace" if file.suffix == ".log" else "strict")
    except UnicodeDecodeError as error:
        raise BadInput(f"{file}: not UTF-8 text, at byte {error.start}") from None


def _files_below(directory: Path) -> Iterator[Path]:
    """Every file that is not hidden, in a stable order; the tree of logs apart."""
    for folder, names, files in os.walk(directory, onerror=_cannot_list):
        here = Path(folder)
        names[:] = sorted(n for n in names if not n.startswith(".") and here / n != directory / LOGS)
        yield from (here / name for name in sorted(files) if not name.startswith("."))


def _cannot_list(error: OSError) -> None:
    raise BadInput(f"{error.filename}: cannot be read: {error.strerror}")


def _is_manifest(file: Path) -> bool:
    return file.suffix.lower() in _SUFFIXES and file.name not in META and file.name not in _NEIGHBOURS


def _objects_of(file: Path, budget: _Budget) -> Iterator[Placed]:
    text = budget.read(file)
    documents = manifest.documents(text, str(file), is_json=file.suffix.lower() == ".json")
    if all(document.value is None for document in documents):
        raise BadInput(f"{file}: holds no Kubernetes objects; {EXPECTED}")
    for document in documents:
        yield from objects_in(document.value, document.place)


def _unique(placed: Iterable[Placed]) -> tuple[Object, ...]:
    """Each object once. The same object in two places must be the same in both."""
    result: list[Object] = []
    first: dict[tuple[str, str, str, str], Placed] = {}
    for entry in placed:
        obj = entry.object
        name = objects.name(obj) if isinstance(obj.get("metadata"), dict) else ""
        if name:
            group = str(obj.get("apiVersion", "")).rpartition("/")[0]
            key = (group, str(obj.get("kind")), objects.namespace(obj), name)
            other = first.setdefault(key, entry)
            if other is not entry:
                _must_agree(other, entry, name)
                continue
        result.append(obj)
    return tuple(result)


def _must_agree(one: Placed, other: Placed, name: str) -> None:
    if one.object != other.object:
        kind, namespace = other.object["kind"], objects.namespace(other.object)
        shown = f"{namespace}/{name}" if namespace else name
        raise BadInput(f"{other.place}: {kind} {shown} differs from the one at {one.place}; keep one of them")


def _read_meta(file: Path, budget: _Budget) -> tuple[datetime | None, tuple[Unread, ...]]:
    """When it was recorded, and what could not be read then."""
    for document in manifest.documents(budget.read(file), str(file), is_json=False):
        if document.value is None:
            continue
        if not isinstance(document.value, dict):
            raise BadInput(f"{document.place}: expected `recorded_at: 2025-01-31T12:00:00Z`")
        unread = document.value.get("unread") or []
        if not isinstance(unread, list):
            raise BadInput(f"{document.place}: unread is not a list of the reads that failed")
        moment = _recorded_at(document.value.get("recorded_at"), document.place)
        return moment, tuple(Unread.of(entry, document.place) for entry in unread)
    return None, ()


def _recorded_at(text: Any, place: str) -> datetime | None:
    if text is None:
        return None
    moment = objects.time_of(text) if isinstance(text, str) and "T" in text else None
    if moment is None:
        raise BadInput(f"{place}: recorded_at {text!r} is no time; write it as 2025-01-31T12:00:00Z")
    return moment


def _logs_below(directory: Path, budget: _Budget) -> dict[LogKey, str]:
    """`NAMESPACE/POD/CONTAINER.log` and `.previous.log`; anything else in the tree is left alone."""
    logs: dict[LogKey, str] = {}
    if not directory.is_dir():
        return logs
    for file in _files_below(directory):
        parts = file.relative_to(directory).parts
        if len(parts) == 3 and file.suffix == ".log":
            container = parts[2].removesuffix(".log")
            previous = container.endswith(".previous")
            logs[parts[0], parts[1], container.removesuffix(".previous"), previous] = budget.read(file)
    return logs
