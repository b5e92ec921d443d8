"""Room for a higher limit: quota, LimitRange and node, with the numbers in the reason."""

import pytest

from sre_agent.cluster.port import Resource
from sre_agent.tools.memory_room import quota_applies
from tests.unit.memory_cases import KILLED, TOOL, limit_range, only, quota, world
from tests.unit.workload_objects import Away, assess, container, controller, node, oom, pod, rules, running


@pytest.mark.parametrize(
    ("resource", "rule", "shown"),
    [
        (Resource.RESOURCE_QUOTAS, "quota-room", "resourcequotas"),
        (Resource.LIMIT_RANGES, "limit-range", "limitranges"),
        (Resource.NODES, "node-allocatable", "node n1"),
    ],
)
async def test_what_could_not_be_read_means_no(resource, rule, shown):
    judgement = only(await assess(TOOL, Away(world(), resource)))
    assert judgement.rule == rule
    assert "could not be read" in judgement.reason
    assert judgement.by_hand == f"kubectl -n demo describe {shown}"


@pytest.mark.parametrize(
    ("bounds", "shown"),
    [
        pytest.param(quota({"limits.memory": "1Gi"}, {"limits.memory": "1Gi"}), "resourcequotas", id="quota"),
        pytest.param(limit_range("Container", max="300Mi"), "limitranges", id="LimitRange"),
        pytest.param(node(allocatable="300Mi"), "node n1", id="node"),
    ],
)
async def test_without_room_a_person_is_shown_what_is_full_and_not_the_limit_that_was_refused(bounds, shown):
    assert only(await assess(TOOL, world(bounds))).by_hand == f"kubectl -n demo describe {shown}"


async def test_a_stateful_set_is_not_given_the_command_for_a_limit_that_has_no_room():
    owner = controller("StatefulSet")
    full = quota({"limits.memory": "1Gi"}, {"limits.memory": "1Gi"})
    found = await assess(TOOL, [owner, pod(owner=owner, statuses=KILLED), node(pressure="True"), full])
    assert rules(found) == ["memory-pressure", "ownership-chain", "quota-room"]
    assert not any(" set " in entry.by_hand for entry in found.judgements)


# Two replicas of 256Mi → 512Mi and one surge pod of 512Mi: 1Gi of limits more.
@pytest.mark.parametrize(
    ("bounds", "spec", "words"),
    [
        pytest.param(quota({"limits.memory": "2Gi"}, {"limits.memory": "1Gi"}), None, "", id="exactly enough"),
        pytest.param(
            quota({"limits.memory": "2Gi"}, {"limits.memory": "1025Mi"}),
            None,
            "has 1023Mi of limits.memory free (1025Mi of 2Gi used); 1Gi would be needed "
            "(2 replicas, 1 more while rolling out, 256Mi → 512Mi)",
            id="one mebibyte short",
        ),
        pytest.param(
            quota({"limits.memory": "1Gi"}, {"limits.memory": "512Mi"}),
            {"strategy": {"type": "Recreate"}},
            "",
            id="Recreate needs no surge",
        ),
        pytest.param(
            quota({"requests.memory": "512Mi"}, {"requests.memory": "256Mi"}), None, "", id="requests of the surge pod"
        ),
        pytest.param(
            quota({"memory": "300Mi"}, {"memory": "256Mi"}), None, "has 44Mi of memory free", id="requests, old name"
        ),
        pytest.param(
            quota({"limits.memory": "1Mi"}), None, "how much of it is used could not be read", id="unknown use"
        ),
        pytest.param(
            quota({"limits.memory": "1Mi"}, {"limits.memory": "9Mi"}), None, "has 0 of limits", id="overdrawn"
        ),
        pytest.param(quota({"pods": "1"}, {"pods": "1"}), None, "", id="a quota of something else"),
        pytest.param(
            quota({"limits.memory": "1Mi"}, {"limits.memory": "1Mi"}, scopes=["BestEffort"]), None, "", id="other scope"
        ),
    ],
)
async def test_a_quota_must_have_room_for_every_replica_and_the_surge(bounds, spec, words):
    found = await assess(TOOL, world(bounds, spec=spec))
    assert (found.change is None) is bool(words)
    assert words in "".join(entry.reason for entry in found.judgements)
    assert set(rules(found)) <= {"quota-room"}


async def test_a_guaranteed_pod_needs_room_for_its_requests_as_well():
    bounds = quota({"requests.memory": "1Gi"}, {"requests.memory": "512Mi"})
    found = await assess(TOOL, world(bounds, containers=[container(request="256Mi")]))
    assert only(found).rule == "quota-room"
    assert "1Gi would be needed" in only(found).reason


async def test_a_surge_pod_takes_what_all_its_containers_take():
    containers = [container(), container("proxy", limit="1Gi", request="1Gi")]
    statuses = (oom(), running("proxy"))
    bounds = quota({"limits.memory": "4Gi"}, {"limits.memory": "2560Mi"})
    found = await assess(TOOL, world(bounds, containers=containers, statuses=statuses))
    assert "2Gi would be needed" in only(found).reason


async def test_sidecars_count_with_the_pod_and_init_containers_only_where_they_are_larger():
    init = (container("mesh", limit="1Gi", restartPolicy="Always"), container("setup", limit="6Gi", request="6Gi"))
    bounds = quota({"limits.memory": "7Gi"}, {"limits.memory": "0"})
    objects = world(bounds, pod_fields={"init": init}, spec={"replicas": 1})
    assert (await assess(TOOL, objects)).change is not None
    bounds["status"]["used"] = {"limits.memory": "769Mi"}
    assert "6400Mi would be needed" in only(await assess(TOOL, objects)).reason


