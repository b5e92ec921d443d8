"""get_node_ready, get_node_conditions, cordon_node, uncordon_node: answers, refusals, and ages at their boundary."""

from datetime import timedelta

import pytest

from sre_agent.cluster.port import Forbidden, Resource, WriteVerb
from sre_agent.evidence import WorkloadEvidence
from sre_agent.target import Target
from sre_agent.tools.node_state import CordonOwner, cordon_changed_at, cordon_owner, leaving
from sre_agent.tools.nodes import TOOLS
from tests.unit.node_objects import (
    ARGUMENTS,
    HEALTHY,
    NODE,
    NOW,
    RecordedCluster,
    ago,
    context,
    evidence,
    node,
    pod,
    verdicts,
)

TOOL = {tool.name: tool for tool in TOOLS}
UNREACHABLE = "node.kubernetes.io/unreachable"
OURS = {"sre-agent/cordoned": "41"}


def cordon(of_node, **options):
    return TOOL["cordon_node"].assess(ARGUMENTS, evidence(of_node), context(**options))


def uncordon(of_node, pods=(), **options):
    return TOOL["uncordon_node"].assess(ARGUMENTS, evidence(of_node, pods), context(**options))


def unschedulable_owner(manager, time, field="f:unschedulable"):
    return {"manager": manager, "operation": "Update", "time": time, "fieldsV1": {"f:spec": {field: {}}}}


