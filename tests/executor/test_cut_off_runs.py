"""A run whose worker dies, at every point at which it can: the next worker goes on from the records.

A worker that is killed does nothing more, so its death is a BaseException out of one of the calls it makes, before the
call or after it. The cluster is a recording that keeps what was written, whoever wrote it.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from sre_agent.agent import load_runbooks
from sre_agent.alert import Alert
from sre_agent.cluster.port import Write
from sre_agent.cluster.recording import load, newest_time
from sre_agent.cluster.snapshot import SnapshotCluster
from sre_agent.executor import DEATHS, Assignment, run_incident
from sre_agent.incident import Origin
from sre_agent.intake import Sender, receive
from sre_agent.planner.scripted import ScriptedPlanner
from sre_agent.queue import InlineQueue
from sre_agent.resources import data_path
from sre_agent.run import Mode, RunRecord, RunStatus
from sre_agent.settings import load as load_settings
from sre_agent.store import Store
from tests.executor.mortal import Death, Killed, Mortal
from tests.executor.test_run_under_faults import alert_of

SETTINGS = load_settings({"SRE_AGENT_EVIDENCE_BYTES": "0", "SRE_AGENT_DRAIN_TIMEOUT": "0"})
EXAMPLES = ("crash-loop-oom", "image-not-found", "node-not-ready")


@dataclass(kw_only=True)
class Case:
    """One alert on one recording, whose run is attempted until it ends."""

    store: Store
    cluster: SnapshotCluster
    alert: Alert
    now: datetime
    run_id: UUID
    incident_id: int
    scope: str

    async def attempt(self, death: Death, *, later: int = 0) -> RunRecord:
        """One worker's attempt. It takes the run up some minutes `later`, when nothing can be on its way any more."""
        return await run_incident(
            Assignment(
                run_id=self.run_id,
                incident_id=self.incident_id,
                alert=self.alert,
                scope=self.scope,
                mode=Mode.AUTO,
                returns=True,
            ),
            store=Mortal(self.store, death, "store"),  # type: ignore[arg-type]  # it stands for what it holds
            cluster=Mortal(self.cluster, death, "cluster"),  # type: ignore[arg-type]
            planner=ScriptedPlanner(),
            runbooks=load_runbooks(SETTINGS),
            settings=SETTINGS,
            clock=lambda: self.now + timedelta(minutes=later),
        )


async def begin(example: str, store: Store) -> Case:
    path: Path = data_path("examples") / example
    recording = path / "cluster.yaml" if (path / "cluster.yaml").exists() else path / "cluster"
    cluster, alert, now = SnapshotCluster(load(recording)), alert_of(path), newest_time(load(recording))
    assert now is not None
    queue, scope = InlineQueue(), str(uuid4())
    (admission,) = await receive(
        [alert],
        sender=Sender(origin=Origin.REPLAY, scope=scope, mode=Mode.AUTO),
        store=store,
        queue=queue,
        runbooks=load_runbooks(SETTINGS),
        settings=SETTINGS,
        cluster=cluster,
        now=now,
    )
    run_id = queue.take()
    assert run_id is not None
    assert admission.incident_id is not None
    return Case(
        store=store,
        cluster=cluster,
        alert=alert,
        now=now,
        run_id=run_id,
        incident_id=admission.incident_id,
        scope=scope,
    )


def sent(cluster: SnapshotCluster, incident_id: int) -> list[str]:
    """What the cluster accepted, in an order of its own; the number of an incident, which no two runs share, is N."""
    return sorted(str(without_uid(write)).replace(f"'{incident_id}'", "'N'") for write in cluster.accepted_writes)


def without_uid(write: Write) -> tuple[Any, ...]:
    return (write.verb, write.resource, write.namespace, write.name, write.subresource, write.body)


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES)
async def test_wherever_the_worker_dies_the_next_one_ends_the_run_and_nothing_is_written_twice(
    store: Store, example: str
) -> None:
    whole, death = await begin(example, store), Death()
    undisturbed = await whole.attempt(death)
    wanted, points = sent(whole.cluster, whole.incident_id), len(death.calls)
    assert points > 20
    for point in range(1, points + 1):
        case, death = await begin(example, store), Death(at=point)
        with pytest.raises(Killed):
            await case.attempt(death)
        where = f"killed at call {point}: {death.calls[-1]}"
        stored = await store.queue.queued(case.run_id)
        assert stored is not None
        if stored.ended:
            assert "finish_run" in "".join(death.calls), where
            assert sent(case.cluster, case.incident_id) == wanted, where
            continue
        record = await case.attempt(Death(), later=2)
        assert sent(case.cluster, case.incident_id) == wanted, where
        assert record.status is undisturbed.status, where
        assert [step.step for step in record.steps] == [step.step for step in undisturbed.steps], where
        assert [step.status for step in record.steps] == [step.status for step in undisturbed.steps], where
        assert record.action_recommended == undisturbed.action_recommended, where
        if len(wanted) == 1:
            assert record.action_taken == undisturbed.action_taken, where


async def test_finished_steps_are_not_run_again(store: Store) -> None:
    case = await begin("crash-loop-oom", store)
    death = Death(at=None)
    await case.attempt(death)
    intent = death.calls.index("after store.record_intent") + 1
    case = await begin("crash-loop-oom", store)
    with pytest.raises(Killed):
        await case.attempt(Death(at=intent))
    record = await case.attempt(Death(), later=2)
    assert record.status is RunStatus.SUCCEEDED
    kept = [event.payload["step"] for event in await store.events(case.incident_id) if event.event_type == "step"]
    assert kept == [step.step for step in record.steps]


async def test_a_run_that_workers_die_on_is_given_up_and_a_person_is_told(store: Store) -> None:
    case = await begin("oom-killed", store)
    for _ in range(DEATHS):
        with pytest.raises(Killed):
            await case.attempt(Death(at=9))
    record = await case.attempt(Death(), later=2)
    assert record.status is RunStatus.ESCALATED
    assert record.escalation == "3 workers ended while they were at work on this run; it is not tried again"
    assert case.cluster.accepted_writes == []
    types = [event.event_type for event in await store.events(case.incident_id)]
    assert types[-3:] == ["escalated", "final", "analysis"]


async def test_a_run_that_is_interrupted_is_handed_back_and_counts_no_death(store: Store) -> None:
    case = await begin("oom-killed", store)
    for _ in range(DEATHS + 1):
        with pytest.raises(asyncio.CancelledError):
            await case.attempt(Interruption(at=9))
    record = await case.attempt(Death(), later=2)
    assert (record.status, len(case.cluster.accepted_writes)) == (RunStatus.SUCCEEDED, 1)


class Interruption(Death):
    """Not a death: the worker is told to stop."""

    def passes(self, what: str) -> None:
        self.calls.append(what)
        if len(self.calls) == self.at:
            raise asyncio.CancelledError
