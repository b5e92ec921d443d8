"""Routing: the label first, then names and labels, and RB_UNKNOWN rather than a guess."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from sre_agent.lint import load
from sre_agent.resources import data_path
from sre_agent.routing import Route, ignored, route
from sre_agent.runbook import AlertMatch, Runbook, Runbooks
from sre_agent.tools.registry import TOOLS

IGNORED_ALERTS = ("Watchdog", "InfoInhibitor")

ROUTED = {
    "KubePodCrashLooping": "RB_CRASHLOOP",
    "KubeNodeNotReady": "RB_NODE_NOTREADY",
    "KubeNodeUnreachable": "RB_NODE_NOTREADY",
}
"""The kube-prometheus rules whose meaning is a runbook's symptom; every other name is RB_UNKNOWN or ignored."""

BUILT_IN_NAMES = (
    *ROUTED,
    *IGNORED_ALERTS,
    "AlertmanagerClusterCrashlooping",
    "CPUThrottlingHigh",
    "KubeContainerWaiting",
    "KubeDaemonSetRolloutStuck",
    "KubeDeploymentReplicasMismatch",
    "KubeDeploymentRolloutStuck",
    "KubeJobFailed",
    "KubeMemoryOvercommit",
    "KubeNodeEviction",
    "KubeNodePressure",
    "KubeNodeReadinessFlapping",
    "KubePodNotReady",
    "KubeStatefulSetReplicasMismatch",
    "KubeletDown",
    "NodeMemoryHighUtilization",
    "NodeSystemdServiceCrashlooping",
    "TargetDown",
)


def rules() -> list[dict[str, Any]]:
    """The 139 rules of the corpus where it is there, else the names above."""
    corpus = Path(os.environ.get("SRE_AGENT_TEST_CORPUS", "/nowhere")) / "rules" / "kube-prometheus-alerts.json"
    if not corpus.is_file():
        return [{"name": name, "labels": {"severity": "warning"}} for name in BUILT_IN_NAMES]
    found: list[dict[str, Any]] = json.loads(corpus.read_text())
    assert len(found) == 139
    assert {rule["name"] for rule in found} >= set(BUILT_IN_NAMES)
    return found


def runbook(name: str, *alerts: AlertMatch) -> Runbook:
    return Runbook(
        id=name,
        title=name,
        alerts=alerts,
        fallback_image=None,
        fallback_namespaces=(),
        workflow=(),
        future_actions=(),
        prose="",
        path=Path(f"{name}.md"),
        sha256="",
    )


def runbooks(*others: Runbook) -> Runbooks:
    return Runbooks(by_id={each.id: each for each in (runbook("RB_UNKNOWN"), *others)})


BOOKS = runbooks(
    runbook("RB_A", AlertMatch(name="Plain"), AlertMatch(name="Waiting", labels=(("reason", "Pull"),))),
    runbook(
        "RB_B",
        AlertMatch(name="Waiting", labels=(("reason", "Creating"),)),
        AlertMatch(name="Waiting", labels=(("reason", "Pull"), ("team", "b"))),
        AlertMatch(name="Tied", labels=(("x", "1"),)),
        AlertMatch(name="Twice"),
        AlertMatch(name="Twice", labels=(("x", "1"),)),
    ),
    runbook("RB_C", AlertMatch(name="Waiting"), AlertMatch(name="Tied", labels=(("y", "1"),))),
)


@pytest.fixture(scope="module")
def shipped() -> Runbooks:
    return load(data_path("runbooks"), None, TOOLS)


