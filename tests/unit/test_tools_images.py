"""check_imagepullbackoff and fix_imagepullbackoff: when another image may stand in, and when it must not."""

import pytest

from sre_agent.cluster.port import Resource
from sre_agent.run import Verdict
from tests.unit.workload_objects import (
    FALLBACK,
    IMAGE,
    NOT_FOUND,
    Away,
    assess,
    container,
    controller,
    deployment,
    diagnose,
    event,
    node,
    pod,
    replica_set,
    rules,
    runbook,
    running,
    waiting,
)

TOOL = "fix_imagepullbackoff"
NO_IMAGE = (waiting("ImagePullBackOff", NOT_FOUND),)
PULLING = f'Failed to pull image "{IMAGE}": '


def world(*more, statuses=NO_IMAGE, containers=None, in_pod=None, pod_fields=None, **fields):
    owner = deployment(containers=containers, **fields)
    newest = replica_set(owner)
    in_pod = in_pod or containers or [container()]
    return [owner, newest, pod(owner=newest, containers=in_pod, statuses=statuses, **(pod_fields or {})), *more]


def stuck_rollout(statuses=NO_IMAGE, *, old_ready=1, containers=None):
    """Revision 2 cannot pull its image, revision 1 still serves with `old_ready` pods."""
    owner = deployment(containers=containers or [container()])
    old = replica_set(owner, revision=1, age=9000, containers=[container(image="registry.example/app:1.0.0")])
    new = replica_set(owner)
    serving = [pod(f"app-1-{number}", owner=old, statuses=(running(),), age=9000) for number in range(old_ready)]
    return [owner, old, new, pod(owner=new, containers=containers, statuses=statuses), *serving]


def only(assessment):
    (judgement,) = assessment.judgements
    return judgement


async def test_the_change_is_the_patch_its_undo_and_the_words_for_a_person():
    found = await assess(TOOL, world())
    assert found.judgements == ()
    change = found.change
    assert change.action == f"patch_image:demo/app/app:{FALLBACK}"
    assert (change.tool, change.value, change.target.container) == (TOOL, FALLBACK, "app")
    assert change.kubectl == f"kubectl -n demo set image deployment/app app={FALLBACK}"
    (write,) = change.writes
    assert write.body == {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": FALLBACK}]}}}}
    assert (write.resource, write.uid, write.resource_version) == (Resource.DEPLOYMENTS, "uid-app", "100")
    (undo,) = change.undo
    assert undo.body["spec"]["template"]["spec"]["containers"] == [{"name": "app", "image": IMAGE}]
    (line,) = change.diff
    assert (line.path, line.before, line.after) == ("spec.template.spec.containers[app].image", IMAGE, FALLBACK)
    assert found.output["image_after"] == FALLBACK
    assert found.output["cause"] == "not_found"


async def test_a_name_that_is_no_image_name_is_cured_as_well():
    statuses = (waiting("InvalidImageName"),)
    assert (await assess(TOOL, world(statuses=statuses))).change is not None


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ("pull access denied, may require authorization", "unauthorized"),
        ("toomanyrequests", "registry_error"),
        ("no match for platform in manifest: not found", "no_platform"),
        ("", "unknown"),
    ],
)
async def test_any_other_cause_is_refused_with_advice(words, cause):
    statuses = (waiting("ErrImagePull", f"{PULLING}{words}"),)
    judgement = only(await assess(TOOL, world(statuses=statuses)))
    assert (judgement.rule, judgement.verdict, judgement.settled) == ("image-cause", Verdict.REFUSE, False)
    assert f"cause {cause}: " in judgement.reason
    assert judgement.by_hand == "kubectl -n demo describe pod app-2-a"


async def test_events_that_could_not_be_read_are_said_where_they_are_missed():
    objects = Away(world(statuses=(waiting("ImagePullBackOff"),)), Resource.EVENTS)
    assert only(await assess(TOOL, objects)).reason.endswith("the events of the pod could not be listed")
    told = await diagnose("check_imagepullbackoff", objects)
    assert told.reasons[-1] == "the events of the pod could not be listed"


