"""`sre-agent doctor` on a real API server: rights as the server sees them, and nothing but questions asked."""

import json
from collections.abc import Iterator

import pytest

from sre_agent.cli.main import run
from sre_agent.doctor.rights import needed_rights
from sre_agent.objects import Object
from tests.control_plane.kubelet import wait_for
from tests.control_plane.plane import ControlPlane
from tests.rbac import POD_DELETER, READER, STOP_SWITCH, WRITER, roles

GROUP = "rbac.authorization.k8s.io"
REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@pytest.fixture
def agent(bare_plane: ControlPlane, database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[ControlPlane]:
    """The command line of a user without any right, on a database with a current schema."""
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("KUBECONFIG", str(bare_plane.kubeconfig("agent")))
    return bare_plane


def bind(plane: ControlPlane, name: str) -> None:
    """Gives the agent one role of k8s/, and waits until the API server goes by it."""
    role = roles()[name]
    kind, namespace = role["kind"], role["metadata"].get("namespace")
    if namespace:
        plane.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    plane.api.create(role)
    plane.api.create(
        {
            "apiVersion": f"{GROUP}/v1",
            "kind": f"{kind}Binding",
            "metadata": role["metadata"],
            "roleRef": {"apiGroup": GROUP, "kind": kind, "name": name},
            "subjects": [plane.subject("agent")],
        }
    )


def examined(capsys: pytest.CaptureFixture[str]) -> tuple[int, list[Object]]:
    code = run(["doctor", "--json"])
    checks: list[Object] = json.loads(capsys.readouterr().out)["checks"]
    return code, checks


def rights(checks: list[Object]) -> dict[str, str]:
    return {check["what"]: check["state"] for check in checks if check["check"] in {"right", "rights"}}


def test_a_user_without_rights_is_told_each_that_is_missing(
    agent: ControlPlane, capsys: pytest.CaptureFixture[str]
) -> None:
    mark = agent.audit_mark()
    code, checks = examined(capsys)
    found = rights(checks)
    assert code == 3
    reads = [right for right in needed_rights() if right.verb in {"get", "list"}]
    assert sum(state == "failed" for state in found.values()) == len(reads)
    assert any(what.startswith("list resourcequotas is not allowed; needed by") for what in found)
    assert {check["check"]: check["state"] for check in checks}["cluster clock"] == "ok"
    asked = agent.audit("agent", since=mark)
    assert {request.path for request in asked if request.verb == "create"} == {REVIEW}
    assert {request.verb for request in asked} == {"create", "get"}


def test_the_reader_may_recommend_and_is_told_what_changes_would_need(
    agent: ControlPlane, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (READER, STOP_SWITCH):
        bind(agent, name)

    def known() -> bool:
        return examined(capsys)[0] == 0

    wait_for("the reader's rights are known", known)
    ((what, state),) = rights(examined(capsys)[1]).items()
    assert state == "warning"
    for word in ("patch deployments.apps", "patch nodes", "create pods/eviction", "delete pods", "create events"):
        assert word in what
    monkeypatch.setenv("AGENT_MODE", "auto")
    assert examined(capsys)[0] == 3


def test_with_every_role_nothing_is_missing_and_pods_are_deleted_in_demo_alone(
    agent: ControlPlane, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENT_MODE", "auto")
    for name in (READER, STOP_SWITCH, WRITER, POD_DELETER):
        bind(agent, name)
    count = len(needed_rights())
    complete = {"delete pods is allowed in demo alone": "ok", f"all {count} that the tools need": "ok"}
    wait_for("the rights are known", lambda: rights(examined(capsys)[1]) == complete)
    assert examined(capsys)[0] == 0


def test_a_context_that_is_not_there_is_a_failure(agent: ControlPlane, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--context", "absent"]) == 3
    assert "✗ cluster" in capsys.readouterr().out
