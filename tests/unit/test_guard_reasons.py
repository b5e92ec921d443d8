"""What each guard says, in full: how much, why, what would allow the change, and when."""

from datetime import timedelta

import pytest

from sre_agent import guards
from sre_agent.alert import AlertStatus
from sre_agent.alert.standing import AlertState, Standing
from sre_agent.facts import Facts
from sre_agent.run import Change, Judgement, Mode, StepRecord, StepStatus, Tells, Verdict, question, refusal
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
    drain_of,
    facts,
    labelled_namespace,
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
    switch,
    text,
    vertical,
    workload,
    workload_evidence,
)

BY_A_PERSON = "a person's approval"
IGNORE = {"sre-agent/ignore": "true"}
TO_THE_CHART = (
    "installed this: change the chart's value too (limits.memory = 512Mi), or the next upgrade takes it back; "
    "Helm 4 will report a conflict"
)
OF_ARGO = "the same change in Git: {}; or a person's approval"
MEMORY = {"resource": {"name": "memory"}}
NEW_NOTIFICATION = "a new firing notification about the object that is there now"


def in_step(**fields: object) -> Facts:
    return facts(step=Step(**({"name": "raise", "tool": "increase_memory_limit"} | fields)))


def with_image(value: str) -> tuple[Facts, Change]:
    wanted = change(tool="fix_imagepullbackoff", value=value)
    return facts(step=Step(name="patch", tool=wanted.tool)), wanted


POLICY = [
    pytest.param(
        facts(mode=Mode.RECOMMEND),
        question("mode", "the mode is recommend", "AGENT_MODE=auto or --mode auto, or a person's approval"),
        id="the mode",
    ),
    pytest.param(
        facts(environment={"SRE_AGENT_MODES": "prod=recommend,shop/RB_OOM=recommend"}),
        question(
            "mode", "SRE_AGENT_MODES says shop/RB_OOM=recommend", "a person's approval, or another SRE_AGENT_MODES"
        ),
        id="the policy names the entry that matches",
    ),
    pytest.param(
        workload(namespace=None),
        question("namespace-mode", "the namespace shop could not be read", "the right to get namespaces"),
        id="an unread namespace",
    ),
    pytest.param(
        workload(namespace=labelled_namespace("off")),
        question(
            "namespace-mode",
            "the namespace shop carries sre-agent/mode=off",
            "a person's approval, or taking the label sre-agent/mode off",
        ),
        id="a labelled namespace",
    ),
    pytest.param(
        in_step(recommend_only=True),
        question("step-mode", "the step raise of RB_OOM has mode: recommend", BY_A_PERSON),
        id="the step's mode",
    ),
    pytest.param(
        in_step(tool="fix_imagepullbackoff"),
        question("step-mode", "increase_memory_limit stands in for the step's fix_imagepullbackoff", BY_A_PERSON),
        id="another tool's change",
    ),
    pytest.param(
        in_step(approval_required=True),
        question("approval", "the step raise has approval: required", BY_A_PERSON),
        id="approval by the step",
    ),
    pytest.param(
        facts(environment={"SRE_AGENT_APPROVE_TOOLS": "increase_memory_limit"}),
        question("approval", "SRE_AGENT_APPROVE_TOOLS names increase_memory_limit", BY_A_PERSON),
        id="approval by setting",
    ),
]

