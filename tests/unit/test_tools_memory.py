"""increase_memory_limit: the next limit, the symptom it needs, and the patch."""

from dataclasses import replace

import pytest

from sre_agent.cluster.port import Resource, WriteVerb
from sre_agent.run import Verdict
from sre_agent.settings import load
from sre_agent.tools.memory import next_limit
from tests.unit.memory_cases import NEAR, OPERATOR, PATH, TOOL, limit_range, only, quota, usage, world
from tests.unit.workload_objects import (
    Away,
    assess,
    container,
    deployment,
    ended,
    event,
    node,
    oom,
    owned_by,
    pod,
    replica_set,
    rules,
    running,
    waiting,
)


async def test_the_change_is_the_patch_its_undo_and_the_words_for_a_person():
    found = await assess(TOOL, world())
    assert found.judgements == ()
    change = found.change
    assert change.action == "patch_memory_limit:demo/app/app:256Mi→512Mi"
    assert (change.tool, change.value, change.target.container) == (TOOL, "512Mi", "app")
    assert change.kubectl == "kubectl -n demo set resources deployment/app -c app --limits=memory=512Mi"
    (write,) = change.writes
    assert (write.verb, write.resource, write.namespace, write.name) == (
        WriteVerb.PATCH,
        Resource.DEPLOYMENTS,
        "demo",
        "app",
    )
    assert (write.uid, write.resource_version) == ("uid-app", "100")
    assert write.body == {
        "spec": {"template": {"spec": {"containers": [{"name": "app", "resources": {"limits": {"memory": "512Mi"}}}]}}}
    }
    (undo,) = change.undo
    assert undo.body["spec"]["template"]["spec"]["containers"] == [
        {"name": "app", "resources": {"limits": {"memory": "256Mi"}}}
    ]
    assert (undo.uid, undo.resource_version) == ("uid-app", None)
    (line,) = change.diff
    assert (line.path, line.before, line.after) == (f"{PATH}.limits.memory", "256Mi", "512Mi")
    assert found.output == {
        "container": "app",
        "limit_before": "256Mi",
        "limit_after": "512Mi",
        "reasons": ["container app was OOMKilled at 2026-05-01 11:55:00 UTC (exit code 137)"],
    }


@pytest.mark.parametrize(
    ("current", "expected"),
    [
        pytest.param("64Mi", "256Mi", id="below the floor: the floor"),
        pytest.param("255Mi", "256Mi", id="just below the floor"),
        pytest.param("256Mi", "512Mi", id="at the floor: twice"),
        pytest.param("0.5Gi", "1Gi", id="written with a fraction"),
        pytest.param("300M", "600M", id="decimal units stay decimal"),
        pytest.param("3Gi", "4Gi", id="never above the cap"),
        pytest.param("268435456", "512Mi", id="plain bytes"),
    ],
)
async def test_the_next_limit_is_computed_from_the_templates_current_one(current, expected):
    found = await assess(TOOL, world(containers=[container(limit=current, request="32Mi")]))
    assert found.change.value == expected


def test_a_floor_above_the_cap_does_not_lift_the_cap():
    assert next_limit(2**20, replace(load({}), memory_floor=2**30, memory_cap=2**29)) == 2**29


@pytest.mark.parametrize(
    ("limit", "rule", "words"),
    [
        pytest.param(None, "no-limit", "has no memory limit in the template", id="no limit"),
        pytest.param("0", "no-limit", "has no memory limit", id="zero is no limit"),
        pytest.param("4Gi", "memory-cap", "at or above the cap of 4Gi", id="at the cap"),
        pytest.param("6Gi", "memory-cap", "is 6Gi, at or above", id="above the cap"),
    ],
)
async def test_without_a_limit_or_at_the_cap_it_is_refused_with_the_words_for_it(limit, rule, words):
    found = await assess(TOOL, world(containers=[container(limit=limit, request="32Mi")]))
    assert found.change is None
    judgement = only(found)
    assert (judgement.rule, judgement.verdict, judgement.settled) == (rule, Verdict.REFUSE, False)
    assert words in judgement.reason
    assert judgement.by_hand.startswith("kubectl -n demo ")


async def test_at_the_cap_a_person_is_told_the_command_that_goes_beyond():
    found = await assess(TOOL, world(containers=[container(limit="4Gi")]))
    assert only(found).by_hand == "kubectl -n demo set resources deployment/app -c app --limits=memory=8Gi"


