"""drain_node: kubectl's filters, our protections, the budgets' arithmetic, and what stops a whole drain."""

from dataclasses import replace
from datetime import timedelta

import pytest

from sre_agent.cluster.port import Resource, WriteVerb
from sre_agent.run import StepRecord, StepStatus
from sre_agent.tools.drain import TOOLS, drained_action, workloads_left_without_ready
from sre_agent.tools.drain_budgets import play_budgets
from sre_agent.tools.drain_filters import DEFAULT_FLAGS, Fate, KubectlFlags, Surroundings, judge_pod, kubectl_judges
from tests.unit.node_objects import (
    ARGUMENTS,
    EMPTY_DIR,
    NODE,
    REPLICA_SET,
    ago,
    budget,
    context,
    daemon_set,
    evidence,
    node,
    owner,
    pod,
    verdicts,
)

(DRAIN,) = TOOLS
OURS = {"sre-agent/cordoned": "41"}
CORDONED = node(ready="False", unschedulable=True, annotations=OURS)
UNREACHABLE = node(ready="Unknown", unschedulable=True, annotations=OURS)
DAEMON_SET = owner("DaemonSet", "logs")
JOB = owner("Job", "report", "batch/v1")
STATEFUL_SET = owner("StatefulSet", "db")
WEB = {"app": "web"}


def drain(pods=(), of_node=CORDONED, *, limits=None, earlier=(), **parts):
    """A drain that may not wait, unless `limits` say otherwise."""
    settings = {"drain_timeout": timedelta(0), **(limits or {})}
    return DRAIN.assess(ARGUMENTS, evidence(of_node, pods, **parts), context(earlier=earlier, **settings))


def left(assessment):
    return {entry["pod"]: entry["reason"] for entry in assessment.output["left"]}


def around(*, flags=DEFAULT_FLAGS, daemon_sets=None, unreachable=False, controllers=None, namespaces=None):
    return Surroundings(
        daemon_sets={("demo", "logs"): daemon_set()} if daemon_sets is None else daemon_sets,
        controllers=controllers or {},
        namespaces=namespaces or {},
        flags=flags,
        agent_namespace="agentic",
        unreachable=unreachable,
    )


# The cases of kubectl's own TestDrain (pkg/cmd/drain/drain_test.go), each with the flags that it is run with.
FORCE = {"force": True}
NAKED = pod(controller=None, phase="")
NAKED_EMPTY_DIR = pod(controller=None, phase="", volumes=[EMPTY_DIR])
OF_DAEMON_SET = pod(controller=DAEMON_SET, phase="")


@pytest.mark.parametrize(
    ("of_pod", "flags", "fate"),
    [
        pytest.param(pod(controller=owner("ReplicationController", "rc", "v1")), {}, "EVICTED", id="RC-managed pod"),
        pytest.param(OF_DAEMON_SET, {}, "FORBIDDEN", id="DS-managed pod"),
        pytest.param(pod(controller=DAEMON_SET, phase="Succeeded"), {}, "EVICTED", id="DS-managed terminated pod"),
        pytest.param(NAKED, {}, "FORBIDDEN", id="orphaned DS-managed pod"),
        pytest.param(NAKED, FORCE, "EVICTED", id="orphaned DS-managed pod with --force"),
        pytest.param(OF_DAEMON_SET, {"ignore_daemonsets": True}, "LEFT", id="DS-managed pod with --ignore-daemonsets"),
        pytest.param(
            pod(controller=DAEMON_SET, volumes=[EMPTY_DIR]),
            {"ignore_daemonsets": True},
            "LEFT",
            id="DS-managed pod with emptyDir with --ignore-daemonsets",
        ),
        pytest.param(
            pod(controller=JOB, volumes=[EMPTY_DIR]),
            {**FORCE, "delete_emptydir_data": True},
            "EVICTED",
            id="Job-managed pod with local storage",
        ),
        pytest.param(
            pod(controller=JOB, phase="Succeeded", volumes=[EMPTY_DIR]), {}, "EVICTED", id="Job-managed terminated pod"
        ),
        pytest.param(pod(), {}, "EVICTED", id="RS-managed pod"),
        pytest.param(NAKED, {}, "FORBIDDEN", id="naked pod"),
        pytest.param(NAKED, FORCE, "EVICTED", id="naked pod with --force"),
        pytest.param(NAKED_EMPTY_DIR, FORCE, "FORBIDDEN", id="pod with EmptyDir"),
        pytest.param(
            pod(controller=None, phase="Failed", volumes=[EMPTY_DIR]), {}, "EVICTED", id="terminated pod with emptyDir"
        ),
        pytest.param(
            NAKED_EMPTY_DIR,
            {**FORCE, "delete_emptydir_data": True},
            "EVICTED",
            id="pod with EmptyDir and --delete-emptydir-data",
        ),
    ],
)
def test_kubectls_own_cases_end_as_in_kubectl(of_pod, flags, fate):
    assert kubectl_judges(of_pod, around(flags=KubectlFlags(**flags))).fate is Fate[fate]