STOP = [
    pytest.param(
        facts(environment={"SRE_AGENT_STOP": "on"}),
        refusal("kill-switch", "SRE_AGENT_STOP is on", "switching SRE_AGENT_STOP off"),
        id="the kill switch",
    ),
    pytest.param(
        facts(switch=switch(True, why="database migration, ask Ada")),
        refusal(
            "stop-switch",
            "the ConfigMap agentic/sre-agent-stop stops the agent: database migration, ask Ada",
            "kubectl -n agentic delete configmap sre-agent-stop",
            retry_at=NOW + 30 * MINUTES,
            tells=Tells.NOBODY,
        ),
        id="the stop switch, with what its maker says",
    ),
    pytest.param(
        facts(switch=switch(None, why="not allowed")),
        refusal(
            "stop-switch",
            "whether the ConfigMap agentic/sre-agent-stop stops the agent could not be read: not allowed",
            "an API server that answers, and the right to get the ConfigMap agentic/sre-agent-stop",
        ),
        id="a stop switch that may not be read: no time heals that",
    ),
    pytest.param(
        facts(switch=switch(None, why="no answer", passing=True)),
        refusal(
            "stop-switch",
            "whether the ConfigMap agentic/sre-agent-stop stops the agent could not be read: no answer",
            "an API server that answers, and the right to get the ConfigMap agentic/sre-agent-stop",
            retry_at=NOW + 5 * MINUTES,
            tells=Tells.ONCE,
        ),
        id="a stop switch that cannot be read now",
    ),
    pytest.param(
        facts(standing=Standing(state=AlertState.SILENCED, detail="8f2c")),
        refusal("alertmanager", "the alert is silenced by 8f2c", "an end of the silence", settled=True),
        id="a silence",
    ),
    pytest.param(
        facts(standing=Standing(state=AlertState.INHIBITED, detail="a1b2")),
        refusal(
            "alertmanager",
            "the alert is inhibited by a1b2",
            "an end of the alert that inhibits this one",
            settled=True,
        ),
        id="an inhibition",
    ),
    pytest.param(
        facts(standing=Standing(state=AlertState.GONE)),
        refusal(
            "alertmanager",
            "Alertmanager does not have the alert any more",
            "a new firing notification",
            settled=True,
        ),
        id="an alert that is over",
    ),
    pytest.param(
        facts(standing=Standing(state=AlertState.UNKNOWN, detail="http://am:9093: it answers 502")),
        refusal(
            "alertmanager",
            "whether the alert is still active could not be read: http://am:9093: it answers 502",
            "an Alertmanager at SRE_AGENT_ALERTMANAGER_URL that answers",
            retry_at=NOW + 5 * MINUTES,
            tells=Tells.ONCE,
        ),
        id="an Alertmanager that does not answer",
    ),
    pytest.param(
        facts(alert=alert(labels={"cluster": "east"})),
        question(
            "cluster-name",
            "the alert is about cluster east, and CLUSTER_NAME is not set",
            "CLUSTER_NAME=east, if that is this cluster, or a person's approval",
        ),
        id="a cluster of unknown name",
    ),
    pytest.param(
        facts(environment={"SRE_AGENT_DENY_NAMESPACES": "demo,sh*"}),
        refusal(
            "denied-namespace",
            "the namespace shop is denied (sh*)",
            "a person acting by hand; the agent never acts in system namespaces, its own and monitoring's",
        ),
        id="a denied namespace",
    ),
    pytest.param(
        facts(environment={"SRE_AGENT_ALLOW_NAMESPACES": "demo"}),
        refusal(
            "allowed-namespace",
            "the namespace shop is not in SRE_AGENT_ALLOW_NAMESPACES",
            "adding shop to SRE_AGENT_ALLOW_NAMESPACES",
        ),
        id="a namespace that is not on the list",
    ),
    pytest.param(
        workload(controller=deployment(labels=IGNORE)),
        refusal("ignored", "Deployment cart carries sre-agent/ignore=true", "taking sre-agent/ignore off"),
        id="an opt-out",
    ),
    pytest.param(
        workload(pod={"metadata": {"uid": "uid-pod", "annotations": IGNORE}}),
        refusal("ignored", "object carries sre-agent/ignore=true", "taking sre-agent/ignore off"),
        id="an opt-out on an object without kind and name",
    ),
    pytest.param(
        workload(controller=deployment() | {"spec": deployment()["spec"] | {"paused": True}}),
        refusal("paused", "Deployment cart is paused: a person works on it", "kubectl rollout resume"),
        id="a paused Deployment",
    ),
    pytest.param(
        workload(pod=pod(deletionTimestamp=text(NOW))),
        refusal("terminating", "Pod cart-1 is being deleted", "an alert about whatever takes its place"),
        id="a pod that is being deleted",
    ),
    pytest.param(
        facts(alert=alert(status=AlertStatus.RESOLVED)),
        refusal("resolved", "the alert is resolved", "a new firing notification", settled=True),
        id="a resolved alert is settled",
    ),
    pytest.param(
        facts(alert=alert(starts_at=NOW - 25 * HOURS)),
        question("old-alert", "the alert began 2026-03-13 02:00:00 UTC, more than 24h ago", BY_A_PERSON),
        id="an old alert",
    ),
]

