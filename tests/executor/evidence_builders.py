"""Runs that leave evidence, and runs on the evidence that was left."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg

from sre_agent.agent import Agent, Minds, load_runbooks
from sre_agent.alert import Alert, parse
from sre_agent.cluster.port import (
    Cluster,
    ClusterError,
    Forbidden,
    Resource,
    Write,
)
from sre_agent.cluster.recording import load
from sre_agent.cluster.snapshot import SnapshotCluster
from sre_agent.decision import decision, differences
from sre_agent.executor import Assignment, run_incident
from sre_agent.incident import Origin
from sre_agent.intake import Sender, receive
from sre_agent.kept_evidence import read_back
from sre_agent.objects import Object
from sre_agent.planner.scripted import ScriptedPlanner
from sre_agent.queue import InlineQueue
from sre_agent.replay import play
from sre_agent.replay_incident import part_of
from sre_agent.resources import data_path
from sre_agent.run import Mode, RunRecord
from sre_agent.settings import load as load_settings
from sre_agent.store import Store
from sre_agent.store.evidence import KeptEvidence

EXAMPLE = data_path("examples") / "oom-killed"
RUNBOOKS = load_runbooks(load_settings({}))
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CANARY = "c4n4ry-d0-n0t-k33p"


class Faulty(SnapshotCluster):
    """A snapshot whose next real writes fail as told, and whose kinds named in `unreadable` cannot be listed."""

    def __init__(self, faults: Sequence[ClusterError] = (), unreadable: Sequence[Resource] = ()) -> None:
        super().__init__(load(EXAMPLE / "cluster.yaml"))
        self.faults = list(faults)
        self.unreadable = unreadable

    async def list(self, resource: Resource, *arguments: Any, **selectors: Any) -> list[Object]:
        if resource in self.unreadable:
            raise Forbidden(f"may not list {resource.plural}")
        return await super().list(resource, *arguments, **selectors)

    async def write(self, write: Write, *, dry_run: bool = False) -> Object:
        if self.faults and not dry_run:
            raise self.faults.pop(0)
        return await super().write(write, dry_run=dry_run)


class Ticking:
    """A clock that is a second later each time it is read."""

    def __init__(self, start: datetime) -> None:
        self.now = start

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


def alert_of(**changed: Any) -> Alert:
    return replace(parse((EXAMPLE / "payload.json").read_bytes(), source="test").alerts[0], **changed)


async def run_on(
    store: Store,
    cluster: Cluster | None = None,
    *,
    alert: Alert | None = None,
    scope: str | None = None,
    origin: Origin = Origin.REPLAY,
    now: datetime | None = None,
    received_by: str | None = None,
    **environment: str,
) -> RunRecord:
    """A run of an alert. `received_by` names the cluster of the agent that takes the alert in, where it is another."""
    alert, settings, queue = alert or alert_of(), load_settings({"HOME": "/", **environment}), InlineQueue()
    now, scope = now or alert.starts_at or EPOCH, scope or str(uuid4())
    (admission,) = await receive(
        [alert],
        sender=Sender(origin=origin, scope=scope, mode=Mode.AUTO),
        store=store,
        queue=queue,
        runbooks=RUNBOOKS,
        settings=settings if received_by is None else replace(settings, cluster_name=received_by),
        cluster=None,
        now=now,
    )
    run_id = queue.take()
    assert run_id is not None
    assert admission.incident_id is not None
    return await run_incident(
        Assignment(run_id=run_id, incident_id=admission.incident_id, alert=alert, scope=scope, mode=Mode.AUTO),
        store=store,
        cluster=cluster or Faulty(),
        planner=ScriptedPlanner(),
        runbooks=RUNBOOKS,
        settings=settings,
        clock=Ticking(now),
    )


async def played_again(store: Store, record: RunRecord) -> tuple[RunRecord, list[str]]:
    """The run once more on its evidence, and what is different."""
    kept = await store.evidence.newest(record.incident_id or 0)
    assert kept is not None
    return await play_once(store, kept)


async def play_once(store: Store, kept: KeptEvidence) -> tuple[RunRecord, list[str]]:
    settings = load_settings({"HOME": "/"})
    stored = read_back(kept, settings)
    agent = Agent(store=store, minds=Minds(planner=ScriptedPlanner()), runbooks=RUNBOOKS, settings=settings)
    (found,) = [result async for result in play(part_of(stored), agent, stored.cluster, str(uuid4()), stored.mode)]
    assert isinstance(found, RunRecord)
    now = decision(found, runbook_sha256=RUNBOOKS[found.runbook_id].sha256)
    return found, [entry.what for entry in differences(stored.decision, now)]


def rows(database: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database, autocommit=True) as connection:
        return connection.execute(statement.encode()).fetchall()
