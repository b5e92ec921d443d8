"""What was read of the cluster about one target, at one moment: the objects that tools and guards judge.

Read by `read_workload` and `read_node` right before a judgement; pure code works on the result. A part that could
not be read (forbidden, unreachable), or that the tool does not look at, is None, and whoever needs it must say no; an
empty tuple means it was read and nothing is there.
"""

import asyncio
from collections.abc import Iterator, Set
from dataclasses import dataclass
from datetime import UTC, datetime

from sre_agent.cluster.port import RESOURCE_OF_KIND, Cluster, ClusterError, NotFound, Resource
from sre_agent.objects import (
    Object,
    controlled_by,
    controller_of,
    event_time,
    labels,
    matches,
    name,
    namespace,
    newest_revision_first,
    uid,
)
from sre_agent.target import Target


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkloadEvidence:
    """A workload, its pods and what surrounds them.

    pod           the pod the alert is about, as it is now; None when it is gone
    controller    the object of `target.kind` (Deployment, StatefulSet, ...); None for a bare pod or when gone
    replica_sets  the Deployment's own ReplicaSets (by owner uid), newest revision first
    pods          all pods of the workload, every revision, the representative included
    selected      pods that the Deployment's selector selects and that are not among `pods`: their ReplicaSet was
                  not read, or is another's
    events        core/v1 Events of the pod (involvedObject uid, else name), oldest first
    node          the pod's node, {} where it has none or the cluster does not know it
    namespace     the Namespace object ({} where it has none in a snapshot)
    quotas, limit_ranges, autoscalers (HPA), vertical_autoscalers: of the namespace, unfiltered
    metrics       the pod's PodMetrics; an empty dict when metrics.k8s.io has none
    metrics_served  whether metrics.k8s.io has PodMetrics of any pod of the cluster: without, there is no such API
    """

    target: Target
    read_at: datetime
    pod: Object | None
    controller: Object | None
    replica_sets: tuple[Object, ...] = ()
    pods: tuple[Object, ...] = ()
    selected: tuple[Object, ...] = ()
    events: tuple[Object, ...] | None = ()
    node: Object | None = None
    namespace: Object | None = None
    quotas: tuple[Object, ...] | None = ()
    limit_ranges: tuple[Object, ...] | None = ()
    autoscalers: tuple[Object, ...] | None = ()
    vertical_autoscalers: tuple[Object, ...] | None = ()
    metrics: Object | None = None
    metrics_served: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeEvidence:
    """A node, its pods and its peers.

    nodes         all nodes of the cluster, this one included
    pods          all pods whose spec.nodeName is this node
    workload_pods all pods of the cluster (for ready replicas elsewhere); None when they could not be read
    daemon_sets   by (namespace, name)
    controllers   by (kind, namespace, name): the cluster's ReplicaSets with their Deployments, StatefulSets and
                  Jobs, each kind only where it controls some of those pods
    budgets       all PodDisruptionBudgets of the cluster
    namespaces    all namespaces of the cluster, by name
    """

    target: Target
    read_at: datetime
    node: Object | None
    nodes: tuple[Object, ...] | None = ()
    pods: tuple[Object, ...] | None = ()
    workload_pods: tuple[Object, ...] | None = ()
    daemon_sets: dict[tuple[str, str], Object] | None = None
    controllers: dict[tuple[str, str, str], Object] | None = None
    budgets: tuple[Object, ...] | None = ()
    namespaces: dict[str, Object] | None = None


Evidence = WorkloadEvidence | NodeEvidence
Kinds = Set[Resource]

EVERYTHING: Kinds = frozenset(Resource)
CONTROLLERS = (Resource.REPLICA_SETS, Resource.DEPLOYMENTS, Resource.STATEFUL_SETS, Resource.JOBS)
"""What may hold the pods of a node that a drain moves, in the order in which they are read."""


