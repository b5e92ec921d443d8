"""From labels to a subject, and from the subject to the one object in the cluster; exporters are never the target."""

import json
import os
from pathlib import Path

import pytest

from sre_agent.alert import Alert, AlertStatus, fingerprint, parse
from sre_agent.cluster.port import Unavailable
from sre_agent.target import AlertSubject, Subject, Target, Unbound, bind, dedup_key, describe, subject_of
from tests.unit.workload_objects import (
    ago,
    alert,
    cluster,
    container,
    controller,
    deployment,
    ended,
    node,
    oom,
    owned_by,
    pod,
    replica_set,
    running,
    waiting,
)

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
            {"namespace": "", "pod": "", "container": "", "node": "", "uid": "u"},
            W,
            AlertSubject(),
            id="empty labels are absent",
        ),
        pytest.param({**EXPORTER, "node": "n1"}, N, AlertSubject(node="n1"), id="of a node alert only the node"),
        pytest.param({**EXPORTER, "node": "n9", "exported_node": "n1"}, N, AlertSubject(node="n1"), id="exported_node"),
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
            {"alertname": "A", "instance": "i", "pod": "exporter-1", "prometheus_replica": "p-0"},
            N,
            f"A:{fingerprint({'alertname': 'A', 'instance': 'i'})}",
            id="a node alert without node is not told apart by its exporter's pod",
        ),
        pytest.param(
            {"alertname": "A", "resourcequota": "q", "instance": "10.0.0.1:8080", "pod": "exporter-1"},
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


KILLED = (oom(),)


def world(*more, statuses=KILLED, **fields):
    owner = deployment()
    newest = replica_set(owner)
    return [owner, newest, pod(owner=newest, statuses=statuses, **fields), *more]


async def unbound(labels, *objects, subject=W):
    found = await bind(alert(**labels), subject, cluster(*objects))
    assert isinstance(found, Unbound)
    return found.reason


async def test_a_pod_is_bound_with_its_deployment_through_the_owners_uids():
    found = await bind(alert(pod="app-2-a", container="app"), W, cluster(*world()))
    assert found == Target(
        kind="Deployment",
        namespace="demo",
        name="app",
        container="app",
        pod="app-2-a",
        uid="uid-app",
        pod_uid="uid-app-2-a",
    )
    assert found.key == "Deployment/demo/app"


async def test_a_node_is_bound_by_name_and_has_no_namespace():
    found = await bind(alert(node="n1"), N, cluster(node()))
    assert found == Target(kind="Node", namespace=None, name="n1", uid="uid-n1")
    assert found.key == "Node//n1"


@pytest.mark.parametrize(
    ("labels", "subject", "words"),
    [
        pytest.param({"node": "n7"}, N, "no node n7", id="a node that is not there"),
        pytest.param({"instance": "n1"}, N, "no label `node`", id="a node alert without node"),
        pytest.param({"pod": "app-2-a"}, None, "neither a workload", id="no subject"),
        pytest.param({"pod": "app-2-a", "namespace": None}, W, "no label `namespace`", id="no namespace"),
        pytest.param({"pod": "app-2-a", "namespace": "other"}, W, "pod other/app-2-a is gone", id="another namespace"),
        pytest.param({"pod": "app-2-z"}, W, "nothing is done to its successor", id="a pod that is gone"),
        pytest.param({"pod": "app-2-a", "uid": "former"}, W, "another one now (uid uid-app-2-a", id="a successor"),
        pytest.param({"pod": "app-2-a", "container": "x"}, W, "no container x; it has app", id="no such container"),
        pytest.param({"deployment": "other"}, W, "no Deployment other in namespace demo", id="no such workload"),
        pytest.param({"status": "true", "condition": "Ready"}, W, "neither a workload nor a pod", id="only state"),
    ],
)
async def test_what_is_not_there_is_not_bound_and_the_reason_says_so(labels, subject, words):
    assert words in await unbound(labels, *world(), node(), subject=subject)


@pytest.mark.parametrize(
    ("labels", "subject", "settled"),
    [
        pytest.param({"pod": "app-2-z"}, W, True, id="the pod is gone"),
        pytest.param({"pod": "app-2-a", "uid": "former"}, W, True, id="its successor is there"),
        pytest.param({"node": "n7"}, N, True, id="the node is gone"),
        pytest.param({"deployment": "other"}, W, False, id="a workload that may be elsewhere"),
        pytest.param({"pod": "app-2-a", "container": "x"}, W, False, id="a container that never was"),
    ],
)
async def test_nobody_is_woken_for_an_object_that_is_gone(labels, subject, settled):
    found = await bind(alert(**labels), subject, cluster(*world(), node()))
    assert found.settled is settled


async def test_a_pod_with_the_uid_of_its_label_is_bound():
    found = await bind(alert(pod="app-2-a", uid="uid-app-2-a"), W, cluster(*world()))
    assert found.pod_uid == "uid-app-2-a"


async def test_a_cluster_that_does_not_answer_is_not_an_absent_object():
    class Away:
        async def get(self, *_):
            raise Unavailable("503")

    with pytest.raises(Unavailable):
        await bind(alert(pod="app-2-a"), W, Away())


ROLLOUT = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "app", "uid": "uid-rollout"}}
FOREIGN = {"apiVersion": "example.com/v1", "kind": "Deployment", "metadata": {"name": "app", "uid": "uid-app"}}
STATEFUL = controller("StatefulSet", "db")
TASK = {"apiVersion": "tekton.dev/v1", "kind": "TaskRun", "metadata": {"name": "t", "uid": "uid-t"}}
OF_ROLLOUT = controller("ReplicaSet", "app-2", owner=owned_by(ROLLOUT))
OF_FOREIGN = controller("ReplicaSet", "app-2", owner=owned_by(FOREIGN))
OF_OLD_UID = controller("ReplicaSet", "app-2", owner=owned_by(deployment(), uid="uid-former"))
MISSING = controller("ReplicaSet", "app-9")


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        pytest.param([pod()], ("Pod", "app-2-a", "uid-app-2-a"), id="nothing controls it"),
        pytest.param([pod(owner=TASK)], ("Pod", "app-2-a", "uid-app-2-a"), id="an unknown controller"),
        pytest.param([STATEFUL, pod(owner=STATEFUL)], ("StatefulSet", "db", "uid-db"), id="a StatefulSet"),
        pytest.param([pod(owner=MISSING)], ("ReplicaSet", "app-9", "uid-app-9"), id="a ReplicaSet that is missing"),
        pytest.param([OF_ROLLOUT, pod(owner=OF_ROLLOUT)], ("ReplicaSet", "app-2", "uid-app-2"), id="below a Rollout"),
        pytest.param(
            [deployment(), OF_FOREIGN, pod(owner=OF_FOREIGN)],
            ("ReplicaSet", "app-2", "uid-app-2"),
            id="a Deployment of another API group is not ours",
        ),
        pytest.param(
            [deployment(), OF_OLD_UID, pod(owner=OF_OLD_UID)],
            ("ReplicaSet", "app-2", "uid-app-2"),
            id="a Deployment of the same name and another uid is not the owner",
        ),
        pytest.param(
            [OF_OLD_UID, pod(owner=OF_OLD_UID)],
            ("ReplicaSet", "app-2", "uid-app-2"),
            id="a Deployment that is missing",
        ),
    ],
)
async def test_a_chain_that_breaks_never_ends_at_a_deployment(objects, expected):
    found = await bind(alert(pod="app-2-a"), W, cluster(*objects))
    assert (found.kind, found.name, found.uid) == expected