OWNERSHIP = [
    *(
        pytest.param(
            workload(controller=deployment(annotations={mark: "cart"})),
            question(
                "reconciler",
                f"{owner} reconciles Deployment cart and would take the change back",
                OF_ARGO.format("limits.memory = 512Mi"),
            ),
            id=f"{owner} by {mark}",
        )
        for owner, mark in (
            ("Argo CD", "argocd.argoproj.io/tracking-id"),
            ("Argo CD", "argocd.argoproj.io/instance"),
            ("Flux", "kustomize.toolkit.fluxcd.io/name"),
            ("Flux", "helm.toolkit.fluxcd.io/name"),
        )
    ),
    *(
        pytest.param(
            workload(controller=deployment(managedFields=[managed("kubectl", DAYS), managed(manager, DAYS)])),
            question(
                "reconciler",
                f"{owner} reconciles Deployment cart and would take the change back",
                OF_ARGO.format("limits.memory = 512Mi"),
            ),
            id=f"{owner} by its field manager {manager}",
        )
        for owner, manager in (
            ("Argo CD", "argocd-controller"),
            ("Argo CD", "argocd-application-controller"),
            ("Flux", "kustomize-controller"),
            ("Flux", "helm-controller"),
        )
    ),
    pytest.param(
        workload(controller=deployment(annotations={"meta.helm.sh/release-name": "carts"})),
        Judgement(
            rule="helm",
            verdict=Verdict.ALLOW,
            reason=f"Helm release carts {TO_THE_CHART}",
            allowed_by="nothing more is needed",
        ),
        id="Helm, told",
    ),
    pytest.param(
        facts(
            workload_evidence(controller=deployment(labels={"app.kubernetes.io/managed-by": "Helm"})),
            environment={"SRE_AGENT_HELM": "recommend"},
        ),
        question("helm", f"Helm release unknown {TO_THE_CHART}", "SRE_AGENT_HELM=act, or a person's approval"),
        id="Helm, asked",
    ),
    pytest.param(
        workload(autoscalers=None),
        refusal(
            "horizontal-autoscaler",
            "the horizontalpodautoscalers of the namespace could not be read",
            "the right to list horizontalpodautoscalers",
        ),
        id="unread HPAs",
    ),
    pytest.param(
        workload(autoscalers=(autoscaler(metric=MEMORY),)),
        question("horizontal-autoscaler", "the HorizontalPodAutoscaler scaler scales cart on memory", BY_A_PERSON),
        id="an HPA",
    ),
    pytest.param(
        workload(vertical_autoscalers=None),
        refusal(
            "vertical-autoscaler",
            "the verticalpodautoscalers of the namespace could not be read",
            "the right to list verticalpodautoscalers",
        ),
        id="unread VPAs",
    ),
    *(
        pytest.param(
            workload(vertical_autoscalers=(vertical(**policy),)),
            question(
                "vertical-autoscaler",
                f"the VerticalPodAutoscaler vpa ({mode}) controls the memory of cart",
                "raising maxAllowed of the VPA, or a person's approval",
            ),
            id=f"a VPA, {mode}",
        )
        for mode, policy in (("Auto", {}), ("Initial", {"updatePolicy": {"updateMode": "Initial"}}))
    ),
]