def test_kubectls_case_of_an_empty_node_evicts_nothing():
    assert drain([]).already == "nothing to evict; left=0"


def test_kubectls_case_of_pods_that_cannot_be_listed_evicts_nothing():
    assessment = drain(None)
    assert assessment.change is None
    assert verdicts(assessment) == {"drain-evidence": "REFUSE"}


@pytest.mark.parametrize(
    ("of_pod", "flags", "daemon_sets", "fate", "words"),
    [
        pytest.param(OF_DAEMON_SET, {}, {}, "FORBIDDEN", 'daemonsets.apps "logs" not found', id="DaemonSet is gone"),
        pytest.param(
            OF_DAEMON_SET, FORCE, {}, "EVICTED", 'daemonsets.apps "logs" not found', id="DaemonSet is gone, --force"
        ),
        pytest.param(
            pod(controller=owner("DaemonSet", "logs", "apps.kruise.io/v1alpha1")),
            {},
            {},
            "EVICTED",
            "",
            id="another group's DaemonSet is a controller like any other",
        ),
        pytest.param(
            pod(annotations={"kubernetes.io/config.mirror": "abc"}, controller=owner("Node", NODE, "v1")),
            {},
            {},
            "LEFT",
            "",
            id="mirror pod",
        ),
        pytest.param(
            pod(controller=None, volumes=[EMPTY_DIR]),
            {"delete_emptydir_data": True},
            {},
            "FORBIDDEN",
            "Pods that declare no controller (use --force to override)",
            id="emptyDir may go, but nothing recreates the pod",
        ),
        pytest.param(
            pod(volumes=[{"name": "data", "hostPath": {"path": "/data"}}]),
            {},
            {},
            "EVICTED",
            "",
            id="hostPath is not local",
        ),
        pytest.param(
            pod(volumes=[EMPTY_DIR]),
            {},
            {},
            "FORBIDDEN",
            "Pods with local storage (use --delete-emptydir-data to override)",
            id="emptyDir",
        ),
    ],
)
def test_kubectls_filters_beyond_its_own_cases(of_pod, flags, daemon_sets, fate, words):
    found = kubectl_judges(of_pod, around(flags=KubectlFlags(**flags), daemon_sets=daemon_sets))
    assert found.fate is Fate[fate]
    assert words in (found.error, *found.warnings)


def tolerates(**toleration):
    return pod(tolerations=[{"effect": "NoExecute", "operator": "Exists", **toleration}])


UNREACHABLE_KEY = "node.kubernetes.io/unreachable"


