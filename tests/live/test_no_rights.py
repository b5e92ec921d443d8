"""An agent that may not do what the run needs: it says which rule is missing, ends with 3, and has done nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

from sre_agent.cli.main import run
from tests.control_plane.plane import ControlPlane
from tests.live import scene

READER = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list"]}]


@pytest.mark.parametrize(
    ("rules", "missing"),
    [
        pytest.param([], '{apiGroups: [""], resources: ["pods"], verbs: ["get"]}', id="no right at all"),
        pytest.param(READER, '{apiGroups: ["apps"], resources: ["deployments"], verbs: ["patch"]}', id="no write"),
    ],
)
def test_the_missing_rule_is_named_and_nothing_is_done(
    bare_plane: ControlPlane,
    database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    rules: list[Any],
    missing: str,
) -> None:
    api, name = bare_plane.api, {"name": "of-the-test"}
    rbac = "rbac.authorization.k8s.io"
    role = {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": name, "rules": rules}
    binding = {
        "apiVersion": f"{rbac}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": name,
        "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", **name},
        "subjects": [{"apiGroup": rbac, "kind": "User", "name": "stranger"}],
    }
    for obj in (role, binding):
        api.delete(obj)
        api.create(obj)
    scene.write_scene(api)
    monkeypatch.setenv("KUBECONFIG", str(bare_plane.kubeconfig("stranger")))
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("SRE_AGENT_SETTLE", "0")
    mark = bare_plane.audit_mark()
    code = run(["replay", str(scene.write_alert(tmp_path)), "--live", "--mode", "auto", "--yes", "--json"])
    (record,) = json.loads(capsys.readouterr().out)["runs"]
    assert (code, record["status"], record["writes"]) == (3, "failed", [])
    assert missing in record["action_error"]
    assert [seen for seen in bare_plane.audit("stranger", since=mark, writes=True) if seen.code < 300] == []
    for obj in (role, binding):
        api.delete(obj)