FRESHNESS = [
    pytest.param(
        workload(read_at=NOW - timedelta(seconds=61)),
        refusal("evidence-age", "the cluster was read 1m1s ago, more than 1m", "reading it again"),
        id="old evidence",
    ),
    pytest.param(
        workload(pod=None),
        refusal("same-target", "the object that the alert was bound to is gone", NEW_NOTIFICATION, settled=True),
        id="a pod that is gone is settled",
    ),
    pytest.param(
        workload(controller=deployment(uid="uid-anew")),
        refusal(
            "same-target",
            "the object that the alert was bound to is another one now (uid uid-anew, bound was uid-cart)",
            NEW_NOTIFICATION,
            settled=True,
        ),
        id="a Deployment that was made anew is settled",
    ),
    pytest.param(
        workload(replica_sets=()),
        question(
            "settled-template", "when the template of Deployment cart was last changed cannot be told", BY_A_PERSON
        ),
        id="a template of unknown age",
    ),
    pytest.param(
        workload(replica_sets=(replica_set(9 * MINUTES), replica_set(2 * MINUTES))),
        question(
            "settled-template",
            "the template of Deployment cart was changed 2026-03-14 02:58:00 UTC, less than 10m ago",
            "waiting until 2026-03-14 03:08:00 UTC, or a person's approval",
            retry_at=NOW + 8 * MINUTES,
        ),
        id="a young template",
    ),
]

BOUNDS = [
    pytest.param(
        with_image("registry.example/evil:1.0"),
        refusal(
            "image-bound",
            "the image registry.example/evil:1.0 is neither RB_OOM's nor the workload's fallback image",
            "fallback_image in RB_OOM, or the annotation sre-agent/fallback-image",
        ),
        id="an image",
    ),
    pytest.param(
        (facts(), change(value="1Gi")),
        refusal(
            "memory-bound",
            "the new limit 1Gi is not above 256Mi and at most 512Mi",
            "a person setting the limit by hand",
        ),
        id="a limit",
    ),
]

HISTORY = [
    pytest.param(
        facts(
            earlier=(
                StepRecord(step="a", tool="x", status=StepStatus.DONE, change=change(action="patch_image:shop/cart")),
            )
        ),
        refusal(
            "one-change-a-run",
            "this run already has a change (patch_image:shop/cart); its effect is to be seen first",
            "another run, when the symptom is still there afterwards",
            settled=True,
        ),
        id="a second change is settled by the first",
    ),
    pytest.param(
        facts(past_actions=(past("increase_memory_limit", 10 * MINUTES),)),
        refusal(
            "cooldown",
            "increase_memory_limit:earlier was done 2026-03-14 02:50:00 UTC (incident 7), less than 30m ago",
            "waiting until 2026-03-14 03:20:00 UTC",
            retry_at=NOW + 20 * MINUTES,
        ),
        id="the cool-down",
    ),
    pytest.param(
        facts(past_actions=tuple(past("increase_memory_limit", ago * HOURS) for ago in (1, 4, 9))),
        refusal(
            "daily-cap",
            "increase_memory_limit was done 3 times to this object within 24h; 2 are allowed",
            "a person looking for the cause, or waiting until 2026-03-14 23:00:00 UTC",
            retry_at=NOW + 20 * HOURS,
        ),
        id="the daily cap is free again when fewer than allowed are left in the window",
    ),
    pytest.param(
        (
            facts(past_actions=(past("increase_memory_limit", 2 * DAYS, near_limit=True),)),
            change(near_limit=True),
        ),
        refusal(
            "near-limit-pause",
            "the limit was raised for a near-limit alert 2026-03-12 03:00:00 UTC, less than 7d ago",
            "a real OOM kill, or waiting until 2026-03-19 03:00:00 UTC",
            retry_at=NOW + 5 * DAYS,
        ),
        id="the near-limit pause",
    ),
    pytest.param(
        (
            facts(
                node_evidence(),
                step=Step(name="uncordon", tool="uncordon_node"),
                past_actions=(past("cordon_node", 5 * HOURS),),
            ),
            node_change("uncordon_node"),
        ),
        refusal(
            "opposite",
            "cordon_node:earlier, the opposite, was done 2026-03-13 22:00:00 UTC, less than 24h ago",
            "a person, who decides which of the two is right",
        ),
        id="the opposite",
    ),
]

