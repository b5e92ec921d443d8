"""A runbook: front matter that the machine walks, prose that a person reads.

Made by `lint`, the only loader; everybody else holds these frozen values.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

UNKNOWN_ID = "RB_UNKNOWN"

_IMAGE = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]+)?/)?"  # registry, with its port
    r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
    r"(?P<digest>@sha256:[0-9a-f]{64})?"
)
_IMAGE_LENGTH = 512


@dataclass(frozen=True, kw_only=True, slots=True)
class GateReference:
    """A boolean field of an earlier step's output: `check_oom.oom_detected`."""

    step: str
    field: str

    def __str__(self) -> str:
        return f"{self.step}.{self.field}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Gate:
    """When a step runs: all of `all_of`, one of `any_of` (where given) and none of `none_of` are true."""

    all_of: tuple[GateReference, ...] = ()
    any_of: tuple[GateReference, ...] = ()
    none_of: tuple[GateReference, ...] = ()

    def __str__(self) -> str:
        """`when check_oom.oom_detected`, empty for a step that always runs."""
        parts = [
            ("when ", " and ", self.all_of),
            ("when ", " or ", self.any_of),
            ("unless ", " or ", self.none_of),
        ]
        return ", ".join(word + joint.join(map(str, references)) for word, joint, references in parts if references)


@dataclass(frozen=True, kw_only=True, slots=True)
class Verify:
    """How the effect of a step is to be proven: within what time, and whether to undo it otherwise."""

    within: timedelta
    undo: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One step of a workflow. `tool` is a registered tool's name, `line` its place in the file (from 1)."""

    name: str
    tool: str
    gate: Gate = Gate()
    recommend_only: bool = False
    approval_required: bool = False
    verify: Verify | None = None
    line: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class AlertMatch:
    """An alert that this runbook takes: its name and labels that must be equal."""

    name: str
    labels: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        labels = ",".join(f"{name}={value}" for name, value in self.labels)
        return f"{self.name}{{{labels}}}" if labels else self.name


@dataclass(frozen=True, kw_only=True, slots=True)
class Runbook:
    """One runbook. `sha256` is the file's, `prose` the Markdown after the front matter."""

    id: str
    title: str
    alerts: tuple[AlertMatch, ...]
    fallback_image: str | None
    fallback_namespaces: tuple[str, ...]
    workflow: tuple[Step, ...]
    future_actions: tuple[str, ...]
    prose: str
    path: Path
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Runbooks:
    """All runbooks of one process, by id. RB_UNKNOWN is always there."""

    by_id: dict[str, Runbook]

    def __getitem__(self, runbook_id: str) -> Runbook:
        return self.by_id[runbook_id]

    def __contains__(self, runbook_id: object) -> bool:
        return runbook_id in self.by_id

    def __iter__(self) -> Iterator[Runbook]:
        return iter(self.by_id.values())


def image_fault(image: str) -> str | None:
    """Why an image does not name one fixed thing: "has no tag", "has the tag latest", "is not an image name".

    None for an image that is pinned by a tag other than latest, or by a sha256 digest.
    """
    parts = _IMAGE.fullmatch(image) if len(image) <= _IMAGE_LENGTH else None
    if parts is None:
        return "is not an image name"
    if parts["digest"]:
        return None
    if parts["tag"] is None:
        return "has no tag"
    return "has the tag latest" if parts["tag"] == "latest" else None
