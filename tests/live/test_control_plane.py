"""The control plane of the cluster tests: its users, its audit log, its processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.control_plane.api import ApiError, Object
from tests.control_plane.fixtures import AnyCluster, MakeNamespace
from tests.control_plane.kubelet import wait_for
from tests.control_plane.other import OtherCluster
from tests.control_plane.plane import USERS, ControlPlane
from tests.control_plane.processes import Ended
from tests.live.workloads import deployment

ROOT = Path(__file__).parents[2]
RBAC = "rbac.authorization.k8s.io"


def bind_reader(cluster: AnyCluster, user: str, namespace: str) -> None:
    """Let a user read the pods of a namespace, and nothing else."""
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]
    about = {"name": "pod-reader", "namespace": namespace}
    role: Object = {"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": about, "rules": rules}
    reference = {"apiGroup": RBAC, "kind": "Role", "name": "pod-reader"}
    binding = {"kind": "RoleBinding", "subjects": [cluster.subject(user)], "roleRef": reference}
    cluster.api.create_all([role, role | binding])


def may(cluster: AnyCluster, user: str, namespace: str, verb: str) -> bool:
    try:
        answer = cluster.kubectl("auth", "can-i", verb, "pods", "--namespace", namespace, user=user)
    except subprocess.CalledProcessError as refused:
        answer = refused.stdout
    return answer.strip() == "yes"


def test_a_user_may_do_what_is_bound_to_it_and_nothing_else(any_cluster: AnyCluster, namespace: str) -> None:
    assert not may(any_cluster, "agent", namespace, "list")
    bind_reader(any_cluster, "agent", namespace)
    wait_for("the agent may list pods", lambda: may(any_cluster, "agent", namespace, "list"))
    assert not may(any_cluster, "agent", namespace, "delete")
    assert not may(any_cluster, "stranger", namespace, "list")


def test_a_namespace_of_a_given_name_is_empty_each_time(any_cluster: AnyCluster, make_namespace: MakeNamespace) -> None:
    name = make_namespace(f"given-{os.getpid()}")
    assert any_cluster.api.find("apps/v1", "Deployment", name) == []
    any_cluster.api.create(deployment("web", name))


def test_another_cluster_gives_the_same_users(plane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    kubectl = str(plane.binaries / "kubectl")
    with OtherCluster(plane.kubeconfig(), kubectl, tmp_path / "other") as other:
        assert not may(other, "agent", namespace, "list")
        bind_reader(other, "agent", namespace)
        wait_for("the agent may list pods", lambda: may(other, "agent", namespace, "list"))
        assert {other.kubeconfig(user).stat().st_mode & 0o777 for user in USERS} == {0o600}
    spaces = [space["metadata"]["name"] for space in plane.api.find("v1", "Namespace")]
    assert "sre-agent-test-users" not in spaces


def test_on_another_cluster_only_what_can_run_there_is_chosen(plane: ControlPlane) -> None:
    collect = [sys.executable, "-m", "pytest", "-q", "--collect-only", "-m", "cluster", __file__]
    environment = os.environ | {"SRE_AGENT_TEST_KUBECONFIG": str(plane.kubeconfig())}
    told = subprocess.run(collect, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    chosen = [line.partition("::")[2] for line in told.splitlines() if "::" in line]
    assert chosen == [
        "test_a_user_may_do_what_is_bound_to_it_and_nothing_else",
        "test_a_namespace_of_a_given_name_is_empty_each_time",
    ]
    assert "tests need the control plane that tests/control_plane builds, and were left out" in told


def test_the_audit_log_says_who_asked_what_and_how_it_was_answered(bare_plane: ControlPlane) -> None:
    bare_plane.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "audited"}})
    mark = bare_plane.audit_mark()
    bare_plane.run_kubectl("--namespace", "audited", "get", "pods", user="agent")
    bare_plane.api.create(deployment("web", "audited"))
    web = "/apis/apps/v1/namespaces/audited/deployments/web"
    bare_plane.api.patch(bare_plane.api.request("GET", web), {"spec": {"replicas": 3}})
    bare_plane.kubectl("--namespace", "audited", "scale", "deployment/web", "--replicas", "4", "--dry-run=server")
    (refused,) = [request for request in bare_plane.audit("agent", since=mark) if request.resource]
    assert (refused.verb, refused.resource, refused.namespace, refused.code) == ("list", "pods", "audited", 403)
    writes = bare_plane.audit("admin", since=mark, writes=True)
    assert [(request.verb, request.resource, request.subresource, request.name) for request in writes] == [
        ("create", "deployments", None, "web"),
        ("patch", "deployments", None, "web"),
        ("patch", "deployments", "scale", "web"),
    ]
    assert [request.code for request in writes] == [201, 200, 200]
    assert [request.dry_run for request in writes] == [False, False, True]
    assert writes[1].body == {"spec": {"replicas": 3}}


def test_a_dry_run_in_the_options_of_an_eviction_is_seen(bare_plane: ControlPlane) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"containers": [{"name": "app", "image": "registry.example.com/app:1"}]},
    }
    bare_plane.api.create(pod)
    mark = bare_plane.audit_mark()
    about = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": pod["metadata"]}
    for options in ({"dryRun": ["All"]}, {}):
        path = "/api/v1/namespaces/default/pods/web/eviction"
        bare_plane.api.request("POST", path, about | {"deleteOptions": options})
    sent = bare_plane.audit(since=mark, writes=True)
    assert [(request.subresource, request.name, request.dry_run) for request in sent] == [
        ("eviction", "web", True),
        ("eviction", "web", False),
    ]


def test_owner_references_of_recorded_objects_lead_to_the_new_owners(bare_plane: ControlPlane) -> None:
    owner = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "owner", "namespace": "default", "uid": "recorded", "resourceVersion": "7"},
    }
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "recorded", "controller": True}
    about = {"name": "owned", "namespace": "default", "ownerReferences": [reference]}
    made, owned = bare_plane.api.create_all([owner, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": about}])
    assert owned["metadata"]["ownerReferences"][0]["uid"] == made["metadata"]["uid"] != "recorded"


def test_a_bare_control_plane_is_empty_for_each_test(bare_plane: ControlPlane) -> None:
    assert bare_plane.api.find("v1", "Pod") == []
    assert bare_plane.api.find("v1", "Node") == []
    names = {space["metadata"]["name"] for space in bare_plane.api.find("v1", "Namespace")}
    assert names == {"default", "kube-system", "kube-public", "kube-node-lease"}


CHILD = """
import sys, time
from pathlib import Path
from tests.control_plane.plane import ControlPlane
with ControlPlane(Path(sys.argv[1]), Path(sys.argv[2]), controllers=False) as plane:
    print(*plane.ids.values(), flush=True)
    time.sleep(600)
