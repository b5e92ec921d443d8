"""What is asked of the API server: paths, selectors, and a write with its preconditions where the API expects them.

Called by the live cluster only. Pure. Protects the rule that a name is a name: whatever an alert's labels hold, it
stays one segment of a path and one value of a selector.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from sre_agent.cluster.port import FIELD_MANAGER, NotFound, Resource, Write, WriteVerb
from sre_agent.objects import Object

JSON = "application/json"
STRATEGIC_MERGE = "application/strategic-merge-patch+json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One HTTP request. `path` is percent-encoded, `body` a JSON object; `what` names it for messages to people.

    `changes` says whether it may change the cluster: reads and dry runs never do, whatever becomes of the answer.
    Of an answer that is longer than `newest` bytes, the last whole lines within them are read.
    """

    method: str
    path: str
    what: str
    changes: bool = False
    query: Mapping[str, str] = field(default_factory=dict)
    body: Object | None = None
    content_type: str = JSON
    accept: str = JSON
    newest: int | None = None


def path(resource: Resource, namespace: str | None, name: str | None = None) -> str:
    """The path of a collection or of one object. Raises NotFound for what no object can be called."""
    parts = ["/apis" if resource.group else "/api", resource.api_version]
    if resource.namespaced and namespace is not None:
        parts += ["namespaces", _segment("namespace", namespace)]
    parts.append(resource.plural)
    if name is not None:
        parts.append(_segment(resource.kind, name))
    return "/".join(parts)


def _segment(what: str, name: str) -> str:
    """The API server takes no such names either, and `..` would be another object's path."""
    if name in {"", ".", ".."} or "/" in name or "%" in name:
        raise NotFound(f"there is no {what} {name!r}: that is no name")
    return quote(name, safe="")


def called(resource: Resource, namespace: str | None, name: str) -> str:
    """An object's name for messages: `demo/app-1`, or `worker-1` for what has no namespace."""
    return f"{namespace}/{name}" if resource.namespaced else name


def label_selector(equal: Mapping[str, str]) -> str:
    """Labels that must all be equal. A value that no label can have is refused by the API server."""
    return ",".join(f"{key}={value}" for key, value in equal.items())


def field_selector(equal: Mapping[str, str]) -> str:
    """Fields that must all be equal; what a selector reads as its own punctuation is escaped."""
    return ",".join(f"{key}={_escaped(value)}" for key, value in equal.items())


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")


def of_write(write: Write, *, dry_run: bool) -> Request:
    """A write as one request: preconditions in the patch's metadata, or in the delete options."""
    if write.verb is WriteVerb.PATCH:
        return _patch(write, dry_run)
    if write.verb is WriteVerb.DELETE:
        return _delete(write, dry_run)
    return _eviction(write, dry_run) if write.subresource == "eviction" else _create(write, dry_run)


def _patch(write: Write, dry_run: bool) -> Request:
    metadata = {**(write.body.get("metadata") or {}), **_preconditions(write)}
    target = path(write.resource, write.namespace, write.name)
    return Request(
        method="PATCH",
        path=f"{target}/{write.subresource}" if write.subresource else target,
        query={"fieldManager": FIELD_MANAGER, **_dry(dry_run)},
        body={**write.body, "metadata": metadata},
        content_type=STRATEGIC_MERGE,
        what=_what("patching", write, dry_run),
        changes=not dry_run,
    )


def _delete(write: Write, dry_run: bool) -> Request:
    options: Object = {"apiVersion": "v1", "kind": "DeleteOptions", **write.body}
    if preconditions := _preconditions(write):
        options["preconditions"] = preconditions
    if dry_run:
        options["dryRun"] = ["All"]  # beside a body, the query is not read
    return Request(
        method="DELETE",
        path=path(write.resource, write.namespace, write.name),
        body=options,
        what=_what("deleting", write, dry_run),
        changes=not dry_run,
    )


def _eviction(write: Write, dry_run: bool) -> Request:
    body = dict(write.body)
    if preconditions := _preconditions(write):
        body["deleteOptions"] = {**(body.get("deleteOptions") or {}), "preconditions": preconditions}
    return Request(
        method="POST",
        path=f"{path(write.resource, write.namespace, write.name)}/eviction",
        query=_dry(dry_run),
        body=body,
        what=_what("evicting", write, dry_run),
        changes=not dry_run,
    )


def _create(write: Write, dry_run: bool) -> Request:
    kinds = {"apiVersion": write.resource.api_version, "kind": write.resource.kind}
    metadata = {**(write.body.get("metadata") or {}), "name": write.name}
    return Request(
        method="POST",
        path=path(write.resource, write.namespace),
        query={"fieldManager": FIELD_MANAGER, **_dry(dry_run)},
        body={**kinds, **write.body, "metadata": metadata},
        what=_what("creating", write, dry_run),
        changes=not dry_run,
    )


def of_event(event: Object) -> Request:
    """The creation of a Kubernetes Event."""
    namespace = event["metadata"]["namespace"]
    return Request(
        method="POST",
        path=path(Resource.EVENTS, namespace),
        query={"fieldManager": FIELD_MANAGER},
        body=event,
        what=f"creating an Event in {namespace}",
        changes=True,
    )


def _preconditions(write: Write) -> dict[str, str]:
    given = {"uid": write.uid, "resourceVersion": write.resource_version}
    return {key: value for key, value in given.items() if value is not None}


def _dry(dry_run: bool) -> dict[str, str]:
    return {"dryRun": "All"} if dry_run else {}


def _what(doing: str, write: Write, dry_run: bool) -> str:
    about = f"{write.resource.kind} {called(write.resource, write.namespace, write.name)}"
    return f"{doing} {about}{' as a dry run' if dry_run else ''}"