@pytest.mark.parametrize(
    ("namespaces", "annotation", "verdicts", "image"),
    [
        pytest.param(("demo",), None, [], FALLBACK, id="a fallback namespace"),
        pytest.param((), None, [("fallback-namespace", Verdict.ASK)], FALLBACK, id="any other namespace: ask"),
        pytest.param((), "r.example/own:2", [], "r.example/own:2", id="the workload names its own"),
        pytest.param(("demo",), "r.example/own:2", [], "r.example/own:2", id="its own goes before the runbook's"),
        pytest.param(
            ("demo",), "r.example/own", [("fallback-image", Verdict.REFUSE)], None, id="its own without a tag"
        ),
        pytest.param(
            ("demo",), "r.example/own:latest", [("fallback-image", Verdict.REFUSE)], None, id="its own, latest"
        ),
        pytest.param(("demo",), IMAGE, [("fallback-image", Verdict.REFUSE)], None, id="its own is what fails"),
    ],
)
async def test_the_image_is_the_workloads_own_or_the_runbooks_where_it_may_be(namespaces, annotation, verdicts, image):
    annotations = {"deployment.kubernetes.io/revision": "2"}
    if annotation:
        annotations["sre-agent/fallback-image"] = annotation
    found = await assess(TOOL, world(annotations=annotations), book=runbook(fallback_namespaces=namespaces))
    assert [(entry.rule, entry.verdict) for entry in found.judgements] == verdicts
    assert (found.change.value if found.change else None) == image


async def test_without_any_fallback_image_nothing_stands_in():
    found = await assess(TOOL, world(), book=runbook(fallback_image=None))
    assert "has no fallback_image" in only(found).reason
    assert only(found).by_hand == "kubectl -n demo describe pod app-2-a"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"command": ["serve"]}, "its own command,"),
        ({"args": ["--x"]}, "its own args,"),
        ({"command": ["serve"], "args": ["--x"]}, "its own command and args,"),
    ],
)
async def test_a_container_with_its_own_command_is_left(fields, words):
    judgement = only(await assess(TOOL, world(containers=[container(**fields)])))
    assert judgement.rule == "own-command"
    assert words in judgement.reason
    assert judgement.by_hand == "kubectl -n demo describe pod app-2-a"


async def test_an_init_container_is_never_given_an_image_that_does_not_exit():
    objects = world(
        statuses=(waiting("PodInitializing"),),
        pod_fields={"init": (container("setup"),), "init_statuses": (waiting("ErrImagePull", NOT_FOUND, "setup"),)},
    )
    found = await assess(TOOL, objects, pod="app-2-a")
    assert (found.change, only(found).rule) == (None, "init-container")


async def test_a_ready_pod_of_the_same_revision_forbids_another_image():
    objects = world()
    objects.append(pod("app-2-b", owner=objects[1], statuses=(running(),)))
    judgement = only(await assess(TOOL, objects))
    assert judgement.rule == "ready-pods"
    assert "1 pods of app are Ready (app-2-b)" in judgement.reason
    assert judgement.by_hand == "kubectl -n demo rollout history deployment/app"


SERVING = {"statuses": (running(),), "labels": {"app": "app"}}


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        pytest.param(
            lambda objects: objects[0]["status"].update(readyReplicas=2),
            "status of Deployment app counts 2 ready replicas",
            id="ready by the Deployment's status, its pods not recorded",
        ),
        pytest.param(
            lambda objects: objects[0]["status"].update(availableReplicas=1),
            "counts 1 ready replicas",
            id="available by the Deployment's status",
        ),
        pytest.param(
            lambda objects: objects.append(pod("app-1-a", owner=controller("ReplicaSet", "app-1"), **SERVING)),
            "1 pods of app are Ready (app-1-a)",
            id="a Ready pod of the selector whose ReplicaSet is not recorded",
        ),
        pytest.param(
            lambda objects: objects.append(pod("app-orphan", **SERVING)),
            "1 pods of app are Ready (app-orphan)",
            id="a Ready pod of the selector without an owner",
        ),
    ],
)
async def test_pods_that_serve_forbid_another_image_though_their_owners_are_not_recorded(spoil, words):
    objects = world()
    spoil(objects)
    found = await assess(TOOL, objects)
    assert (found.change, only(found).rule) == (None, "ready-pods")
    assert words in only(found).reason


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"statuses": (running(ready=False),), "labels": {"app": "app"}}, id="of the selector, not Ready"),
        pytest.param({"statuses": (running(),), "labels": {"app": "other"}}, id="Ready, of another selector"),
    ],
)
async def test_pods_that_do_not_serve_for_the_workload_do_not_forbid_another_image(fields):
    assert (await assess(TOOL, [*world(), pod("stranger", **fields)])).change.value == FALLBACK


