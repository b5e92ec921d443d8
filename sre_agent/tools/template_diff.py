"""Two pod templates side by side: which fields differ, as a person reads them. Used by `rollback`."""

import json
from collections.abc import Iterator
from typing import Any

from sre_agent.objects import Object
from sre_agent.run import FieldChange

POD_TEMPLATE_HASH = "pod-template-hash"


def without_pod_template_hash(template: Object) -> Object:
    """A ReplicaSet's template as its Deployment had it: the label is the ReplicaSet controller's."""
    metadata = dict(template.get("metadata") or {})
    kept = {key: value for key, value in (metadata.get("labels") or {}).items() if key != POD_TEMPLATE_HASH}
    return {**template, "metadata": {**metadata, "labels": kept}}


def changed_fields(before: Any, after: Any, path: str) -> Iterator[FieldChange]:
    """Every leaf that differs; elements of a list are told apart by their names where all have one."""
    if before == after:
        return
    ours, theirs = _children(before), _children(after)
    if ours is None or theirs is None:
        yield FieldChange(path=path, before=_text(before), after=_text(after))
        return
    for key in [*ours, *(key for key in theirs if key not in ours)]:
        inner = f"{path}[{key}]" if isinstance(before or after, list) else f"{path}.{key}"
        yield from changed_fields(ours.get(key), theirs.get(key), inner)


def _children(value: Any) -> dict[str, Any] | None:
    """The named parts of a value, None where it is a leaf. What is absent has no parts and is one, too."""
    if isinstance(value, dict):
        return value
    if isinstance(value, list) and value and all(isinstance(entry, dict) and "name" in entry for entry in value):
        named = {str(entry["name"]): entry for entry in value}
        return named if len(named) == len(value) else None
    return None


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, sort_keys=True)