@pytest.mark.parametrize(
    ("of_pod", "unreachable", "reason"),
    [
        pytest.param(pod(), False, None, id="a Deployment's pod goes"),
        pytest.param(pod(volumes=[EMPTY_DIR]), False, None, id="emptyDir that a controller recreates goes"),
        pytest.param(pod(controller=STATEFUL_SET), False, None, id="a StatefulSet's pod goes from a reachable node"),
        pytest.param(pod(controller=None, phase="Succeeded"), False, None, id="a finished bare pod goes"),
        pytest.param(OF_DAEMON_SET, False, "managed by DaemonSet logs", id="DaemonSet"),
        pytest.param(
            pod(controller=owner("DaemonSet", "x")), False, "its DaemonSet is gone", id="orphan of a DaemonSet"
        ),
        pytest.param(pod(controller=None), False, "bare pod", id="bare pod"),
        pytest.param(
            pod(annotations={"kubernetes.io/config.mirror": "a"}), False, "mirror of a static pod", id="mirror pod"
        ),
        pytest.param(pod(namespace="kube-system"), False, "in kube-system", id="kube-system"),
        pytest.param(
            pod(namespace="kube-system", phase="Succeeded"), False, "in kube-system", id="kube-system, finished"
        ),
        pytest.param(pod(namespace="agentic"), False, "in agentic", id="the agent's own namespace"),
        pytest.param(pod(deleted=True), False, "already terminating", id="terminating"),
        pytest.param(pod(deleted=True, controller=None), False, "already terminating", id="terminating and bare"),
        pytest.param(
            pod(annotations={"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}),
            False,
            "marked cluster-autoscaler.kubernetes.io/safe-to-evict=false",
            id="safe-to-evict false",
        ),
        pytest.param(
            pod(annotations={"cluster-autoscaler.kubernetes.io/safe-to-evict": "true"}),
            False,
            None,
            id="safe-to-evict true",
        ),
        pytest.param(
            pod(annotations={"karpenter.sh/do-not-disrupt": "true"}),
            False,
            "marked karpenter.sh/do-not-disrupt=true",
            id="do-not-disrupt",
        ),
        pytest.param(pod(annotations={"karpenter.sh/do-not-disrupt": "false"}), False, None, id="do-not-disrupt false"),
        pytest.param(
            pod(labels={"sre-agent/ignore": "true"}), False, "marked sre-agent/ignore=true", id="ignore label"
        ),
        pytest.param(pod(annotations={"sre-agent/ignore": "true"}), False, "marked sre-agent/ignore", id="ignore note"),
        pytest.param(pod(controller=STATEFUL_SET), True, "of StatefulSet db", id="unreachable: StatefulSet"),
        pytest.param(
            tolerates(key=UNREACHABLE_KEY, tolerationSeconds=300), True, None, id="unreachable: the default 300 s goes"
        ),
        pytest.param(
            tolerates(key=UNREACHABLE_KEY, tolerationSeconds=301), True, "for 301 s", id="unreachable: one second more"
        ),
        pytest.param(tolerates(key=UNREACHABLE_KEY), True, "without end", id="unreachable: tolerates without end"),
        pytest.param(tolerates(), True, "without end", id="unreachable: tolerates everything"),
        pytest.param(
            tolerates(key=UNREACHABLE_KEY, effect=""),
            True,
            "without end",
            id="unreachable: an empty effect is every effect",
        ),
        pytest.param(
            tolerates(key=UNREACHABLE_KEY, operator="Equal"), True, "without end", id="unreachable: equal to no value"
        ),
        pytest.param(
            tolerates(key=UNREACHABLE_KEY, operator="Equal", value="x"), True, None, id="unreachable: another value"
        ),
        pytest.param(
            tolerates(key=UNREACHABLE_KEY, effect="NoSchedule"), True, None, id="unreachable: tolerates scheduling only"
        ),
        pytest.param(tolerates(key="node.kubernetes.io/not-ready"), True, None, id="unreachable: another taint"),
        pytest.param(tolerates(key=UNREACHABLE_KEY), False, None, id="reachable: a long toleration does not matter"),
    ],
)
def test_a_pod_goes_or_stays_with_its_reason(of_pod, unreachable, reason):
    found = judge_pod(of_pod, around(unreachable=unreachable))
    if reason is None:
        assert (found.fate, found.reason) == (Fate.EVICTED, "")
    else:
        assert found.fate is not Fate.EVICTED
        assert reason in found.reason


IGNORE = {"sre-agent/ignore": "true"}


def marked(kind, name, *, controller=None, **marks):
    owners = {} if controller is None else {"ownerReferences": [controller]}
    return (kind, "demo", name), {"metadata": {"name": name, "namespace": "demo", **owners, **marks}}


def space(name, **marks):
    return {name: {"metadata": {"name": name, **marks}}}


OPTED_OUT = [
    pytest.param({"namespaces": space("demo", labels=IGNORE)}, "its namespace demo is", id="a label of the namespace"),
    pytest.param({"namespaces": space("demo", annotations=IGNORE)}, "its namespace demo is", id="an annotation of it"),
    pytest.param(
        {
            "controllers": dict(
                [
                    marked("ReplicaSet", "web-1", controller=owner("Deployment", "web")),
                    marked("Deployment", "web", labels=IGNORE),
                ]
            )
        },
        "its Deployment web is",
        id="a label of the Deployment",
    ),
    pytest.param(
        {
            "controllers": dict(
                [
                    marked("ReplicaSet", "web-1", controller=owner("Deployment", "web")),
                    marked("Deployment", "web", annotations=IGNORE),
                ]
            )
        },
        "its Deployment web is",
        id="an annotation of the Deployment",
    ),
    pytest.param(
        {"controllers": dict([marked("ReplicaSet", "web-1", annotations=IGNORE)])},
        "its ReplicaSet web-1 is",
        id="a ReplicaSet of nobody's",
    ),
]


@pytest.mark.parametrize(("surroundings", "why"), OPTED_OUT)
def test_what_is_opted_out_above_a_pod_keeps_it_on_the_node_and_the_others_go(surroundings, why):
    pods = [pod(), pod("db-0", "other", controller=STATEFUL_SET)]
    assessment = drain(pods, **surroundings)
    assert left(assessment) == {"demo/web-a": f"{why} marked sre-agent/ignore=true"}
    assert assessment.output["evicted"] == ["other/db-0"]
    assert assessment.change.action == "drain_node:worker-1:evicted=1,left=1"


@pytest.mark.parametrize(("surroundings", "why"), OPTED_OUT)
def test_strict_moves_nothing_where_one_pod_is_opted_out(surroundings, why):
    strict = drain([pod(), pod("api", "other")], limits={"drain_strict": True}, **surroundings)
    assert (strict.change, strict.output["evicted"]) == (None, [])
    assert left(strict) == {"demo/web-a": f"{why} marked sre-agent/ignore=true"}
    (judgement,) = strict.judgements
    assert judgement.rule == "drain-strict"
    assert judgement.reason.startswith("cannot delete Pods that sre-agent/ignore=true opts out")
    assert judgement.reason.endswith(": demo/web-a")


@pytest.mark.parametrize(
    "surroundings",
    [
        pytest.param({"namespaces": space("other", labels=IGNORE)}, id="another namespace's mark"),
        pytest.param({"namespaces": space("demo", labels={"sre-agent/ignore": "false"})}, id="false is no opt-out"),
        pytest.param({"controllers": dict([marked("Deployment", "web", labels=IGNORE)])}, id="another's Deployment"),
        pytest.param({"controllers": dict([marked("Job", "web-1", labels=IGNORE)])}, id="another kind of that name"),
        pytest.param(
            {"controllers": dict([marked("ReplicaSet", "web-1", controller=REPLICA_SET)])}, id="a ReplicaSet of its own"
        ),
    ],
)
def test_an_opt_out_of_something_else_keeps_no_pod(surroundings):
    assert drain([pod()], **surroundings).output["evicted"] == ["demo/web-a"]


def test_a_pod_whose_daemon_sets_cannot_be_read_stays():
    assessment = drain([OF_DAEMON_SET, pod()], daemon_sets=None)
    assert left(assessment) == {"demo/web-a": 'daemonsets.apps "logs" could not be read'}


HEALTHY_BUDGET = budget(allowed=1, needs=1, has=2)
SPENT_BUDGET = budget(allowed=0, needs=2, has=2)
NEEDS_AND_HAS = "The disruption budget web needs 2 healthy pods and has 2 currently"
SYNC_FAILED = {"type": "DisruptionAllowed", "status": "False", "reason": "SyncFailed", "message": "no scale for Foo"}


def web(name="web-a", **parts):
    return pod(name, labels=WEB, **parts)


@pytest.mark.parametrize(
    ("pods", "budgets", "blocked"),
    [
        pytest.param([web()], [], {}, id="no budget"),
        pytest.param([web()], [budget(allowed=1)], {}, id="one allowed, one wanted"),
        pytest.param([web()], [SPENT_BUDGET], {"web-a": NEEDS_AND_HAS}, id="none allowed: needs and has"),
        pytest.param(
            [web("a"), web("b"), web("c")],
            [budget(allowed=2, needs=1, has=3)],
            {"c": "needs 1 healthy pods and has 3 currently; the 2 eviction(s) before this one"},
            id="two allowed, three wanted: the last stays",
        ),
        pytest.param(
            [web("a"), web("b", namespace="other")],
            [budget(allowed=1)],
            {},
            id="a budget covers its own namespace only",
        ),
        pytest.param([pod("x", labels={"app": "api"})], [SPENT_BUDGET], {}, id="other labels"),
        pytest.param(
            [web()], [budget(allowed=0, selector={})], {"web-a": "needs 1"}, id="an empty selector covers all"
        ),
        pytest.param(
            [web()],
            [budget(allowed=0, selector={"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]})],
            {"web-a": "needs 1"},
            id="matchExpressions",
        ),
        pytest.param(
            [web()],
            [budget("b1", allowed=5), budget("b2", allowed=5)],
            {"web-a": "more than one PodDisruptionBudget"},
            id="two budgets: the API cannot",
        ),
        pytest.param([web(phase="Pending", ready=False)], [SPENT_BUDGET], {}, id="Pending pods ask no budget"),
        pytest.param([web(phase="Succeeded", ready=False)], [SPENT_BUDGET], {}, id="Succeeded pods ask no budget"),
        pytest.param([web(phase="Failed", ready=False)], [SPENT_BUDGET], {}, id="Failed pods ask no budget"),
        pytest.param([web(deleted=True)], [SPENT_BUDGET], {}, id="terminating pods ask no budget"),
        pytest.param([web(ready=False)], [SPENT_BUDGET], {}, id="not ready, and the rest is healthy"),
        pytest.param(
            [web(ready=False)],
            [budget(allowed=0, needs=2, has=1)],
            {"web-a": "needs 2 healthy pods and has 1 currently"},
            id="not ready, and the rest is not healthy either",
        ),
        pytest.param(
            [web(ready=False)],
            [budget(allowed=0, needs=2, has=1, policy="AlwaysAllow")],
            {},
            id="not ready, AlwaysAllow",
        ),
        pytest.param(
            [web()],
            [budget(allowed=0, needs=2, has=1, policy="AlwaysAllow")],
            {"web-a": "needs 2"},
            id="ready, AlwaysAllow",
        ),
        pytest.param(
            [web("a", ready=False), web("b")],
            [budget(allowed=1, needs=1, has=2)],
            {},
            id="a pod that is not ready costs nothing",
        ),
        pytest.param(
            [web(ready=False)],
            [budget(allowed=0, needs=0, has=0)],
            {"web-a": "needs 0 healthy pods and has 0 currently"},
            id="not ready under a budget that wants nothing counts as a disruption",
        ),
        pytest.param(
            [web()],
            [budget(allowed=1, generation=3, observed=2)],
            {"web-a": "still being processed"},
            id="budget just changed",
        ),
        pytest.param([web()], [budget(allowed=-1)], {"web-a": "is negative"}, id="negative"),
        pytest.param(
            [web()], [budget(allowed=1, disrupted=2001)], {"web-a": "too many pending"}, id="unconfirmed evictions"
        ),
        pytest.param(
            [web()],
            [budget(allowed=0, conditions=[SYNC_FAILED])],
            {"web-a": "failed sync: no scale for Foo"},
            id="sync failed",
        ),
        pytest.param(
            [web()],
            [
                {key: value for key, value in SPENT_BUDGET.items() if key != "status"}
                | {"metadata": {"name": "web", "namespace": "demo"}}
            ],
            {"web-a": "has no status yet"},
            id="no status",
        ),
    ],
)
def test_budgets_are_played_through_as_the_api_would(pods, budgets, blocked):
    taken, kept = play_budgets(pods, budgets)
    assert {entry.pod["metadata"]["name"] for entry in kept} == set(blocked)
    assert len(taken) + len(kept) == len(pods)
    for entry in kept:
        assert blocked[entry.pod["metadata"]["name"]] in entry.reason


def test_a_drain_evicts_in_a_stable_order_and_lists_what_it_leaves():
    pods = [
        pod("z", "shop"),
        pod("b"),
        OF_DAEMON_SET,
        pod("a", volumes=[EMPTY_DIR]),
        pod("dns", "kube-system"),
    ]
    assessment = drain(pods, daemon_sets={("demo", "logs"): daemon_set()})
    change = assessment.change
    assert assessment.judgements == ()
    assert change.action == "drain_node:worker-1:evicted=3,left=2"
    assert change.kubectl == "kubectl drain worker-1 --ignore-daemonsets --delete-emptydir-data"
    assert (change.undo, change.value) == ((), None)
    assert change.notes == ("deleting Pods with local storage: demo/a",)
    assert assessment.output["evicted"] == ["demo/a", "demo/b", "shop/z"]
    assert list(left(assessment)) == ["demo/web-a", "kube-system/dns"]
    assert [(line.path, line.before, line.after) for line in change.diff][2] == (
        "pods/shop/z",
        "on worker-1",
        "evicted",
    )
    assert drain(reversed(pods), daemon_sets={("demo", "logs"): daemon_set()}) == assessment


def test_an_eviction_is_one_write_bound_to_the_uid():
    (write,) = drain([pod()]).change.writes
    assert (write.verb, write.resource, write.subresource) == (WriteVerb.CREATE, Resource.PODS, "eviction")
    assert (write.namespace, write.name, write.uid, write.resource_version) == ("demo", "web-a", "uid-demo-web-a", None)
    assert write.body == {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": "web-a", "namespace": "demo"},
    }


def test_the_action_string_counts_pods():
    assert drained_action("worker-1", 3, 2) == "drain_node:worker-1:evicted=3,left=2"


def test_a_node_with_nothing_to_evict_is_done_without_a_write():
    assessment = drain([pod("dns", "kube-system"), pod(controller=None)])
    assert (assessment.change, assessment.judgements) == (None, ())
    assert assessment.already == "nothing to evict; left=2"
    assert len(assessment.output["left"]) == 2


def test_an_unreachable_node_is_drained_with_a_word_about_its_kubelet():
    assessment = drain([pod(), pod("db-0", controller=STATEFUL_SET)], UNREACHABLE)
    assert assessment.change.action == "drain_node:worker-1:evicted=1,left=1"
    assert assessment.change.notes[-1].startswith("the node is unreachable: evicted pods stay Terminating")
    assert "demo/db-0" in left(assessment)


def test_a_pod_that_a_budget_keeps_is_left_while_others_go():
    assessment = drain([web(), pod("api")], budgets=(SPENT_BUDGET,))
    assert assessment.change.action == "drain_node:worker-1:evicted=1,left=1"
    assert left(assessment) == {"demo/web-a": NEEDS_AND_HAS}


def test_a_drain_that_only_budgets_stop_is_refused_by_name():
    assessment = drain([web()], budgets=(SPENT_BUDGET,))
    assert (assessment.change, assessment.already) == (None, None)
    assert verdicts(assessment) == {"disruption-budget": "REFUSE"}
    assert NEEDS_AND_HAS in assessment.judgements[0].reason
    assert assessment.output["evicted"] == []
    assert "demo/web-a" in left(assessment)


PATIENT = {"drain_timeout": timedelta(minutes=5)}


def test_where_a_drain_may_wait_the_pods_that_wait_for_a_budget_go_last():
    assessment = drain([web(), pod("zz")], budgets=(SPENT_BUDGET,), limits=PATIENT)
    assert [write.name for write in assessment.change.writes] == ["zz", "web-a"]
    assert left(assessment) == {}
    assert f"waits up to 5m for budgets to have room: demo/web-a: {NEEDS_AND_HAS}" in assessment.change.notes


@pytest.mark.parametrize(
    "never",
    [
        pytest.param({"maxUnavailable": 0}, id="none may be unavailable"),
        pytest.param({"maxUnavailable": "0%"}, id="no share may be unavailable"),
        pytest.param({"minAvailable": "100%"}, id="all must be available"),
        pytest.param({"minAvailable": 2}, id="as many must be available as are expected"),
    ],
)
def test_a_budget_that_can_never_allow_it_is_named_before_anything_is_evicted(never):
    spent = budget(allowed=0, needs=2, has=2)
    spent["spec"] = {"selector": spent["spec"]["selector"], **never}
    spent["status"]["expectedPods"] = 2
    assessment = drain([web()], budgets=(spent,), limits=PATIENT)
    assert verdicts(assessment) == {"disruption-budget": "REFUSE"}
    assert NEEDS_AND_HAS in assessment.judgements[0].reason


def test_nobody_waits_for_a_kubelet_that_cannot_answer():
    assert drain([pod()]).change.awaited
    assert not drain([pod()], UNREACHABLE).change.awaited


def cordon_step(status, reason=None):
    return StepRecord(step="cordon", tool="cordon_node", status=status, reason=reason)


NOT_CORDONED = node(ready="False")


@pytest.mark.parametrize(
    ("of_node", "options", "rules"),
    [
        pytest.param(None, {}, {"node-exists": "REFUSE"}, id="the node is gone"),
        pytest.param(node(unschedulable=True, annotations=OURS), {}, {"node-not-ready": "REFUSE"}, id="Ready again"),
        pytest.param(
            node(ready=None, unschedulable=True, annotations=OURS),
            {},
            {"node-not-ready": "REFUSE"},
            id="no Ready condition",
        ),
        pytest.param(
            node(ready="False", unschedulable=True, annotations=OURS, deleted=True),
            {},
            {"node-leaving": "REFUSE"},
            id="being deleted",
        ),
        pytest.param(
            node(ready="False", unschedulable=True, annotations=OURS, taints=["ToBeDeletedByClusterAutoscaler"]),
            {},
            {"node-leaving": "REFUSE"},
            id="the autoscaler takes it away",
        ),
        pytest.param(NOT_CORDONED, {}, {"node-cordoned": "REFUSE"}, id="never cordoned"),
        *(
            pytest.param(
                NOT_CORDONED,
                {"earlier": (cordon_step(status, "because"),)},
                {"node-cordoned": "REFUSE"},
                id=f"the cordon ended {status}",
            )
            for status in (
                StepStatus.REFUSED,
                StepStatus.FAILED,
                StepStatus.UNKNOWN,
                StepStatus.SKIPPED,
                StepStatus.DONE,
            )
        ),
        pytest.param(
            NOT_CORDONED,
            {"earlier": (StepRecord(step="x", tool="get_node_ready", status=StepStatus.PROPOSED),)},
            {"node-cordoned": "REFUSE"},
            id="another step's proposal is no cordon",
        ),
        pytest.param(CORDONED, {"budgets": None}, {"drain-evidence": "REFUSE"}, id="budgets unreadable"),
        pytest.param(CORDONED, {"namespaces": None}, {"drain-evidence": "REFUSE"}, id="namespaces unreadable"),
        pytest.param(CORDONED, {"controllers": None}, {"drain-evidence": "REFUSE"}, id="a kind of owner unreadable"),
        pytest.param(
            NOT_CORDONED,
            {"budgets": None, "workload_pods": None},
            {"node-cordoned": "REFUSE", "drain-evidence": "REFUSE"},
            id="every reason is kept",
        ),
    ],
)
def test_a_drain_is_refused_before_any_pod_is_looked_at(of_node, options, rules):
    assessment = drain([pod()], of_node, **options)
    assert (assessment.change, assessment.already) == (None, None)
    assert verdicts(assessment) == rules
    assert assessment.output == {"evicted": [], "left": [], "warnings": []}


def test_with_the_cordon_only_proposed_the_drain_is_proposed_behind_it():
    assessment = drain([pod()], NOT_CORDONED, earlier=(cordon_step(StepStatus.PROPOSED),))
    assert verdicts(assessment) == {"node-cordoned": "ASK"}
    assert assessment.judgements[0].allowed_by == "approve the cordon first"
    assert assessment.change.action == "drain_node:worker-1:evicted=1,left=0"


def cordoned_node(*, changed, managers=(), **parts):
    """Not ready, with a cordon of that age: told by its managers where given, else by the taint."""
    managed = [{"manager": who, "time": changed, "fieldsV1": {"f:spec": {"f:unschedulable": {}}}} for who in managers]
    taint = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule", "timeAdded": changed}
    taints = [taint] if changed and not managers else ()
    return node(ready="False", unschedulable=True, managed=managed, taints=taints, **parts)


SENT = drain([pod()]).change
ASKED = {"cordon-settle": "ASK"}


@pytest.mark.parametrize(
    ("of_node", "options", "judged"),
    [
        pytest.param(cordoned_node(changed=ago(minutes=4)), {}, ASKED, id="somebody cordoned it minutes ago"),
        pytest.param(
            cordoned_node(changed=ago(minutes=4), managers=["kubectl-cordon"]), {}, ASKED, id="by managedFields"
        ),
        pytest.param(cordoned_node(changed=None), {}, ASKED, id="somebody cordoned it, nobody knows when"),
        pytest.param(cordoned_node(changed=ago(minutes=61)), {}, {}, id="somebody cordoned it long ago"),
        pytest.param(
            cordoned_node(changed=ago(minutes=4)), {"limits": {"cordon_settle": timedelta(0)}}, {}, id="the rule is off"
        ),
        pytest.param(
            cordoned_node(changed=ago(minutes=4), managers=["sre-agent"], annotations=OURS), {}, {}, id="our cordon"
        ),
        pytest.param(
            cordoned_node(changed=ago(minutes=4), managers=["kubectl-cordon"], annotations=OURS),
            {},
            ASKED,
            id="our mark outlived an uncordon",
        ),
        pytest.param(cordoned_node(changed=None, annotations=OURS), {}, {}, id="our mark, and nothing against it"),
        pytest.param(
            cordoned_node(changed=ago(minutes=4), annotations=OURS), {}, ASKED, id="our mark on a younger cordon"
        ),
        pytest.param(cordoned_node(changed=ago(minutes=61), annotations=OURS), {}, {}, id="our mark on an old cordon"),
        pytest.param(
            cordoned_node(changed=ago(minutes=4), annotations=OURS),
            {"earlier": (replace(cordon_step(StepStatus.DONE), change=SENT),)},
            {},
            id="this run sent the cordon",
        ),
        pytest.param(
            cordoned_node(changed=ago(minutes=4)),
            {"earlier": (cordon_step(StepStatus.DONE),)},
            ASKED,
            id="this run found it cordoned already",
        ),
    ],
)
def test_a_node_that_somebody_else_cordoned_minutes_ago_is_drained_only_if_a_person_says_so(of_node, options, judged):
    assessment = drain([pod()], of_node, **options)
    assert verdicts(assessment) == judged
    assert assessment.change.action == "drain_node:worker-1:evicted=1,left=0"


def test_draining_a_control_plane_node_is_asked():
    role = {"node-role.kubernetes.io/control-plane": ""}
    assessment = drain([pod()], node(ready="False", unschedulable=True, annotations=OURS, labels=role))
    assert verdicts(assessment) == {"control-plane": "ASK"}
    assert assessment.change is not None


@pytest.mark.parametrize(
    ("forbidden", "words"),
    [
        pytest.param(
            pod("x", controller=DAEMON_SET),
            "cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore): demo/x",
            id="DaemonSet",
        ),
        pytest.param(
            pod("x", controller=owner("DaemonSet", "gone")),
            'cannot delete daemonsets.apps "gone" not found: demo/x',
            id="orphan of a DaemonSet",
        ),
        pytest.param(
            pod("x", volumes=[EMPTY_DIR]),
            "cannot delete Pods with local storage (use --delete-emptydir-data to override): demo/x",
            id="emptyDir",
        ),
        pytest.param(
            pod("x", controller=None),
            "cannot delete Pods that declare no controller (use --force to override): demo/x",
            id="bare pod",
        ),
        pytest.param(
            pod("x", controller=None, deleted=True),
            "cannot delete Pods that declare no controller (use --force to override): demo/x",
            id="bare and terminating",
        ),
    ],
)
def test_strict_is_all_or_nothing_in_kubectls_words(forbidden, words):
    daemon_sets = {("demo", "logs"): daemon_set()}
    strict = drain([pod(), forbidden], limits={"drain_strict": True}, daemon_sets=daemon_sets)
    assert strict.change is None
    assert [(judgement.rule, judgement.reason) for judgement in strict.judgements] == [("drain-strict", words)]
    assert strict.output["evicted"] == []
    assert drain([pod(), forbidden], daemon_sets=daemon_sets).change is not None


def test_strict_names_all_pods_of_one_error_together():
    pods = [pod("b", controller=None), pod("a", controller=None), pod("c", volumes=[EMPTY_DIR])]
    reasons = [judgement.reason for judgement in drain(pods, limits={"drain_strict": True}).judgements]
    assert len(reasons) == 2
    assert reasons[0].endswith("demo/a, demo/b")


def test_strict_refuses_when_a_budget_keeps_one_pod():
    assessment = drain([web(), pod("api")], budgets=(SPENT_BUDGET,), limits={"drain_strict": True})
    assert verdicts(assessment) == {"disruption-budget": "REFUSE"}


def test_strict_drains_where_nothing_is_forbidden_and_skips_what_kubectl_skips():
    mirror = pod("static", "kube-system", annotations={"kubernetes.io/config.mirror": "a"})
    assessment = drain([pod(), mirror], limits={"drain_strict": True})
    assert assessment.change.action == "drain_node:worker-1:evicted=1,left=1"


def test_the_agents_namespace_is_a_limit():
    assert left(drain([pod(namespace="ops")], limits={"agent_namespace": "ops"})) == {
        "ops/web-a": "in ops, where this agent and its database run"
    }


def replica_set(name, deployment=None):
    owners = {"ownerReferences": [owner("Deployment", deployment)]} if deployment else {}
    return ("ReplicaSet", "demo", name), {"metadata": {"name": name, "namespace": "demo", **owners}}


def of(set_name, name, **parts):
    return pod(name, controller=owner("ReplicaSet", set_name), **parts)


@pytest.mark.parametrize(
    ("evicted", "elsewhere", "controllers", "lost"),
    [
        pytest.param([of("web-1", "a")], [], {}, ["ReplicaSet/demo/web-1"], id="the only ready pod goes"),
        pytest.param(
            [of("web-1", "a")],
            [],
            dict([replica_set("web-1", "web")]),
            ["Deployment/demo/web"],
            id="named by its Deployment",
        ),
        pytest.param([of("web-1", "a")], [of("web-1", "b", on="worker-2")], {}, [], id="another is ready elsewhere"),
        pytest.param(
            [of("web-1", "a")],
            [of("web-1", "b", on="worker-2", ready=False)],
            {},
            ["ReplicaSet/demo/web-1"],
            id="the other one is not ready",
        ),
        pytest.param(
            [of("web-1", "a")],
            [of("web-1", "b", on="worker-2", deleted=True)],
            {},
            ["ReplicaSet/demo/web-1"],
            id="the other one terminates",
        ),
        pytest.param(
            [of("web-2", "a")],
            [of("web-1", "b", on="worker-2")],
            dict([replica_set("web-1", "web"), replica_set("web-2", "web")]),
            [],
            id="the older revision still serves",
        ),
        pytest.param(
            [of("web-2", "a")],
            [of("web-1", "b", on="worker-2")],
            dict([replica_set("web-1"), replica_set("web-2")]),
            ["ReplicaSet/demo/web-2"],
            id="ReplicaSets without a Deployment stand alone",
        ),
        pytest.param([of("web-1", "a", ready=False)], [], {}, [], id="it had no ready pod before"),
        pytest.param([of("web-1", "a", phase="Failed")], [], {}, [], id="a finished pod was not serving"),
        pytest.param([pod("a", controller=JOB)], [], {}, [], id="a Job serves nobody"),
        pytest.param([pod("a", controller=None)], [], {}, [], id="a bare pod is no workload"),
        pytest.param(
            [pod("db-0", controller=STATEFUL_SET), of("web-1", "a"), of("web-1", "b")],
            [],
            {},
            ["ReplicaSet/demo/web-1", "StatefulSet/demo/db"],
            id="all that are lost, sorted",
        ),
    ],
)
def test_workloads_that_a_drain_would_leave_without_a_ready_pod(evicted, elsewhere, controllers, lost):
    found = evidence(CORDONED, evicted, workload_pods=(*evicted, *elsewhere), controllers=controllers)
    assert workloads_left_without_ready(found, evicted) == lost


@pytest.mark.parametrize(
    ("stays", "lost"),
    [
        pytest.param([], ["ReplicaSet/demo/web-1"], id="nothing is known of other nodes"),
        pytest.param([of("web-1", "b")], [], id="a ready pod stays on this node"),
    ],
)
def test_unreadable_pods_of_the_cluster_prove_no_other_replica(stays, lost):
    going = [of("web-1", "a")]
    found = evidence(CORDONED, [*going, *stays], workload_pods=None)
    assert workloads_left_without_ready(found, going) == lost


ELSEWHERE = of("web-1", "b", on="worker-2")


@pytest.mark.parametrize(
    ("other", "evicted", "lost"),
    [
        pytest.param(node(name="worker-2"), [of("web-1", "a")], [], id="Ready: its pod serves"),
        pytest.param(
            node(name="worker-2", ready="False"), [of("web-1", "a")], ["ReplicaSet/demo/web-1"], id="not ready"
        ),
        pytest.param(
            node(name="worker-2", ready="Unknown"), [of("web-1", "a")], ["ReplicaSet/demo/web-1"], id="unknown"
        ),
        pytest.param(
            node(name="worker-2", taints=["node.kubernetes.io/unreachable"]),
            [of("web-1", "a")],
            ["ReplicaSet/demo/web-1"],
            id="tainted unreachable, its condition still says Ready",
        ),
        pytest.param(node(name="worker-2", ready="False"), [], [], id="what this drain does not touch is not its loss"),
    ],
)
def test_a_pod_that_was_ready_before_its_node_fell_silent_does_not_serve(other, evicted, lost):
    found = evidence(CORDONED, evicted, workload_pods=(*evicted, ELSEWHERE))
    found = replace(found, nodes=(CORDONED, other))
    assert workloads_left_without_ready(found, evicted) == lost


def test_the_drain_asks_for_evictions_and_nothing_else_that_writes():
    rights = {(right.verb, right.resource.plural, right.subresource) for right in DRAIN.permissions}
    assert {right for right in rights if right[0] not in {"get", "list"}} == {("create", "pods", "eviction")}