async def test_a_guaranteed_request_is_raised_with_the_limit():
    found = await assess(TOOL, world(containers=[container(request="256Mi")]))
    assert found.change.writes[0].body["spec"]["template"]["spec"]["containers"][0]["resources"] == {
        "limits": {"memory": "512Mi"},
        "requests": {"memory": "512Mi"},
    }
    assert [line.path for line in found.change.diff] == [f"{PATH}.limits.memory", f"{PATH}.requests.memory"]
    assert found.change.kubectl.endswith("--limits=memory=512Mi --requests=memory=512Mi")
    assert found.change.undo[0].body["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"] == {
        "memory": "256Mi"
    }


async def test_a_request_that_is_not_set_follows_the_limit_and_is_not_written():
    found = await assess(TOOL, world(containers=[container(request=None)]))
    assert "requests" not in found.change.writes[0].body["spec"]["template"]["spec"]["containers"][0]["resources"]
    assert "the request follows the limit" in found.change.notes[0]


@pytest.mark.parametrize(
    ("statuses", "events", "settled", "words"),
    [
        pytest.param(
            (waiting("CrashLoopBackOff", lastState=ended("Error")),), [], False, "137 without reason", id="exit 137"
        ),
        pytest.param((waiting("CrashLoopBackOff"),), [], False, "was not OOMKilled", id="crashing"),
        pytest.param((running(),), [], True, "was not OOMKilled", id="ready: nothing left to do"),
        pytest.param(
            (running(ready=False),), [event("OOMKilling", "x")], False, "not taken as proof", id="event alone"
        ),
    ],
)
async def test_without_an_oom_kill_in_its_status_nothing_is_done(statuses, events, settled, words):
    judgement = only(await assess(TOOL, world(*events, statuses=statuses)))
    assert (judgement.rule, judgement.settled) == ("symptom", settled)
    assert words in judgement.reason
    assert judgement.by_hand == "kubectl -n demo logs app-2-a -c app --previous"


@pytest.mark.parametrize(
    "status",
    [
        pytest.param({"name": "app", "ready": False, "restartCount": 1, "state": ended(code=0)}, id="exit code 0"),
        pytest.param(running(lastState=ended()), id="running again since"),
    ],
)
async def test_an_oom_kill_counts_whatever_its_exit_code_and_whatever_came_after(status):
    assert (await assess(TOOL, world(statuses=(status,)))).change is not None


async def test_a_bystander_that_was_killed_does_not_raise_the_labelled_container():
    objects = world(containers=[container(), container("proxy")], statuses=(running(ready=False), oom("proxy")))
    judgement = only(await assess(TOOL, objects))
    assert judgement.rule == "symptom"
    assert "container proxy was OOMKilled" in judgement.reason


async def test_without_a_label_the_only_killed_container_is_raised_though_another_lacks_its_image():
    objects = world(
        containers=[container(), container("proxy")], statuses=(oom(), waiting("ImagePullBackOff", name="proxy"))
    )
    found = await assess(TOOL, objects, pod="app-2-a")
    assert found.change.target.container == "app"


@pytest.mark.parametrize(
    ("statuses", "words"),
    [
        pytest.param((oom(), oom("proxy")), "several do: app, proxy", id="two were killed"),
        pytest.param((running(), running("proxy")), "none does by itself", id="none was"),
    ],
)
async def test_an_unnamed_container_is_never_guessed(statuses, words):
    objects = world(containers=[container(), container("proxy")], statuses=statuses)
    judgement = only(await assess(TOOL, objects, pod="app-2-a"))
    assert judgement.rule == "container"
    assert words in judgement.reason


async def test_an_init_container_is_not_changed():
    objects = world(
        statuses=(waiting("PodInitializing"),),
        pod_fields={"init": (container("setup"),), "init_statuses": (oom("setup"),)},
    )
    found = await assess(TOOL, objects, pod="app-2-a")
    assert rules(found) == ["init-container"]


async def test_a_kill_before_the_templates_last_change_is_not_a_kill_of_this_template():
    owner = deployment(revision=3)
    returned = replica_set(owner, revision=3, age=900)
    between = replica_set(owner, revision=2, age=10)
    objects = [owner, between, returned, pod(owner=returned, statuses=(oom(age=30),), age=800), node()]
    judgement = only(await assess(TOOL, objects))
    assert (judgement.rule, judgement.settled) == ("kill-after-change", True)
    assert "before the template's last change at 2026-05-01 11:50:00 UTC" in judgement.reason


async def test_a_kill_without_a_time_is_dated_by_its_pods_creation():
    status = oom()
    del status["lastState"]["terminated"]["finishedAt"]
    assert (await assess(TOOL, world(statuses=(status,)))).change is not None
    undated = world(statuses=(status,), pod_fields={"creationTimestamp": None})
    judgement = only(await assess(TOOL, undated))
    assert (judgement.rule, judgement.settled) == ("kill-after-change", False)
    assert "cannot be told" in judgement.reason


