"""get_rollout_history and rollback_deployment: the trouble must have begun with the newest revision."""

import pytest

from sre_agent.cluster.port import WriteVerb
from sre_agent.cluster.strategic_merge import apply
from sre_agent.run import FieldChange, Verdict
from sre_agent.tools.template_diff import changed_fields, without_pod_template_hash
from tests.unit.workload_objects import (
    IMAGE,
    ago,
    assess,
    cluster,
    container,
    controller,
    deployment,
    diagnose,
    ended,
    event,
    oom,
    pod,
    replica_set,
    rules,
    running,
    waiting,
)

TOOL = "rollback_deployment"
CRASHING = (waiting("CrashLoopBackOff", restartCount=4, lastState=ended("Error", code=1)),)
SERVING = (running(),)
NO_IMAGE = f'Failed to pull image "{IMAGE}": manifest unknown'
FORMER = [container(image="registry.example/app:1", command=["old"])]


def world(*, new=(CRASHING,), old=(SERVING, SERVING), older=(), former=FORMER, **fields):
    """Revisions 3 (newest, 60 minutes old), 2 and 1, with one pod for each tuple of container statuses."""
    owner = deployment(revision=3, **fields)
    first = replica_set(owner, revision=1, age=20000, containers=former)
    second = replica_set(owner, revision=2, age=9000, containers=former)
    third = replica_set(owner, revision=3, age=60)
    objects = [owner, first, second, third]
    for entry, name, pods in ((third, "new", new), (second, "old", old), (first, "older", older)):
        objects += [pod(f"{name}-{i}", owner=entry, statuses=statuses) for i, statuses in enumerate(pods)]
    return objects


def undated(objects):
    """The same with a newest revision that does not say when it was made."""
    objects[3]["metadata"]["creationTimestamp"] = None
    return objects


async def judged(objects):
    return await assess(TOOL, objects, pod="new-0")


async def test_going_back_is_recommended_with_the_patch_that_does_it_and_the_one_that_undoes_it():
    objects = world()
    found = await judged(objects)
    (judgement,) = found.judgements
    assert (judgement.rule, judgement.verdict) == ("rollback", Verdict.ASK)
    assert judgement.by_hand == "kubectl -n demo rollout undo deployment/app --to-revision=2"
    change = found.change
    assert change.action == "rollback_deployment:demo/app:revision 3→2"
    assert (change.value, change.kubectl) == ("2", judgement.by_hand)
    assert found.output == {"revision_before": 3, "revision_after": 2}
    (write,) = change.writes
    assert (write.verb, write.uid, write.resource_version) == (WriteVerb.PATCH, "uid-app", "100")
    assert write.body == {
        "spec": {
            "template": {
                "spec": {"containers": [{"name": "app", "image": "registry.example/app:1", "command": ["old"]}]}
            }
        }
    }
    back = apply(objects[0], write.body)
    assert back["spec"]["template"] == without_pod_template_hash(objects[2]["spec"]["template"])
    assert apply(back, change.undo[0].body)["spec"]["template"] == objects[0]["spec"]["template"]
    assert [(line.path, line.after) for line in change.diff] == [
        ("spec.template.spec.containers[app].image", "registry.example/app:1"),
        ("spec.template.spec.containers[app].command", '["old"]'),
    ]


async def test_the_newest_revision_that_serves_is_the_one_to_go_back_to():
    found = await judged(world(old=(), older=(SERVING,)))
    assert found.change.value == "1"


@pytest.mark.parametrize(
    ("objects", "rule", "words"),
    [
        pytest.param(world(old=()), "ready-revision", "no older revision of Deployment app", id="nothing older serves"),
        pytest.param(
            world(new=(CRASHING, SERVING)), "crash-began", "new-1 of revision 3 is Ready", id="a newest pod is sound"
        ),
        pytest.param(
            world(old=(SERVING, CRASHING)), "crash-began", "old-1 of revision 2 fails too", id="an older pod fails too"
        ),
        pytest.param(
            world(old=((running(lastState=ended("Error", code=1, age=30)),),)),
            "crash-began",
            "old-0 of revision 2 fails too",
            id="an older pod crashed since",
        ),
        pytest.param(
            world(old=(CRASHING,), older=(SERVING,)),
            "crash-began",
            "old-0 of revision 2 fails too",
            id="a pod of a revision between fails too",
        ),
        pytest.param(
            world(older=(CRASHING,)), "crash-began", "older-0 of revision 1 fails too", id="a pod of the oldest fails"
        ),
        pytest.param(
            world(old=((running(lastState=ended(code=0, age=30)),),)),
            "crash-began",
            "old-0 of revision 2 fails too",
            id="an older pod was killed for memory since, with exit code 0",
        ),
        pytest.param(
            world(old=((running(lastState=ended("Error", code=1, age=119)),),)),
            "crash-began",
            "or did up to 1h before revision 3",
            id="an older pod crashed within the hour before the release",
        ),
        pytest.param(
            undated(world(old=((running(lastState=ended("Error", code=1, age=9000)),),))),
            "crash-began",
            "old-0 of revision 2 fails too",
            id="an older pod crashed, and the release has no time",
        ),
        pytest.param(
            world(new=((running(ready=False),),)), "symptom", "no pod of revision 3 crashes", id="no crash, not ready"
        ),
        pytest.param(world(new=(SERVING,)), "symptom", "no pod of revision 3 crashes", id="no crash"),
        pytest.param(world(former=[container()]), "template", "already that of revision 2", id="the same template"),
    ],
)
async def test_what_did_not_begin_with_the_newest_revision_is_not_taken_back(objects, rule, words):
    found = await judged(objects)
    assert found.change is None
    judgement = next(entry for entry in found.judgements if entry.rule == rule)
    assert judgement.verdict is Verdict.REFUSE
    assert words in judgement.reason


