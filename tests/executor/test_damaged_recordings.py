"""Recordings that somebody damaged: whatever is in a recording, it is refused by name and place, or it runs.

Each example is played with pieces of its objects replaced. A run that ends `failed`, or a guard that crashed, is a
reader that trusted an object more than the recording's door had proved.
"""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sre_agent.alert import AlertStatus, parse
from sre_agent.cluster.recording import from_objects, load, newest_time
from sre_agent.cluster.snapshot import SnapshotCluster
from sre_agent.cluster.strategic_merge import copy
from sre_agent.errors import BadInput
from sre_agent.executor import run_incident
from sre_agent.objects import Object
from sre_agent.parts import RECORDINGS
from sre_agent.planner.scripted import ScriptedPlanner
from sre_agent.resources import data_path
from sre_agent.run import RunRecord, RunStatus
from sre_agent.settings import load as load_settings
from sre_agent.store import Store
from tests.executor.test_run_under_faults import load_runbooks, queued

DAMAGED = 12
"""How often each example is damaged."""

OTHER_TYPES = ("4", "x", "", 4, -1, 2.5, True, [], {}, [None], ["x"], {"x": None}, {"x": "x"})

Place = tuple[Any, str | int]
"""A container and the key or index in it."""


def examples() -> list[Path]:
    """Those whose first alert is acted upon, with their recording."""
    found = []
    for path in sorted(data_path("examples").glob("*/payload.json")):
        alert = parse(path.read_bytes(), source="test").alerts[0]
        recording = next((path.parent / name for name in RECORDINGS if (path.parent / name).exists()), None)
        if recording is not None and alert.status is AlertStatus.FIRING:
            found.append(recording)
    return found


def places(value: Any) -> Iterator[Place]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, held in list(inner):
        yield value, key
        yield from places(held)


def damaged(objects: tuple[Object, ...], values: tuple[Any, ...], chance: random.Random) -> list[Object]:
    """A copy in which one or two places hold one of these values."""
    result = copy(list(objects))
    known = [(holder, key) for obj in result for holder, key in places(obj) if key not in {"kind", "apiVersion"}]
    for holder, key in chance.sample(known, chance.randint(1, 2)):
        holder[key] = copy(chance.choice(values))
    return [obj for obj in result if isinstance(obj, dict)]


async def run_on_damaged(store: Store, recording: Path, objects: list[Object]) -> RunRecord | None:
    """The run, None where the recording was refused."""
    try:
        damaged_recording = from_objects(objects)
    except BadInput:
        return None
    alert = parse((recording.parent / "payload.json").read_bytes(), source="test").alerts[0]
    now = newest_time(load(recording)) or alert.starts_at
    assert now is not None
    return await run_incident(
        await queued(store, alert, now),
        store=store,
        cluster=SnapshotCluster(damaged_recording),
        planner=ScriptedPlanner(),
        runbooks=load_runbooks(load_settings({})),
        settings=load_settings({}),
        clock=lambda: now,
    )


@pytest.mark.parametrize("values", [pytest.param((None,), id="nulls"), pytest.param(OTHER_TYPES, id="other types")])
@pytest.mark.parametrize("recording", examples(), ids=lambda path: path.parent.name)
async def test_a_damaged_recording_is_refused_or_runs(store: Store, recording: Path, values: tuple[Any, ...]) -> None:
    chance = random.Random(recording.parent.name)
    whole = load(recording).objects
    runs = 0
    for _ in range(DAMAGED):
        objects = damaged(whole, values, chance)
        run = await run_on_damaged(store, recording, objects)
        if run is not None:
            runs += 1
            assert run.status is not RunStatus.FAILED, (run.action_error, objects)
            crashed = [entry for step in run.steps for entry in step.judgements if "crashed" in entry.reason]
            assert crashed == [], objects
    assert runs, "each damaged recording was refused: nothing was proved about the readers"
