"""A recorded cluster that answers like the API server and remembers what was written to it.

Called through the `cluster` port by everything that reads or changes a cluster, in a replay and in tests. Writes
change the objects in memory the way the API server would; the recording itself and its files are never changed,
and nothing reconciles: no controller recreates a pod, no rollout moves.
"""

from dataclasses import replace
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from sre_agent import objects
from sre_agent.cluster import admission, eviction, strategic_merge
from sre_agent.cluster.normal_form import resource_of
from sre_agent.cluster.port import Conflict, NotFound, Refused, Resource, Write, WriteVerb
from sre_agent.cluster.recorder import Look
from sre_agent.cluster.recording import Recording
from sre_agent.cluster.strategic_merge import copy
from sre_agent.objects import Object

_Key = tuple[str | None, str]

_COUNTS_GENERATIONS = {
    Resource.DEPLOYMENTS,
    Resource.REPLICA_SETS,
    Resource.STATEFUL_SETS,
    Resource.DAEMON_SETS,
    Resource.JOBS,
    Resource.POD_DISRUPTION_BUDGETS,
}
_EVICTED: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


class SnapshotCluster:
    """The `Cluster` port over a recording. Reads return copies; one method call is one request."""

    def __init__(self, recording: Recording) -> None:
        self.accepted_writes: list[Write] = []
        """What was written, in order, without refused writes, dry runs and Events."""
        self.events_emitted: list[Object] = []
        """The Events that `emit_event` was given, in order."""
        self._logs = recording.logs
        self._unread = {(unread.look, unread.resource, unread.namespace): unread for unread in recording.unread}
        self._objects: dict[Resource, dict[_Key, Object]] = {resource: {} for resource in Resource}
        for obj in recording.objects:
            if (resource := resource_of(obj)) is not None:
                key = _key(resource, objects.namespace(obj), objects.name(obj))
                self._objects[resource][key] = obj
        self._version = max((_version_of(obj) for obj in recording.objects), default=0)

    @property
    def recorded(self) -> bool:
        return True

    @property
    def traffic(self) -> None:
        return None

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        if _key(resource, namespace, name) not in self._objects[resource]:
            self._must_be_known(Look.GET, resource, namespace)
        return _copied(self._stored(resource, namespace, name))

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        labels: dict[str, str] | None = None,
        fields: dict[str, str] | None = None,
    ) -> list[Object]:
        """In the order of the API server. `fields` may name any path; an absent value equals an empty text."""
        self._must_be_known(Look.LIST, resource, namespace)
        return [
            _copied(obj)
            for key, obj in sorted(self._objects[resource].items(), key=_storage_order)
            if (namespace is None or not resource.namespaced or key[0] == namespace)
            and _selected(obj, labels or {}, fields or {})
        ]

    async def pod_logs(
        self, namespace: str, pod: str, container: str, *, previous: bool = False, tail_lines: int = 200
    ) -> str:
        text = self._logs.get((namespace, pod, container, previous))
        if text is None:
            self._must_be_known(Look.LOG, Resource.PODS, namespace)
            which = "previous log" if previous else "log"
            raise NotFound(f"no {which} recorded for container {container} of pod {namespace}/{pod}")
        lines = text.splitlines(keepends=True)
        return "".join(lines[-tail_lines:] if tail_lines > 0 else [])

    async def write(self, write: Write, *, dry_run: bool = False) -> Object:
        match write.verb:
            case WriteVerb.PATCH:
                answer = self._patch(write, dry_run)
            case WriteVerb.DELETE:
                answer = self._delete(write, dry_run)
            case WriteVerb.CREATE if write.subresource == "eviction":
                answer = self._evict(write, dry_run)
            case WriteVerb.CREATE:
                answer = self._create(write, dry_run)
        if not dry_run:
            self.accepted_writes.append(replace(write, body=_copied(write.body)))
        return _copied(answer)

    async def emit_event(self, event: Object) -> None:
        """Stores a core/v1 Event; one with `generateName` gets a name. Raises Refused for an Event without either."""
        number = len(self.events_emitted) + 1
        metadata = dict(event.get("metadata") or {})
        prefix = metadata.pop("generateName", None)
        if prefix and not metadata.get("name"):
            metadata["name"] = f"{prefix}{number:05d}"
        if not metadata.get("name") or not metadata.get("namespace"):
            raise Refused("Event is invalid: metadata.name and metadata.namespace: Required value")
        named = _copied({"apiVersion": "v1", "kind": "Event", **event, "metadata": metadata})
        self._insert(Resource.EVENTS, named, dry_run=False)
        self.events_emitted.append(_copied(event))

    async def close(self) -> None:
        return None

    def _must_be_known(self, look: Look, resource: Resource, namespace: str | None) -> None:
        """Raises what the recording's maker was told, where this could not be read then."""
        if unread := self._unread.get((look, resource, namespace)):
            raise unread.error

    def _stored(self, resource: Resource, namespace: str | None, name: str) -> Object:
        obj = self._objects[resource].get(_key(resource, namespace, name))
        if obj is None:
            raise NotFound(f'{admission.qualified(resource)} "{name}" not found')
        return obj

    def _patch(self, write: Write, dry_run: bool) -> Object:
        admission.check_patchable(write.resource, write.subresource)
        before = self._stored(write.resource, write.namespace, write.name)
        if write.body.get("metadata", {}) is None:
            raise Refused(f"{admission.qualified(write.resource)}: a patch cannot remove the metadata")
        metadata = _part(write.body, "metadata")
        _check_preconditions(write, before, uid=metadata.get("uid"), resource_version=metadata.get("resourceVersion"))
        content = {key: value for key, value in metadata.items() if key not in {"uid", "resourceVersion"}}
        body = {key: value for key, value in write.body.items() if key != "metadata"}
        merged = strategic_merge.apply(before, {**body, "metadata": content} if content else body)
        after = admission.settled(before, merged, write.resource, write.subresource)
        admission.check_update(before, after, write.resource)
        if after == before:
            return before
        after["metadata"] = dict(after["metadata"])
        if write.resource in _COUNTS_GENERATIONS and _needs_generation(before, after, write.resource):
            after["metadata"]["generation"] = int(before["metadata"].get("generation") or 1) + 1
        if dry_run:
            return after
        return self._store(write.resource, after)

    def _delete(self, write: Write, dry_run: bool) -> Object:
        if write.subresource is not None:
            raise Refused(f"{admission.qualified(write.resource)}/{write.subresource} cannot be deleted")
        obj = self._stored(write.resource, write.namespace, write.name)
        given = _part(write.body, "preconditions")
        _check_preconditions(write, obj, uid=given.get("uid"), resource_version=given.get("resourceVersion"))
        if not dry_run:
            self._remove(write.resource, obj)
        return obj

    def _evict(self, write: Write, dry_run: bool) -> Object:
        if write.resource is not Resource.PODS:
            raise Refused(f"{admission.qualified(write.resource)}/eviction: only pods can be evicted")
        pod = self._stored(Resource.PODS, write.namespace, write.name)
        if _part(write.body, "metadata").get("name", write.name) != write.name:
            raise Refused("name in URL does not match name in Eviction object")
        given = _part(_part(write.body, "deleteOptions"), "preconditions")
        _check_preconditions(write, pod, uid=given.get("uid"), resource_version=given.get("resourceVersion"))
        budget = eviction.budget_after(pod, self._objects[Resource.POD_DISRUPTION_BUDGETS].values())
        if not dry_run:
            if budget is not None:
                self._store(Resource.POD_DISRUPTION_BUDGETS, budget)
            self._remove(Resource.PODS, pod)
        return _EVICTED

    def _create(self, write: Write, dry_run: bool) -> Object:
        if write.subresource is not None:
            raise Refused(f"{admission.qualified(write.resource)}/{write.subresource} cannot be created")
        metadata = _part(write.body, "metadata")
        named = {"name": write.name, **({"namespace": write.namespace} if write.resource.namespaced else {})}
        if any(metadata.get(field, value) != value for field, value in named.items()):
            raise Refused(f"the object's name and namespace do not match {write.namespace}/{write.name}")
        kinds = {"apiVersion": write.resource.api_version, "kind": write.resource.kind}
        obj = {**kinds, **write.body, "metadata": {**metadata, **named}}
        if resource_of(obj) is not write.resource:
            raise Refused(f"{obj.get('apiVersion')} {obj.get('kind')} is no {admission.qualified(write.resource)}")
        admission.check_create(obj, write.resource)
        return self._insert(write.resource, _copied(obj), dry_run=dry_run)

    def _insert(self, resource: Resource, obj: Object, *, dry_run: bool) -> Object:
        """Gives a new object what the server gives it; the time it does not know."""
        name, namespace = objects.name(obj), objects.namespace(obj)
        if _key(resource, namespace, name) in self._objects[resource]:
            raise Conflict(f'{admission.qualified(resource)} "{name}" already exists')
        obj["metadata"]["uid"] = str(uuid5(NAMESPACE_URL, f"{resource.name}/{namespace}/{name}/{self._version}"))
        obj["metadata"].pop("resourceVersion", None)
        if resource in _COUNTS_GENERATIONS:
            obj["metadata"]["generation"] = 1
        return obj if dry_run else self._store(resource, obj)

    def _store(self, resource: Resource, obj: Object) -> Object:
        """Keeps an object under a new resourceVersion."""
        self._version += 1
        stored = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self._version)}}
        self._objects[resource][_key(resource, objects.namespace(obj), objects.name(obj))] = stored
        return stored

    def _remove(self, resource: Resource, obj: Object) -> None:
        self._version += 1
        del self._objects[resource][_key(resource, objects.namespace(obj), objects.name(obj))]