@pytest.mark.parametrize(
    "newest",
    [
        pytest.param((waiting("ImagePullBackOff"),), id="no image"),
        pytest.param((oom(),), id="killed for memory"),
        pytest.param((running(restartCount=5, lastState=ended("Error", code=2)),), id="up again between two crashes"),
    ],
)
async def test_every_way_of_failing_counts(newest):
    assert (await judged(world(new=(newest,)))).change is not None


def up(minutes, **fields):
    return running(state={"running": {"startedAt": ago(minutes)}}, **fields)


CRASHED = {"restartCount": 2, "lastState": ended("Error", code=1, age=30)}
STARTED_WITHOUT_TIME = running(state={"running": {}}, restartCount=2)


@pytest.mark.parametrize(
    ("status", "recovered"),
    [
        pytest.param(up(10, **CRASHED), True, id="ten minutes since its start"),
        pytest.param(up(9, **CRASHED), False, id="nine minutes"),
        pytest.param(up(10, restartCount=1, lastState=ended(code=0)), True, id="after a kill for memory"),
        pytest.param(up(9, restartCount=1, lastState=ended(code=0)), False, id="shortly after a kill with code 0"),
        pytest.param(STARTED_WITHOUT_TIME | {"lastState": ended("Error", code=1, age=11)}, True, id="by its last end"),
        pytest.param(
            STARTED_WITHOUT_TIME | {"lastState": {"terminated": {"exitCode": 1}}}, False, id="without any time"
        ),
        pytest.param(up(30, ready=False, **CRASHED), False, id="long up, but not ready"),
    ],
)
async def test_a_release_that_has_recovered_is_not_taken_back(status, recovered):
    found = await judged(world(new=((status,),)))
    assert (found.change is None) is recovered
    assert [entry.rule for entry in found.judgements] == (["symptom"] if recovered else ["rollback"])
    assert found.judgements[0].settled is recovered


async def test_an_init_container_that_failed_at_first_and_then_did_its_work_is_no_failure():
    objects = world(new=(SERVING,))
    done = {"terminated": {"reason": "Completed", "exitCode": 0, "finishedAt": ago(50)}}
    once = {"name": "setup", "ready": True, "restartCount": 1, "state": done, "lastState": ended("Error", code=1)}
    objects[4]["status"]["initContainerStatuses"] = [once]
    assert rules(await judged(objects)) == ["symptom"]


TWO = [container(), container("side")]


@pytest.mark.parametrize(
    ("labels", "settled", "side"),
    [
        pytest.param({"container": "side"}, True, running("side"), id="the labelled one is healthy"),
        pytest.param({"container": "side"}, False, running("side", ready=False), id="it is not ready, but no crash"),
        pytest.param({"container": "app"}, None, running("side"), id="the labelled one crashes"),
        pytest.param({}, None, running("side"), id="none is labelled"),
    ],
)
async def test_a_release_is_not_taken_back_for_a_container_that_neither_crashes_nor_lacks_its_image(
    labels, settled, side
):
    objects = world(new=((*CRASHING, side),), containers=TWO)
    objects[4]["spec"]["containers"] = TWO
    found = await assess(TOOL, objects, pod="new-0", **labels)
    if settled is None:
        assert found.change is not None
        return
    (judgement,) = found.judgements
    assert (found.change, judgement.rule, judgement.settled) == (None, "symptom", settled)
    assert "container side of pod new-0 neither crashes nor lacks its image" in judgement.reason


@pytest.mark.parametrize(
    ("told", "allowed"),
    [
        pytest.param([event("Failed", NO_IMAGE, about="new-0")], True, id="told of the bound pod"),
        pytest.param([event("Failed", NO_IMAGE, about="old-0")], False, id="told of another pod"),
        pytest.param([], False, id="not told"),
    ],
)
async def test_an_image_that_only_events_call_missing_is_a_failure_of_the_bound_pod(told, allowed):
    objects = [*world(new=((waiting("ContainerCreating"),),)), *told]
    assert ((await judged(objects)).change is not None) is allowed
    history = await diagnose("get_rollout_history", objects, pod="new-0")
    assert history.rollback_candidate is allowed