@pytest.mark.parametrize(
    ("metrics", "allowed", "words"),
    [
        pytest.param([], True, "", id="no metrics in this cluster"),
        pytest.param([usage("231Mi")], True, "", id="90 %"),
        pytest.param([usage("230Mi")], False, "uses 230Mi of 256Mi now, less than 90 %", id="less than 90 %"),
        pytest.param(
            [usage("250Mi", "proxy")], False, "says nothing about the memory of container app", id="not measured"
        ),
        pytest.param(
            [usage("250Mi", pod="neighbour")],
            False,
            "says nothing about the memory of container app",
            id="another pod is measured, this one is not",
        ),
    ],
)
async def test_a_near_limit_alert_needs_no_kill_but_metrics_may_deny_it(metrics, allowed, words):
    found = await assess(TOOL, world(*metrics, statuses=(running(),)), alertname=NEAR, pod="app-2-a", container="app")
    assert (found.change is not None) is allowed
    assert [entry.rule for entry in found.judgements] == ([] if allowed else ["near-limit-metrics"])
    assert words in "".join(entry.reason for entry in found.judgements)


async def test_a_near_limit_alert_about_a_container_that_was_killed_needs_no_metrics():
    found = await assess(TOOL, world(usage("1Mi")), alertname=NEAR, pod="app-2-a", container="app")
    assert found.change is not None


@pytest.mark.parametrize(
    ("alertname", "status", "near_limit"),
    [
        pytest.param(NEAR, running(), True, id="no kill: the alert alone asks"),
        pytest.param(NEAR, oom(age=900), True, id="a kill before the template's last change does not count"),
        pytest.param(NEAR, oom(), False, id="a kill counts"),
        pytest.param("KubePodOOMKilled", oom(), False, id="another alert"),
    ],
)
async def test_a_change_says_whether_it_is_made_without_a_kill(alertname, status, near_limit):
    objects = world(usage("250Mi"), statuses=(status,))
    found = await assess(TOOL, objects, alertname=alertname, pod="app-2-a", container="app")
    assert found.change.near_limit is near_limit


async def test_a_near_limit_alert_without_a_container_does_not_choose_one():
    objects = world(containers=[container(), container("proxy")], statuses=(running(), running("proxy")))
    found = await assess(TOOL, objects, alertname=NEAR, pod="app-2-a")
    assert rules(found) == ["container"]


async def test_a_near_limit_alert_does_not_excuse_another_containers_old_kill():
    owner = deployment(revision=3, containers=[container(), container("proxy")])
    returned, between = replica_set(owner, revision=3, age=900), replica_set(owner, revision=2, age=10)
    statuses = (running(), oom("proxy", age=30))
    one = pod(owner=returned, statuses=statuses, containers=[container(), container("proxy")])
    found = await assess(TOOL, [owner, between, returned, one, node()], alertname=NEAR, pod="app-2-a")
    assert rules(found) == ["near-limit-metrics"]


async def test_metrics_that_cannot_be_read_deny_a_near_limit_alert():
    found = await assess(
        TOOL, Away(world(statuses=(running(),)), Resource.POD_METRICS), alertname=NEAR, pod="app-2-a", container="app"
    )
    assert rules(found) == ["near-limit-metrics"]


@pytest.mark.parametrize("pressure", ["True", "Unknown"])
async def test_on_a_node_with_memory_pressure_a_person_is_asked(pressure):
    found = await assess(TOOL, world(node(pressure=pressure)))
    judgement = only(found)
    assert (judgement.rule, judgement.verdict) == ("memory-pressure", Verdict.ASK)
    assert judgement.by_hand == found.change.kubectl


async def test_an_amount_that_cannot_be_read_is_refused_and_not_a_crash():
    found = await assess(TOOL, world(quota({"limits.memory": "many"}, {"limits.memory": "1Gi"})))
    assert rules(found) == ["quantity"]
    assert "'many'" in only(found).reason


async def test_every_reason_is_kept():
    objects = world(
        quota({"limits.memory": "1Gi"}, {"limits.memory": "1Gi"}),
        limit_range("Container", max="300Mi"),
        node(allocatable="100Mi", pressure="True"),
        owner=owned_by(OPERATOR),
        statuses=(running(ready=False),),
    )
    assert rules(await assess(TOOL, objects)) == [
        "limit-range",
        "memory-pressure",
        "node-allocatable",
        "ownership-chain",
        "quota-room",
        "symptom",
    ]
