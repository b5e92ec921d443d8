"""The objects of a recording on a real API server, as they were when they were recorded.

Each is created through the API first, its status too, so that the server itself judges whether it can live there. Then
what was recorded is written over it in etcd: no API lets anybody set uid, times, generation and field managers.
"""

import json
from collections.abc import Iterable

from sre_agent.cluster.port import Cluster, Resource
from sre_agent.objects import Object
from tests.control_plane.api import CLUSTERS_OWN
from tests.control_plane.plane import ControlPlane

CUSTOM = {Resource.VERTICAL_POD_AUTOSCALERS, Resource.POD_METRICS}
FIRST = (Resource.NAMESPACES, Resource.NODES)
LAST = (Resource.RESOURCE_QUOTAS, Resource.LIMIT_RANGES)
"""Created when everything else is there: they judge what is created after them."""


class RecordedStage:
    """A control plane without controllers, on which one recording after the other is put."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        self._own_namespaces = plane.etcd.below(_prefix(Resource.NAMESPACES))

    async def show(self, recorded: Cluster) -> None:
        """The cluster holds what the recorded one holds, and the namespaces that its objects are in."""
        self.clear()
        found = {resource: await recorded.list(resource) for resource in _in_order()}
        self._make_namespaces(found[Resource.NAMESPACES], [obj for objects in found.values() for obj in objects])
        for resource, objects in found.items():
            for obj in objects:
                if resource is not Resource.NAMESPACES:
                    self.plane.api.create(obj)
        for resource, objects in found.items():
            for obj in objects:
                self.plane.etcd.put(_key(resource, obj), json.dumps(obj).encode())

    def clear(self) -> None:
        """The cluster as it was before anything was shown."""
        etcd = self.plane.etcd
        for resource in Resource:
            if resource is not Resource.NAMESPACES:
                etcd.delete_below(_prefix(resource))
        for key in etcd.below(_prefix(Resource.NAMESPACES)).keys() - self._own_namespaces.keys():
            etcd.delete(key)
        for key, value in self._own_namespaces.items():
            etcd.put(key, value)

    def _make_namespaces(self, recorded: Iterable[Object], objects: Iterable[Object]) -> None:
        needed = {obj["metadata"]["name"]: obj for obj in recorded}
        for name in {obj["metadata"].get("namespace") for obj in objects} - {None}:
            needed.setdefault(name, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        for name, obj in needed.items():
            if name not in CLUSTERS_OWN:
                self.plane.api.create(obj)


def _in_order() -> list[Resource]:
    return [*FIRST, *(resource for resource in Resource if resource not in (*FIRST, *LAST)), *LAST]


def _prefix(resource: Resource) -> str:
    """Where etcd has the objects of a kind."""
    if resource in CUSTOM:
        return f"/registry/{resource.group}/{resource.plural}/"
    return f"/registry/{'minions' if resource is Resource.NODES else resource.plural}/"


def _key(resource: Resource, obj: Object) -> str:
    metadata = obj["metadata"]
    place = f"{metadata['namespace']}/" if resource.namespaced else ""
    return f"{_prefix(resource)}{place}{metadata['name']}"
