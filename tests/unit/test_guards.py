"""Every guard, alone: what it lets pass, what it stops, and how hard."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sre_agent import guards
from sre_agent.alert.standing import AlertState, Standing
from sre_agent.facts import Facts
from sre_agent.run import Change, Mode, StepRecord, StepStatus, Verdict, worst
from sre_agent.runbook import Step
from tests.unit.guard_cases import (
    DAYS,
    HOURS,
    MINUTES,
    NOW,
    WORKLOAD,
    alert,
    autoscaler,
    change,
    deployment,
    done,
    drain_of,
    facts,
    image_change,
    labelled_namespace,
    managed,
    node,
    node_change,
    node_evidence,
    owned,
    past,
    pod,
    replica_set,
    runbook,
    spoiled_template,
    switch,
    tainted,
    text,
    vertical,
    workload,
    workload_evidence,
)

ARGO = {"argocd.argoproj.io/tracking-id": "cart:apps/Deployment:shop/cart"}


def stops(facts_: Facts, change_: Change | None = None) -> dict[str, str]:
    """Rule -> verdict, of everything that speaks against the change."""
    return {entry.rule: entry.verdict.name for entry in guards.judge(facts_, change_ or change())}


MEMORY_METRIC = {"type": "Resource", "resource": {"name": "memory"}}
CPU_METRIC = {"type": "Resource", "resource": {"name": "cpu"}}


WORKLOAD_CASES = [
    pytest.param(facts(), {}, id="nothing speaks against a plain change in auto"),
    # 1 mode and policy
    pytest.param(
        facts(environment={"SRE_AGENT_MODES": "shop=recommend"}), {"mode": "ASK"}, id="policy lowers a namespace"
    ),
    pytest.param(
        facts(environment={"SRE_AGENT_MODES": "*/RB_OOM=recommend"}), {"mode": "ASK"}, id="policy lowers a runbook"
    ),
    pytest.param(
        facts(environment={"SRE_AGENT_MODES": "prod-*=recommend,shop/RB_CRASHLOOP=recommend,shop=auto"}),
        {},
        id="policy for others changes nothing",
    ),
    pytest.param(
        facts(environment={"SRE_AGENT_MODES": "shop=auto"}, mode=Mode.RECOMMEND),
        {"mode": "ASK"},
        id="policy never raises recommend to auto",
    ),
    pytest.param(workload(namespace=labelled_namespace("auto")), {}, id="a namespace labelled auto changes nothing"),
    pytest.param(
        workload(namespace=labelled_namespace("recommend")), {"namespace-mode": "ASK"}, id="a namespace may lower"
    ),
    # 2 stop
    pytest.param(
        facts(alert=alert(labels={"alertname": "A", "cluster": "east"})),
        {"cluster-name": "ASK"},
        id="a cluster label without CLUSTER_NAME",
    ),
    pytest.param(
        facts(alert=alert(labels={"alertname": "A", "cluster": "east"}), environment={"CLUSTER_NAME": "east"}),
        {},
        id="a cluster label that is this cluster",
    ),
    pytest.param(
        facts(environment={"SRE_AGENT_DENY_NAMESPACES": "sh*"}), {"denied-namespace": "REFUSE"}, id="denied by pattern"
    ),
    pytest.param(
        facts(environment={"SRE_AGENT_NAMESPACE": "shop"}),
        {"denied-namespace": "REFUSE"},
        id="the agent's own namespace",
    ),
    pytest.param(
        facts(environment={"SRE_AGENT_MONITORING_NAMESPACE": "shop"}),
        {"denied-namespace": "REFUSE"},
        id="the monitoring namespace",
    ),
    pytest.param(facts(environment={"SRE_AGENT_ALLOW_NAMESPACES": "demo,sh*"}), {}, id="on the allow-list"),
    pytest.param(
        workload(controller=deployment(annotations={"sre-agent/ignore": "True"})),
        {"ignored": "REFUSE"},
        id="opted out by annotation",
    ),
    pytest.param(
        workload(namespace={"kind": "Namespace", "metadata": {"annotations": {"sre-agent/ignore": "true"}}}),
        {"ignored": "REFUSE"},
        id="opted out by namespace",
    ),
    pytest.param(
        workload(controller=deployment(labels={"sre-agent/ignore": "false"})), {}, id="ignore=false is no opt-out"
    ),
    pytest.param(
        workload(controller=deployment(deletionTimestamp=text(NOW))), {"terminating": "REFUSE"}, id="being deleted"
    ),
    pytest.param(facts(alert=alert(starts_at=NOW - DAYS)), {}, id="an alert of exactly 24 hours"),
    pytest.param(
        facts(alert=alert(starts_at=NOW - DAYS - MINUTES)), {"old-alert": "ASK"}, id="an alert older than 24 hours"
    ),
    pytest.param(facts(alert=alert(starts_at=None)), {}, id="an alert without startsAt began when it came"),
    pytest.param(
        facts(alert=alert(starts_at=NOW - 9 * DAYS), environment={"SRE_AGENT_ALERT_MAX_AGE": "0"}),
        {},
        id="the age limit switched off",
    ),
    pytest.param(
        facts(alert=alert(starts_at=NOW - 9 * DAYS), standing=Standing(state=AlertState.ACTIVE)),
        {},
        id="an old alert that Alertmanager calls active",
    ),
    pytest.param(
        facts(standing=Standing(state=AlertState.SILENCED)), {"alertmanager": "REFUSE"}, id="silenced by a person"
    ),
    pytest.param(
        facts(standing=Standing(state=AlertState.INHIBITED)), {"alertmanager": "REFUSE"}, id="inhibited by another"
    ),
    pytest.param(facts(standing=Standing(state=AlertState.GONE)), {"alertmanager": "REFUSE"}, id="no alert any more"),
    pytest.param(
        facts(standing=Standing(state=AlertState.UNKNOWN)),
        {"alertmanager": "REFUSE"},
        id="Alertmanager does not answer",
    ),
    pytest.param(facts(switch=switch(True)), {"stop-switch": "REFUSE"}, id="the stop switch is thrown"),
    pytest.param(facts(switch=switch(None)), {"stop-switch": "REFUSE"}, id="the stop switch cannot be read"),
    # 3 ownership
    pytest.param(workload(controller=deployment(annotations=ARGO)), {"reconciler": "ASK"}, id="Argo CD by tracking-id"),
    pytest.param(
        workload(controller=deployment(labels={"kustomize.toolkit.fluxcd.io/name": "apps"})),
        {"reconciler": "ASK"},
        id="Flux by label",
    ),
    pytest.param(
        workload(controller=deployment(managedFields=[managed("argocd-controller", 9 * HOURS, template=False)])),
        {"reconciler": "ASK"},
        id="Argo CD by field manager",
    ),
    pytest.param(
        workload(controller=deployment(annotations={"meta.helm.sh/release-name": "cart"})),
        {"helm": "ALLOW"},
        id="Helm alone is told, not blocked",
    ),
    pytest.param(
        workload(controller=deployment(annotations=ARGO | {"meta.helm.sh/release-name": "cart"})),
        {"reconciler": "ASK"},
        id="Argo CD with Helm is Argo CD's",
    ),
    pytest.param(
        workload(autoscalers=(autoscaler(metric=MEMORY_METRIC),)),
        {"horizontal-autoscaler": "ASK"},
        id="an HPA that scales on memory",
    ),
    pytest.param(
        workload(autoscalers=(autoscaler(metric={"containerResource": {"name": "memory"}}),)),
        {"horizontal-autoscaler": "ASK"},
        id="an HPA that scales on a container's memory",
    ),
    pytest.param(
        workload(autoscalers=(autoscaler(metric={"containerResource": {"name": "memory", "container": "side"}}),)),
        {},
        id="an HPA that scales on another container's memory",
    ),
    pytest.param(workload(autoscalers=(autoscaler(metric=CPU_METRIC),)), {}, id="an HPA that scales on CPU"),
    pytest.param(
        workload(autoscalers=(autoscaler(name="other", metric=MEMORY_METRIC),)), {}, id="an HPA of another workload"
    ),
    pytest.param(
        workload(vertical_autoscalers=(vertical(updatePolicy={"updateMode": "Off"}),)), {}, id="a VPA that is Off"
    ),
    pytest.param(
        workload(
            vertical_autoscalers=(
                vertical(resourcePolicy={"containerPolicies": [{"containerName": "app", "mode": "Off"}]}),
            )
        ),
        {},
        id="a VPA that leaves this container alone",
    ),
    pytest.param(
        workload(
            vertical_autoscalers=(
                vertical(
                    resourcePolicy={"containerPolicies": [{"containerName": "*", "controlledResources": ["cpu"]}]}
                ),
            )
        ),
        {},
        id="a VPA that controls CPU only",
    ),
    pytest.param(
        workload(vertical_autoscalers=(vertical(targetRef={"kind": "Deployment", "name": "other"}),)),
        {},
        id="a VPA of another workload",
    ),
    # 4 fresh
    pytest.param(workload(read_at=NOW - timedelta(seconds=60)), {}, id="evidence of exactly 60 seconds"),
    pytest.param(
        facts(workload_evidence(read_at=NOW - HOURS), environment={"SRE_AGENT_EVIDENCE_MAX_AGE": "0"}),
        {},
        id="the evidence limit switched off",
    ),
    pytest.param(
        workload(pod=pod() | {"metadata": {"name": "cart-1", "uid": "another"}}),
        {"same-target": "REFUSE"},
        id="a successor of the pod",
    ),
    pytest.param(
        workload(controller=deployment(uid="another")), {"same-target": "REFUSE"}, id="the Deployment was made anew"
    ),
    pytest.param(
        workload(replica_sets=(replica_set(9 * MINUTES),)), {"settled-template": "ASK"}, id="rolled out 9 minutes ago"
    ),
    pytest.param(workload(replica_sets=(replica_set(10 * MINUTES),)), {}, id="rolled out exactly 10 minutes ago"),
    pytest.param(
        workload(controller=deployment(managedFields=[managed("kubectl-edit", 3 * MINUTES)])),
        {"settled-template": "ASK"},
        id="edited 3 minutes ago, by managedFields",
    ),
    pytest.param(
        workload(controller=deployment(managedFields=[managed("kubectl-scale", MINUTES, template=False)])),
        {},
        id="scaled a minute ago is not a template change",
    ),
    pytest.param(
        workload(
            controller=deployment(
                managedFields=[managed("kubectl-edit", 3 * MINUTES), managed("sre-agent", 2 * MINUTES)]
            )
        ),
        {"settled-template": "ASK"},
        id="our own change does not hide somebody else's",
    ),
    pytest.param(
        workload(
            controller=deployment(managedFields=[managed("kubectl-edit", 3 * HOURS), managed("sre-agent", 2 * MINUTES)])
        ),
        {},
        id="our own change alone needs no settling",
    ),
    pytest.param(
        workload(replica_sets=(replica_set(9 * DAYS), replica_set(5 * MINUTES))),
        {"settled-template": "ASK"},
        id="a release of 5 minutes ago was taken back by hand",
    ),
    pytest.param(
        facts(workload_evidence(replica_sets=(replica_set(MINUTES),)), environment={"SRE_AGENT_SETTLE": "0"}),
        {},
        id="the settle window switched off",
    ),
    # 6 history
    pytest.param(
        facts(past_actions=(past("increase_memory_limit", 29 * MINUTES),)),
        {"cooldown": "REFUSE"},
        id="the same action 29 minutes ago",
    ),
    pytest.param(
        facts(past_actions=(past("increase_memory_limit", 30 * MINUTES),)), {}, id="the same action 30 minutes ago"
    ),
    pytest.param(
        facts(past_actions=(past("increase_memory_limit", MINUTES, status="failed"),)), {}, id="a failed action"
    ),
    pytest.param(
        facts(past_actions=(past("increase_memory_limit", MINUTES, status="unknown"),)),
        {"cooldown": "REFUSE"},
        id="an action of unknown outcome",
    ),
    pytest.param(
        facts(past_actions=(past("increase_memory_limit", MINUTES, status="intended"),)),
        {"cooldown": "REFUSE"},
        id="an action that was cut off",
    ),
    pytest.param(facts(past_actions=(past("fix_imagepullbackoff", MINUTES),)), {}, id="another action"),
    pytest.param(
        facts(
            past_actions=(past("increase_memory_limit", 2 * HOURS), past("increase_memory_limit", 23 * HOURS)),
        ),
        {"daily-cap": "REFUSE"},
        id="twice within 24 hours",
    ),
    pytest.param(
        facts(past_actions=(past("increase_memory_limit", 2 * HOURS), past("increase_memory_limit", DAYS))),
        {},
        id="the second one is 24 hours old",
    ),
    pytest.param(
        facts(
            environment={"SRE_AGENT_COOLDOWN": "0", "SRE_AGENT_ACTION_WINDOW": "0"},
            past_actions=(past("increase_memory_limit", MINUTES),) * 3,
        ),
        {},
        id="both windows switched off",
    ),
]


@pytest.mark.parametrize(("given", "expected"), WORKLOAD_CASES)
def test_a_memory_change_is_judged(given: Facts, expected: dict[str, str]) -> None:
    assert stops(given) == expected


LEAVING = {"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}
UNREACHABLE = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}
CONTROL_PLANE = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}


NODE_CASES = [
    pytest.param(node_evidence(), node_change(), {}, id="a cordon with three other Ready nodes"),
    pytest.param(
        node_evidence(nodes=(node("worker-1", ready="False"), node("w2", ready="Unknown"), node("w3"), node("w4"))),
        node_change(),
        {"ready-nodes": "REFUSE"},
        id="half of the nodes is below 51 %",
    ),
    pytest.param(
        node_evidence(nodes=(node("worker-1", ready="False"), node("w2", unschedulable=True), node("w3"), node("w4"))),
        node_change(),
        {"ready-nodes": "REFUSE"},
        id="a cordoned node does not serve",
    ),
    pytest.param(
        node_evidence(
            nodes=(node("worker-1", ready="False"), node("w2", deletionTimestamp=text(NOW)), node("w3"), node("w4"))
        ),
        node_change(),
        {"ready-nodes": "REFUSE"},
        id="a node that is being deleted does not serve",
    ),
    pytest.param(
        node_evidence(nodes=(node("worker-1", ready="False"),)),
        node_change(),
        {"ready-nodes": "REFUSE", "small-cluster": "ASK"},
        id="the only node",
    ),
    pytest.param(
        node_evidence(nodes=(node("worker-1", ready="False"), *(tainted(f"w{n}", LEAVING) for n in (2, 3, 4)))),
        node_change(),
        {"ready-nodes": "REFUSE"},
        id="peers that are on their way out",
    ),
    pytest.param(
        node_evidence(nodes=(node("worker-1", ready="False"), *(tainted(f"w{n}", UNREACHABLE) for n in (2, 3, 4)))),
        node_change(),
        {"ready-nodes": "REFUSE"},
        id="unreachable peers whose condition is stale",
    ),
    pytest.param(
        node_evidence(nodes=(node("worker-1", ready="False"), *(tainted(f"cp{n}", CONTROL_PLANE) for n in (1, 2, 3)))),
        node_change(),
        {"ready-nodes": "REFUSE"},
        id="peers that only take pods which tolerate their taint",
    ),
    pytest.param(
        node_evidence(nodes=None),
        node_change(),
        {"ready-nodes": "REFUSE", "small-cluster": "ASK"},
        id="nodes that could not be read",
    ),
    pytest.param(
        node_evidence(nodes=(node("worker-1", ready="False"), node("w2"), node("w3"))),
        node_change(),
        {},
        id="two of three nodes are enough",
    ),
    pytest.param(node_evidence(nodes=()), node_change("uncordon_node"), {}, id="an uncordon takes nothing away"),
    pytest.param(
        node_evidence(
            workload_pods=(owned("cart-1", ready=True, on="worker-1"), owned("cart-2", ready=True, on="worker-2"))
        ),
        drain_of("cart-1"),
        {},
        id="a drain with a ready replica elsewhere",
    ),
    pytest.param(node_evidence(node=None), node_change(), {"same-target": "REFUSE"}, id="the node is gone"),
]


@pytest.mark.parametrize(("evidence", "wanted", "expected"), NODE_CASES)
def test_a_node_change_is_judged(evidence: Any, wanted: Change, expected: dict[str, str]) -> None:
    step = Step(name=wanted.tool, tool=wanted.tool)
    assert stops(facts(evidence, step=step), wanted) == expected


ROLLOUT_CASES = [
    pytest.param({"type": "Recreate"}, {"rollout-keeps-a-replica": "REFUSE"}, id="Recreate takes the pod first"),
    pytest.param({}, {}, id="the default strategy starts the new pod first"),
    pytest.param(
        {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
        {"rollout-keeps-a-replica": "REFUSE"},
        id="one of one may be missing",
    ),
    pytest.param(
        {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": 0}},
        {"rollout-keeps-a-replica": "REFUSE"},
        id="both zero means that one may be missing",
    ),
]


@pytest.mark.parametrize(("strategy", "expected"), ROLLOUT_CASES)
def test_a_rollout_keeps_the_only_ready_replica(strategy: dict[str, Any], expected: dict[str, str]) -> None:
    assert stops(workload(controller=spoiled_template(**strategy))) == expected


def test_a_rollout_of_a_workload_without_a_ready_pod_may_recreate_it() -> None:
    given = workload(controller=spoiled_template(type="Recreate"), pods=(pod(ready=False),))
    assert stops(given) == {}


def test_ready_replicas_that_are_not_recorded_count_too() -> None:
    serving = spoiled_template(type="Recreate") | {"status": {"readyReplicas": 2}}
    given = workload(controller=serving, pods=(pod(ready=False),))
    assert stops(given) == {"rollout-keeps-a-replica": "REFUSE"}


MEMORY_BOUNDS = [
    pytest.param("512Mi", {}, id="twice the current one"),
    pytest.param("513Mi", {"memory-bound": "REFUSE"}, id="more than twice"),
    pytest.param("256Mi", {"memory-bound": "REFUSE"}, id="not more than it is"),
    pytest.param("128Mi", {"memory-bound": "REFUSE"}, id="less than it is"),
]


@pytest.mark.parametrize(("value", "expected"), MEMORY_BOUNDS)
def test_a_new_limit_stays_in_its_bounds(value: str, expected: dict[str, str]) -> None:
    assert stops(facts(), change(value=value)) == expected


def test_a_new_limit_never_passes_the_cap() -> None:
    given = facts(environment={"SRE_AGENT_MEMORY_CAP": "300Mi"})
    assert stops(given, change(value="512Mi")) == {"memory-bound": "REFUSE"}


NEAR_LIMIT = [
    pytest.param(True, True, {"near-limit-pause": "REFUSE"}, id="near-limit again within 7 days"),
    pytest.param(True, False, {}, id="near-limit after a kill's raise"),
    pytest.param(False, True, {}, id="a kill after a near-limit raise"),
]


@pytest.mark.parametrize(("now", "before", "expected"), NEAR_LIMIT)
def test_without_a_kill_a_limit_is_raised_once_a_week(now: bool, before: bool, expected: dict[str, str]) -> None:
    given = facts(past_actions=(past("increase_memory_limit", 6 * DAYS, near_limit=before),))
    assert stops(given, change(near_limit=now)) == expected


IMAGE_BOUNDS = [
    pytest.param("registry.example/fallback:1.0", {}, id="the runbook's image"),
    pytest.param("registry.example/own:2.0", {}, id="the image that the workload names"),
    pytest.param("registry.example/evil:1.0", {"image-bound": "REFUSE"}, id="any other image"),
    pytest.param(None, {"image-bound": "REFUSE"}, id="no image"),
]


@pytest.mark.parametrize(("value", "expected"), IMAGE_BOUNDS)
def test_an_image_comes_from_the_runbook_or_the_workload(value: str | None, expected: dict[str, str]) -> None:
    annotated = workload_evidence(
        controller=deployment(annotations={"sre-agent/fallback-image": "registry.example/own:2.0"})
    )
    given = facts(annotated, step=Step(name="patch_image", tool="fix_imagepullbackoff"))
    assert stops(given, image_change(value)) == expected


ONE_CHANGE = [
    pytest.param(done("cordon_node"), node_change("drain_node"), True, id="cordon and drain are one change"),
    pytest.param(
        done("cordon_node", StepStatus.PROPOSED), node_change("drain_node"), True, id="also when only proposed"
    ),
    pytest.param(
        done("cordon_node", StepStatus.FAILED), node_change("drain_node"), False, id="a failed cordon stops the drain"
    ),
    pytest.param(done("fix_imagepullbackoff"), change(), False, id="an image was patched already"),
    pytest.param(done("fix_imagepullbackoff", StepStatus.REFUSED), change(), True, id="a refused change is none"),
    pytest.param(
        StepRecord(step="check_oom", tool="check_oom", status=StepStatus.DONE),
        change(),
        True,
        id="reading is no change",
    ),
]


@pytest.mark.parametrize(("earlier", "wanted", "allowed"), ONE_CHANGE)
def test_a_run_makes_at_most_one_change(earlier: StepRecord, wanted: Change, allowed: bool) -> None:
    evidence = node_evidence() if wanted.target.kind == "Node" else workload_evidence()
    given = facts(evidence, step=Step(name=wanted.tool, tool=wanted.tool), earlier=(earlier,))
    assert ("one-change-a-run" not in stops(given, wanted)) is allowed


@pytest.mark.parametrize(
    ("tool", "before", "expected"),
    [
        pytest.param("uncordon_node", "cordon_node", {"opposite": "REFUSE"}, id="uncordon after our cordon"),
        pytest.param("cordon_node", "uncordon_node", {"opposite": "REFUSE"}, id="cordon after our uncordon"),
        pytest.param("uncordon_node", "drain_node", {"opposite": "REFUSE"}, id="uncordon after our drain"),
    ],
)
def test_the_opposite_within_a_day_is_left_to_a_person(tool: str, before: str, expected: dict[str, str]) -> None:
    given = facts(node_evidence(), step=Step(name=tool, tool=tool), past_actions=(past(before, 23 * HOURS),))
    assert stops(given, node_change(tool)) == expected


def test_a_node_change_knows_no_namespace_rules() -> None:
    environment = {"SRE_AGENT_DENY_NAMESPACES": "*", "SRE_AGENT_ALLOW_NAMESPACES": "demo"}
    given = facts(node_evidence(), step=Step(name="cordon_node", tool="cordon_node"), environment=environment)
    assert stops(given, node_change()) == {}


def test_every_reason_is_kept_and_the_worst_wins() -> None:
    given = replace(facts(mode=Mode.RECOMMEND, environment={"SRE_AGENT_STOP": "on"}), past_actions=())
    judgements = guards.judge(given, change())
    assert [entry.rule for entry in judgements] == ["mode", "kill-switch"]
    assert worst(judgements) is Verdict.REFUSE
    assert worst([]) is Verdict.ALLOW


def test_without_the_controller_only_the_runbooks_image_counts() -> None:
    step = Step(name="patch_image", tool="fix_imagepullbackoff")
    given = facts(workload_evidence(controller=None), step=step)
    assert "image-bound" not in stops(given, image_change("registry.example/fallback:1.0"))
    assert stops(given, image_change("registry.example/own:2.0"))["image-bound"] == "REFUSE"


def test_a_bare_pod_is_compared_by_its_own_uid() -> None:
    bare = replace(WORKLOAD, kind="Pod", name="cart-1", uid="uid-pod")
    given = replace(facts(workload_evidence(controller=None)), target=bare)
    assert "same-target" not in stops(given, change(tool="delete_pod"))


def test_a_runbook_without_a_fallback_image_allows_no_image() -> None:
    given = facts(runbook=runbook(fallback_image=None), step=Step(name="x", tool="fix_imagepullbackoff"))
    assert stops(given, image_change(None)) == {"image-bound": "REFUSE"}


OUR_MARK = {"annotations": {"sre-agent/cordoned": "41"}}


@pytest.mark.parametrize(
    ("sick", "state", "stopped"),
    [
        pytest.param(
            node("worker-1", ready="False", unschedulable=True, **OUR_MARK),
            AlertState.GONE,
            False,
            id="our own cordon ended the alert",
        ),
        pytest.param(
            node("worker-1", ready="True", unschedulable=True, **OUR_MARK), AlertState.GONE, True, id="Ready again"
        ),
        pytest.param(node("worker-1", ready="False"), AlertState.GONE, True, id="nobody cordoned it"),
        pytest.param(
            node("worker-1", ready="False", **OUR_MARK), AlertState.GONE, True, id="somebody took the cordon away"
        ),
        pytest.param(
            node("worker-1", ready="False", unschedulable=True), AlertState.GONE, True, id="somebody else's cordon"
        ),
        pytest.param(
            node("worker-1", ready="False", unschedulable=True, **OUR_MARK),
            AlertState.SILENCED,
            True,
            id="silenced, whoever cordoned it",
        ),
    ],
)
def test_the_end_of_an_alert_stops_a_drain_unless_our_own_cordon_ended_it(
    sick: dict[str, Any], state: AlertState, stopped: bool
) -> None:
    given = facts(
        node_evidence(node=sick),
        step=Step(name="drain_node", tool="drain_node"),
        standing=Standing(state=state),
    )
    assert ("alertmanager" in stops(given, node_change("drain_node"))) is stopped
