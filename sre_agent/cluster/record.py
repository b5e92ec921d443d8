"""Writes a recording to a directory: the way back from `recording.load`, for `sre-agent snapshot`.

Protects two rules: nothing is written that redaction has not seen, and `recording.load` reads from the directory what
was written there. One file for each kind, `logs/NAMESPACE/POD/CONTAINER.log`, and `meta.yaml` last: a directory
without it was not written to its end.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sre_agent.cluster import manifest
from sre_agent.cluster.normal_form import resource_of
from sre_agent.cluster.port import Resource
from sre_agent.cluster.recording import LOGS, MAX_BYTES, META, LogKey, Recording
from sre_agent.errors import BadInput, Unreachable
from sre_agent.objects import Object
from sre_agent.redaction import redact, redact_text

_BASE: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}\Z")


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """One file of a recording. `path` is below its directory; `objects` counts them, None where it holds none."""

    path: Path
    text: str
    objects: int | None = None


def check_free(directory: Path, *, force: bool) -> None:
    """Raises BadInput where the directory holds anything, unless that may be written over."""
    if directory.exists() and not directory.is_dir():
        raise BadInput(f"{directory} is a file; name a directory that is empty or not there yet")
    if not force and directory.is_dir() and any(directory.iterdir()):
        raise BadInput(f"{directory} is not empty; name another directory, or add --force to write over it")


def write(recording: Recording, directory: Path, *, about: Mapping[str, Any]) -> tuple[File, ...]:
    """Writes everything, redacted, and returns what was written. `about` stands in `meta.yaml` beside the time.

    An earlier recording there is taken away first, other files stay. Raises BadInput for a recording that is larger
    than can be read back, Unreachable where the disk does not take it.
    """
    files = (*_object_files(recording), *_log_files(recording), _meta_file(recording, about))
    if sum(len(file.text.encode()) for file in files) > MAX_BYTES:
        raise BadInput(f"the recording would be larger than {MAX_BYTES >> 20} MiB; record a pod instead of a node")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _take_earlier_away(directory)
        for file in files:
            place = directory / file.path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(file.text, encoding="utf-8")
    except OSError as error:
        raise Unreachable(f"{error.filename or directory}: cannot be written: {error.strerror}") from error
    return files


def _object_files(recording: Recording) -> Iterator[File]:
    """The objects of each kind as one List. Kinds that the agent does not read are not in a recording of ours."""
    for resource in Resource:
        held = [obj for obj in recording.objects if resource_of(obj) is resource]
        if held:
            shown = {"apiVersion": "v1", "kind": "List", "items": [redact(obj) for obj in held]}
            yield File(path=_file_of(resource), text=_yaml(shown), objects=len(held))


def _log_files(recording: Recording) -> Iterator[File]:
    for key, text in sorted(recording.logs.items()):
        yield File(path=_log_file(key), text=redact_text(text))


def _meta_file(recording: Recording, about: Mapping[str, Any]) -> File:
    moment = recording.recorded_at
    known: Object = {} if moment is None else {"recorded_at": f"{moment:%Y-%m-%dT%H:%M:%S.%fZ}"}
    unread = {"unread": [entry.json for entry in recording.unread]} if recording.unread else {}
    return File(path=Path(META[0]), text=_yaml(redact({**known, **about, **unread})))


def _file_of(resource: Resource) -> Path:
    return Path(f"{resource.plural}.{resource.group}".rstrip(".") + ".yaml")


def _log_file(key: LogKey) -> Path:
    """Names come from outside: one that is no plain file name is refused."""
    namespace, pod, container, previous = key
    for part in (namespace, pod, container):
        if not _FILE_NAME.match(part):
            raise BadInput(f"the log of {namespace}/{pod}/{container} cannot be kept: {part!r} is no file name")
    return Path(LOGS, namespace, pod, f"{container}.previous.log" if previous else f"{container}.log")


def _take_earlier_away(directory: Path) -> None:
    """Removes the files of a recording that was written here before, so that two are never mixed, and no others."""
    if not (directory / META[0]).is_file():
        return
    earlier = [directory / _file_of(resource) for resource in Resource]
    for place in (directory / META[0], *earlier, *directory.glob(f"{LOGS}/*/*/*.log")):
        place.unlink(missing_ok=True)


class _Dumper(_BASE):  # type: ignore[misc]  # the base is libyaml's where PyYAML was built with it
    """Writes text so that `manifest` reads the same text; equal parts are written out instead of referred to."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _text(dumper: Any, text: str) -> Any:
    style = None if manifest.plain(text) == text else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _yaml(value: Any) -> str:
    written: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)
    return written