@pytest.mark.parametrize(
    ("labels", "runbook_id", "reason"),
    [
        pytest.param(
            {"runbook_id": "RB_B", "alertname": "Plain"}, "RB_B", "label runbook_id is RB_B", id="label before name"
        ),
        pytest.param(
            {"runbook_id": "RB_UNKNOWN", "alertname": "Plain"},
            "RB_UNKNOWN",
            "label runbook_id is RB_UNKNOWN",
            id="the label may ask for no action",
        ),
        *(
            pytest.param(
                {"runbook_id": wrong, "alertname": "Plain"},
                "RB_UNKNOWN",
                f"label runbook_id is {wrong!r}, and no runbook has that id",
                id=f"no guess from the id {wrong!r}, nor from the name beside it",
            )
            for wrong in ("RB_Z", "rb_a", " RB_A", "RB_A\x1b[2J")
        ),
        pytest.param(
            {"runbook_id": "", "alertname": "Plain"},
            "RB_A",
            "RB_A claims alert Plain",
            id="an empty label is none, as Prometheus has it",
        ),
        pytest.param({"alertname": "Plain", "x": "y"}, "RB_A", "RB_A claims alert Plain", id="name alone"),
        pytest.param(
            {"alertname": "Waiting", "reason": "Creating"},
            "RB_B",
            "RB_B claims alert Waiting{reason=Creating}",
            id="name and label before the name alone",
        ),
        pytest.param(
            {"alertname": "Waiting", "reason": "Pull", "team": "b"},
            "RB_B",
            "RB_B claims alert Waiting{reason=Pull,team=b}",
            id="most labels win",
        ),
        pytest.param(
            {"alertname": "Waiting", "reason": "Other"}, "RB_C", "RB_C claims alert Waiting", id="else the name alone"
        ),
        pytest.param({"alertname": "Tied", "x": "1"}, "RB_B", "RB_B claims alert Tied{x=1}", id="one of two fits"),
        pytest.param(
            {"alertname": "Tied", "x": "1", "y": "1"},
            "RB_UNKNOWN",
            "RB_B and RB_C claim alert Tied equally well",
            id="two fit equally well",
        ),
        pytest.param(
            {"alertname": "Twice", "x": "1"}, "RB_B", "RB_B claims alert Twice{x=1}", id="two claims of one runbook"
        ),
        pytest.param(
            {"alertname": "Tied"},
            "RB_UNKNOWN",
            "alert Tied is claimed with other labels only: Tied{x=1}, Tied{y=1}",
            id="a claim with labels needs the labels",
        ),
        pytest.param(
            {"alertname": "plain"}, "RB_UNKNOWN", "no runbook claims alert 'plain'", id="names are taken exactly"
        ),
        pytest.param({}, "RB_UNKNOWN", "the alert has neither runbook_id nor alertname", id="no labels at all"),
    ],
)
def test_an_alert_goes_to_the_runbook_that_its_labels_say(labels: dict[str, str], runbook_id: str, reason: str) -> None:
    assert route(labels, BOOKS) == Route(runbook=BOOKS[runbook_id], reason=reason)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        pytest.param(
            {"alertname": "Watchdog"}, "alert Watchdog is ignored (SRE_AGENT_IGNORE_ALERTS)", id="in the list"
        ),
        pytest.param({"alertname": "Mine", "severity": "none"}, "severity is none", id="severity none"),
        pytest.param({"alertname": "Mine", "severity": "warning"}, None, id="any other alert"),
        pytest.param({}, None, id="no labels"),
    ],
)
def test_heartbeats_are_ignored_with_a_reason(labels: dict[str, str], reason: str | None) -> None:
    assert ignored(labels, IGNORED_ALERTS) == reason


def test_every_rule_of_kube_prometheus_goes_to_its_runbook_or_to_none(shipped: Runbooks) -> None:
    actual: dict[str, str] = {}
    for rule in rules():
        labels = {"alertname": rule["name"], **rule["labels"]}
        reason = ignored(labels, IGNORED_ALERTS)
        actual[rule["name"]] = "ignored" if reason else route(labels, shipped).runbook.id
    expected = {name: ROUTED.get(name, "RB_UNKNOWN") for name in actual}
    expected |= dict.fromkeys(IGNORED_ALERTS, "ignored")
    assert actual == expected


@pytest.mark.parametrize(
    ("name", "runbook_id"),
    [
        ("KubePodImagePullBackOff", "RB_IMAGEPULL"),
        ("KubePodOOMKilled", "RB_OOM"),
        ("KubePodMemoryNearLimit", "RB_OOM"),
        ("KubePodContainerCreatingStuck", "RB_CONTAINERCREATING"),
        ("KubePodCrashLoopBackOff", "RB_CRASHLOOP"),
        ("KubeNodeUnschedulable", "RB_NODE_UNSCHEDULABLE"),
        ("KubeNodeNotReady", "RB_NODE_NOTREADY"),
        ("KubernetesContainerOomKiller", "RB_OOM"),
        ("ContainerOOMKilled", "RB_OOM"),
        ("KubernetesPodCrashLooping", "RB_CRASHLOOP"),
        ("KubernetesNodeNotReady", "RB_NODE_NOTREADY"),
    ],
)
def test_the_seven_alerts_and_common_names_for_them_have_a_runbook(
    shipped: Runbooks, name: str, runbook_id: str
) -> None:
    assert route({"alertname": name}, shipped).runbook.id == runbook_id


@pytest.mark.parametrize(
    ("reason", "runbook_id"),
    [
        ("ContainerCreating", "RB_CONTAINERCREATING"),
        ("ImagePullBackOff", "RB_IMAGEPULL"),
        ("ErrImagePull", "RB_IMAGEPULL"),
        ("InvalidImageName", "RB_IMAGEPULL"),
        ("CrashLoopBackOff", "RB_CRASHLOOP"),
        ("CreateContainerConfigError", "RB_UNKNOWN"),
        ("PodInitializing", "RB_UNKNOWN"),
        ("ErrImageNeverPull", "RB_UNKNOWN"),
        ("", "RB_UNKNOWN"),
    ],
)
def test_a_waiting_container_goes_where_its_reason_says(shipped: Runbooks, reason: str, runbook_id: str) -> None:
    labels = {"alertname": "KubeContainerWaiting", "reason": reason, "severity": "warning"}
    assert route(labels, shipped).runbook.id == runbook_id