async def test_the_image_that_was_refused_is_not_suggested_to_a_person_under_another_reason():
    owner = controller("StatefulSet", containers=[container(command=["serve"])])
    objects = [owner, pod(owner=owner, containers=[container(command=["serve"])], statuses=NO_IMAGE)]
    objects.append(pod("app-1", owner=owner, statuses=(running(),)))
    found = await assess(TOOL, objects, book=runbook(fallback_namespaces=()))
    assert rules(found) == ["fallback-namespace", "own-command", "ownership-chain", "ready-pods"]
    assert not any(" set image " in entry.by_hand for entry in found.judgements)


async def test_pods_that_are_down_in_every_revision_do_not_forbid_it():
    objects = stuck_rollout(old_ready=0)
    objects.append(pod("app-1-x", owner=objects[1], statuses=(running(ready=False),)))
    assert (await assess(TOOL, objects)).change.value == FALLBACK


@pytest.mark.parametrize(
    ("statuses", "containers"),
    [
        pytest.param(NO_IMAGE, None, id="not found"),
        pytest.param((waiting("ImagePullBackOff"),), None, id="cause no longer told"),
        pytest.param(NO_IMAGE, [container(command=["serve"])], id="own command does not matter to a rollback"),
    ],
)
async def test_a_stuck_rollout_whose_old_pods_serve_is_rolled_back_if_a_person_says_so(statuses, containers):
    found = await assess(TOOL, stuck_rollout(statuses, containers=containers))
    judgement = only(found)
    assert (judgement.rule, judgement.verdict) == ("rollback", Verdict.ASK)
    assert found.change.tool == "rollback_deployment"
    assert found.change.action == "rollback_deployment:demo/app:revision 2→1"
    assert (found.output["revision_after"], found.output["image_after"]) == (1, None)


async def test_a_stuck_rollout_is_rolled_back_while_only_events_tell_of_the_missing_image():
    objects = stuck_rollout((waiting("ContainerCreating"),))
    objects.append(event("Failed", f"{PULLING}manifest unknown"))
    found = await assess(TOOL, objects, alertname="KubePodContainerCreatingStuck", pod="app-2-a")
    assert found.change.tool == "rollback_deployment"


async def test_a_stuck_rollout_for_the_registrys_sake_is_neither_replaced_nor_rolled_back():
    statuses = (waiting("ErrImagePull", f"{PULLING}i/o timeout"),)
    found = await assess(TOOL, stuck_rollout(statuses))
    assert (found.change, rules(found)) == (None, ["image-cause", "ready-pods"])


async def test_a_stuck_rollout_whose_template_was_changed_since_is_left():
    objects = stuck_rollout()
    objects[0]["spec"]["template"]["spec"]["containers"] = [container(image="registry.example/app:3")]
    found = await assess(TOOL, objects)
    assert found.change is None
    assert next(entry for entry in found.judgements if entry.rule == "already-changed").settled


async def test_a_stuck_rollout_for_an_init_containers_image_can_be_rolled_back():
    objects = stuck_rollout((waiting("PodInitializing"),))
    objects[3]["spec"]["initContainers"] = [container("setup")]
    objects[3]["status"]["initContainerStatuses"] = [waiting("ErrImagePull", NOT_FOUND, "setup")]
    assert (await assess(TOOL, objects, pod="app-2-a")).change.tool == "rollback_deployment"


@pytest.mark.parametrize(
    ("statuses", "settled"),
    [
        pytest.param((running(),), True, id="it runs"),
        pytest.param((waiting("CrashLoopBackOff"),), False, id="it crashes"),
    ],
)
async def test_without_a_missing_image_nothing_is_done(statuses, settled):
    found = await assess(TOOL, world(statuses=statuses))
    judgement = next(entry for entry in found.judgements if entry.rule == "symptom")
    assert (found.change, judgement.settled) == (None, settled)


