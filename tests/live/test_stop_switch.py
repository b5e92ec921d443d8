"""The ConfigMap sre-agent-stop on a real API server: while it is there, no write begins."""

import json
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from sre_agent.alert import parse
from sre_agent.cli.main import run
from sre_agent.cluster.live import open_cluster
from sre_agent.cluster.port import Write
from sre_agent.objects import Object
from sre_agent.run import RunStatus
from sre_agent.store import Store
from tests.control_plane.api import Api
from tests.control_plane.plane import ControlPlane
from tests.live import scene
from tests.live.acting import acted, present

STRATEGIC = "application/strategic-merge-patch+json"
TRIALS = 30
MOST_SECONDS = 5.0
NAMESPACE: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "agentic"}}
SWITCH: Object = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "sre-agent-stop", "namespace": "agentic"},
}
REASON = {"data": {"reason": "the database moves, ask Ada"}}


def test_the_switch_stops_the_agent_and_says_how_to_release_it(
    bare_plane: ControlPlane,
    database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    api = bare_plane.api
    scene.write_scene(api)
    api.create_all([NAMESPACE, SWITCH | REASON])
    for name, value in (("KUBECONFIG", str(bare_plane.kubeconfig())), ("DATABASE_URL", database)):
        monkeypatch.setenv(name, value)
    for name in ("SRE_AGENT_SETTLE", "SRE_AGENT_COOLDOWN"):
        monkeypatch.setenv(name, "0")
    payload = str(scene.write_alert(tmp_path))

    def played() -> Object:
        assert run(["replay", payload, "--live", "--mode", "auto", "--yes", "--json"]) == 0
        (record,) = json.loads(capsys.readouterr().out)["runs"]
        return dict(record)

    def told() -> tuple[bool | None, str]:
        assert run(["status", "--json"]) == 0
        brakes = json.loads(capsys.readouterr().out)["brakes"]
        return next((brake["on"], brake["what"]) for brake in brakes if brake["name"] == "stop-switch")

    stopped = played()
    on, what = told()
    assert (on, "agentic/sre-agent-stop stops the agent: the database moves, ask Ada (context" in what) == (True, True)
    assert (stopped["status"], stopped["writes"], stopped["action_taken"]) == ("succeeded", [], None)
    assert stopped["steps"][-1]["reason"] == (
        "the ConfigMap agentic/sre-agent-stop stops the agent: the database moves, ask Ada"
    )
    assert scene.limit_of(api.get("apps/v1", "Deployment", scene.NAMESPACE, "checkout")) == scene.OLD
    bare_plane.kubectl("-n", "agentic", "delete", "configmap", "sre-agent-stop")
    assert told()[0] is False
    assert played()["status"] == "succeeded"
    assert scene.limit_of(api.get("apps/v1", "Deployment", scene.NAMESPACE, "checkout")) == scene.NEW


@dataclass(kw_only=True)
class Thrower:
    """Throws the switch after a while, and remembers when it was there."""

    api: Api
    after: float
    thrown_at: float | None = None
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._throw)
        self.thread.start()

    def _throw(self) -> None:
        time.sleep(self.after)
        self.api.create(SWITCH)
        self.thrown_at = time.monotonic()


@pytest.mark.timeout(300)
async def test_thrown_at_any_moment_of_a_run_no_write_begins_five_seconds_later(
    bare_plane: ControlPlane,
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    figure: Callable[[str], None],
) -> None:
    api, moments = bare_plane.api, random.Random(7)
    scene.write_scene(api)
    api.create(NAMESPACE)
    (alert,) = parse(scene.write_alert(tmp_path).read_bytes(), source="test").alerts
    monkeypatch.setenv("KUBECONFIG", str(bare_plane.kubeconfig()))
    other = Api.from_kubeconfig(bare_plane.kubeconfig())
    late: list[float] = []
    stopped = acting = 0
    began: list[float] = []
    async with open_cluster() as cluster:
        send = cluster.write

        async def write(write: Write, *, dry_run: bool = False) -> Object:
            if not dry_run:
                began.append(time.monotonic())
            return await send(write, dry_run=dry_run)

        monkeypatch.setattr(cluster, "write", write)
        for _ in range(TRIALS):
            api.patch(scene.DEPLOYMENT, scene.limit_patch(scene.OLD), kind=STRATEGIC)
            scene.kill_again(api)
            began.clear()
            thrower = Thrower(api=other, after=moments.uniform(0.0, 0.3))
            record = await acted(store, cluster, replace(alert, starts_at=present()))
            thrower.thread.join()
            assert thrower.thrown_at is not None
            late += [moment - thrower.thrown_at for moment in began]
            stopped += record.status is RunStatus.SUCCEEDED and not began
            acting += len(began)
            api.delete(SWITCH)
    other.close()
    assert stopped + acting == TRIALS
    assert all(seconds < MOST_SECONDS for seconds in late)
    figure(f"{TRIALS} trials: {stopped} stopped, {acting} wrote, the latest {max(late, default=0.0):.3f} s after it")
