"""From labels to a subject and a key; an exporter is never taken for what it measures."""

import json
import os
from pathlib import Path

import pytest

from sre_agent.alert import Alert, AlertStatus, fingerprint, parse
from sre_agent.target import AlertSubject, Subject, dedup_key, describe, subject_of

W, N = Subject.WORKLOAD, Subject.NODE
EXPORTER = {"namespace": "monitoring", "pod": "kube-state-metrics-x", "container": "ksm", "instance": "10.0.0.1:8080"}


def firing(labels, group_key=None):
    return Alert(
        index=0,
        status=AlertStatus.FIRING,
        labels=labels,
        annotations={},
        starts_at=None,
        ends_at=None,
        fingerprint="given",
        generator_url="",
        group_key=group_key,
    )


@pytest.mark.parametrize(
    ("labels", "runbook_subject", "expected"),
    [
        pytest.param({"node": "n1"}, W, W, id="a routed alert speaks of what its runbook speaks of"),
        pytest.param({"deployment": "app", "pod": "x"}, None, W, id="a workload label"),
        pytest.param({"job_name": "dump", "node": "n1"}, None, W, id="a Job before a node"),
        pytest.param({"alertname": "KubeNodePressure", "node": "n1", "pod": "x"}, None, N, id="a node alert"),
        pytest.param({"alertname": "KubeletTooManyPods", "node": "n1", "pod": "x"}, None, N, id="a kubelet alert"),
        pytest.param({"alertname": "NodeClockSkew", "exported_node": "n1"}, None, N, id="exported_node"),
        pytest.param({"alertname": "NodeClockSkew", "pod": "node-exporter-x"}, None, None, id="node alert, no node"),
        pytest.param({"alertname": "CPUThrottlingHigh", "pod": "x", "node": "n1"}, None, W, id="a pod before a node"),
        pytest.param({"alertname": "X", "exported_pod": "x"}, None, W, id="exported_pod"),
        pytest.param({"alertname": "X", "node": "n1"}, None, N, id="a node and no pod"),
        pytest.param(
            {"alertname": "KubeHpaMaxedOut", "horizontalpodautoscaler": "h", "pod": "x"}, None, None, id="HPA"
        ),
        *(
            pytest.param({label: "x", "pod": "ksm", "node": "n1"}, None, None, id=f"a pod beside a {label}")
            for label in (
                "cronjob",
                "persistentvolume",
                "persistentvolumeclaim",
                "poddisruptionbudget",
                "resourcequota",
            )
        ),
        pytest.param({"deployment": "app", "cronjob": "c"}, None, W, id="a workload label beside another object's"),
        pytest.param({"alertname": "X", "job": "kube-state-metrics"}, None, None, id="the scrape job is no Job"),
        pytest.param({}, None, None, id="no label"),
    ],
)
def test_the_subject_comes_from_the_runbook_or_else_from_the_labels(labels, runbook_subject, expected):
    assert subject_of(labels, runbook_subject) is expected


@pytest.mark.parametrize(
    ("labels", "subject", "expected"),
    [
        pytest.param(
            {**EXPORTER, "namespace": "demo", "deployment": "app", "uid": "u"},
            W,
            AlertSubject(namespace="demo", workload_kind="Deployment", workload_name="app"),
            id="beside a workload, pod, container and uid may be the exporter's",
        ),
        pytest.param(
            {"namespace": "demo", "job": "kube-state-metrics", "job_name": "dump"},
            W,
            AlertSubject(namespace="demo", workload_kind="Job", workload_name="dump"),
            id="job_name is the Job, job the scrape job",
        ),
        pytest.param(
            {"namespace": "demo", "statefulset": "db", "replicaset": "x"},
            W,
            AlertSubject(namespace="demo", workload_kind="StatefulSet", workload_name="db"),
            id="a StatefulSet before a ReplicaSet",
        ),
        pytest.param(
            {"namespace": "demo", "pod": "x", "container": "app", "uid": "u", "node": "n1"},
            W,
            AlertSubject(namespace="demo", pod="x", container="app", pod_uid="u", node="n1"),
            id="a pod alert, its node is context",
        ),
        pytest.param(
            {**EXPORTER, "exported_namespace": "demo", "exported_pod": "x", "exported_container": "app"},
            W,
            AlertSubject(namespace="demo", pod="x", container="app"),
            id="exported_ forms win",
        ),
        pytest.param(
            {**EXPORTER, "exported_namespace": "demo", "exported_pod": "x", "node": "n9"},
            W,
            AlertSubject(namespace="demo", pod="x"),
            id="beside exported_pod the plain container and node are the exporter's",
        ),
        pytest.param(
            {**EXPORTER, "exported_namespace": "demo"},
            W,
            AlertSubject(namespace="demo"),
            id="beside exported_namespace alone the plain pod may be the exporter's: only the cluster tells",
        ),
        pytest.param(
            {"namespace": "monitoring", "exported_namespace": "demo", "exported_node": "n1", "node": "n9", "pod": "x"},
            W,
            AlertSubject(namespace="demo", node="n1"),
            id="so may be the plain node",
        ),
        pytest.param(
            {"namespace": "demo", "pod": "ksm", "exported_pod": "x", "node": "n9"},
            W,
            AlertSubject(namespace="demo", pod="x"),
            id="beside exported_pod alone the plain node is the exporter's",
        ),
        pytest.param(
            {"namespace": "monitoring", "exported_namespace": "demo", "node": "n9"},
            W,
            AlertSubject(namespace="demo"),
            id="so it is beside exported_namespace alone",
        ),
        pytest.param(
            {"namespace": "demo", "pod": "x", "uid": ""},
            W,
            AlertSubject(namespace="demo", pod="x"),
            id="an empty uid is absent",
        ),
        pytest.param(
            {"namespace": "", "pod": "", "container": "", "node": "", "uid": "u"},
            W,
            AlertSubject(),
            id="empty labels are absent",
        ),
        pytest.param({**EXPORTER, "node": "n1"}, N, AlertSubject(node="n1"), id="of a node alert only the node"),
        pytest.param({**EXPORTER, "node": "n9", "exported_node": "n1"}, N, AlertSubject(node="n1"), id="exported_node"),
        pytest.param({"node": "", "exported_node": ""}, N, AlertSubject(), id="an empty node is absent"),
        pytest.param(EXPORTER, N, AlertSubject(), id="instance is never a node"),
        pytest.param({"pod": "x"}, None, AlertSubject(), id="no subject, nothing named"),
    ],
)
def test_labels_name_what_is_measured_and_never_the_exporter(labels, subject, expected):
    assert describe(labels, subject) == expected


