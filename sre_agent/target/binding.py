"""From what the labels name to the object in the cluster. Called once per run, by the executor.

Protects two rules: what is bound exists and is the very object (uid), not a namesake or a successor; and no other
namespace is ever searched. Everything that does not fit is an `Unbound` with the reason.
"""

from collections.abc import Iterable

from sre_agent.alert import Alert
from sre_agent.cluster.port import RESOURCE_OF_KIND, Cluster, NotFound, Resource
from sre_agent.diagnosis import NEAR_LIMIT_ALERTS, symptomatic_containers
from sre_agent.objects import (
    Object,
    containers,
    controlled_by,
    controller_of,
    created_at,
    init_containers,
    labels,
    name,
    newest_revision_first,
    pod_finished,
    pod_ready,
    restarts,
    terminating,
    uid,
)
from sre_agent.target.labels import WORKLOAD_LABELS, AlertSubject, describe, pod_hint
from sre_agent.target.types import Subject, Target, Unbound

CONTROLLER_KINDS = frozenset(WORKLOAD_LABELS.values())


async def bind(alert: Alert, subject: Subject | None, cluster: Cluster) -> Target | Unbound:
    """The one object that the alert is about, or the reason why there is none.

    Raises ClusterError (but NotFound, which is an answer) where the cluster could not be asked.
    """
    named = describe(alert.labels, subject)
    if subject is None:
        return Unbound(reason="the labels name neither a workload, nor a pod, nor a node")
    if subject is Subject.NODE:
        return await _bind_node(named, cluster)
    if named.namespace is None:
        return Unbound(reason="the alert has no label `namespace`; no other namespace is searched")
    if named.workload_kind is not None and named.workload_name is not None:
        return await _bind_workload(alert, named.namespace, named.workload_kind, named.workload_name, cluster)
    if named.pod is not None:
        return await _bind_pod(alert, named.namespace, named.pod, named, cluster)
    hint = pod_hint(alert.labels)
    if hint.pod is None:
        return Unbound(reason="the alert names neither a workload nor a pod; its other labels are not guessed from")
    if await _get(cluster, Resource.PODS, named.namespace, hint.pod) is None:
        return Unbound(
            reason=f"there is no pod {hint.pod} in namespace {named.namespace} (label `exported_namespace`): "
            "the label `pod` is the exporter's, or the pod is gone"
        )
    return await _bind_pod(alert, named.namespace, hint.pod, hint, cluster)


async def _bind_node(named: AlertSubject, cluster: Cluster) -> Target | Unbound:
    if named.node is None:
        return Unbound(reason="the alert has no label `node`; `instance` is the exporter's address, not a node")
    node = await _get(cluster, Resource.NODES, None, named.node)
    if node is None:
        return Unbound(reason=f"there is no node {named.node} in the cluster", settled=True)
    return Target(kind="Node", namespace=None, name=named.node, uid=uid(node))


async def _bind_workload(alert: Alert, namespace: str, kind: str, workload: str, cluster: Cluster) -> Target | Unbound:
    """The workload, its topmost known controller, and the pod of the label, else the one that stands for it.

    A pod or container label counts only where it fits the workload; where it does not, it is the exporter's.
    """
    obj = await _get(cluster, RESOURCE_OF_KIND[kind], namespace, workload)
    if obj is None:
        return Unbound(reason=f"there is no {kind} {workload} in namespace {namespace}")
    kind, obj = await _topmost(cluster, namespace, kind, obj)
    hint = pod_hint(alert.labels)
    pod = await _hinted_pod(cluster, namespace, hint, uid(obj))
    if pod is None:
        pod = representative(await _pods_newest_revision(cluster, namespace, kind, obj))
    return Target(
        kind=kind,
        namespace=namespace,
        name=name(obj),
        uid=uid(obj),
        container=_container(alert, pod, hint.container) if pod else None,
        pod=name(pod) if pod else None,
        pod_uid=uid(pod) if pod else None,
    )


async def _hinted_pod(cluster: Cluster, namespace: str, hint: AlertSubject, workload_uid: str | None) -> Object | None:
    """The pod of the label, where it is there and its owners lead to the workload by uid."""
    pod = None if hint.pod is None else await _get(cluster, Resource.PODS, namespace, hint.pod)
    if pod is None or hint.pod_uid not in {None, uid(pod)}:
        return None
    _, _, owner_uid = await _controller(cluster, namespace, pod)
    return pod if owner_uid is not None and owner_uid == workload_uid else None