async def test_an_image_that_was_replaced_since_is_left_alone():
    objects = world()
    objects[0]["spec"]["template"]["spec"]["containers"] = [container(image="registry.example/app:3")]
    judgement = only(await assess(TOOL, objects))
    assert (judgement.rule, judgement.settled) == ("already-changed", True)
    assert (
        f"image is {IMAGE} in the ReplicaSet of the pod and registry.example/app:3 in the template" in judgement.reason
    )


async def test_an_image_that_an_admission_webhook_put_into_the_pod_is_not_cured_in_the_template():
    objects = world(containers=[container(image="registry.example/app:3")], in_pod=[container()])
    judgement = only(await assess(TOOL, objects))
    assert (judgement.rule, judgement.settled) == ("pod-differs", False)
    assert "set on the pod by an admission webhook or by hand" in judgement.reason


async def test_two_containers_without_images_are_not_chosen_from():
    objects = world(
        containers=[container(), container("proxy")],
        statuses=(waiting("ErrImagePull", NOT_FOUND), waiting("ErrImagePull", NOT_FOUND, "proxy")),
    )
    found = await assess(TOOL, objects, pod="app-2-a")
    assert rules(found) == ["container"]
    assert "several do: app, proxy" in only(found).reason


async def test_a_stateful_set_gets_the_command_and_no_write():
    owner = controller("StatefulSet")
    found = await assess(TOOL, [owner, pod(owner=owner, statuses=NO_IMAGE)])
    judgement = only(found)
    assert (found.change, judgement.rule) == (None, "ownership-chain")
    assert judgement.by_hand == f"kubectl -n demo set image statefulset/app app={FALLBACK}"


async def test_a_pod_that_is_gone_leaves_nothing_to_look_at():
    found = await assess(TOOL, [deployment()], deployment="app")
    assert rules(found) == ["pod"]


@pytest.mark.parametrize(
    ("statuses", "events", "expected"),
    [
        pytest.param(NO_IMAGE, [], (True, "not_found"), id="by status"),
        pytest.param(
            (waiting("ContainerCreating"),),
            [event("Failed", f"{PULLING}manifest unknown")],
            (True, "not_found"),
            id="by events",
        ),
        pytest.param((running(),), [event("Failed", f"{PULLING}manifest unknown")], (False, None), id="it runs"),
    ],
)
async def test_check_imagepullbackoff_tells_detection_and_cause(statuses, events, expected):
    found = await diagnose("check_imagepullbackoff", world(*events, statuses=statuses))
    assert (found.imagepull_detected, found.cause) == expected
    assert (found.container, found.init) == ("app", False)


async def test_check_imagepullbackoff_tells_an_init_container_from_the_alerts():
    objects = world(
        statuses=(waiting("PodInitializing"),),
        pod_fields={"init": (container("setup"),), "init_statuses": (waiting("ErrImagePull", NOT_FOUND, "setup"),)},
    )
    labelled = await diagnose("check_imagepullbackoff", objects)
    assert not labelled.imagepull_detected
    assert labelled.reasons == ["init container setup waits for its image, but the alert is about app"]
    bound = await diagnose("check_imagepullbackoff", objects, pod="app-2-a")
    assert (bound.imagepull_detected, bound.container, bound.init) == (True, "setup", True)


async def test_check_imagepullbackoff_does_not_choose_between_two_causes():
    objects = world(
        containers=[container(), container("proxy")],
        statuses=(waiting("ErrImagePull", NOT_FOUND), waiting("RegistryUnavailable", name="proxy")),
    )
    found = await diagnose("check_imagepullbackoff", objects, pod="app-2-a")
    assert (found.imagepull_detected, found.cause, found.container) == (True, "unknown", None)


async def test_check_imagepullbackoff_of_a_workload_without_pods_finds_nothing():
    found = await diagnose("check_imagepullbackoff", [deployment(), node()], deployment="app")
    assert (found.imagepull_detected, found.reasons) == (False, ["the pod is gone"])
