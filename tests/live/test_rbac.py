"""The roles of k8s/ on a real API server: enough for every tool, and each verb is needed by whoever names it."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sre_agent.cluster.live import LiveCluster, open_cluster
from sre_agent.cluster.live.review import may
from sre_agent.cluster.port import ClusterError, Resource
from sre_agent.doctor.rights import BESIDE_TOOLS, EVENTS, needed_rights
from sre_agent.objects import Object
from sre_agent.recorder import alert_with, labels_of_pod, labels_of_workload
from sre_agent.stop_switch import read_switch
from sre_agent.target import Subject, bind
from sre_agent.tools.registry import TOOLS
from sre_agent.tools.types import DiagnosticTool, Permission
from tests.control_plane.plane import ControlPlane
from tests.control_plane.upkeep import empty
from tests.live.accounts import service_account
from tests.live.scenes import DONE, NAMESPACE, SCENES, SICK, Scene, build, use
from tests.rbac import K8S, Right, of_permission, rights_of, roles, rule

RBAC = "rbac.authorization.k8s.io/v1"
ROLE = "under-test"
AGENTS_OWN = "agentic"
PATIENCE = 60.0
"""Seconds until the authorizer is given up; it hears of a change within one."""

SPARED = {
    ("list nodes", "uncordon_node"): "reads the one node",
    ("list daemonsets.apps", "drain_node"): "leaves their pods, and says so",
}
"""Who goes on without a right that it names, and how."""

RIGHTS = [pytest.param(right, id=str(of_permission(right))) for right in needed_rights()]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A cluster in which every tool has something to do, and what became of each when the agent had all rights."""

    plane: ControlPlane
    made: dict[str, Object]

    def grant(self, rights: Iterable[Right]) -> None:
        """The user `agent` has exactly these rights."""
        role = {
            "apiVersion": RBAC,
            "kind": "ClusterRole",
            "metadata": {"name": ROLE},
            "rules": [rule(right) for right in rights],
        }
        self.plane.api.request("PUT", f"/apis/{RBAC}/clusterroles/{ROLE}", role)


@pytest.fixture(scope="module")
def stage(running_bare_plane: ControlPlane) -> Iterator[Stage]:
    api = running_bare_plane.api
    empty(api)
    found = Stage(plane=running_bare_plane, made=build(api))
    api.create({"apiVersion": RBAC, "kind": "ClusterRole", "metadata": {"name": ROLE}, "rules": []})
    api.create(
        {
            "apiVersion": RBAC,
            "kind": "ClusterRoleBinding",
            "metadata": {"name": ROLE},
            "roleRef": {"apiGroup": RBAC.partition("/")[0], "kind": "ClusterRole", "name": ROLE},
            "subjects": [running_bare_plane.subject("agent")],
        }
    )
    yield found
    empty(api)


def every_right() -> set[Right]:
    return {right for role in roles().values() for right in rights_of(role)}


@asynccontextmanager
async def opened(kubeconfig: Path) -> AsyncIterator[LiveCluster]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(kubeconfig))
        async with open_cluster() as cluster:
            yield cluster


async def settled(cluster: LiveCluster, permission: Permission, *, allowed: bool) -> None:
    """Returns once the API server's authorizer has heard of the change."""
    attributes = {
        "verb": permission.verb,
        "group": permission.resource.group,
        "resource": permission.resource.plural,
        "subresource": permission.subresource or "",
        "name": permission.name or "",
        "namespace": _namespace_of(permission),
    }
    until = time.monotonic() + PATIENCE
    while await may(cluster, attributes) is not allowed:
        assert time.monotonic() < until
        await asyncio.sleep(0.05)


def _namespace_of(permission: Permission) -> str:
    if permission.name is not None:
        return AGENTS_OWN
    return NAMESPACE if permission.resource.namespaced else ""