async def test_a_replica_set_label_leads_to_its_deployment():
    found = await bind(alert(replicaset="app-2"), W, cluster(*world()))
    assert (found.kind, found.name, found.pod) == ("Deployment", "app", "app-2-a")


def revisions(*pods_of_newest, older=()):
    owner = deployment()
    old, new = replica_set(owner, revision=1, age=900), replica_set(owner)
    made = [pod(owner=new, **fields) for fields in pods_of_newest]
    made += [pod(owner=old, **fields) for fields in older]
    return [owner, old, new, *made]


READY, DOWN = (running(),), (waiting("CrashLoopBackOff", restartCount=2),)


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        pytest.param(
            revisions({"name": "a", "statuses": READY}, {"name": "b", "statuses": DOWN}), "b", id="not Ready first"
        ),
        pytest.param(
            revisions(
                {"name": "a", "statuses": DOWN},
                {"name": "b", "statuses": (waiting("CrashLoopBackOff", restartCount=9),)},
            ),
            "b",
            id="then most restarts",
        ),
        pytest.param(
            revisions({"name": "a", "statuses": READY}, {"name": "b", "statuses": (running(restartCount=4),)}),
            "b",
            id="all Ready: most restarts",
        ),
        pytest.param(
            revisions({"name": "a", "statuses": DOWN, "age": 60}, {"name": "b", "statuses": DOWN, "age": 5}),
            "b",
            id="ties go to the younger",
        ),
        pytest.param(
            revisions({"name": "b", "statuses": DOWN}, {"name": "a", "statuses": DOWN}), "a", id="then by name"
        ),
        pytest.param(
            revisions({"name": "a", "statuses": DOWN, "deletionTimestamp": ago(1)}, {"name": "b", "statuses": READY}),
            "b",
            id="a pod that is being deleted does not stand for it",
        ),
        pytest.param(
            revisions({"name": "a", "statuses": READY}, older=[{"name": "b", "statuses": DOWN}]),
            "a",
            id="only the newest revision",
        ),
        pytest.param(revisions(older=[{"name": "b", "statuses": DOWN}]), None, id="a newest revision without pods"),
        pytest.param([deployment()], None, id="no ReplicaSet"),
    ],
)
async def test_a_workload_is_represented_by_the_pod_that_needs_help_most(objects, expected):
    found = await bind(alert(deployment="app", pod="exporter-x", container="ksm"), W, cluster(*objects))
    assert (found.kind, found.pod) == ("Deployment", expected)


