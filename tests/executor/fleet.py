"""A cluster with the same trouble in many places, and the runs of all its alerts, as several workers take them."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sre_agent.agent import load_runbooks
from sre_agent.alert import Alert, parse
from sre_agent.cluster.port import Traffic, Write
from sre_agent.cluster.recording import from_objects, load, newest_time
from sre_agent.cluster.snapshot import SnapshotCluster
from sre_agent.executor import Assignment, run_incident
from sre_agent.incident import Origin
from sre_agent.intake import Sender, receive
from sre_agent.objects import Object
from sre_agent.planner.scripted import ScriptedPlanner
from sre_agent.queue import InlineQueue
from sre_agent.resources import data_path
from sre_agent.run import Mode, RunRecord
from sre_agent.settings import load as load_settings
from sre_agent.store import Store

EXAMPLES = data_path("examples")
RUNBOOKS = load_runbooks(load_settings({}))


class Fleet(SnapshotCluster):
    """A snapshot that counts what was asked of it; `traffic` is what a live one would have seen."""

    def __init__(self, objects: Sequence[Object], traffic: Traffic | None = None) -> None:
        super().__init__(from_objects(objects))
        self.asked: list[Write] = []
        self._traffic = traffic

    @property
    def traffic(self) -> Any:
        return self._traffic

    async def write(self, write: Write, *, dry_run: bool = False) -> Object:
        if not dry_run:
            self.asked.append(write)
        return await super().write(write, dry_run=dry_run)


def time_of(example: str) -> datetime:
    found = newest_time(load(EXAMPLES / example / _recording(example)))
    assert found is not None
    return found


def objects_of(example: str) -> list[Object]:
    return list(load(EXAMPLES / example / _recording(example)).objects)


def _recording(example: str) -> str:
    return "cluster.yaml" if (EXAMPLES / example / "cluster.yaml").exists() else "cluster"


def alert_of(example: str, **labels: str) -> Alert:
    found = parse((EXAMPLES / example / "payload.json").read_bytes(), source="test").alerts[0]
    return replace(found, labels=found.labels | labels)


def namespaces(count: int, *, traffic: Traffic | None = None) -> tuple[Fleet, list[Alert]]:
    """The workload of `oom-killed` in so many namespaces, with an alert for each."""
    single = objects_of("oom-killed")
    nodes = [obj for obj in single if obj["kind"] == "Node"]
    moved = [
        json.loads(json.dumps(obj).replace('"shop"', f'"shop-{number}"'))
        for number in range(count)
        for obj in single
        if obj["kind"] != "Node"
    ]
    return Fleet([*nodes, *moved], traffic), [
        alert_of("oom-killed", namespace=f"shop-{number}") for number in range(count)
    ]


def nodes(total: int, down: int) -> tuple[Fleet, list[Alert]]:
    """The nodes of `node-not-ready` so many times, `down` of them gone, with an alert for each of those."""
    objects = objects_of("node-not-ready")
    there = {obj["metadata"]["name"]: obj for obj in objects if obj["kind"] == "Node"}
    gone = there["worker-3"]
    well = next(obj for name, obj in there.items() if name.startswith("worker") and name != "worker-3")
    made = []
    for number in range(total):
        name = "worker-3" if number == 0 else f"w-{number}"
        made.append(json.loads(json.dumps(gone if number < down else well)))
        made[-1]["metadata"] |= {"name": name, "uid": f"uid-of-{name}"}
    others = [obj for obj in objects if obj["kind"] != "Node"]
    names = [obj["metadata"]["name"] for obj in made[:down]]
    return Fleet([*others, *made]), [alert_of("node-not-ready", node=name) for name in names]


async def queued(store: Store, alerts: Sequence[Alert], now: datetime) -> list[Assignment]:
    """The runs of live alerts, in the mode auto."""
    made = []
    for alert in alerts:
        queue = InlineQueue()
        (admission,) = await receive(
            [alert],
            sender=Sender(origin=Origin.LIVE, scope="live", mode=Mode.AUTO),
            store=store,
            queue=queue,
            runbooks=RUNBOOKS,
            settings=load_settings({}),
            cluster=None,
            now=now,
        )
        run_id, incident_id = queue.take(), admission.incident_id
        assert run_id is not None
        assert incident_id is not None
        made.append(Assignment(run_id=run_id, incident_id=incident_id, alert=alert, scope="live", mode=Mode.AUTO))
    return made


async def run(store: Store, cluster: SnapshotCluster, assignment: Assignment, now: datetime) -> RunRecord:
    return await run_incident(
        assignment,
        store=store,
        cluster=cluster,
        planner=ScriptedPlanner(),
        runbooks=RUNBOOKS,
        settings=load_settings({}),
        clock=lambda: now,
    )


async def run_all(
    store: Store, cluster: SnapshotCluster, alerts: Sequence[Alert], now: datetime, *, workers: int = 6
) -> list[RunRecord]:
    """All runs, so many at a time."""
    assignments, slots = await queued(store, alerts, now), asyncio.Semaphore(workers)

    async def one(assignment: Assignment) -> RunRecord:
        async with slots:
            return await run(store, cluster, assignment, now)

    return await asyncio.gather(*map(one, assignments))