def _key(resource: Resource, namespace: str | None, name: str) -> _Key:
    return (namespace or None) if resource.namespaced else None, name


def _storage_order(stored: tuple[_Key, Object]) -> str:
    """etcd's order: by the text of namespace/name."""
    namespace, name = stored[0]
    return f"{namespace}/{name}" if namespace else name


def _copied(obj: Object) -> Object:
    copied: Object = copy(obj)
    return copied


def _version_of(obj: Object) -> int:
    """The resourceVersion as a number, 0 where there is none or it is opaque."""
    metadata = obj.get("metadata")
    text = str(metadata.get("resourceVersion")) if isinstance(metadata, dict) else ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else 0


def _part(body: Object, field: str) -> Object:
    """An object inside a request's body, {} where it is absent. Raises Refused where it is something else."""
    part = body.get(field)
    if part is None:
        return {}
    if not isinstance(part, dict):
        raise Refused(f"{field} is not an object")
    return part


def _check_preconditions(write: Write, obj: Object, *, uid: Any, resource_version: Any) -> None:
    """Both the preconditions beside the body and those in it must hold. Raises Conflict."""
    what = f'Operation cannot be fulfilled on {admission.qualified(write.resource)} "{write.name}"'
    for wanted in (write.uid, uid):
        if wanted is not None and wanted != objects.uid(obj):
            raise Conflict(
                f"{what}: the UID in the precondition ({wanted}) does not match the UID in record "
                f"({objects.uid(obj)}). The object might have been deleted and then recreated"
            )
    for wanted in (write.resource_version, resource_version):
        if wanted is not None and wanted != objects.resource_version(obj):
            raise Conflict(
                f"{what}: the object has been modified; please apply your changes to the latest version and try "
                f"again (resourceVersion {wanted} was expected and is {objects.resource_version(obj)})"
            )


def _needs_generation(before: Object, after: Object, resource: Resource) -> bool:
    """A new spec is a new generation; a Deployment's annotations count too, for they are copied to ReplicaSets."""
    if before.get("spec") != after.get("spec"):
        return True
    return resource is Resource.DEPLOYMENTS and objects.annotations(before) != objects.annotations(after)


def _selected(obj: Object, labels: dict[str, str], fields: dict[str, str]) -> bool:
    found = objects.labels(obj)
    if any(found.get(key) != value for key, value in labels.items()):
        return False
    return all(_field(obj, path) == value for path, value in fields.items())


def _field(obj: Any, path: str) -> str:
    """The value at a dotted path as a field selector compares it: text, empty where it is absent."""
    for part in path.split("."):
        obj = obj.get(part) if isinstance(obj, dict) else None
    if isinstance(obj, bool):
        return str(obj).lower()
    return "" if obj is None else str(obj)