PAIR = [container("app"), container("side")]


def pair(name, *statuses, **fields):
    return {"name": name, "containers": PAIR, "statuses": statuses, **fields}


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param({"container": "side"}, ("b", "side"), id="the container of the label, though another was killed"),
        pytest.param({"container": "setup"}, ("b", "setup"), id="an init container of the label"),
        pytest.param({"pod": "a"}, ("a", None), id="the pod of the label, though another needs more help"),
        pytest.param({"pod": "a", "container": "side"}, ("a", "side"), id="both"),
        pytest.param({"exported_pod": "a", "pod": "b"}, ("a", None), id="the exported pod before the plain one"),
        pytest.param({"pod": "a", "uid": "uid-a"}, ("a", None), id="with its uid"),
        pytest.param({"pod": "a", "uid": "former"}, ("b", "app"), id="a pod with another uid than the label's"),
        pytest.param({"pod": "old"}, ("old", "app"), id="a pod of an older revision"),
        pytest.param({"pod": "stranger"}, ("b", "app"), id="a pod of something else in the namespace"),
        pytest.param({"pod": "orphan"}, ("b", "app"), id="a pod that nothing owns"),
        pytest.param({"pod": "gone"}, ("b", "app"), id="a pod that is not there"),
        pytest.param({"pod": "elsewhere"}, ("b", "app"), id="a pod of another namespace"),
        pytest.param({"pod": "gone", "container": "ksm"}, ("b", "app"), id="a container that the pod does not have"),
    ],
)
async def test_pod_and_container_beside_a_workload_count_where_they_are_its_own(labels, expected):
    objects = revisions(
        pair("a", running(), running("side"), init=(container("setup"),)),
        pair("b", oom(), running("side"), init=(container("setup"),)),
        older=[pair("old", oom(), running("side"))],
    )
    other = controller("Deployment", "other")
    theirs = replica_set(other)
    elsewhere = pod("elsewhere", namespace="elsewhere", statuses=DOWN)
    more = [other, theirs, pod("stranger", owner=theirs, statuses=DOWN), pod("orphan", statuses=DOWN), elsewhere]
    found = await bind(alert(deployment="app", **labels), W, cluster(*objects, *more))
    assert (found.name, found.pod, found.container) == ("app", *expected)


async def test_where_two_containers_were_killed_the_label_chooses():
    objects = revisions(pair("a", oom(), oom("side")))
    found = await bind(alert(deployment="app", container="side"), W, cluster(*objects))
    assert found.container == "side"


async def test_a_replica_set_label_leads_to_the_pod_of_its_deployment():
    objects = revisions({"name": "a", "statuses": DOWN}, {"name": "b", "statuses": READY})
    found = await bind(alert(replicaset="app-2", pod="b"), W, cluster(*objects))
    assert (found.kind, found.pod) == ("Deployment", "b")


EXPORTED = {"namespace": "monitoring", "exported_namespace": "demo"}


async def test_beside_exported_namespace_alone_a_pod_that_is_there_is_the_metrics():
    found = await bind(alert(**EXPORTED, pod="app-2-a", container="app"), W, cluster(*world()))
    assert (found.namespace, found.name, found.pod, found.container) == ("demo", "app", "app-2-a", "app")