async def read_workload(
    cluster: Cluster, target: Target, now: datetime, *, looks: Kinds = EVERYTHING
) -> WorkloadEvidence:
    """Reads a workload target and what surrounds it with few requests, at once.

    Raises ClusterError where controller or pods cannot be read: without them there is nothing to judge. Everything
    around them is None where it cannot be read; what surrounds the pod also where its kind is not among `looks`.
    """
    if target.namespace is None:
        raise ValueError(f"{target.key} is not a workload: it has no namespace")
    space = target.namespace
    controller, every_pod, every_set = await asyncio.gather(
        _controller(cluster, target),
        cluster.list(Resource.PODS, space),
        cluster.list(Resource.REPLICA_SETS, space) if target.kind == "Deployment" else _nothing(),
    )
    pod = next((entry for entry in every_pod if name(entry) == target.pod and uid(entry) == target.pod_uid), None)
    replica_sets = newest_revision_first(entry for entry in every_set if controlled_by(entry, target.uid))
    owners = [target.uid, *(uid(entry) for entry in replica_sets)]
    pods = [entry for entry in every_pod if any(controlled_by(entry, owner) for owner in owners)]
    if target.kind == "Pod" and pod is not None:
        pods = [pod]
    events, quotas, limit_ranges, autoscalers, vertical_autoscalers = await asyncio.gather(
        _events_or_none(cluster, space, pod),
        _list_or_none(cluster, Resource.RESOURCE_QUOTAS, space, looks),
        _list_or_none(cluster, Resource.LIMIT_RANGES, space, looks),
        _list_or_none(cluster, Resource.HORIZONTAL_POD_AUTOSCALERS, space, looks),
        _list_or_none(cluster, Resource.VERTICAL_POD_AUTOSCALERS, space, looks),
    )
    node, space_object, metrics = await asyncio.gather(
        _get_or_none(cluster, Resource.NODES, None, (pod or {}).get("spec", {}).get("nodeName"), looks),
        _get_or_none(cluster, Resource.NAMESPACES, None, space, looks),
        _get_or_none(cluster, Resource.POD_METRICS, space, target.pod, looks),
    )
    return WorkloadEvidence(
        target=target,
        read_at=now,
        pod=pod,
        controller=controller,
        replica_sets=tuple(replica_sets),
        pods=tuple(pods),
        selected=tuple(_selected(controller, every_pod, pods)),
        events=events,
        node=node,
        namespace=space_object,
        quotas=quotas,
        limit_ranges=limit_ranges,
        autoscalers=autoscalers,
        vertical_autoscalers=vertical_autoscalers,
        metrics=metrics,
        metrics_served=True if metrics else await _metrics_served(cluster, space, looks),
    )


async def read_pod(cluster: Cluster, target: Target) -> tuple[Object | None, tuple[Object, ...] | None]:
    """The bound pod alone, None when it is gone, and its Events, None where they cannot be read.

    Raises ClusterError where the pod cannot be read.
    """
    if target.namespace is None:
        raise ValueError(f"{target.key} is not a workload: it has no namespace")
    pod = await _bound(cluster, Resource.PODS, target.namespace, target.pod, target.pod_uid)
    return pod, await _events_or_none(cluster, target.namespace, pod)


def _selected(controller: Object | None, every_pod: list[Object], known: list[Object]) -> Iterator[Object]:
    """The pods beside the known ones that the controller's selector selects."""
    selector, names = (controller or {}).get("spec", {}).get("selector"), {name(pod) for pod in known}
    return (pod for pod in every_pod if name(pod) not in names and matches(selector, labels(pod)))


async def _metrics_served(cluster: Cluster, space: str, looks: Kinds) -> bool | None:
    """Whether there are PodMetrics of any pod, None where they cannot be listed; the namespace is asked first."""
    near = await _list_or_none(cluster, Resource.POD_METRICS, space, looks)
    anywhere = near or await _list_or_none(cluster, Resource.POD_METRICS, None, looks)
    return None if anywhere is None else bool(anywhere)


async def _controller(cluster: Cluster, target: Target) -> Object | None:
    """The bound controller, None for a bare pod and where it is gone or another one."""
    if target.kind not in RESOURCE_OF_KIND or target.kind == "Pod":
        return None
    return await _bound(cluster, RESOURCE_OF_KIND[target.kind], target.namespace, target.name, target.uid)


async def _bound(
    cluster: Cluster, resource: Resource, space: str | None, wanted: str | None, bound_uid: str | None
) -> Object | None:
    """The object that was bound, None where it is gone or another one of its name is there now."""
    if wanted is None:
        return None
    try:
        obj = await cluster.get(resource, space, wanted)
    except NotFound:
        return None
    return obj if uid(obj) == bound_uid else None


async def _nothing() -> list[Object]:
    return []


async def events_of(
    cluster: Cluster, resource: Resource, space: str, wanted: str, object_uid: str | None
) -> tuple[Object, ...]:
    """The Events about one object, oldest first. Those of a namesake with another uid are left out.

    Raises ClusterError.
    """
    about = {"involvedObject.name": wanted, "involvedObject.kind": resource.kind}
    told = await cluster.list(Resource.EVENTS, space, fields=about)
    own = [event for event in told if (event.get("involvedObject") or {}).get("uid") in {None, "", object_uid}]
    return tuple(sorted(own, key=lambda event: event_time(event) or datetime.min.replace(tzinfo=UTC)))