async def outcomes(cluster: LiveCluster, made: dict[str, Object]) -> dict[Scene | str, str]:
    """What became of every scene, and of what a run needs beside its tools."""
    found: dict[Scene | str, str] = {scene: await use(scene, cluster, made) for scene in SCENES}
    binding, counting, switch, events = BESIDE_TOOLS
    try:
        found[binding] = str([await bind(alert_with(labels), subject, cluster) for labels, subject in _alerts()])
    except ClusterError as error:
        found[binding] = str(error)
    try:
        found[counting] = str(len(await cluster.list(Resource.NODES)))
    except ClusterError as error:
        found[counting] = str(error)
    found[switch] = str(await read_switch(cluster, AGENTS_OWN))
    try:
        await cluster.emit_event(_event(made["Deployment/leaky"]))
        found[events] = DONE
    except ClusterError as error:
        found[events] = str(error)
    return found


def _alerts() -> Iterator[tuple[dict[str, str], Subject]]:
    """The labels of an alert about each kind of target: a pod of each controller, a workload, a node."""
    for pod in ("leaky-1", "statefulset-1", "daemonset-1", "job-1"):
        yield labels_of_pod(NAMESPACE, pod), Subject.WORKLOAD
    yield labels_of_workload(NAMESPACE, "Deployment/leaky"), Subject.WORKLOAD
    yield {"node": SICK}, Subject.NODE


def _event(about: Object) -> Object:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": "leaky.", "namespace": NAMESPACE},
        "involvedObject": {"apiVersion": "apps/v1", "kind": "Deployment", "name": about["metadata"]["name"]}
        | {"namespace": NAMESPACE, "uid": about["metadata"]["uid"]},
        "type": "Normal",
        "reason": "Test",
        "message": "m",
        "firstTimestamp": now,
        "lastTimestamp": now,
    }


def _user_of(key: Scene | str) -> str:
    return key.tool if isinstance(key, Scene) else key


@pytest.mark.parametrize("permission", RIGHTS)
async def test_each_right_is_needed_by_exactly_those_who_name_it(permission: Permission, stage: Stage) -> None:
    right, named = of_permission(permission), needed_rights()[permission]
    stage.grant(every_right())
    async with opened(stage.plane.kubeconfig("agent")) as cluster:
        await settled(cluster, permission, allowed=True)
        before = await outcomes(cluster, stage.made)
        stage.grant(every_right() - {right})
        await settled(cluster, permission, allowed=False)
        after = await outcomes(cluster, stage.made)
    broken = {key: text for key, text in after.items() if text != before[key]}
    expected = {user for user in named if (str(right), user) not in SPARED}
    assert {_user_of(key) for key in broken} == expected
    plural = right.resource.partition("/")[0].partition(".")[0]
    assert [text for text in broken.values() if right.verb not in text or plural not in text.lower()] == []


def test_whoever_is_spared_names_the_right_and_is_there() -> None:
    named = {(str(of_permission(right)), tool) for right, tools in needed_rights().items() for tool in tools}
    assert set(SPARED) <= named


async def test_under_the_overlay_the_agents_own_account_does_everything(stage: Stage, tmp_path: Path) -> None:
    stage.plane.kubectl("apply", "-k", str(K8S / "overlays" / "auto"))
    async with opened(service_account(stage.plane, tmp_path)) as cluster:
        await settled(cluster, EVENTS, allowed=True)
        found = await outcomes(cluster, stage.made)
    async with opened(stage.plane.kubeconfig()) as admin:
        assert found == await outcomes(admin, stage.made)


async def test_under_the_base_the_agents_own_account_looks_and_changes_nothing(stage: Stage, tmp_path: Path) -> None:
    stage.plane.kubectl("delete", "--ignore-not-found", "-f", str(K8S / "overlays" / "auto" / "writer.yaml"))
    stage.plane.kubectl("apply", "-k", str(K8S / "base"))
    async with opened(service_account(stage.plane, tmp_path)) as cluster:
        await settled(cluster, EVENTS, allowed=False)
        found = await outcomes(cluster, stage.made)
    diagnostics = {name for name, tool in TOOLS.items() if isinstance(tool, DiagnosticTool)}
    assert {text for key, text in found.items() if _user_of(key) in diagnostics} == {DONE}
    changing = [
        scene for scene in SCENES if scene.tool not in diagnostics and "Set/" not in scene.on and scene.on != "Job/job"
    ]
    assert [scene for scene in changing if not found[scene].startswith("Forbidden: ")] == []
