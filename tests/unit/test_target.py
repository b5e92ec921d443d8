"""From the subject of an alert to the one object in the cluster, by uid; exporters are never the target."""

from dataclasses import replace

import pytest

from sre_agent.cluster.port import Unavailable
from sre_agent.target import Subject, Target, Unbound, bind
from sre_agent.target.binding import representative
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
KILLED = (oom(),)


def world(*more, statuses=KILLED, **fields):
    owner = deployment()
    newest = replica_set(owner)
    return [owner, newest, pod(owner=newest, statuses=statuses, **fields), *more]


async def unbound(labels, *objects, subject=W):
    found = await bind(alert(**labels), subject, cluster(*objects))
    assert isinstance(found, Unbound)
    return found.reason


POD_TARGET = Target(kind="Deployment", namespace="demo", name="app", pod="app-2-a")


@pytest.mark.parametrize(
    ("target", "workload", "node_name", "look"),
    [
        pytest.param(POD_TARGET, "Deployment/app", None, "kubectl -n demo describe pod app-2-a", id="a pod"),
        pytest.param(
            replace(POD_TARGET, pod=None),
            "Deployment/app",
            None,
            "kubectl -n demo describe deployment app",
            id="a workload without pods",
        ),
        pytest.param(
            Target(kind="Node", namespace=None, name="n1"), None, "n1", "kubectl describe node n1", id="a node"
        ),
    ],
)
def test_a_target_names_itself_and_how_to_look_at_it(target, workload, node_name, look):
    assert (target.workload, target.node, target.look) == (workload, node_name, look)


def test_a_subject_is_written_as_runbooks_write_it():
    assert [subject.value for subject in Subject] == ["workload", "node"]


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
    ("labels", "subject", "reason"),
    [
        pytest.param({"node": "n7"}, N, "there is no node n7 in the cluster", id="a node that is not there"),
        pytest.param(
            {"instance": "n1"},
            N,
            "the alert has no label `node`; `instance` is the exporter's address, not a node",
            id="a node alert without node",
        ),
        pytest.param(
            {"pod": "app-2-a"}, None, "the labels name neither a workload, nor a pod, nor a node", id="no subject"
        ),
        pytest.param(
            {"pod": "app-2-a", "namespace": None},
            W,
            "the alert has no label `namespace`; no other namespace is searched",
            id="no namespace",
        ),
        pytest.param(
            {"pod": "app-2-a", "namespace": "other"},
            W,
            "there is no pod other/app-2-a (gone, or never there); nothing is done to another one because of it",
            id="another namespace",
        ),
        pytest.param(
            {"pod": "app-2-z"},
            W,
            "there is no pod demo/app-2-z (gone, or never there); nothing is done to another one because of it",
            id="a pod that is gone",
        ),
        pytest.param(
            {"pod": "app-2-a", "uid": "former"},
            W,
            "pod demo/app-2-a is another one now (uid uid-app-2-a, the alert's was former); "
            "nothing is done to a successor because of it",
            id="a successor",
        ),
        pytest.param(
            {"pod": "app-2-a", "container": "x"},
            W,
            "pod demo/app-2-a has no container x; it has app, setup",
            id="no such container",
        ),
        pytest.param(
            {"deployment": "other"}, W, "there is no Deployment other in namespace demo", id="no such workload"
        ),
        pytest.param(
            {"status": "true", "condition": "Ready"},
            W,
            "the alert names neither a workload nor a pod; its other labels are not guessed from",
            id="only state",
        ),
    ],
)
async def test_what_is_not_there_is_not_bound_and_the_reason_says_so(labels, subject, reason):
    objects = world(init=(container("setup"),))
    assert await unbound(labels, *objects, node(), subject=subject) == reason


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
LONE = controller("ReplicaSet", "app-2")
BELOW = controller("StatefulSet", "db", owner=owned_by(deployment()))
WITHOUT_UID = deployment(uid=None)
OF_NO_UID = controller("ReplicaSet", "app-2", owner=owned_by(WITHOUT_UID))
OF_STATEFUL = controller("ReplicaSet", "app-2", owner=owned_by(STATEFUL))


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        pytest.param([pod()], ("Pod", "app-2-a", "uid-app-2-a"), id="nothing controls it"),
        pytest.param([pod(owner=TASK)], ("Pod", "app-2-a", "uid-app-2-a"), id="an unknown controller"),
        pytest.param([STATEFUL, pod(owner=STATEFUL)], ("StatefulSet", "db", "uid-db"), id="a StatefulSet"),
        pytest.param([LONE, pod(owner=LONE)], ("ReplicaSet", "app-2", "uid-app-2"), id="a ReplicaSet of its own"),
        pytest.param(
            [deployment(), BELOW, pod(owner=BELOW)],
            ("StatefulSet", "db", "uid-db"),
            id="only ReplicaSets have one above",
        ),
        pytest.param(
            [STATEFUL, OF_STATEFUL, pod(owner=OF_STATEFUL)],
            ("ReplicaSet", "app-2", "uid-app-2"),
            id="a ReplicaSet below something that is no Deployment",
        ),
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
            [WITHOUT_UID, OF_NO_UID, pod(owner=OF_NO_UID)],
            ("ReplicaSet", "app-2", "uid-app-2"),
            id="a Deployment without a uid is nobody's owner",
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
    assert found == await bind(alert(pod="app-2-a"), W, cluster(*world()))
    assert found.pod_uid == "uid-app-2-a"


