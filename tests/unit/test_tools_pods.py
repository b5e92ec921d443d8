"""The tools about one pod: its events, its logs, the runbook beside it, and deleting it when that can help."""

import pytest

from sre_agent.cluster.port import Refused, Resource, WriteVerb
from sre_agent.cluster.recording import from_objects
from sre_agent.cluster.snapshot import SnapshotCluster
from sre_agent.tools.registry import TOOLS
from sre_agent.tools.validate import arguments_for
from tests.unit.workload_objects import (
    FALLBACK,
    NOT_FOUND,
    Away,
    ago,
    alert,
    assess,
    bound,
    cluster,
    container,
    context,
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

STUCK = (waiting("ContainerCreating"),)


def world(*more, statuses=STUCK, other=True, containers=None, **fields):
    owner = deployment(containers=containers)
    newest = replica_set(owner)
    objects = [owner, newest, pod(owner=newest, statuses=statuses, containers=containers, **fields)]
    return [*objects, *([pod("app-2-b", owner=newest, statuses=(running(),))] if other else []), *more]


async def test_events_are_listed_newest_last_with_what_a_person_needs():
    told = [event("Started", "go", age=9), event("BackOff", "x", age=1, count=7), event("Killing", "y", container=None)]
    found = await diagnose("get_pod_events", world(*told))
    assert [entry.reason for entry in found.events] == ["Started", "Killing", "BackOff"]
    newest = found.events[-1]
    assert (newest.time, newest.count, newest.container, newest.message) == (
        "2026-05-01T11:59:00+00:00",
        7,
        "app",
        "x",
    )
    assert (found.oom_detected, found.sandbox_failure_detected) == (False, False)


async def test_at_most_the_newest_fifty_events_are_listed():
    found = await diagnose("get_pod_events", world(*(event("BackOff", str(age), age=age) for age in range(60))))
    assert [entry.message for entry in found.events] == [str(age) for age in range(49, -1, -1)]


async def test_a_series_counts_itself_and_an_undated_event_is_the_oldest():
    series = event("BackOff", "x", series={"count": 12, "lastObservedTime": ago(1)}, count=None)
    undated = event("Scheduled", "x", container=None, lastTimestamp=None, count=None)
    found = await diagnose("get_pod_events", world(series, undated))
    assert [(entry.count, entry.time is None) for entry in found.events] == [(1, True), (12, False)]


async def test_events_of_an_earlier_pod_of_the_same_name_do_not_count():
    former = event("OOMKilling", "x", uid="uid-of-the-former-pod")
    nameless = event("BackOff", "x")
    del nameless["involvedObject"]["uid"]
    found = await diagnose("get_pod_events", world(former, nameless))
    assert ([entry.reason for entry in found.events], found.oom_detected) == (["BackOff"], False)


@pytest.mark.parametrize(
    ("events", "statuses", "detected"),
    [
        pytest.param([event("OOMKilling", "x")], STUCK, True, id="events say so"),
        pytest.param([], (oom(),), True, id="the status says so"),
        pytest.param([], STUCK, False, id="nothing does"),
    ],
)
async def test_events_and_status_together_tell_a_kill_for_memory(events, statuses, detected):
    found = await diagnose("get_pod_events", world(*events, statuses=statuses))
    assert found.oom_detected is detected


async def test_a_failed_sandbox_is_seen():
    found = await diagnose("get_pod_events", world(event("FailedCreatePodSandBox", "no network", container=None)))
    assert found.sandbox_failure_detected


async def test_a_workload_without_pods_has_no_events():
    found = await diagnose("get_pod_events", [deployment()], deployment="app")
    assert (found.events, found.oom_detected) == ([], False)


LOG, PREVIOUS = ("demo", "app-2-a", "app", False), ("demo", "app-2-a", "app", True)


async def logs(objects, recorded, **labels):
    return await diagnose("get_pod_logs", cluster(*objects, logs=recorded), **labels)


async def test_logs_are_the_end_of_this_and_of_the_previous_run():
    found = await logs(world(), {LOG: "one\ntwo\n", PREVIOUS: "boom\n"})
    assert (found.container, found.lines, found.previous_available, found.previous_lines, found.reason) == (
        "app",
        ["one", "two"],
        True,
        ["boom"],
        None,
    )


async def test_a_log_that_is_not_there_is_an_answer():
    found = await logs(world(), {})
    assert (found.lines, found.previous_available, found.reason) == ([], False, "the container has no log")


async def test_a_container_that_has_not_started_has_no_log():
    class NotStarted(SnapshotCluster):
        async def pod_logs(self, *_, **__):
            raise Refused("container is waiting to start")

    found = await diagnose("get_pod_logs", NotStarted(from_objects(world())))
    assert found.reason == "the container has no log"


async def test_long_logs_and_long_lines_are_cut():
    found = await logs(world(), {LOG: "\n".join(["x" * 5000] * 300)})
    assert (len(found.lines), {len(line) for line in found.lines}) == (100, {2000})


async def test_a_secret_over_several_lines_is_hidden_on_each():
    key = "-----BEGIN PRIVATE KEY-----\nQUJDcanary\nREVGcanary\n-----END PRIVATE KEY-----"
    found = await logs(world(), {LOG: f"read\n{key}\ndone\n"})
    assert "canary" not in str(found)
    assert (found.lines[0], found.lines[-1]) == ("read", "done")


async def test_without_a_bound_container_no_log_is_guessed():
    objects = world(statuses=(running(), running("proxy")), containers=[container(), container("proxy")])
    found = await logs(objects, {LOG: "x"}, pod="app-2-a")
    assert (found.lines, found.reason) == ([], "no container is bound; the pod has app, proxy")


async def test_a_workload_without_pods_has_no_log():
    assert (await logs([deployment()], {}, deployment="app")).reason == "the pod is gone"


async def test_a_pod_that_went_away_after_it_was_bound_has_no_log():
    _, target, _ = await bound(world(), pod="app-2-a")
    tool = TOOLS["get_pod_logs"]
    arguments = tool.input(**arguments_for(tool, target))
    found = await tool.run(cluster(deployment()), arguments, context(alert(pod="app-2-a"), target))
    assert (found.lines, found.reason) == ([], "the pod is gone")


async def test_the_runbook_tells_its_id_and_fallback_image():
    found = await diagnose("get_runbook", world())
    assert (found.runbook_id, found.fallback_image) == ("RB_TEST", FALLBACK)


async def test_a_stuck_pod_is_deleted_by_uid_while_another_serves():
    found = await assess("delete_pod", world())
    assert found.judgements == ()
    change = found.change
    assert (change.action, change.kubectl, change.undo) == (
        "delete_pod:demo/app-2-a",
        "kubectl -n demo delete pod app-2-a",
        (),
    )
    (write,) = change.writes
    assert (write.verb, write.name, write.uid, write.resource_version) == (
        WriteVerb.DELETE,
        "app-2-a",
        "uid-app-2-a",
        "200",
    )
    assert write.body["preconditions"] == {"uid": "uid-app-2-a", "resourceVersion": "200"}
    assert found.output == {"pod": "app-2-a", "ready_elsewhere": ["app-2-b"]}
    on = cluster(*world())
    await on.write(write)
    assert [entry.name for entry in on.accepted_writes] == ["app-2-a"]


async def test_the_last_replica_is_not_deleted():
    found = await assess("delete_pod", world(other=False))
    assert (found.change, rules(found)) == (None, ["other-ready-replica"])
    assert found.judgements[0].by_hand == "kubectl -n demo describe pod app-2-a"


@pytest.mark.parametrize(
    ("fields", "settled", "words"),
    [
        pytest.param({"statuses": (running(),)}, True, "is Ready", id="it serves"),
        pytest.param({"statuses": (waiting("ErrImagePull", NOT_FOUND),)}, False, "waits for an image", id="no image"),
        pytest.param({"statuses": (oom(),)}, False, "lacks memory", id="no memory"),
        pytest.param({"node": None}, False, "is not scheduled", id="no node"),
    ],
)
async def test_a_pod_whose_successor_would_be_the_same_is_not_deleted(fields, settled, words):
    found = await assess("delete_pod", world(**fields))
    judgement = next(entry for entry in found.judgements if entry.rule == "symptom")
    assert (found.change, judgement.settled) == (None, settled)
    assert words in judgement.reason


async def test_a_finished_pod_is_not_deleted():
    objects = world(statuses=({"name": "app", "ready": False, "state": ended("Error", code=1)},))
    objects[2]["status"]["phase"] = "Failed"
    assert "has finished" in (await assess("delete_pod", objects)).judgements[0].reason


async def test_a_pod_whose_events_cannot_be_listed_is_not_deleted():
    found = await assess("delete_pod", Away(world(), Resource.EVENTS))
    (judgement,) = found.judgements
    assert (found.change, judgement.rule, judgement.allowed_by) == (None, "symptom", "the right to list events")


async def test_a_stateful_sets_pod_is_a_persons_to_delete():
    owner = controller("StatefulSet")
    objects = [owner, pod(owner=owner, statuses=STUCK), pod("app-1", owner=owner, statuses=(running(),))]
    (judgement,) = (await assess("delete_pod", objects)).judgements
    assert (judgement.rule, judgement.by_hand) == ("ownership-chain", "kubectl -n demo delete pod app-2-a")


async def test_a_bare_pod_that_nothing_would_recreate_is_only_looked_at():
    found = await assess("delete_pod", [pod(statuses=STUCK)])
    assert rules(found) == ["other-ready-replica", "ownership-chain"]
    assert {entry.by_hand for entry in found.judgements} == {"kubectl -n demo describe pod app-2-a"}


async def test_a_workload_without_pods_has_none_to_delete():
    found = await assess("delete_pod", [deployment()], deployment="app")
    assert (found.change, rules(found)) == (None, ["pod"])