@pytest.mark.parametrize(
    ("labels", "subject", "expected"),
    [
        pytest.param({"alertname": "A", "namespace": "d", "pod": "p", "container": "c"}, W, "A:d:p:c", id="pod"),
        pytest.param({"alertname": "A", "pod": "p"}, W, "A::p:", id="missing parts stay empty"),
        pytest.param(
            {"alertname": "A", "namespace": "d", "deployment": "w", "pod": "x"}, W, "A:d:Deployment/w", id="workload"
        ),
        pytest.param({"alertname": "A", "daemonset": "w"}, W, "A::DaemonSet/w", id="workload without namespace"),
        pytest.param({"alertname": "A", "node": "n", "pod": "x"}, N, "A:n", id="node"),
        pytest.param(
            {"alertname": "A", "namespace": "m", "exported_namespace": "d", "pod": "x", "prometheus_replica": "p-0"},
            W,
            f"A:{fingerprint({'alertname': 'A', 'namespace': 'm', 'exported_namespace': 'd', 'pod': 'x'})}",
            id="a pod that may be the metric's tells two problems apart",
        ),
        pytest.param(
            {"alertname": "A", "x": "y"}, None, f"A:{fingerprint({'alertname': 'A', 'x': 'y'})}", id="else the hash"
        ),
        pytest.param(
            {"alertname": "A", "namespace": "d", "node": "n"},
            W,
            f"A:{fingerprint({'alertname': 'A', 'namespace': 'd', 'node': 'n'})}",
            id="the node of a workload's alert does not identify it alone",
        ),
        pytest.param(
            {"alertname": "A", "x": "y", "prometheus_replica": "p-0", "replica": "0", "__replica__": "0"},
            None,
            f"A:{fingerprint({'alertname': 'A', 'x': 'y'})}",
            id="which replica of Prometheus it was does not count",
        ),
        pytest.param(
            {"alertname": "A", "exported_container": "c", "pod": "exporter-1", "container": "ksm"},
            W,
            f"A:{fingerprint({'alertname': 'A', 'exported_container': 'c'})}",
            id="beside exported_container the plain pod and container are the exporter's",
        ),
        pytest.param(
            {"alertname": "A", "exported_namespace": "d", "pod": "exporter-1", "container": "ksm"},
            N,
            f"A:{fingerprint({'alertname': 'A', 'exported_namespace': 'd'})}",
            id="a node alert's pod is never the metric's",
        ),
        pytest.param(
            {"alertname": "A", "instance": "i", "pod": "exporter-1", "prometheus_replica": "p-0"},
            N,
            f"A:{fingerprint({'alertname': 'A', 'instance': 'i'})}",
            id="a node alert without node is not told apart by its exporter's pod",
        ),
        pytest.param(
            {
                "alertname": "A",
                "resourcequota": "q",
                "instance": "10.0.0.1:8080",
                "pod": "exporter-1",
                "container": "ksm",
                "endpoint": "http",
                "service": "ksm",
                "uid": "u",
            },
            None,
            f"A:{fingerprint({'alertname': 'A', 'resourcequota': 'q'})}",
            id="beside another object the exporter's address does not count",
        ),
    ],
)
def test_the_dedup_key_is_readable_and_survives_a_restarted_exporter(labels, subject, expected):
    assert dedup_key(firing(labels, group_key="group"), subject) == expected


@pytest.mark.parametrize(("group_key", "expected"), [("group", "group"), (None, f":{fingerprint({})}")])
def test_the_group_key_stands_in_only_for_an_alert_without_labels(group_key, expected):
    assert dedup_key(firing({}, group_key), None) == expected


CORPUS = os.environ.get("SRE_AGENT_TEST_CORPUS")


@pytest.mark.skipif(CORPUS is None, reason="SRE_AGENT_TEST_CORPUS names no directory")
@pytest.mark.parametrize(
    ("file", "keys"),
    [
        ("verbatim/07-kubesphere-alert11", {"KubeDeploymentReplicasMismatch:default:Deployment/nginx"}),
        ("verbatim/19-kubesphere-alert9", {"KubeJobCompletion:demo-project:Job/dddd"}),
    ],
)
def test_recorded_decoy_labels_do_not_name_the_exporter(file, keys):
    body = (Path(CORPUS) / "payloads" / f"{file}.json").read_bytes()
    alerts = parse(body, source=file).alerts
    assert {dedup_key(entry, subject_of(entry.labels, None)) for entry in alerts} == keys
    assert json.loads(body)["alerts"][0]["labels"]["pod"].startswith("kube-state-metrics")
