"""Workers that are killed with SIGKILL at the named points of a run that changes a real cluster.

Another worker ends the run; what the API server noted says that nothing was written twice and nothing was lost. The
time after which a silent worker counts as dead is shortened, in the victim and in the one that comes after it.
"""

import asyncio
import signal
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from sre_agent import resumption
from sre_agent.alert import parse
from sre_agent.incident import Origin
from sre_agent.intake import Sender
from sre_agent.reception import Reception
from sre_agent.run import Mode
from sre_agent.store import Store
from tests.control_plane.plane import ControlPlane
from tests.executor.mortal import Death
from tests.live import scene, victim
from tests.serving.serving_builders import RUNBOOKS, SETTINGS, now

POINTS = (
    ("before store.queue.queued", 0),
    ("after store.queue.queued", 0),
    ("before store.start_run", 0),
    ("after store.start_run", 0),
    ("before cluster.get", 0),
    ("after cluster.get", 1),
    ("after cluster.list", 0),
    ("before store.past_actions", 0),
    ("after store.past_actions", 0),
    ("before store.brakes.state", 0),
    ("after store.brakes.state", 0),
    ("before store.record_intent", 0),
    ("after store.record_intent", 0),
    ("before cluster.write", 0),
    ("after cluster.write", 0),
    ("before cluster.write", 1),
    ("after cluster.write", 1),
    ("before store.record_outcome", 0),
    ("after store.record_outcome", 0),
    ("before cluster.emit_event", 0),
    ("after cluster.emit_event", 0),
    ("before store.finish_run", 0),
    ("after store.finish_run", 0),
    ("before store.history.note", 0),
    ("after store.history.append_analysis", 0),
)
"""(point of a run, how often it is passed before): the first write is the dry run, the second the change."""

ENDED = "select r.status, r.attempt, r.deaths from runs r"
PATIENCE = 60.0


async def received(database: str, body: bytes) -> None:
    """The alert comes in, and its run is queued."""
    async with Store.open(database) as store:
        door = Reception(
            store,
            sender=Sender(origin=Origin.LIVE, scope="live", mode=Mode.AUTO),
            runbooks=lambda: RUNBOOKS,
            settings=SETTINGS,
            clock=now,
        )
        await door.accept(parse(body, source="the test"))


async def ended(database: str) -> tuple[str, int, int]:
    """The run, once it has ended: its status, attempts and deaths."""
    until = time.monotonic() + PATIENCE
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        while True:
            (row,) = await (await connection.execute(ENDED)).fetchall()
            if row[0] not in ("queued", "running"):
                return row
            assert time.monotonic() < until, f"after {PATIENCE:.0f} s the run is {row}"
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("life", [1, *(pytest.param(n, marks=pytest.mark.soak) for n in range(2, 21))])
@pytest.mark.parametrize(("point", "times"), POINTS)
async def test_a_run_whose_worker_is_killed_ends_once_and_writes_once(
    bare_plane: ControlPlane,
    database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tally: Callable[[str], None],
    point: str,
    times: int,
    life: int,
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(bare_plane.kubeconfig()))
    scene.write_scene(bare_plane.api)
    await received(database, scene.write_alert(tmp_path).read_bytes())
    if life > 1:  # once with the time that it really takes until a request can no longer arrive
        monkeypatch.setattr(resumption, "LATEST_ARRIVAL", timedelta(seconds=6))
    mark = bare_plane.audit_mark()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.live.victim", database, point, str(times)
    )
    assert await asyncio.wait_for(process.wait(), PATIENCE) == -signal.SIGKILL
    began = time.monotonic()
    for name in ("HEARTBEAT_SECONDS", "SILENCE"):
        monkeypatch.setattr(victim.jobs, name, getattr(victim.jobs, name))
    for name in ("SILENCE", "ROUND_SECONDS"):
        monkeypatch.setattr(victim.worker, name, getattr(victim.worker, name))
    victim.hurry()
    stop = asyncio.Event()
    working = asyncio.create_task(victim.work(database, Death(), stop))
    try:
        status, attempts, deaths = await ended(database)
    finally:
        stop.set()
        await working
    took = time.monotonic() - began
    writes = [each for each in bare_plane.audit("admin", since=mark, writes=True) if each.resource == "deployments"]
    changes = [each for each in writes if not each.dry_run]
    assert [each.code for each in changes] == [200]
    assert scene.limit_of(bare_plane.api.get("apps/v1", "Deployment", scene.NAMESPACE, "checkout")) == scene.NEW
    assert status == "succeeded"
    assert (attempts, deaths) in ((1, 0), (2, 1))
    assert took < PATIENCE
    tally("killed workers whose run ended within 60 s, with one write")