async def _events_or_none(cluster: Cluster, space: str, pod: Object | None) -> tuple[Object, ...] | None:
    """The Events about the pod, () where there is none; None where they cannot be read."""
    try:
        return () if pod is None else await events_of(cluster, Resource.PODS, space, name(pod), uid(pod))
    except ClusterError:
        return None


async def _get_or_none(
    cluster: Cluster, resource: Resource, space: str | None, wanted: str | None, looks: Kinds
) -> Object | None:
    """One object; {} where there is none, None where it cannot be read."""
    if resource not in looks:
        return None
    if wanted is None:
        return {}
    try:
        return await cluster.get(resource, space, wanted)
    except NotFound:
        return {}
    except ClusterError:
        return None


async def read_node(cluster: Cluster, target: Target, now: datetime, *, looks: Kinds = EVERYTHING) -> NodeEvidence:
    """Reads everything about a node target with few requests: at most ten, five of them at once.

    A part that cannot be read, or is of no kind among `looks`, is None. `node` None means that there is no such node:
    where the nodes can neither be listed nor this one be read, ClusterError is raised. Who looks at no controllers
    gets the pods of this node alone.
    """
    here = {"spec.nodeName": target.name} if looks.isdisjoint(CONTROLLERS) else None
    nodes, pods, budgets, daemon_sets, namespaces = await asyncio.gather(
        _list_or_none(cluster, Resource.NODES, None, looks),
        _list_or_none(cluster, Resource.PODS, None, looks, here),
        _list_or_none(cluster, Resource.POD_DISRUPTION_BUDGETS, None, looks),
        _list_or_none(cluster, Resource.DAEMON_SETS, None, looks),
        _list_or_none(cluster, Resource.NAMESPACES, None, looks),
    )
    own_pods = None
    if pods is not None:
        own_pods = tuple(pod for pod in pods if pod.get("spec", {}).get("nodeName") == target.name)
    return NodeEvidence(
        target=target,
        read_at=now,
        node=await _node(cluster, target.name, nodes),
        nodes=nodes,
        pods=own_pods,
        workload_pods=None if here else pods,
        daemon_sets=None if daemon_sets is None else {(namespace(obj), name(obj)): obj for obj in daemon_sets},
        controllers=None if own_pods is None or here else await _controllers(cluster, own_pods),
        budgets=budgets,
        namespaces=None if namespaces is None else {name(obj): obj for obj in namespaces},
    )


async def read_nodes(cluster: Cluster) -> tuple[Object, ...] | None:
    """All nodes of the cluster, None where they cannot be read."""
    return await _list_or_none(cluster, Resource.NODES, None, frozenset({Resource.NODES}))


async def _list_or_none(
    cluster: Cluster, resource: Resource, space: str | None, looks: Kinds, fields: dict[str, str] | None = None
) -> tuple[Object, ...] | None:
    """All objects of a kind in one namespace or in all, None where they cannot be read."""
    if resource not in looks:
        return None
    try:
        return tuple(await cluster.list(resource, space, fields=fields))
    except ClusterError:
        return None


async def _node(cluster: Cluster, node: str, nodes: tuple[Object, ...] | None) -> Object | None:
    """The node out of the list; read alone only where the list could not be read."""
    if nodes is not None:
        return next((obj for obj in nodes if name(obj) == node), None)
    try:
        return await cluster.get(Resource.NODES, None, node)
    except NotFound:
        return None


async def _controllers(cluster: Cluster, pods: tuple[Object, ...]) -> dict[tuple[str, str, str], Object] | None:
    """All objects of the kinds that control some of these pods, None where one kind cannot be read."""
    kinds = {str(owner.get("kind")) for owner in map(controller_of, pods) if owner is not None}
    if Resource.REPLICA_SETS.kind in kinds:
        kinds.add(Resource.DEPLOYMENTS.kind)
    found: dict[tuple[str, str, str], Object] = {}
    for resource in CONTROLLERS:
        if resource.kind not in kinds:
            continue
        controllers = await _list_or_none(cluster, resource, None, EVERYTHING)
        if controllers is None:
            return None
        found |= {(resource.kind, namespace(obj), name(obj)): obj for obj in controllers}
    return found
