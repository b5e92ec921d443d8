"""One runbook file: from its path to a `Runbook`, or to every fault that is in it. Called by `loader`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from sre_agent.lint import values
from sre_agent.lint.fault import Draft, Fault, Place, quoted
from sre_agent.lint.front_matter import read_front_matter
from sre_agent.lint.values import Entry
from sre_agent.lint.workflow import read_workflow
from sre_agent.objects import NAMESPACE_NAME
from sre_agent.runbook import UNKNOWN_ID, AlertMatch, Runbook, Step, image_fault
from sre_agent.tools.types import Tool

_KEYS = ("id", "title", "alerts", "fallback_image", "fallback_namespaces", "workflow", "future_actions")
_ID = re.compile(r"RB_[A-Z0-9_]+")
_ID_ADVICE = "write RB_ and capitals, digits or underscores, as in RB_OOM"
_NAMESPACE_ADVICE = "write the whole name of a namespace; patterns are not taken"
_ACTION = re.compile(r"[a-z][a-z0-9_]{0,62}")
_ACTION_ADVICE = "write a name of small letters, digits and underscores"
_IMAGE_ADVICE = "pin it by a tag that is not latest, or by @sha256:DIGEST"


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """An alert that a runbook takes, and where it says so."""

    alert: AlertMatch
    place: Place


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """What one file holds. `runbook` is None where there are faults; id and claims are there as far as
    readable, so that a file with faults still collides with another one.
    """

    path: Path
    faults: tuple[Fault, ...]
    runbook: Runbook | None = None
    id: str | None = None
    id_place: Place | None = None
    claims: tuple[Claim, ...] = ()


def read_document(path: Path, tools: Mapping[str, Tool]) -> Document:
    """Reads and proves one file. Never raises for what the file holds."""
    draft, top = read_front_matter(path)
    if top is None:
        return Document(path=path, faults=tuple(draft.faults))
    entries = values.mapping(draft, top, _KEYS, "the front matter") or {}
    runbook_id = _required(draft, entries, "id", "add `id: RB_NAME`")
    if runbook_id is not None and not _ID.fullmatch(runbook_id):
        draft.report(entries["id"].value, f"id {quoted(runbook_id)} is not well formed", _ID_ADVICE)
        runbook_id = None
    title = _required(draft, entries, "title", "add `title: WHAT THE RUNBOOK IS ABOUT`")
    claims = _claims(draft, entries.get("alerts"))
    image = _image(draft, entries.get("fallback_image"))
    namespaces = values.words(draft, entries.get("fallback_namespaces"), "namespace", NAMESPACE_NAME, _NAMESPACE_ADVICE)
    workflow = _workflow(draft, entries, runbook_id, tools)
    actions = values.words(draft, entries.get("future_actions"), "future action", _ACTION, _ACTION_ADVICE)
    runbook = Runbook(
        id=runbook_id or "",
        title=title or "",
        alerts=tuple(claim.alert for claim in claims),
        fallback_image=image,
        fallback_namespaces=namespaces,
        workflow=workflow,
        future_actions=actions,
        prose=draft.prose,
        path=path,
        sha256=draft.sha256,
    )
    return Document(
        path=path,
        faults=tuple(sorted(draft.faults)),
        runbook=None if draft.faults else runbook,
        id=runbook_id,
        id_place=draft.place_of(entries["id"].value) if "id" in entries else None,
        claims=claims,
    )


def _required(draft: Draft, entries: dict[str, Entry], key: str, advice: str) -> str | None:
    if key not in entries:
        draft.report_at(draft.start, f"{key} is missing", advice)
        return None
    return values.text(draft, entries[key].value, key)


def _claims(draft: Draft, entry: Entry | None) -> tuple[Claim, ...]:
    claims = []
    for node in values.sequence(draft, entry.value, "alerts") if entry else []:
        alert = _alert(draft, node)
        if alert is not None:
            claims.append(Claim(alert=alert, place=draft.place_of(node)))
    return tuple(claims)


def _alert(draft: Draft, node: yaml.Node) -> AlertMatch | None:
    """A name alone, or a mapping of name and labels."""
    if isinstance(node, yaml.ScalarNode):
        name = values.text(draft, node, "alert")
        return None if name is None else AlertMatch(name=name)
    entries = values.mapping(draft, node, ("name", "labels"), "an alert")
    if entries is None:
        return None
    if "name" not in entries:
        draft.report(node, "the alert has no name", "write {name: ALERT, labels: {LABEL: VALUE}}")
        return None
    name = values.text(draft, entries["name"].value, "alert name")
    labels = _labels(draft, entries.get("labels"))
    return None if name is None or labels is None else AlertMatch(name=name, labels=labels)


def _labels(draft: Draft, entry: Entry | None) -> tuple[tuple[str, str], ...] | None:
    """Sorted by label name; None where one could not be read: without it the claim would be a wider one."""
    if entry is None:
        return ()
    entries = values.mapping(draft, entry.value, (), "labels")
    if entries is None:
        return None
    pairs = [
        (
            values.text(draft, label.key, "label name"),
            values.text(draft, label.value, f"label {quoted(name)}"),
        )
        for name, label in sorted(entries.items())
    ]
    whole = [(name, value) for name, value in pairs if name is not None and value is not None]
    return tuple(whole) if len(whole) == len(pairs) else None


def _image(draft: Draft, entry: Entry | None) -> str | None:
    if entry is None:
        return None
    image = values.text(draft, entry.value, "fallback_image")
    fault = None if image is None else image_fault(image)
    if image is not None and fault is not None:
        draft.report(entry.value, f"fallback_image {quoted(image)} {fault}", _IMAGE_ADVICE)
    return image


def _workflow(
    draft: Draft, entries: dict[str, Entry], runbook_id: str | None, tools: Mapping[str, Tool]
) -> tuple[Step, ...]:
    entry = entries.get("workflow")
    if runbook_id == UNKNOWN_ID:
        if entry is not None and not values.is_empty(entry.value):
            what = f"{UNKNOWN_ID} has a workflow, and it is for alerts that nothing is known about"
            draft.report(entry.key, what, "leave the workflow out, or give the runbook an id of its own")
        return ()
    if entry is None:
        draft.report_at(draft.start, "workflow is missing", "add `workflow:` with at least one step")
        return ()
    if values.is_empty(entry.value):
        draft.report(entry.key, "workflow is empty", "add at least one line `- step: TOOL`")
        return ()
    return read_workflow(draft, entry.value, tools, image_given="fallback_image" in entries)