FEW_NODES = (
    "only {} of 4 nodes would be Ready and schedulable; at least 51 % must, "
    "and one of them without a taint that keeps pods away"
)
MORE_NODES = "more Ready nodes: look at the control plane and the network first, many nodes rarely fail alone"
TWO_DOWN = (node("worker-1", ready="False"), node("w2", ready="False"), node("w3"), node("w4"))
LONELY = (
    owned("cart-1", ready=True, on="worker-1"),
    of_another(owned("other-1", ready=True, on="worker-1"), namespace="shop"),
)

HEALTH = [
    pytest.param(
        on_a_node(nodes=()),
        [
            refusal("ready-nodes", "the nodes of the cluster could not be read", "the right to list nodes"),
            question("small-cluster", "the nodes of the cluster could not be counted", "the right to list nodes"),
        ],
        id="no nodes",
    ),
    pytest.param(
        on_a_node(nodes=TWO_DOWN), refusal("ready-nodes", FEW_NODES.format(2), MORE_NODES), id="too few Ready nodes"
    ),
    pytest.param(
        on_a_node(nodes=(node("worker-1", ready="False"), node("w2"))),
        question("small-cluster", "the cluster has fewer than 3 nodes: 2", BY_A_PERSON),
        id="a small cluster",
    ),
    pytest.param(
        on_a_node(drain_of("cart-1"), workload_pods=None),
        refusal("last-ready-replica", "the pods of the cluster could not be read", "the right to list pods"),
        id="unread pods",
    ),
    pytest.param(
        on_a_node(drain_of("cart-1", "other-1"), workload_pods=LONELY),
        refusal(
            "last-ready-replica",
            "the drain would take the last ready replica of ReplicaSet/shop/cart-7, ReplicaSet/shop/other-7",
            "another ready replica of it on another node",
        ),
        id="the last ready replica",
    ),
    *(
        pytest.param(
            workload(controller=spoiled_template(**strategy)),
            refusal(
                "rollout-keeps-a-replica",
                f"its strategy ({kind}, 1 replicas) would take the last ready replica before the new one is there",
                "a second replica, or a strategy that starts the new pod first",
            ),
            id=f"a strategy, {kind}",
        )
        for kind, strategy in (
            ("Recreate", {"type": "Recreate"}),
            ("RollingUpdate", {"rollingUpdate": {"maxUnavailable": 1}}),
        )
    ),
]


@pytest.mark.parametrize(("given", "expected"), [*POLICY, *STOP, *OWNERSHIP, *FRESHNESS, *BOUNDS, *HISTORY, *HEALTH])
def test_a_guard_says_why_and_what_would_allow_the_change(
    given: Facts | tuple[Facts, Change], expected: Judgement | list[Judgement]
) -> None:
    asked, wanted = given if isinstance(given, tuple) else (given, change())
    assert list(guards.judge(asked, wanted)) == (expected if isinstance(expected, list) else [expected])


def test_what_to_change_in_git_is_every_line_of_the_diff_or_else_the_action() -> None:
    given = workload(controller=deployment(annotations={"argocd.argoproj.io/instance": "cart"}))
    (line,) = change().diff
    (two,) = guards.judge(given, change(diff=(line, line)))
    (none,) = guards.judge(given, change(diff=()))
    assert two.allowed_by == OF_ARGO.format("limits.memory = 512Mi, limits.memory = 512Mi")
    assert none.allowed_by == OF_ARGO.format("patch_memory_limit:shop/cart/app:256Mi→512Mi")


def test_a_crashed_guard_says_what_crashed() -> None:
    def broken_rule(given: Facts, wanted: Change) -> Judgement | None:
        raise LookupError("no metadata")

    assert guards.judge(facts(), change(), guards=[broken_rule]) == (
        refusal(
            "broken-rule",
            "the guard crashed: LookupError: no metadata",
            "a report of this with the recording; nothing is done while a guard cannot judge",
        ),
    )
