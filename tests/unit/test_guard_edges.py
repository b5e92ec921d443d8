"""Right beside what a guard stops: absent fields, other owners, exact limits, and evidence of the wrong kind."""

from dataclasses import replace
from typing import Any

import pytest

from sre_agent import guards
from sre_agent.cluster.port import Resource, Write, WriteVerb
from sre_agent.facts import Facts
from sre_agent.run import Change, StepRecord, StepStatus
from sre_agent.runbook import Step
from tests.unit.guard_cases import (
    DAYS,
    HOURS,
    MINUTES,
    NOW,
    WORKLOAD,
    autoscaler,
    change,
    deployment,
    done,
    drain_of,
    facts,
    image_change,
    managed,
    node,
    node_change,
    node_evidence,
    of_another,
    on_a_node,
    owned,
    past,
    pod,
    replica_set,
    spoiled_template,
    tainted,
    text,
    vertical,
    workload,
    workload_evidence,
)

IGNORE = {"sre-agent/ignore": "true"}
ARGO = {"argocd.argoproj.io/instance": "cart"}
DOWN = node("worker-1", ready="False")
WITHOUT_SPEC = {field: value for field, value in node("w5").items() if field != "spec"}
DELETION = change(
    tool="delete_pod",
    action="delete_pod:shop/cart-1",
    value=None,
    writes=(Write(verb=WriteVerb.DELETE, resource=Resource.PODS, namespace="shop", name="cart-1", body={}),),
)


def in_namespace(name: str) -> Change:
    return change(target=replace(WORKLOAD, namespace=name))


def deletion_on(**fields: Any) -> tuple[Facts, Change]:
    return facts(workload_evidence(**fields), step=Step(name="delete", tool="delete_pod")), DELETION


def image_on(**fields: Any) -> tuple[Facts, Change]:
    step = Step(name="patch", tool="fix_imagepullbackoff")
    return facts(workload_evidence(**fields), step=step), image_change("registry.example/fallback:1.0")


def limits(value: dict[str, Any] | None, *, container: str = "app") -> dict[str, Any]:
    made = deployment()
    made["spec"]["template"]["spec"]["containers"] = [{"name": container, "resources": value}]
    return made


def replicas(count: int | None, **strategy: Any) -> dict[str, Any]:
    made = spoiled_template(**strategy)
    made["spec"]["replicas"] = count
    if count is None:
        del made["spec"]["replicas"]
    return made


def after(*earlier: StepRecord) -> dict[str, Any]:
    return {"earlier": earlier}


def node_facts(tool: str, **fields: Any) -> tuple[Facts, Change]:
    return facts(node_evidence(), step=Step(name=tool, tool=tool), **fields), node_change(tool)


POLICY = [
    pytest.param(
        (facts(environment={"SRE_AGENT_MODES": "*=recommend"}), change()), {"mode": "ASK"}, id="policy for everything"
    ),
    pytest.param(
        node_facts("cordon_node", environment={"SRE_AGENT_MODES": "*=recommend"}),
        {"mode": "ASK"},
        id="policy for everything, nodes too",
    ),
    pytest.param(
        node_facts("cordon_node", environment={"SRE_AGENT_MODES": "?*=recommend"}),
        {},
        id="policy for every namespace: a node has none",
    ),
    pytest.param((facts(), in_namespace("kube-system")), {"denied-namespace": "REFUSE"}, id="a system namespace"),
    pytest.param((facts(), in_namespace("kubernetes")), {}, id="a namespace whose name only looks like it"),
    pytest.param((workload(pod=pod(labels=IGNORE)), change()), {"ignored": "REFUSE"}, id="opted out by pod"),
    pytest.param(
        on_a_node(node=node("worker-1", ready="False", labels=IGNORE)), {"ignored": "REFUSE"}, id="opted out by node"
    ),
    pytest.param(
        on_a_node(node=node("worker-1", ready="False", deletionTimestamp=text(NOW))),
        {"terminating": "REFUSE"},
        id="a node that is being deleted",
    ),
]

