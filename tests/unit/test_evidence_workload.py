"""read_workload: one look at a workload and what surrounds it; what cannot be read is None, what is not there empty."""

import pytest

from sre_agent.cluster.port import Forbidden, Resource, TooManyRequests, Unavailable
from sre_agent.cluster.recorder import RecordingCluster
from sre_agent.evidence import read_pod, read_workload
from sre_agent.target import Target
from sre_agent.tools.registry import TOOLS
from tests.unit.workload_objects import (
    NOW,
    Away,
    alert,
    bound,
    cluster,
    controller,
    deployment,
    event,
    node,
    pod,
    replica_set,
    running,
)


def world():
    owner = deployment()
    old, new = replica_set(owner, revision=1, age=900), replica_set(owner)
    foreign = controller("ReplicaSet", "foreign", labels={"app": "app"})
    return [
        owner,
        old,
        new,
        foreign,
        pod(owner=new, statuses=(running(),)),
        pod("app-1-a", owner=old),
        pod("foreign-a", owner=foreign, labels={"app": "app"}),
        node(),
        event("BackOff", "newer", age=1),
        event("Started", "older", age=9),
        event("BackOff", "a namesake's", uid="uid-former"),
        event("FailedCreate", "quota", about="app-2", kind="ReplicaSet", container=None),
        event("Other", "x", about="app-1-a"),
    ]


def pod_metrics(name, *, namespace="demo"):
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "metrics.k8s.io/v1beta1", "kind": "PodMetrics", "metadata": metadata, "containers": []}


def names(found):
    return [entry["metadata"]["name"] for entry in found]


async def target(**labels):
    return (await bound(world(), **(labels or {"pod": "app-2-a"})))[1]


async def test_a_workload_is_read_with_what_its_uids_lead_to():
    bound_target = await target()
    found = await read_workload(cluster(*world()), bound_target, NOW)
    assert (found.target, found.read_at) == (bound_target, NOW)
    assert names([found.pod, found.controller, found.node]) == ["app-2-a", "app", "n1"]
    assert names(found.replica_sets) == ["app-2", "app-1"]
    assert sorted(names(found.pods)) == ["app-1-a", "app-2-a"]
    assert [entry["message"] for entry in found.events] == ["older", "newer"]
    assert names(found.selected) == ["foreign-a"]


async def test_what_is_not_there_is_an_answer_and_not_unknown():
    found = await read_workload(cluster(*world()), await target(), NOW)
    assert (found.namespace, found.metrics, found.metrics_served) == ({}, {}, False)
    assert (found.quotas, found.limit_ranges, found.autoscalers, found.vertical_autoscalers) == ((),) * 4


@pytest.mark.parametrize(
    ("metrics", "own", "served"),
    [
        pytest.param([], False, False, id="of no pod: there is no such API"),
        pytest.param([pod_metrics("app-2-a")], True, True, id="of this pod"),
        pytest.param([pod_metrics("neighbour")], False, True, id="of another pod of the namespace"),
        pytest.param([pod_metrics("stranger", namespace="other")], False, True, id="of a pod elsewhere"),
    ],
)
async def test_metrics_of_any_pod_show_that_the_api_is_there(metrics, own, served):
    found = await read_workload(cluster(*world(), *metrics), await target(), NOW)
    assert (bool(found.metrics), found.metrics_served) == (own, served)


async def test_pods_are_selected_only_by_the_selector_of_a_deployment_that_is_there():
    found = await read_workload(cluster(*world()[1:]), await target(), NOW)
    assert (found.controller, found.selected) == (None, ())


async def test_a_bare_pod_has_no_controller_and_is_its_only_pod():
    objects = [pod(node=None)]
    _, alone, _ = await bound(objects, pod="app-2-a")
    found = await read_workload(cluster(*objects), alone, NOW)
    assert (found.controller, names(found.pods), found.node) == (None, ["app-2-a"], {})


@pytest.mark.parametrize(
    ("spoil", "lost"),
    [
        pytest.param(lambda objects: objects.pop(4), "pod", id="the pod went away"),
        pytest.param(
            lambda objects: objects[4]["metadata"].update(uid="successor"), "pod", id="a successor of its name"
        ),
        pytest.param(lambda objects: objects.pop(0), "controller", id="the Deployment went away"),
        pytest.param(lambda objects: objects[0]["metadata"].update(uid="other"), "controller", id="a namesake"),
    ],
)
async def test_what_was_bound_and_is_gone_is_none(spoil, lost):
    bound_target, objects = await target(), world()
    spoil(objects)
    found = await read_workload(cluster(*objects), bound_target, NOW)
    assert getattr(found, lost) is None


async def test_a_workload_without_a_pod_is_read_without_one():
    _, empty, on = await bound([deployment()], deployment="app")
    found = await read_workload(on, empty, NOW)
    assert (found.pod, found.events, found.pods, names([found.controller])) == (None, (), (), ["app"])