async def test_an_older_pod_that_crashed_before_the_release_counts_as_sound():
    crashed_before = (running(lastState=ended("Error", code=1, age=300)),)
    assert (await judged(world(old=(crashed_before,)))).change is not None


async def test_pods_that_are_being_deleted_do_not_serve():
    objects = world(old=(SERVING,))
    objects[-1]["metadata"]["deletionTimestamp"] = ago(1)
    assert rules(await judged(objects)) == ["ready-revision"]


async def test_revisions_without_numbers_cannot_be_named_to_a_person():
    objects = world()
    for entry in objects[:4]:
        entry["metadata"]["annotations"] = {}
    found = await judged(objects)
    assert "carry no number" in found.judgements[0].reason


async def test_a_former_template_that_is_not_there_cannot_come_back():
    objects = world()
    del objects[2]["spec"]["template"]
    found = await judged(objects)
    assert (found.change, found.judgements[0].reason) == (
        None,
        "the template of revision 2 is not there to go back to",
    )


async def test_a_pod_of_an_older_revision_is_no_reason_to_go_back():
    found = await assess(TOOL, world(old=(CRASHING, SERVING)), pod="old-0")
    assert found.change is None
    assert "already-changed" in rules(found)


@pytest.mark.parametrize("tool", [TOOL, "get_rollout_history"])
async def test_a_stateful_set_has_no_revisions_to_go_back_to(tool):
    owner = controller("StatefulSet")
    objects = [owner, pod(owner=owner, statuses=CRASHING)]
    if tool == TOOL:
        found = await assess(tool, objects)
        assert (found.change, rules(found)) == (None, ["ownership-chain"])
        assert found.judgements[0].by_hand == "kubectl -n demo rollout history statefulset/app"
        assert found.output == {"revision_before": None, "revision_after": None}
    else:
        told = await diagnose(tool, objects)
        assert (told.revisions, told.rollback_candidate) == ([], False)
        assert "only Deployments are written to" in told.reason


async def test_a_job_has_no_history_to_show():
    owner = controller("Job", api_version="batch/v1")
    found = await assess(TOOL, [owner, pod(owner=owner, statuses=CRASHING)])
    assert found.judgements[0].by_hand == "kubectl -n demo describe pod app-2-a"


async def test_the_history_lists_revisions_newest_first_with_their_pods():
    told = await diagnose("get_rollout_history", world(), pod="new-0")
    assert [(entry.revision, entry.replica_set, entry.pods, entry.ready) for entry in told.revisions] == [
        (3, "app-3", 1, 0),
        (2, "app-2", 2, 2),
        (1, "app-1", 0, 0),
    ]
    assert told.revisions[1].images == ["registry.example/app:1"]
    assert told.revisions[0].created_at == ago(60)
    assert told.rollback_candidate
    assert "revision 3 fail, revision 2 has 2 ready" in told.reason


async def test_the_history_says_why_there_is_no_way_back():
    told = await diagnose("get_rollout_history", world(old=()), pod="new-0")
    assert not told.rollback_candidate
    assert "no older revision" in told.reason


async def test_the_patch_is_taken_by_the_cluster_as_it_stands():
    objects = world()
    on = cluster(*objects)
    found = await assess(TOOL, objects, pod="new-0")
    await on.write(found.change.writes[0])
    (accepted,) = on.accepted_writes
    assert accepted.body == found.change.writes[0].body


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param({"a": 1}, {"a": 1}, [], id="equal"),
        pytest.param({"a": 1}, {"a": 2}, [("t.a", "1", "2")], id="a leaf"),
        pytest.param({}, {"a": "x"}, [("t.a", None, "x")], id="added"),
        pytest.param({"a": {"b": "x"}}, {}, [("t.a", '{"b": "x"}', None)], id="removed"),
        pytest.param(
            {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
            {"env": [{"name": "B", "value": "3"}]},
            [("t.env[A]", '{"name": "A", "value": "1"}', None), ("t.env[B].value", "2", "3")],
            id="named elements",
        ),
        pytest.param({"args": ["a"]}, {"args": ["b"]}, [("t.args", '["a"]', '["b"]')], id="a plain list"),
        pytest.param(
            {"p": [{"name": "x", "a": 1}, {"name": "x", "a": 2}]},
            {"p": [{"name": "x", "a": 1}]},
            [("t.p", '[{"a": 1, "name": "x"}, {"a": 2, "name": "x"}]', '[{"a": 1, "name": "x"}]')],
            id="a list with a doubled name",
        ),
        pytest.param({"a": {"b": 1}}, {"a": [1]}, [("t.a", '{"b": 1}', "[1]")], id="another shape"),
    ],
)
def test_two_templates_are_compared_field_by_field(before, after, expected):
    found = [(change.path, change.before, change.after) for change in changed_fields(before, after, "t")]
    assert found == expected
    assert all(isinstance(change, FieldChange) for change in changed_fields(before, after, "t"))


def test_a_template_without_labels_needs_none_removed():
    assert without_pod_template_hash({"spec": {}}) == {"spec": {}, "metadata": {"labels": {}}}