async def test_beside_exported_namespace_alone_a_pod_that_is_not_there_is_no_settled_matter():
    exporter = pod("ksm-x", namespace="monitoring", statuses=READY)
    found = await bind(alert(**EXPORTED, pod="ksm-x"), W, cluster(*world(exporter)))
    assert isinstance(found, Unbound)
    assert not found.settled
    assert "no pod ksm-x in namespace demo (label `exported_namespace`)" in found.reason


async def test_the_exporters_pod_is_not_looked_for_beside_an_exported_container():
    labels = {**EXPORTED, "exported_container": "app", "pod": "app-2-a"}
    assert "neither a workload nor a pod" in await unbound(labels, *world())


async def test_a_finished_pod_stands_for_a_workload_only_where_no_other_is():
    owner, newest, dead = world()
    dead["status"]["phase"] = "Failed"
    alone = await bind(alert(deployment="app"), W, cluster(owner, newest, dead))
    other = pod("app-2-b", owner=newest, statuses=READY)
    beside = await bind(alert(deployment="app"), W, cluster(owner, newest, dead, other))
    assert (alone.pod, beside.pod) == ("app-2-a", "app-2-b")


async def test_a_namesake_pod_with_the_same_labels_but_another_owner_does_not_stand_for_it():
    stranger = pod("stranger", statuses=DOWN, labels={"app": "app"})
    found = await bind(alert(deployment="app"), W, cluster(*world(stranger, statuses=READY)))
    assert found.pod == "app-2-a"


@pytest.mark.parametrize(
    ("update_revision", "expected"),
    [
        pytest.param("db-2", "db-1", id="the pod of the update revision"),
        pytest.param("db-3", "db-0", id="no pod of it yet: all of them"),
        pytest.param(None, "db-0", id="no revision known: all of them"),
    ],
)
async def test_a_stateful_set_is_represented_by_its_newest_revision(update_revision, expected):
    owner = controller("StatefulSet", "db")
    owner["status"] = {"updateRevision": update_revision} if update_revision else {}
    pods = [
        pod("db-0", owner=owner, statuses=DOWN, labels={"controller-revision-hash": "db-1"}),
        pod("db-1", owner=owner, statuses=READY, labels={"controller-revision-hash": "db-2"}),
    ]
    found = await bind(alert(statefulset="db"), W, cluster(owner, *pods))
    assert (found.kind, found.pod) == ("StatefulSet", expected)


TWO = [container("app"), container("proxy")]
PULL = "ImagePullBackOff"


@pytest.mark.parametrize(
    ("containers", "statuses", "expected"),
    [
        pytest.param(None, (running(),), "app", id="the only container"),
        pytest.param(TWO, (running(), oom("proxy")), "proxy", id="the only one that was OOMKilled"),
        pytest.param(TWO, (waiting(PULL), running("proxy")), "app", id="the only one that waits for its image"),
        pytest.param(TWO, (oom(), oom("proxy")), None, id="two of them"),
        pytest.param(TWO, (running(), running("proxy")), None, id="none of two"),
        pytest.param(
            TWO,
            (oom(), waiting("CrashLoopBackOff", name="proxy", lastState=ended("Error", code=1))),
            "app",
            id="a bystander that merely crashes is no rival",
        ),
        pytest.param(
            TWO,
            (running(), waiting("CrashLoopBackOff", name="proxy", lastState=ended("Error", code=1))),
            "proxy",
            id="the only one that crashes, where nothing can be cured",
        ),
    ],
)
async def test_without_a_container_label_the_symptom_chooses_if_it_is_the_only_one(containers, statuses, expected):
    found = await bind(alert(pod="app-2-a"), W, cluster(*world(statuses=statuses, containers=containers)))
    assert found.container == expected


async def test_a_symptomatic_init_container_is_bound_as_such():
    statuses = (waiting("PodInitializing"),)
    first = waiting("ImagePullBackOff", name="setup")
    objects = world(statuses=statuses, init=(container("setup"),), init_statuses=(first,))
    found = await bind(alert(pod="app-2-a"), W, cluster(*objects))
    assert found.container == "setup"


async def test_a_near_limit_alert_is_not_moved_to_a_container_with_another_symptom():
    objects = world(statuses=(running(), oom("proxy")), containers=TWO)
    found = await bind(alert("KubePodMemoryNearLimit", pod="app-2-a"), W, cluster(*objects))
    assert found.container is None


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
