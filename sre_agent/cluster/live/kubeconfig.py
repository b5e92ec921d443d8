"""Reads kubeconfig files and picks one context, by kubectl's rules. Called by `access`.

Protects two things: the context is the one that kubectl would take, and a message about a file never quotes it, since
it holds credentials.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sre_agent.errors import Unreachable

DEFAULT = "~/.kube/config"
_FILES = {
    "cluster": ("certificate-authority",),
    "user": ("client-certificate", "client-key", "tokenFile"),
}
"""Fields that name a file, relative to the kubeconfig that they stand in."""

Entry = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """One context with its cluster and user as they stand in the file, paths made absolute. `place` names the files.

    `directory` is that of the file that holds the user: what the command of an exec plugin is relative to.
    """

    place: str
    context: str
    cluster: Entry
    user: Entry
    directory: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class _File:
    path: Path
    content: Entry


def choose(context: str | None) -> Chosen:
    """The named context, else the current one, of KUBECONFIG or ~/.kube/config. Raises Unreachable."""
    place = os.environ.get("KUBECONFIG") or DEFAULT
    files = [_read(path) for path in _paths(place)]
    if not files:
        raise Unreachable(
            f"no cluster: there is no kubeconfig at {place}; set KUBECONFIG, or replay recorded objects with --snapshot"
        )
    contexts = _named(files, "context")
    wanted = context or _current(files)
    if wanted is None or wanted not in contexts:
        asked = f"there is no context {wanted}" if wanted else "no current context is set"
        known = f"give --context, one of: {', '.join(sorted(contexts))}" if contexts else "it holds none at all"
        raise Unreachable(f"no cluster: {asked} in {place}; {known}")
    where, chosen = f"context {wanted} in {place}", contexts[wanted][1]
    cluster = _referred(chosen.get("cluster"), _named(files, "cluster"), where, "cluster")
    if not isinstance(cluster[1].get("server"), str):
        raise Unreachable(f"no cluster: the cluster of {where} has no server")
    user: tuple[Path, Entry] = (cluster[0], {})
    if chosen.get("user"):
        user = _referred(chosen["user"], _named(files, "user"), where, "user")
    return Chosen(
        place=place,
        context=wanted,
        cluster=_absolute(cluster, "cluster"),
        user=_absolute(user, "user"),
        directory=user[0].parent,
    )


def _paths(place: str) -> Iterable[Path]:
    paths = (Path(part).expanduser() for part in place.split(os.pathsep) if part)
    return [path.absolute() for path in paths if path.exists()]


def _read(path: Path) -> _File:
    """One file. An empty one has nothing, as for kubectl."""
    try:
        content = yaml.safe_load(path.read_text())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise Unreachable(f"no cluster: {where}: the kubeconfig is not valid YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError):
        raise Unreachable(f"no cluster: {path}: the kubeconfig is not valid YAML") from None
    except OSError as error:
        raise Unreachable(f"no cluster: the kubeconfig {path} cannot be read: {error.strerror}") from error
    if content is not None and not isinstance(content, dict):
        raise Unreachable(f"no cluster: {path} is not a kubeconfig: expected a mapping with contexts and clusters")
    return _File(path=path, content=content or {})


def _current(files: list[_File]) -> str | None:
    """The first file that sets one wins."""
    return next((str(file.content["current-context"]) for file in files if file.content.get("current-context")), None)


def _named(files: list[_File], kind: str) -> Mapping[str, tuple[Path, Entry]]:
    """The entries of a kind by name, each with its file. The first file that has a name wins."""
    found: dict[str, tuple[Path, Entry]] = {}
    for file in files:
        for number, entry in enumerate(file.content.get(f"{kind}s") or ()):
            inner = entry.get(kind) if isinstance(entry, dict) else None
            if not isinstance(entry, dict) or "name" not in entry or not isinstance(inner or {}, dict):
                raise Unreachable(f"no cluster: {file.path}: {kind}s[{number}] is no {kind} with a name")
            found.setdefault(str(entry["name"]), (file.path, inner or {}))
    return found


def _referred(name: object, entries: Mapping[str, tuple[Path, Entry]], where: str, kind: str) -> tuple[Path, Entry]:
    if str(name) not in entries:
        raise Unreachable(f"no cluster: {where} names {kind} {name}, which is not there")
    return entries[str(name)]


def _absolute(found: tuple[Path, Entry], kind: str) -> Entry:
    path, entry = found
    named = {key: str(path.parent / str(entry[key])) for key in _FILES[kind] if entry.get(key)}
    return {**entry, **named}