async def _bind_pod(
    alert: Alert, namespace: str, pod_name: str, named: AlertSubject, cluster: Cluster
) -> Target | Unbound:
    """The pod of the label and the controller above it, each link checked by uid."""
    pod = await _get(cluster, Resource.PODS, namespace, pod_name)
    if pod is None:
        return Unbound(
            reason=f"there is no pod {namespace}/{pod_name} (gone, or never there); nothing is done to another one "
            "because of it",
            settled=True,
        )
    if named.pod_uid is not None and uid(pod) != named.pod_uid:
        return Unbound(
            reason=f"pod {namespace}/{pod_name} is another one now (uid {uid(pod)}, the alert's was "
            f"{named.pod_uid}); nothing is done to a successor because of it",
            settled=True,
        )
    known = _container_names(pod)
    if named.container is not None and named.container not in known:
        return Unbound(
            reason=f"pod {namespace}/{pod_name} has no container {named.container}; it has {', '.join(known)}"
        )
    kind, workload, workload_uid = await _controller(cluster, namespace, pod)
    return Target(
        kind=kind,
        namespace=namespace,
        name=workload,
        uid=workload_uid,
        container=named.container or _container(alert, pod),
        pod=pod_name,
        pod_uid=uid(pod),
    )


async def _controller(cluster: Cluster, namespace: str, pod: Object) -> tuple[str, str, str | None]:
    """(kind, name, uid) of the topmost controller found above a pod; the pod itself where none is known.

    A controller that is missing or has another uid is named as the pod names it: nothing is written to it, and
    diagnosis still works.
    """
    reference = controller_of(pod)
    if reference is None or not _known(reference):
        return "Pod", name(pod), uid(pod)
    owner = await _owner(cluster, namespace, reference)
    if owner is None:
        return str(reference["kind"]), str(reference.get("name")), reference.get("uid")
    kind, topmost = await _topmost(cluster, namespace, str(reference["kind"]), owner)
    return kind, name(topmost), uid(topmost)


async def _topmost(cluster: Cluster, namespace: str, kind: str, obj: Object) -> tuple[str, Object]:
    """The Deployment above a ReplicaSet, where it is there and is the same by uid; else the object itself."""
    reference = controller_of(obj)
    if kind == "ReplicaSet" and reference is not None and reference.get("kind") == "Deployment":
        deployment = await _owner(cluster, namespace, reference)
        if deployment is not None:
            return "Deployment", deployment
    return kind, obj


async def _owner(cluster: Cluster, namespace: str, reference: Object) -> Object | None:
    """The object that an owner reference names, None where it is missing or has another uid."""
    if not _known(reference):
        return None
    owner = await _get(cluster, RESOURCE_OF_KIND[reference["kind"]], namespace, str(reference.get("name")))
    return owner if owner is not None and uid(owner) is not None and uid(owner) == reference.get("uid") else None


def _known(reference: Object) -> bool:
    """Whether the reference is to a built-in controller; a kind of the same name in another group is not."""
    kind = reference.get("kind")
    if kind not in CONTROLLER_KINDS:
        return False
    return str(reference.get("apiVersion", "")).partition("/")[0] == RESOURCE_OF_KIND[kind].group


async def _pods_newest_revision(cluster: Cluster, namespace: str, kind: str, obj: Object) -> list[Object]:
    """The pods of the workload's newest revision, found through their owners' uids."""
    pods = await cluster.list(Resource.PODS, namespace)
    if kind == "Deployment":
        owned = [
            entry for entry in await cluster.list(Resource.REPLICA_SETS, namespace) if controlled_by(entry, uid(obj))
        ]
        newest = next(iter(newest_revision_first(owned)), {})
        return [pod for pod in pods if controlled_by(pod, uid(newest))]
    pods = [pod for pod in pods if controlled_by(pod, uid(obj))]
    revision = obj.get("status", {}).get("updateRevision")
    updated = [pod for pod in pods if labels(pod).get("controller-revision-hash") == revision]
    return updated if revision and updated else pods


def representative(pods: Iterable[Object]) -> Object | None:
    """The pod that stands for a workload: one that is not Ready before one that is, then most restarts.

    Pods that are being deleted are left out. Finished ones come last; ties go to the younger pod, then by name.
    """

    def rank(pod: Object) -> tuple[bool, bool, int, float, str]:
        born = created_at(pod)
        age_key = -born.timestamp() if born else 0.0
        return pod_finished(pod), pod_ready(pod), -restarts(pod), age_key, name(pod)

    return min((pod for pod in pods if not terminating(pod)), key=rank, default=None)


def _container_names(pod: Object) -> list[str]:
    return [str(entry.get("name")) for entry in [*containers(pod), *init_containers(pod)]]


def _container(alert: Alert, pod: Object, hint: str | None = None) -> str | None:
    """The container of the hint, where the pod has it; else the only one with a symptom, else the only one.

    A near-limit alert shows nothing in status; what some container does show there is another problem.
    """
    if hint in _container_names(pod):
        return hint
    symptomatic = [] if alert.name in NEAR_LIMIT_ALERTS else symptomatic_containers(pod)
    if symptomatic:
        return symptomatic[0] if len(symptomatic) == 1 else None
    main = containers(pod)
    return str(main[0].get("name")) if len(main) == 1 else None


async def _get(cluster: Cluster, resource: Resource, namespace: str | None, wanted: str) -> Object | None:
    try:
        return await cluster.get(resource, namespace, wanted)
    except NotFound:
        return None