@pytest.mark.parametrize("label", [{"pod": "app-2-a"}, {}])
async def test_objects_without_uids_are_nobodys_owners(label):
    owner, newest = deployment(uid=None), controller("ReplicaSet", "app-2", uid=None)
    owned = pod(owner=newest, statuses=DOWN)
    owned["metadata"]["ownerReferences"][0]["uid"] = None
    found = await bind(alert(deployment="app", **label), W, cluster(owner, newest, owned))
    assert (found.name, found.pod) == ("app", None)


async def test_the_container_of_the_label_counts_though_another_has_the_symptom():
    objects = world(statuses=(oom(), running("proxy")), containers=TWO)
    found = await bind(alert(pod="app-2-a", container="proxy"), W, cluster(*objects))
    assert found.container == "proxy"


def revisions(*pods_of_newest, older=()):
    owner = deployment()
    old, new = replica_set(owner, revision=1, age=900), replica_set(owner)
    made = [pod(owner=new, **fields) for fields in pods_of_newest]
    made += [pod(owner=old, **fields) for fields in older]
    return [owner, old, new, *made]


READY, DOWN = (running(),), (waiting("CrashLoopBackOff", restartCount=2),)
OTHER = controller("Deployment", "other")
NEWER = replica_set(OTHER, revision=9)
OTHERS = [OTHER, NEWER, pod("a", owner=NEWER, statuses=DOWN)]


def test_of_two_equal_pods_the_first_by_name_stands_for_the_workload():
    pods = [pod("b", statuses=DOWN), pod("a", statuses=DOWN)]
    assert representative(pods) is pods[1]


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
            revisions({"name": "a", "statuses": (running(restartCount=9),)}, {"name": "b", "statuses": DOWN}),
            "b",
            id="not Ready before most restarts",
        ),
        pytest.param(
            revisions(
                {"name": "a", "statuses": DOWN, "age": 5},
                {"name": "b", "statuses": (waiting("CrashLoopBackOff", restartCount=9),), "age": 60},
            ),
            "b",
            id="most restarts before the younger",
        ),
        pytest.param(
            revisions(
                {"name": "a", "statuses": DOWN, "creationTimestamp": None}, {"name": "b", "statuses": DOWN, "age": 60}
            ),
            "b",
            id="one of unknown age counts as the oldest",
        ),
        pytest.param([*revisions({"name": "b", "statuses": READY}), *OTHERS], "b", id="only its own ReplicaSets"),
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
        pytest.param(None, "db-0", id="no revision known: all of them, also those that do not say theirs"),
    ],
)
async def test_a_stateful_set_is_represented_by_its_newest_revision(update_revision, expected):
    owner = controller("StatefulSet", "db")
    owner["status"] = {"updateRevision": update_revision}
    if update_revision is None:
        del owner["status"]
    pods = [
        pod("db-0", owner=owner, statuses=DOWN, labels={"controller-revision-hash": "db-1"}),
        pod("db-1", owner=owner, statuses=READY, labels={"controller-revision-hash": "db-2"}),
        pod("db-2", owner=owner, statuses=READY, labels={}),
        pod("stranger", statuses=(oom(),), labels={"controller-revision-hash": "db-2"}),
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
