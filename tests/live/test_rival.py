"""Somebody else edits the same Deployment all the time: what they wrote is never overwritten unseen."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from sre_agent.alert import parse
from sre_agent.cluster.live import open_cluster
from sre_agent.cluster.port import Write
from sre_agent.objects import Object
from sre_agent.remediation import CONFLICT_TRIES
from sre_agent.run import RunStatus
from sre_agent.store import Store
from tests.control_plane.api import Api
from tests.control_plane.plane import ControlPlane
from tests.live import scene
from tests.live.acting import acted, present

STRATEGIC = "application/strategic-merge-patch+json"
TRIALS = 200
PAUSES = (0.1, 0.03, 0.01)
"""Seconds between two edits of the rival: 10 Hz as promised, then faster, so that they meet."""

LIMIT_EVERY = 15
"""Each so manieth edit raises the limit too; the others only count."""


@dataclass(kw_only=True)
class Rival:
    """Counts in a label, and now and then raises the limit. Remembers which version held which limit."""

    api: Api
    limits: dict[int, str] = field(default_factory=dict)
    edits: int = 0

    def edit(self) -> None:
        self.edits += 1
        body = {} if self.edits % LIMIT_EVERY else scene.limit_patch(f"{300 + self.edits}Mi")
        self.patch({**body, "metadata": {"labels": {"rival": str(self.edits)}}})

    def patch(self, body: Object) -> None:
        made = self.api.patch(scene.DEPLOYMENT, body, kind=STRATEGIC)
        self.limits[int(made["metadata"]["resourceVersion"])] = scene.limit_of(made)

    @contextmanager
    def editing(self, pause: float) -> Iterator[None]:
        stop = threading.Event()

        def work() -> None:
            while not stop.wait(pause):
                self.edit()

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


@dataclass(frozen=True, kw_only=True)
class Done:
    """One write that the API server took: the version that it was judged on, and the one that it made."""

    write: Write
    made: Object

    @property
    def read(self) -> int:
        return int(self.write.resource_version or 0)

    @property
    def version(self) -> int:
        return int(self.made["metadata"]["resourceVersion"])


@pytest.mark.timeout(300)
async def test_nothing_that_a_rival_wrote_is_overwritten_unseen(
    bare_plane: ControlPlane,
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    figure: Callable[[str], None],
) -> None:
    api = bare_plane.api
    scene.write_scene(api)
    (alert,) = parse(scene.write_alert(tmp_path).read_bytes(), source="test").alerts
    rival = Rival(api=Api.from_kubeconfig(bare_plane.kubeconfig()))
    monkeypatch.setenv("KUBECONFIG", str(bare_plane.kubeconfig()))
    done: list[Done] = []
    ends: Counter[str] = Counter()
    tries: Counter[int] = Counter()
    async with open_cluster() as cluster:
        send, sent = cluster.write, [0]

        async def write(write: Write, *, dry_run: bool = False) -> Object:
            sent[0] += dry_run
            made = await send(write, dry_run=dry_run)
            if not dry_run:
                done.append(Done(write=write, made=made))
            return made

        monkeypatch.setattr(cluster, "write", write)
        for trial in range(TRIALS):
            rival.patch(scene.limit_patch(scene.OLD))
            scene.kill_again(api)
            sent[0] = 0
            with rival.editing(PAUSES[trial % len(PAUSES)]):
                record = await acted(store, cluster, replace(alert, starts_at=present()))
            ends[record.status] += 1
            tries[sent[0]] += 1
    overwritten = [
        (write.read, version, write.version)
        for write in done
        for version in rival.limits
        if write.read < version < write.version
    ]
    assert overwritten == []
    assert all(scene.limit_of(write.made) == scene.NEW for write in done if rival.limits.get(write.read) == scene.OLD)
    assert set(ends) <= {RunStatus.SUCCEEDED, RunStatus.ESCALATED}
    assert max(tries) <= CONFLICT_TRIES
    assert tries[2] + tries[3] > 0, (ends, tries, record.escalation)
    now = api.get("apps/v1", "Deployment", scene.NAMESPACE, "checkout")
    assert now["metadata"]["labels"]["rival"] == str(rival.edits)
    figure(
        f"{TRIALS} trials, {rival.edits} rival edits, {len(done)} writes, {len(overwritten)} lost updates; "
        f"tries {dict(sorted(tries.items()))}, ends {dict(ends)}"
    )
    rival.api.close()