"""


def test_its_processes_end_with_the_test_process_and_disturb_no_other(bare_plane: ControlPlane, tmp_path: Path) -> None:
    command = [sys.executable, "-c", CHILD, str(bare_plane.binaries), str(tmp_path / "second")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        ids = [int(word) for word in child.stdout.readline().split()]
        assert len(ids) == 2
        assert not set(ids) & set(bare_plane.ids.values())
        child.send_signal(signal.SIGKILL)
    wait_for("the processes of the killed test end", lambda: not any(Path(f"/proc/{pid}").exists() for pid in ids))
    assert bare_plane.api.request("GET", "/version")["gitVersion"].startswith("v1.")


@pytest.mark.own_plane
def test_a_program_that_ends_at_once_is_named_with_its_last_words(tmp_path: Path) -> None:
    etcd = tmp_path / "bin" / "etcd"
    etcd.parent.mkdir()
    etcd.write_text("#!/bin/sh\necho no room on the disk; exit 3\n")
    etcd.chmod(0o755)
    (etcd.parent / "kube-apiserver").symlink_to("/bin/true")
    with (
        pytest.raises(Ended, match="etcd ended with code 3:\nno room on the disk"),
        ControlPlane(etcd.parent, tmp_path / "plane", controllers=False),
    ):
        pytest.fail("it cannot start")


def test_an_error_of_the_api_says_what_was_asked(bare_plane: ControlPlane) -> None:
    with pytest.raises(ApiError, match=r"404: GET .+/pods/absent: pods \"absent\" not found") as error:
        bare_plane.api.get("v1", "Pod", "default", "absent")
    assert error.value.code == 404
