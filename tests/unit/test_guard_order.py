"""The order in which reasons are told: all that speak against one change, as the list of guards has them."""

from sre_agent import guards
from sre_agent.alert import AlertStatus
from sre_agent.alert.standing import AlertState, Standing
from sre_agent.run import Mode
from sre_agent.runbook import Step
from tests.unit.guard_cases import (
    DAYS,
    HOURS,
    MINUTES,
    NOW,
    alert,
    autoscaler,
    change,
    deployment,
    done,
    drain_of,
    facts,
    image_change,
    node,
    node_evidence,
    past,
    replica_set,
    switch,
    text,
    vertical,
    workload,
    workload_evidence,
)


def test_everything_that_speaks_against_a_workloads_change_is_said_in_the_guards_order() -> None:
    troubled = deployment(
        annotations={"argocd.argoproj.io/instance": "cart"},
        deletionTimestamp=text(NOW),
        uid="uid-anew",
        managedFields=[],
    )
    troubled["spec"] |= {"paused": True, "strategy": {"type": "Recreate"}}
    given = facts(
        workload_evidence(
            read_at=NOW - HOURS,
            controller=troubled,
            namespace={"metadata": {"labels": {"sre-agent/mode": "recommend", "sre-agent/ignore": "true"}}},
            replica_sets=(replica_set(MINUTES),),
            autoscalers=(autoscaler(metric={"resource": {"name": "memory"}}),),
            vertical_autoscalers=(vertical(),),
        ),
        mode=Mode.RECOMMEND,
        step=Step(name="x", tool="other", approval_required=True),
        alert=alert(labels={"cluster": "east"}, status=AlertStatus.RESOLVED, starts_at=NOW - 2 * DAYS),
        environment={
            "SRE_AGENT_STOP": "on",
            "SRE_AGENT_DENY_NAMESPACES": "shop",
            "SRE_AGENT_ALLOW_NAMESPACES": "demo",
        },
        earlier=(done("delete_pod"),),
        past_actions=(past("increase_memory_limit", MINUTES, near_limit=True),) * 2,
        switch=switch(True),
        standing=Standing(state=AlertState.SILENCED),
    )
    assert [entry.rule for entry in guards.judge(given, change(value="1Gi", near_limit=True))] == [
        "mode",
        "namespace-mode",
        "step-mode",
        "approval",
        "kill-switch",
        "stop-switch",
        "cluster-name",
        "denied-namespace",
        "allowed-namespace",
        "ignored",
        "paused",
        "terminating",
        "resolved",
        "alertmanager",
        "reconciler",
        "horizontal-autoscaler",
        "vertical-autoscaler",
        "evidence-age",
        "same-target",
        "settled-template",
        "memory-bound",
        "one-change-a-run",
        "cooldown",
        "daily-cap",
        "near-limit-pause",
        "rollout-keeps-a-replica",
    ]


def test_everything_that_speaks_against_a_nodes_change_is_said_in_the_guards_order() -> None:
    given = facts(
        node_evidence(nodes=(node("worker-1", ready="False"),), workload_pods=None),
        step=Step(name="drain_node", tool="drain_node"),
        past_actions=(past("drain_node", HOURS), past("uncordon_node", HOURS), past("drain_node", HOURS)),
    )
    assert [entry.rule for entry in guards.judge(given, drain_of("cart-1"))] == [
        "daily-cap",
        "opposite",
        "ready-nodes",
        "small-cluster",
        "last-ready-replica",
    ]


def test_a_reason_of_the_owner_stands_before_one_of_the_template_and_that_before_one_of_the_value() -> None:
    by_helm = deployment(annotations={"meta.helm.sh/release-name": "cart"})
    scaled = workload(controller=by_helm, autoscalers=(autoscaler(metric={"resource": {"name": "memory"}}),))
    young = facts(
        workload_evidence(controller=by_helm, replica_sets=(replica_set(MINUTES),)),
        step=Step(name="patch", tool="fix_imagepullbackoff"),
    )
    assert [entry.rule for entry in guards.judge(scaled, change())] == ["helm", "horizontal-autoscaler"]
    assert [entry.rule for entry in guards.judge(young, image_change("other"))] == [
        "helm",
        "settled-template",
        "image-bound",
    ]