OWNERSHIP = [
    pytest.param(
        deletion_on(controller=deployment(annotations=ARGO | {"meta.helm.sh/release-name": "cart"})),
        {},
        id="deleting a pod takes nothing from a reconciler or a chart",
    ),
    pytest.param(
        (workload(controller=deployment(labels={"app.kubernetes.io/managed-by": "Kustomize"})), change()),
        {},
        id="managed by something that is not Helm",
    ),
    pytest.param(
        image_on(
            autoscalers=(autoscaler(metric={"resource": {"name": "memory"}}),), vertical_autoscalers=(vertical(),)
        ),
        {},
        id="an autoscaler of memory does not mind another image",
    ),
    pytest.param(
        image_on(autoscalers=None, vertical_autoscalers=None), {}, id="for an image no autoscaler has to be read"
    ),
    *(
        pytest.param((workload(autoscalers=(scaler,)), change()), {}, id=description)
        for scaler, description in (
            (autoscaler(kind="StatefulSet", metric={"resource": {"name": "memory"}}), "an HPA of another kind's cart"),
            (autoscaler(metric={"pods": {"metric": {"name": "memory"}}}), "an HPA on a pods metric"),
            ({"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "cart"}}}, "an HPA without metrics"),
            ({"spec": {"metrics": [{"resource": {"name": "memory"}}]}}, "an HPA without a target"),
            ({}, "an HPA without a spec"),
        )
    ),
    *(
        pytest.param((workload(vertical_autoscalers=(scaler,)), change()), {}, id=description)
        for scaler, description in (
            (vertical(targetRef={"kind": "StatefulSet", "name": "cart"}), "a VPA of another kind's cart"),
            (vertical(targetRef=None), "a VPA without a target"),
            ({}, "a VPA without a spec"),
        )
    ),
    *(
        pytest.param(
            (workload(vertical_autoscalers=(vertical(resourcePolicy={"containerPolicies": policies}),)), change()),
            {"vertical-autoscaler": "ASK"},
            id=description,
        )
        for policies, description in (
            (
                [{"containerName": "app"}, {"containerName": "*", "mode": "Off"}],
                "a VPA: its own policy before the star",
            ),
            ([{"containerName": "side", "mode": "Off"}], "a VPA that is off for another container"),
            (None, "a VPA without policies"),
        )
    ),
    pytest.param(
        (
            workload(
                autoscalers=(autoscaler(name="other"), autoscaler(metric={"resource": {"name": "memory"}})),
                vertical_autoscalers=(vertical(updatePolicy={"updateMode": "Off"}), vertical()),
            ),
            change(),
        ),
        {"horizontal-autoscaler": "ASK", "vertical-autoscaler": "ASK"},
        id="the second autoscaler counts as much as the first",
    ),
]

FRESHNESS = [
    pytest.param(
        (replace(workload(pod=None), target=replace(WORKLOAD, pod=None, pod_uid=None)), change()),
        {},
        id="a workload that was bound without a pod",
    ),
    pytest.param(
        (replace(workload(pod=pod(uid="uid-anew")), target=replace(WORKLOAD, pod_uid=None)), change()),
        {},
        id="a pod that was bound without a uid",
    ),
    pytest.param(deletion_on(replica_sets=(replica_set(MINUTES),)), {}, id="deleting a pod needs no settled template"),
    pytest.param(
        (facts(workload_evidence(replica_sets=()), environment={"SRE_AGENT_SETTLE": "0"}), change()),
        {},
        id="with the settle window switched off nobody has to know the template's age",
    ),
    pytest.param(
        (workload(controller=deployment(managedFields=[managed("sre-agent", MINUTES)])), change()),
        {},
        id="only the agent ever changed the template",
    ),
    *(
        pytest.param(
            (workload(controller=deployment(managedFields=[entry])), change()),
            {},
            id=f"managedFields {description} say nothing about the template",
        )
        for entry, description in (
            ({"manager": "kubelet", "time": text(NOW), "fieldsV1": {"f:status": {}}}, "of a status"),
            ({"manager": "kubelet", "time": text(NOW), "fieldsV1": {"f:spec": None}}, "of an empty spec"),
            ({"manager": "kubelet", "time": text(NOW)}, "without fields"),
            (managed("kubectl", MINUTES) | {"time": None}, "without a time"),
        )
    ),
]

BOUNDS = [
    pytest.param(
        (workload(controller=controller), change(value=value)),
        {} if allowed else {"memory-bound": "REFUSE"},
        id=description,
    )
    for controller, value, allowed, description in (
        (limits({"limits": {"memory": "64Mi"}}), "256Mi", True, "up to the floor, though more than twice"),
        (limits({"limits": {"memory": "64Mi"}}), "257Mi", False, "above the floor and more than twice"),
        (limits({"limits": {"cpu": "1"}}), "256Mi", True, "no memory limit: up to the floor"),
        (limits({"limits": {"cpu": "1"}}), "0", False, "no memory limit, and none wanted"),
        (limits({"requests": {"memory": "64Mi"}}), "256Mi", True, "no limits at all"),
        (limits(None), "256Mi", True, "no resources"),
        (limits({"limits": {"memory": "256Mi"}}, container="side"), "512Mi", False, "only another container has one"),
        (deployment(), None, False, "no value"),
    )
]

HISTORY = [
    pytest.param(
        (facts(**after(StepRecord(step="a", tool="check_oom", status=StepStatus.DONE), done("delete_pod"))), change()),
        {"one-change-a-run": "REFUSE"},
        id="a change after a reading step",
    ),
    pytest.param(
        node_facts("drain_node", **after(done("cordon_node"), done("uncordon_node"))),
        {"one-change-a-run": "REFUSE"},
        id="another change beside the cordon",
    ),
    pytest.param(
        node_facts("cordon_node", **after(done("drain_node"))),
        {"one-change-a-run": "REFUSE"},
        id="a cordon after a drain is not the pair",
    ),
    pytest.param(
        (facts(**after(done("delete_pod", StepStatus.SKIPPED))), change()), {}, id="a skipped change did not happen"
    ),
    pytest.param(
        (facts(**after(done("delete_pod", StepStatus.FAILED))), change()),
        {"one-change-a-run": "REFUSE"},
        id="a failed change is one",
    ),
    pytest.param(
        node_facts("drain_node", past_actions=(past("uncordon_node", 23 * HOURS),)),
        {"opposite": "REFUSE"},
        id="drain after our uncordon",
    ),
    pytest.param(
        node_facts("drain_node", past_actions=(past("uncordon_node", DAYS),)), {}, id="our uncordon is a day old"
    ),
    pytest.param(
        node_facts("uncordon_node", past_actions=(past("delete_pod", HOURS), past("cordon_node", HOURS))),
        {"opposite": "REFUSE"},
        id="the opposite is not the newest action",
    ),
    pytest.param(
        (facts(past_actions=(past("increase_memory_limit", 7 * DAYS, near_limit=True),)), change(near_limit=True)),
        {},
        id="near-limit again after exactly 7 days",
    ),
    pytest.param(
        (
            facts(
                past_actions=tuple(
                    past("increase_memory_limit", ago * DAYS, near_limit=near) for ago, near in ((2, False), (3, True))
                )
            ),
            change(near_limit=True),
        ),
        {"near-limit-pause": "REFUSE"},
        id="a kill's raise does not hide the near-limit one before it",
    ),
]

HEALTH = [
    pytest.param(
        on_a_node(nodes=(node("worker-1"), node("w2"), node("w3"), node("w4", ready="False"))),
        {"ready-nodes": "REFUSE"},
        id="the node itself does not count, though it is Ready",
    ),
    pytest.param(
        on_a_node(nodes=(DOWN, node("w2"), node("w3", ready="False"))),
        {"ready-nodes": "REFUSE"},
        id="one of three: with three nodes the percentage counts",
    ),
    *(
        pytest.param(
            (facts(evidence, step=Step(name="c", tool="cordon_node"), environment=environment), node_change()),
            {} if allowed else {"ready-nodes": "REFUSE"},
            id=description,
        )
        for evidence, environment, allowed, description in (
            (
                node_evidence(nodes=(DOWN, node("w2", ready="False"), node("w3"), node("w4"))),
                {"SRE_AGENT_HEALTH_FLOOR": "50"},
                True,
                "two of four are exactly 50 %",
            ),
            (
                node_evidence(nodes=(DOWN, node("w2"), node("w3"))),
                {"SRE_AGENT_HEALTH_FLOOR": "67"},
                False,
                "two of three are just below 67 %",
            ),
        )
    ),
    *(
        pytest.param(
            on_a_node(nodes=(DOWN, *(tainted(f"w{n}", {"key": "for", "effect": effect}) for n in (2, 3, 4)), *more)),
            expected,
            id=description,
        )
        for effect, more, expected, description in (
            ("NoExecute", (), {"ready-nodes": "REFUSE"}, "peers that throw pods out"),
            ("PreferNoSchedule", (), {}, "peers that would rather not take pods"),
            ("NoSchedule", (node("w5"),), {}, "one peer without a taint"),
            ("NoSchedule", (WITHOUT_SPEC,), {}, "one peer without a spec"),
        )
    ),
    pytest.param(
        on_a_node(
            drain_of("cart-1"),
            workload_pods=(
                owned("cart-1", ready=True, on="worker-1"),
                owned("cart-2", ready=True, on="worker-2"),
                of_another(owned("cart-1", ready=True, on="worker-1"), namespace="demo"),
            ),
        ),
        {},
        id="a pod of the same name in another namespace is not evicted",
    ),
    pytest.param(
        on_a_node(workload_pods=(owned("cart-1", ready=True, on="worker-1"),)),
        {},
        id="a cordon evicts nothing",
    ),
    pytest.param(on_a_node(workload_pods=None), {}, id="for a cordon no pods have to be read"),
    pytest.param(deletion_on(controller=spoiled_template(type="Recreate")), {}, id="deleting a pod rolls nothing out"),
    *(
        pytest.param(
            (workload(controller=controller, pods=pods), change()),
            {} if keeps else {"rollout-keeps-a-replica": "REFUSE"},
            id=description,
        )
        for controller, pods, keeps, description in (
            (replicas(1, type="Recreate"), (pod(), pod(ready=False)), False, "Recreate with one of two pods ready"),
            (replicas(None), (pod(),), True, "one replica where none are written, and the default strategy"),
            (
                replicas(None, rollingUpdate={"maxUnavailable": 1}),
                (pod(),),
                False,
                "one replica where none are written, and it may be missing",
            ),
            (replicas(2, rollingUpdate={"maxUnavailable": 1}), (pod(),), True, "one of two may be missing"),
            (replicas(2) | {"spec": replicas(2)["spec"] | {"strategy": None}}, (pod(),), True, "no strategy"),
        )
    ),
]

WRONG_EVIDENCE = [
    pytest.param((facts(node_evidence()), change()), {"memory-bound": "REFUSE"}, id="a limit on a node's evidence"),
    pytest.param(
        (facts(node_evidence(), step=Step(name="x", tool="fix_imagepullbackoff")), image_change("other")),
        {"image-bound": "REFUSE"},
        id="an image on a node's evidence",
    ),
    pytest.param(
        (facts(step=Step(name="x", tool="drain_node")), drain_of("cart-1")), {}, id="a drain on a workload's evidence"
    ),
    pytest.param(
        (replace(workload(controller=None), target=replace(WORKLOAD, uid=None)), change()),
        {"memory-bound": "REFUSE"},
        id="a limit of a controller that is not there",
    ),
]


@pytest.mark.parametrize(
    ("given", "expected"), [*POLICY, *OWNERSHIP, *FRESHNESS, *BOUNDS, *HISTORY, *HEALTH, *WRONG_EVIDENCE]
)
def test_a_guard_stops_exactly_what_it_is_about(given: tuple[Facts, Change], expected: dict[str, str]) -> None:
    judgements = guards.judge(*given)
    assert not [entry.reason for entry in judgements if "crashed" in entry.reason]
    assert {entry.rule: entry.verdict.name for entry in judgements} == expected
