"""The objects of a recording on a real API server, as they were when they were recorded.

Each is created through the API first, its status too, so that the server itself judges whether it can live there. Then
what was recorded is written over it in etcd: no API lets anybody set uid, times, generation and field managers.
"""

import json
from collections.abc import AsyncIterator, Iterator

from sre_agent.cluster.port import Cluster, NotFound, Resource
from sre_agent.cluster.recording import LogKey
from sre_agent.objects import Object, containers, name, namespace
from tests.control_plane.api import CLUSTERS_OWN
from tests.control_plane.plane import ControlPlane
from tests.live.recorded_kubelet import RecordedKubelet

CUSTOM = {Resource.VERTICAL_POD_AUTOSCALERS, Resource.POD_METRICS}
FIRST = (Resource.NAMESPACES, Resource.NODES)
LAST = (Resource.RESOURCE_QUOTAS, Resource.LIMIT_RANGES)
"""They judge what is created after them; what was recorded beside them was there before."""
IN_ORDER = (*FIRST, *(resource for resource in Resource if resource not in {*FIRST, *LAST}), *LAST)

ALL_LINES = 1_000_000

Objects = dict[Resource, dict[tuple[str, str], Object]]
"""By kind, then by (namespace, name)."""


class RecordedStage:
    """A control plane without controllers, which shows one recording after the other."""

    def __init__(self, plane: ControlPlane, kubelet: RecordedKubelet) -> None:
        self.plane = plane
        self._kubelet = kubelet
        self._own_namespaces = plane.etcd.below(_prefix(Resource.NAMESPACES))

    async def show(self, recorded: Cluster) -> None:
        """The cluster holds what the recorded one holds, and nothing else but the namespaces of its objects."""
        self.clear()
        found: Objects = {
            resource: {(namespace(obj), name(obj)): obj for obj in await recorded.list(resource)}
            for resource in IN_ORDER
        }
        await self._give_logs(recorded, found)
        for obj in [*_unrecorded_namespaces(found), *_each(found)]:
            if obj["kind"] != "Namespace" or name(obj) not in CLUSTERS_OWN:
                self.plane.api.create(obj)
        for resource, objects in found.items():
            for place, obj in objects.items():
                key = _prefix(resource) + "/".join(part for part in place if part)
                self.plane.etcd.put(key, json.dumps(obj).encode())

    def clear(self) -> None:
        """The cluster as it was before anything was shown."""
        etcd, spaces = self.plane.etcd, _prefix(Resource.NAMESPACES)
        for resource in Resource:
            if resource is not Resource.NAMESPACES:
                etcd.delete_below(_prefix(resource))
        for key in etcd.below(spaces).keys() - self._own_namespaces.keys():
            etcd.delete(key)
        for key, value in self._own_namespaces.items():
            etcd.put(key, value)

    async def _give_logs(self, recorded: Cluster, found: Objects) -> None:
        """The kubelet of a pod's node, which is recorded too, tells the pod's logs."""
        logs: dict[LogKey, str] = {}
        for pod in found[Resource.PODS].values():
            told = {key: text async for key, text in _logs_of(recorded, pod)}
            if told:
                place = ("", pod["spec"]["nodeName"])
                found[Resource.NODES][place] = self._kubelet.on(found[Resource.NODES][place])
            logs |= told
        self._kubelet.logs = logs


async def _logs_of(recorded: Cluster, pod: Object) -> AsyncIterator[tuple[LogKey, str]]:
    for container in containers(pod):
        for previous in (False, True):
            key = (namespace(pod), name(pod), container["name"], previous)
            try:
                yield key, await recorded.pod_logs(*key[:3], previous=previous, tail_lines=ALL_LINES)
            except NotFound:
                continue


def _each(found: Objects) -> Iterator[Object]:
    return (obj for objects in found.values() for obj in objects.values())


def _unrecorded_namespaces(found: Objects) -> list[Object]:
    """Those that hold recorded objects and were not recorded themselves: the server wants them to be there."""
    known = {name(space) for space in found[Resource.NAMESPACES].values()}
    needed = {namespace(obj) for obj in _each(found)} - known - {""}
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}} for space in sorted(needed)]


def _prefix(resource: Resource) -> str:
    """Where the API server keeps the objects of a kind in etcd."""
    if resource in CUSTOM:
        return f"/registry/{resource.group}/{resource.plural}/"
    return f"/registry/{'minions' if resource is Resource.NODES else resource.plural}/"