@pytest.mark.parametrize(
    ("scope", "pod_spec", "applies"),
    [
        pytest.param({"scopes": ["NotBestEffort"]}, {}, True, id="a pod with a limit is not best effort"),
        pytest.param({"scopes": ["BestEffort"]}, {}, False, id="best effort"),
        pytest.param({"scopes": ["NotTerminating"]}, {}, True, id="not terminating"),
        pytest.param({"scopes": ["Terminating"]}, {}, False, id="terminating"),
        pytest.param({"scopes": ["Terminating"]}, {"activeDeadlineSeconds": 5}, True, id="with a deadline"),
        pytest.param({"scopes": ["NotTerminating", "BestEffort"]}, {}, False, id="all must fit"),
        pytest.param({}, {}, True, id="no scope"),
        pytest.param({"scopes": ["Unheard"]}, {}, True, id="an unknown scope counts"),
    ],
)
def test_a_quota_with_a_scope_counts_only_pods_in_it(scope, pod_spec, applies):
    assert quota_applies({"spec": scope}, {"spec": pod_spec}) is applies


@pytest.mark.parametrize(
    ("operator", "priority", "applies"),
    [
        ("In", "high", True),
        ("In", "low", False),
        ("In", None, False),
        ("NotIn", "high", False),
        ("NotIn", None, True),
        ("Exists", None, True),
        ("DoesNotExist", None, True),
        ("DoesNotExist", "high", False),
    ],
)
def test_a_quota_for_a_priority_class_counts_only_its_pods(operator, priority, applies):
    expression = {"scopeName": "PriorityClass", "operator": operator, "values": ["high"]}
    bounds = {"spec": {"scopeSelector": {"matchExpressions": [expression]}}}
    assert quota_applies(bounds, {"spec": {"priorityClassName": priority} if priority else {}}) is applies


@pytest.mark.parametrize(
    ("bounds", "request_", "words"),
    [
        pytest.param(limit_range("Container", max="512Mi"), "128Mi", "", id="exactly the most"),
        pytest.param(
            limit_range("Container", max="500Mi"), "128Mi", "allows container app 500Mi; 512Mi would", id="container"
        ),
        pytest.param(limit_range("Pod", max="511Mi"), "128Mi", "allows the pod 511Mi; 512Mi would", id="pod"),
        pytest.param(limit_range("Container", maxLimitRequestRatio="4"), "128Mi", "", id="exactly the ratio"),
        pytest.param(
            limit_range("Container", maxLimitRequestRatio="2"), "128Mi", "a limit of 2 times its request", id="ratio"
        ),
        pytest.param(limit_range("Container", maxLimitRequestRatio="1"), "256Mi", "", id="both move together"),
        pytest.param(limit_range("Container", maxLimitRequestRatio="9"), "0", "times its request", id="no request"),
        pytest.param(limit_range("PersistentVolumeClaim", max="1Mi"), "128Mi", "", id="of something else"),
        pytest.param(limit_range("Container", min="1Gi"), "128Mi", "", id="a minimum does not forbid more"),
    ],
)
async def test_a_limit_range_bounds_container_and_pod(bounds, request_, words):
    found = await assess(TOOL, world(bounds, containers=[container(request=request_)]))
    assert (found.change is None) is bool(words)
    assert words in "".join(entry.reason for entry in found.judgements)


@pytest.mark.parametrize(
    ("machine", "request_", "words"),
    [
        pytest.param(node(allocatable="512Mi"), "128Mi", "", id="exactly fits"),
        pytest.param(node(allocatable="511Mi"), "128Mi", "the limit would be 512Mi", id="the limit does not fit"),
        pytest.param(node(allocatable="511Mi"), "256Mi", "the pod would request 512Mi", id="nor does the request"),
    ],
)
async def test_the_node_must_be_able_to_hold_the_new_limit(machine, request_, words):
    found = await assess(TOOL, world(machine, containers=[container(request=request_)]))
    assert words in "".join(entry.reason for entry in found.judgements)
    assert (found.change is None) is bool(words)


@pytest.mark.parametrize(
    "machine",
    [pytest.param(node(name="other"), id="no such node"), pytest.param(node(allocatable=None), id="no figure")],
)
async def test_a_recording_without_the_nodes_memory_says_that_it_was_not_compared(machine):
    found = await assess(TOOL, world(machine))
    assert "was not compared" in found.change.notes[0]


async def test_the_overhead_of_a_pods_runtime_counts():
    bounds = quota({"limits.memory": "1Gi"}, {"limits.memory": "0"})
    objects = world(bounds)
    assert (await assess(TOOL, objects)).change is not None
    objects[2]["spec"]["overhead"] = {"memory": "1Mi"}
    assert "1025Mi would be needed" in only(await assess(TOOL, objects)).reason


async def test_a_bystander_without_a_request_requests_its_limit():
    containers = [container(), container("proxy", limit="1Gi", request=None)]
    bounds = quota({"requests.memory": "2Gi"}, {"requests.memory": "1Gi"})
    found = await assess(TOOL, world(bounds, containers=containers, statuses=(oom(), running("proxy"))))
    assert "1152Mi would be needed" in only(found).reason
