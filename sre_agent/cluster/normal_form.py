"""One shape for recorded objects: lists taken apart, kinds recognised, events as the core API has them.

Called by `recording`. After it, every object of a kind that the agent reads looks as the live API would answer it:
no field is null, and every field that `shapes` names has its type.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sre_agent.cluster.decoding import Misshapen, decoded
from sre_agent.cluster.port import RESOURCE_OF_KIND, Resource
from sre_agent.cluster.shapes import shape_of
from sre_agent.errors import BadInput
from sre_agent.objects import Object

EXPECTED = "expected what `kubectl get -o yaml` or `-o json` prints: an object or List with kind and metadata.name"

_OTHER_GROUPS = {
    ("events.k8s.io", "Event"),
    ("extensions", "Deployment"),
    ("extensions", "ReplicaSet"),
    ("extensions", "DaemonSet"),
}
"""Groups beside a kind's own that serve the same object, in today's clusters or in recordings of old ones."""

_EVENT_FIELDS = {
    "regarding": "involvedObject",
    "note": "message",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
    "reportingController": "reportingComponent",
}
"""What events.k8s.io/v1 calls otherwise than core/v1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """An object and where it was read, for messages: FILE:LINE, or FILE:LINE items[3]."""

    place: str
    object: Object


def resource_of(obj: Object) -> Resource | None:
    """The resource that an object belongs to; None for kinds that the agent does not read.

    Another version of the same group counts (apps/v1beta2), a kind of the same name in another group does not.
    """
    resource = RESOURCE_OF_KIND.get(str(obj.get("kind")))
    api_version = obj.get("apiVersion")
    if resource is None or api_version is None:
        return resource
    group = str(api_version).rpartition("/")[0]
    return resource if group == resource.group or (group, resource.kind) in _OTHER_GROUPS else None


def objects_in(value: Any, place: str) -> Iterator[Placed]:
    """The objects of one document, Lists taken apart; nothing for an empty one. Raises BadInput with the place."""
    if value is None:
        return
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
        raise BadInput(f"{place}: no Kubernetes object; {EXPECTED}")
    if not _is_list(value):
        yield Placed(place=place, object=normal(value, place))
        return
    items = value.get("items")
    if items is not None and not isinstance(items, list):
        raise BadInput(f"{place}: items of {value['kind']} is not a list; {EXPECTED}")
    for number, item in enumerate(items or ()):
        item_place = f"{place} items[{number}]"
        if not isinstance(item, dict):
            raise BadInput(f"{item_place}: no Kubernetes object; {EXPECTED}")
        yield from objects_in(_with_kind(item, value), item_place)


def _is_list(value: Object) -> bool:
    return bool(value["kind"].endswith("List")) and ("items" in value or value["kind"] == "List")


def _with_kind(item: Object, typed_list: Object) -> Object:
    """An item of a PodList carries neither kind nor apiVersion: the list says them."""
    kind = typed_list["kind"].removesuffix("List")
    if "kind" in item or not kind:
        return item
    return {"kind": kind, "apiVersion": typed_list.get("apiVersion", "v1"), **item}


def normal(obj: Object, place: str) -> Object:
    """The object as the API that the agent reads would answer it. Raises BadInput naming file and field.

    The argument is not changed; an object of a kind that nobody reads is returned as it is.
    """
    resource = resource_of(obj)
    metadata = obj.get("metadata")
    if resource is None:
        return obj
    if not isinstance(metadata, dict) or not metadata.get("name") or not isinstance(metadata["name"], str | int):
        raise BadInput(f"{place}: the {resource.kind} has no metadata.name; {EXPECTED}")
    raw = _core_event(obj) if resource is Resource.EVENTS else obj
    try:
        result: Object = decoded(raw, shape_of(resource))
    except Misshapen as fault:
        what = f"{fault.path} of the {resource.kind} {metadata['name']} is not {fault.expected}"
        raise BadInput(f"{place}: {what}") from None
    if resource.namespaced:
        result["metadata"]["namespace"] = result["metadata"].get("namespace") or "default"
    return result


def _core_event(event: Object) -> Object:
    """An Event in its core/v1 shape, whichever API printed it; a field that is there already stays."""
    result = {key: value for key, value in event.items() if key not in _EVENT_FIELDS and value is not None}
    for theirs, ours in _EVENT_FIELDS.items():
        if event.get(theirs) is not None:
            result.setdefault(ours, event[theirs])
    return {**result, "apiVersion": Resource.EVENTS.api_version}
