"""Every recorded incident of `examples/` is decided on a real API server as on its recording, in both modes.

The agent has the rights of k8s/ and nothing more. What it wrote is counted in the API server's audit log.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from sre_agent.agent import Agent, load_runbooks
from sre_agent.cluster.live import open_cluster
from sre_agent.planner.scripted import ScriptedPlanner
from sre_agent.replay import load_parts, play
from sre_agent.run import Mode, RunRecord
from sre_agent.settings import load
from sre_agent.store import Store
from sre_agent.views import run_json, skipped_json
from tests.control_plane.audit import Request
from tests.control_plane.definitions import definitions
from tests.control_plane.kubelet import wait_for
from tests.control_plane.plane import ControlPlane
from tests.control_plane.upkeep import empty
from tests.examples import EXAMPLES, comparable, without_number
from tests.live.recorded_stage import RecordedStage
from tests.rbac import READER, WRITER, roles

USERS = {Mode.RECOMMEND: "reader", Mode.AUTO: "writer"}
"""Who the agent is in a mode: users that have no right but what is bound to them here."""
RBAC = "rbac.authorization.k8s.io"
SETTINGS = load({})


@pytest.fixture(scope="module")
def stage(running_bare_plane: ControlPlane) -> Iterator[RecordedStage]:
    plane = running_bare_plane
    empty(plane.api)
    plane.api.create_all(definitions())
    for name, users in ((READER, USERS.values()), (WRITER, [USERS[Mode.AUTO]])):
        role = roles()[name]
        binding = role | {
            "kind": "ClusterRoleBinding",
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": name},
            "subjects": [plane.subject(user) for user in users],
        }
        plane.api.create_all([role, binding])
    opened = RecordedStage(plane)
    yield opened
    opened.clear()
    empty(plane.api)


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
async def test_the_incident_is_decided_as_on_its_recording(
    stage: RecordedStage,
    store: Store,
    example: Path,
    mode: Mode,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = yaml.safe_load((example / "expected.yaml").read_text())[mode]
    monkeypatch.setenv("KUBECONFIG", str(stage.plane.kubeconfig(USERS[mode])))
    agent = Agent(store=store, planner=ScriptedPlanner(), runbooks=load_runbooks(SETTINGS), settings=SETTINGS)
    scope, shown = str(uuid4()), None
    runs, skipped, sent = [], [], []
    async with open_cluster() as cluster:
        for part in load_parts([str(example)], snapshot=None):
            if part.cluster is not shown:
                await stage.show(part.cluster)
                shown = part.cluster
            mark = stage.plane.audit_mark()
            async for result in play(part, agent, cluster, scope, mode):
                if isinstance(result, RunRecord):
                    runs.append(run_json(result))
                    accepted = [seen for seen in stage.plane.audit(USERS[mode], since=mark, writes=True)]
                    mark = stage.plane.audit_mark()
                    print([ (s.verb, s.resource, s.subresource, s.name, s.dry_run, s.code, s.body) for s in accepted])
                else:
                    skipped.append(skipped_json(result))
    got = [comparable(run) for run in runs]
    if got != expected["runs"]:
        for r in runs:
            for s in r["steps"]: print(s["step"], s["status"], s["reason"], s["judgements"])
    assert got == expected["runs"]
    assert [entry["alertname"] for entry in skipped] == [entry["alertname"] for entry in expected.get("skipped", [])]