def unschedulable_taint(added):
    return {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule", "timeAdded": added}


async def answer(tool, of_node):
    cluster = RecordedCluster({Resource.NODES: [] if of_node is None else [of_node]})
    return await TOOL[tool].run(cluster, ARGUMENTS, context())


@pytest.mark.parametrize(
    ("of_node", "expected"),
    [
        pytest.param(node(), (True, False, False, False), id="Ready True is ready"),
        pytest.param(node(ready="False"), (False, True, False, False), id="Ready False is not ready, and reachable"),
        pytest.param(node(ready="Unknown"), (False, True, False, True), id="Ready Unknown is unreachable"),
        pytest.param(
            node(taints=[UNREACHABLE]), (False, True, False, True), id="the unreachable taint outweighs Ready True"
        ),
        pytest.param(node(ready=None), (False, False, False, False), id="without a Ready condition nothing is known"),
        pytest.param(
            node(ready=None, taints=[UNREACHABLE]), (False, True, False, True), id="no condition, but the taint"
        ),
        pytest.param(node(unschedulable=True), (True, False, True, False), id="a cordoned node is unschedulable"),
        pytest.param(node(unschedulable=False), (True, False, False, False), id="unschedulable false is schedulable"),
        pytest.param(None, (False, False, False, False), id="a node that is gone is neither"),
    ],
)
async def test_get_node_ready_answers(of_node, expected):
    found = await answer("get_node_ready", of_node)
    assert (found.ready, found.not_ready, found.unschedulable, found.unreachable) == expected
    assert found.reason


@pytest.mark.parametrize(
    ("others", "problems"),
    [
        pytest.param(HEALTHY, [], id="every pressure False is healthy"),
        pytest.param({**HEALTHY, "NetworkUnavailable": "False"}, [], id="network available is healthy"),
        pytest.param(
            {**HEALTHY, "KernelDeadlock": "False", "ReadonlyFilesystem": "False"}, [], id="problem detector quiet"
        ),
        pytest.param({**HEALTHY, "KernelReady": "True", "EtcdIsVoter": "True"}, [], id="types that are good when True"),
        pytest.param({**HEALTHY, "MemoryPressure": "True"}, ["MemoryPressure"], id="memory pressure"),
        pytest.param({**HEALTHY, "DiskPressure": "True"}, ["DiskPressure"], id="disk pressure"),
        pytest.param({**HEALTHY, "PIDPressure": "True"}, ["PIDPressure"], id="pid pressure"),
        pytest.param({**HEALTHY, "NetworkUnavailable": "True"}, ["NetworkUnavailable"], id="network unavailable"),
        pytest.param({**HEALTHY, "DiskPressure": "Unknown"}, ["DiskPressure"], id="Unknown is not healthy"),
        pytest.param({**HEALTHY, "DiskPressure": None}, ["DiskPressure"], id="a condition without a status"),
        pytest.param({**HEALTHY, "ReadonlyFilesystem": "True"}, ["ReadonlyFilesystem"], id="problem detector speaks"),
        pytest.param({**HEALTHY, "Haunted": "True"}, ["Haunted"], id="an unknown type that is True is a problem"),
        pytest.param({**HEALTHY, "StorageReady": "False"}, ["StorageReady"], id="a *Ready type that is False"),
        pytest.param({**HEALTHY, "NetworkNotReady": "True"}, ["NetworkNotReady"], id="*NotReady is bad when True"),
        pytest.param(
            {"MemoryPressure": "True", "DiskPressure": "Unknown"},
            ["MemoryPressure", "DiskPressure"],
            id="all are named",
        ),
        pytest.param({}, ["the node reports no condition"], id="no condition beside Ready proves nothing"),
    ],
)
async def test_get_node_conditions_is_healthy_only_where_every_condition_was_seen_healthy(others, problems):
    found = await answer("get_node_conditions", node(ready="False", others=others))
    assert found.healthy is (problems == [])
    assert len(found.problems) == len(problems)
    assert all(text.startswith(start) for text, start in zip(found.problems, problems, strict=True))
    assert [entry.type for entry in found.conditions] == list(others)


async def test_a_node_that_is_gone_has_no_healthy_conditions():
    found = await answer("get_node_conditions", None)
    assert (found.healthy, found.problems) == (False, [f"there is no node {NODE}"])


@pytest.mark.parametrize("tool", ["get_node_ready", "get_node_conditions"])
async def test_a_node_that_may_not_be_read_is_an_error_and_not_an_answer(tool):
    cluster = RecordedCluster(failing={("get", Resource.NODES): Forbidden("get nodes")})
    with pytest.raises(Forbidden):
        await TOOL[tool].run(cluster, ARGUMENTS, context())


@pytest.mark.parametrize("ready", ["False", "Unknown"])
def test_a_node_that_is_not_ready_is_cordoned_with_the_incident_as_our_mark(ready):
    assessment = cordon(node(ready=ready))
    change = assessment.change
    assert assessment.judgements == ()
    assert assessment.output == {"cordoned": True}
    assert (change.tool, change.action, change.value) == ("cordon_node", "cordon_node:worker-1", None)
    assert change.kubectl == "kubectl cordon worker-1"
    (write,) = change.writes
    assert (write.verb, write.resource, write.namespace, write.name) == (WriteVerb.PATCH, Resource.NODES, None, NODE)
    assert (write.uid, write.resource_version) == ("uid-worker-1", "77")
    assert write.body == {"metadata": {"annotations": {"sre-agent/cordoned": "42"}}, "spec": {"unschedulable": True}}
    assert [(line.path, line.before, line.after) for line in change.diff] == [
        ("spec.unschedulable", None, "true"),
        ("metadata.annotations.sre-agent/cordoned", None, "42"),
    ]


def test_a_cordon_is_undone_by_taking_back_exactly_what_it_set():
    (undo,) = cordon(node(ready="False", unschedulable=False)).change.undo
    assert undo.body == {"metadata": {"annotations": {"sre-agent/cordoned": None}}, "spec": {"unschedulable": False}}
    assert (undo.uid, undo.resource_version) == ("uid-worker-1", None)


def test_a_run_without_an_incident_marks_its_cordon_as_a_replay():
    change = cordon(node(ready="False"), incident_id=None).change
    assert change.writes[0].body["metadata"]["annotations"] == {"sre-agent/cordoned": "replay"}


def test_an_already_cordoned_node_is_the_wished_state_without_a_write():
    assessment = cordon(node(ready="False", unschedulable=True))
    assert (assessment.change, assessment.judgements) == (None, ())
    assert assessment.already == "node worker-1 is already cordoned"
    assert assessment.output == {"cordoned": True}


@pytest.mark.parametrize(
    ("of_node", "rule", "settled"),
    [
        pytest.param(node(), "node-not-ready", True, id="Ready again: the symptom is gone"),
        pytest.param(node(unschedulable=True), "node-not-ready", True, id="Ready and cordoned: still no symptom"),
        pytest.param(node(ready=None), "node-not-ready", False, id="no Ready condition confirms nothing"),
        pytest.param(node(taints=[UNREACHABLE]), "node-not-ready", False, id="taint and condition disagree"),
        pytest.param(None, "node-exists", True, id="the node is gone"),
        pytest.param(node(ready="False", deleted=True), "node-leaving", True, id="the node is being deleted"),
    ],
)
def test_cordon_is_refused(of_node, rule, settled):
    assessment = cordon(of_node)
    assert (assessment.change, assessment.already) == (None, None)
    assert verdicts(assessment) == {rule: "REFUSE"}
    assert assessment.judgements[0].settled is settled
    assert assessment.judgements[0].allowed_by
    assert assessment.output == {"cordoned": False}


@pytest.mark.parametrize(
    "taint",
    [
        "ToBeDeletedByClusterAutoscaler",
        "ToBeDeletedTaint",
        "DeletionCandidateOfClusterAutoscaler",
        "karpenter.sh/disrupted",
        "karpenter.sh/disruption",
        "cloud.google.com/impending-node-termination",
        "aws-node-termination-handler/spot-itn",
    ],
)
@pytest.mark.parametrize("change", [cordon, uncordon])
def test_a_node_that_its_owner_takes_away_is_left_alone(change, taint):
    leaves = node(ready="False", taints=[taint], unschedulable=change is uncordon)
    assessment = change(leaves)
    assert assessment.change is None
    assert verdicts(assessment)["node-leaving"] == "REFUSE"
    assert assessment.judgements[0].settled
    assert taint in assessment.judgements[0].reason


@pytest.mark.parametrize("taint", ["node.kubernetes.io/not-ready", "karpenter.sh/registered", "dedicated"])
def test_other_taints_do_not_mean_that_a_node_leaves(taint):
    assert leaving(node(taints=[taint])) is None


@pytest.mark.parametrize("role", ["control-plane", "master"])
def test_cordoning_a_control_plane_node_is_asked(role):
    assessment = cordon(node(ready="False", labels={f"node-role.kubernetes.io/{role}": ""}))
    assert verdicts(assessment) == {"control-plane": "ASK"}
    assert assessment.change is not None


def cordoned_node(*, since=None, **parts):
    parts.setdefault("annotations", OURS)
    return node(since=since or ago(minutes=5), unschedulable=True, **parts)


def test_our_own_cordon_of_a_proven_node_is_taken_back_with_its_mark():
    assessment = uncordon(cordoned_node())
    change = assessment.change
    assert assessment.judgements == ()
    assert assessment.output == {"uncordoned": True}
    assert (change.action, change.kubectl) == ("uncordon_node:worker-1", "kubectl uncordon worker-1")
    (write,) = change.writes
    assert write.body == {"metadata": {"annotations": {"sre-agent/cordoned": None}}, "spec": {"unschedulable": False}}
    assert (write.uid, write.resource_version) == ("uid-worker-1", "77")
    assert [(line.path, line.before, line.after) for line in change.diff] == [
        ("spec.unschedulable", "true", "false"),
        ("metadata.annotations.sre-agent/cordoned", "41", None),
    ]
    (undo,) = change.undo
    assert undo.body == {"metadata": {"annotations": {"sre-agent/cordoned": "41"}}, "spec": {"unschedulable": True}}


def test_an_old_cordon_of_somebody_else_goes_without_touching_annotations():
    change = uncordon(cordoned_node(annotations=None, taints=[unschedulable_taint(ago(hours=2))])).change
    assert change.writes[0].body == {"spec": {"unschedulable": False}}
    assert change.undo[0].body == {"spec": {"unschedulable": True}}
    assert [line.path for line in change.diff] == ["spec.unschedulable"]


def test_a_schedulable_node_needs_no_uncordon():
    assessment = uncordon(node())
    assert assessment.already == "node worker-1 is already schedulable"
    assert assessment.output == {"uncordoned": True}


@pytest.mark.parametrize(
    ("of_node", "pods", "refused"),
    [
        pytest.param(None, (), {"node-exists"}, id="the node is gone"),
        pytest.param(cordoned_node(ready="False"), (), {"node-ready"}, id="Ready False"),
        pytest.param(cordoned_node(ready="Unknown"), (), {"node-ready"}, id="Ready Unknown"),
        pytest.param(cordoned_node(ready=None), (), {"node-ready"}, id="no Ready condition"),
        pytest.param(cordoned_node(taints=[UNREACHABLE]), (), {"node-ready"}, id="unreachable taint on a Ready node"),
        pytest.param(cordoned_node(since=ago(seconds=299)), (), {"node-ready-for"}, id="Ready one second too short"),
        pytest.param(cordoned_node(since=ago(seconds=-60)), (), {"node-ready-for"}, id="Ready from the future on"),
        pytest.param(cordoned_node(since="yesterday"), (), {"node-ready-for"}, id="unreadable transition time"),
        pytest.param(
            cordoned_node(others={**HEALTHY, "DiskPressure": "True"}), (), {"node-conditions"}, id="disk pressure"
        ),
        pytest.param(cordoned_node(others={}), (), {"node-conditions"}, id="no condition beside Ready"),
        pytest.param(cordoned_node(), [pod(deleted=True)], {"terminating-pods"}, id="a pod still terminates"),
        pytest.param(cordoned_node(), None, {"terminating-pods"}, id="the pods could not be read"),
        pytest.param(
            cordoned_node(since=ago(seconds=1), others={}),
            [pod(deleted=True)],
            {"node-ready-for", "node-conditions", "terminating-pods"},
            id="every reason is kept",
        ),
    ],
)
def test_uncordon_is_refused(of_node, pods, refused):
    assessment = uncordon(of_node, pods)
    assert (assessment.change, assessment.already) == (None, None)
    assert {rule for rule, verdict in verdicts(assessment).items() if verdict == "REFUSE"} == refused
    assert assessment.output == {"uncordoned": False}
    assert all(judgement.allowed_by and judgement.by_hand for judgement in assessment.judgements)


def test_ready_for_exactly_five_minutes_is_enough():
    assert uncordon(cordoned_node(since=ago(minutes=5))).change is not None


def test_a_node_that_is_ready_too_shortly_is_tried_again_when_it_may_pass():
    (judgement,) = uncordon(cordoned_node(since=ago(seconds=200))).judgements
    assert (judgement.retry_at - NOW).total_seconds() == 100


def test_a_window_of_zero_switches_the_ages_off():
    young = cordoned_node(since=ago(seconds=1), annotations=None)
    assert uncordon(young, node_ready_for=timedelta(0), cordon_settle=timedelta(0)).judgements == ()


@pytest.mark.parametrize(
    ("changed", "judged"),
    [
        pytest.param({"minutes": 61}, {}, id="61 minutes is old enough"),
        pytest.param({"seconds": 3601}, {}, id="one second more than an hour is old enough"),
        pytest.param({"minutes": 60}, {"cordon-settle": "ASK"}, id="exactly an hour is not more than an hour"),
        pytest.param({"minutes": 4}, {"cordon-settle": "ASK"}, id="four minutes is somebody at work"),
    ],
)
@pytest.mark.parametrize("source", ["managedFields", "taint"])
def test_somebody_elses_cordon_is_asked_until_it_is_more_than_an_hour_old(changed, judged, source):
    if source == "taint":
        parts = {"taints": [unschedulable_taint(ago(**changed))]}
    else:
        parts = {"managed": [unschedulable_owner("kubectl-cordon", ago(**changed))]}
    assessment = uncordon(cordoned_node(annotations=None, **parts))
    assert verdicts(assessment) == judged
    assert assessment.change is not None
    assert all(judgement.retry_at > NOW for judgement in assessment.judgements)


@pytest.mark.parametrize(
    ("changed", "judged"),
    [
        pytest.param({"minutes": 61}, {}, id="old enough, whosever it is"),
        pytest.param({"minutes": 4}, {"cordon-settle": "ASK"}, id="the mark may have outlived our cordon"),
    ],
)
def test_our_mark_alone_is_no_proof_beside_a_young_cordon(changed, judged):
    assessment = uncordon(cordoned_node(taints=[unschedulable_taint(ago(**changed))]))
    assert verdicts(assessment) == judged
    assert all("this agent's mark is there" in judgement.reason for judgement in assessment.judgements)


def test_a_cordon_that_cannot_be_dated_is_asked():
    assessment = uncordon(cordoned_node(annotations=None))
    assert verdicts(assessment) == {"cordon-settle": "ASK"}
    assert assessment.judgements[0].retry_at is None


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        pytest.param({}, None, id="neither managedFields nor taint"),
        pytest.param({"managed": [unschedulable_owner("kubectl", ago(hours=2))]}, ago(hours=2), id="managedFields"),
        pytest.param({"taints": [unschedulable_taint(ago(hours=3))]}, ago(hours=3), id="the taint's timeAdded"),
        pytest.param(
            {
                "managed": [unschedulable_owner("kubectl", ago(hours=2))],
                "taints": [unschedulable_taint(ago(hours=1))],
            },
            ago(hours=1),
            id="the newest of both",
        ),
        pytest.param(
            {"managed": [unschedulable_owner("kubelet", ago(hours=2), field="f:podCIDR")]},
            None,
            id="an entry that owns another field",
        ),
        pytest.param({"taints": [{"key": "dedicated", "timeAdded": ago(hours=1)}]}, None, id="another taint"),
    ],
)
def test_the_change_time_of_a_cordon(parts, expected):
    changed = cordon_changed_at(node(unschedulable=True, **parts))
    assert (changed and changed.strftime("%Y-%m-%dT%H:%M:%SZ")) == expected