@pytest.mark.parametrize(
    ("resource", "parts"),
    [
        (Resource.EVENTS, {"events"}),
        (Resource.NODES, {"node"}),
        (Resource.NAMESPACES, {"namespace"}),
        (Resource.RESOURCE_QUOTAS, {"quotas"}),
        (Resource.LIMIT_RANGES, {"limit_ranges"}),
        (Resource.HORIZONTAL_POD_AUTOSCALERS, {"autoscalers"}),
        (Resource.VERTICAL_POD_AUTOSCALERS, {"vertical_autoscalers"}),
        (Resource.POD_METRICS, {"metrics", "metrics_served"}),
    ],
)
async def test_a_part_that_cannot_be_read_is_none_and_the_others_are_there(resource, parts):
    found = await read_workload(Away(world(), resource), await target(), NOW)
    fields = ["pod", "controller", "events", "node", "namespace", "quotas", "limit_ranges", "autoscalers"]
    fields += ["vertical_autoscalers", "metrics", "metrics_served"]
    assert {field for field in fields if getattr(found, field) is None} == parts


def recording(*objects):
    return RecordingCluster(cluster(*objects), most=1000)


def asked(on):
    """The kinds that were read, each as often as it was asked for."""
    return sorted(answer.question.resource.kind for answer in on.answers for _ in range(answer.times))


OF_THE_WORKLOAD = ["Deployment", "Event", "Pod", "ReplicaSet"]
OF_ITS_ROOM = ["HorizontalPodAutoscaler", "LimitRange", "Node", "ResourceQuota", "VerticalPodAutoscaler"]


@pytest.mark.parametrize(
    ("tool", "about", "beside"),
    [
        ("fix_imagepullbackoff", "KubePodImagePullBackOff", ["Namespace"]),
        ("rollback_deployment", "KubePodCrashLoopBackOff", ["Namespace"]),
        ("delete_pod", "KubePodContainerCreatingStuck", ["Namespace"]),
        ("increase_memory_limit", "KubePodOOMKilled", ["Namespace", *OF_ITS_ROOM]),
        ("increase_memory_limit", "KubePodMemoryNearLimit", ["Namespace", *OF_ITS_ROOM, "PodMetrics"]),
    ],
)
async def test_a_remediation_reads_once_what_it_judges_and_nothing_else(tool, about, beside):
    on = recording(*world(), pod_metrics("app-2-a"))
    await read_workload(on, await target(), NOW, looks=TOOLS[tool].looks(alert(about)))
    assert asked(on) == sorted([*OF_THE_WORKLOAD, *beside])


async def test_what_is_not_looked_at_is_none():
    found = await read_workload(cluster(*world()), await target(), NOW, looks=frozenset({Resource.NAMESPACES}))
    assert found.namespace == {}
    unread = [found.node, found.quotas, found.limit_ranges, found.autoscalers, found.vertical_autoscalers]
    assert [*unread, found.metrics, found.metrics_served] == [None] * 7


async def test_a_pod_is_read_alone_with_its_events():
    on = recording(*world())
    found, events = await read_pod(on, await target())
    assert (names([found]), [entry["message"] for entry in events]) == (["app-2-a"], ["older", "newer"])
    assert asked(on) == ["Event", "Pod"]


async def test_a_pod_that_is_gone_has_no_events():
    assert await read_pod(cluster(), await target()) == (None, ())


async def test_a_pod_whose_events_cannot_be_read_is_there():
    found, events = await read_pod(Away(world(), Resource.EVENTS), await target())
    assert (names([found]), events) == (["app-2-a"], None)


async def test_a_node_is_no_pod():
    with pytest.raises(ValueError, match="Node//n1 is not a workload"):
        await read_pod(cluster(), Target(kind="Node", namespace=None, name="n1"))


@pytest.mark.parametrize("resource", [Resource.PODS, Resource.DEPLOYMENTS, Resource.REPLICA_SETS])
async def test_without_the_workload_itself_there_is_no_evidence(resource):
    with pytest.raises(Forbidden):
        await read_workload(Away(world(), resource), await target(), NOW)


@pytest.mark.parametrize("error", [Unavailable("503"), TooManyRequests("busy")])
async def test_every_failure_of_a_part_counts_as_unread(error):
    class Busy(Away):
        async def list(self, resource, namespace=None, **selectors):
            if resource is Resource.RESOURCE_QUOTAS:
                raise error
            return await super().list(resource, namespace, **selectors)

    found = await read_workload(Busy(world()), await target(), NOW)
    assert found.quotas is None


async def test_a_node_is_no_workload():
    with pytest.raises(ValueError, match="Node//n1 is not a workload"):
        await read_workload(cluster(), Target(kind="Node", namespace=None, name="n1"), NOW)
