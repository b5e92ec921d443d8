"""Deployments whose container lacks memory, and the small objects that bound how much more it may get."""

from tests.unit.workload_objects import container, deployment, node, oom, pod, replica_set

TOOL = "increase_memory_limit"
NEAR = "KubePodMemoryNearLimit"
PATH = "spec.template.spec.containers[app].resources"
KILLED = (oom(),)


def world(*more, containers=None, in_pod=None, statuses=KILLED, spec=None, pod_fields=None, **fields):
    """A Deployment, its newest ReplicaSet, one pod and its node."""
    containers = containers or [container()]
    owner = deployment(containers=containers, spec=spec, **fields)
    newest = replica_set(owner)
    one = pod(owner=newest, containers=in_pod or containers, statuses=statuses, **(pod_fields or {}))
    return [owner, newest, one, *([] if any(entry["kind"] == "Node" for entry in more) else [node()]), *more]


def only(assessment):
    (judgement,) = assessment.judgements
    return judgement


def usage(amount, name="app", *, pod="app-2-a"):
    return {
        "apiVersion": "metrics.k8s.io/v1beta1",
        "kind": "PodMetrics",
        "metadata": {"name": pod, "namespace": "demo"},
        "containers": [{"name": name, "usage": {"memory": amount}}],
    }


def quota(hard, used=None, **spec):
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "q", "namespace": "demo"},
        "spec": {"hard": hard, **spec},
        "status": {"hard": hard, "used": used} if used is not None else {},
    }


def limit_range(kind, **bounds):
    limits = {"type": kind, **{field: {"memory": amount} for field, amount in bounds.items()}}
    return {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "lr", "namespace": "demo"},
        "spec": {"limits": [limits]},
    }


OPERATOR = {"apiVersion": "example.com/v1", "kind": "Cache", "metadata": {"name": "main", "uid": "uid-c"}}