@pytest.mark.parametrize(
    ("annotations", "managers", "whose"),
    [
        pytest.param(OURS, (), "MARKED", id="our mark, nobody known as owner"),
        pytest.param(OURS, ("sre-agent",), "US", id="our mark and our field"),
        pytest.param(OURS, ("kubectl-cordon",), "OTHERS", id="our mark outlived an uncordon; somebody cordoned again"),
        pytest.param({}, ("sre-agent",), "OTHERS", id="no mark"),
    ],
)
def test_a_cordon_is_ours_by_its_mark_and_its_owner(annotations, managers, whose):
    managed = [unschedulable_owner(manager, ago(hours=1)) for manager in managers]
    assert cordon_owner(node(unschedulable=True, annotations=annotations, managed=managed)) is CordonOwner[whose]


def test_a_node_tool_refuses_to_judge_the_evidence_of_a_workload():
    workload = Target(kind="Deployment", namespace="demo", name="web")
    wrong = WorkloadEvidence(target=workload, read_at=NOW, pod=None, controller=None)
    with pytest.raises(TypeError, match="Deployment/demo/web"):
        TOOL["cordon_node"].assess(ARGUMENTS, wrong, context())


def test_the_node_tools_ask_for_patching_nodes_and_nothing_else_that_writes():
    rights = {(right.verb, right.resource.plural, right.subresource) for tool in TOOLS for right in tool.permissions}
    assert {right for right in rights if right[0] not in {"get", "list"}} == {("patch", "nodes", None)}
