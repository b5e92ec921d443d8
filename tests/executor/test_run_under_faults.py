"""A run when something breaks in the middle: what is stored, what is said, and that nothing is sent twice."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from sre_agent.agent import load_runbooks
from sre_agent.alert import Alert, parse
from sre_agent.cluster.port import (
    Clock,
    ClusterError,
    Conflict,
    Forbidden,
    NotFound,
    Refused,
    Resource,
    Unavailable,
    UnknownOutcome,
    Write,
)
from sre_agent.cluster.recording import load, newest_time
from sre_agent.cluster.snapshot import SnapshotCluster
from sre_agent.errors import Unreachable
from sre_agent.event import EventType
from sre_agent.executor import Assignment, run_incident
from sre_agent.incident import Origin
from sre_agent.intake import Sender, receive
from sre_agent.llm.port import Allowance
from sre_agent.objects import Object
from sre_agent.planner.port import Proposal
from sre_agent.planner.scripted import ScriptedPlanner
from sre_agent.queue import InlineQueue
from sre_agent.resources import data_path
from sre_agent.run import Mode, RunRecord, RunStatus, StepStatus, ToolCall
from sre_agent.runbook import Step
from sre_agent.settings import load as load_settings
from sre_agent.store import LostFence, Store
from sre_agent.tools.types import ToolContext

EXAMPLE = data_path("examples") / "oom-killed"


class Faulty(SnapshotCluster):
    """A snapshot whose next real writes fail as told, and whose kinds named in `unreadable` cannot be read."""

    def __init__(self, example: Any, faults: Sequence[ClusterError | None] = (), unreadable: Any = ()) -> None:
        super().__init__(load(example / "cluster.yaml"))
        self.faults = list(faults)
        self.unreadable = frozenset(unreadable)
        self.sent: list[Write] = []

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        self._check(resource)
        return await super().get(resource, namespace, name)

    async def list(self, resource: Resource, namespace: str | None = None, **selectors: Any) -> list[Object]:
        self._check(resource)
        return await super().list(resource, namespace, **selectors)

    async def write(self, write: Write, *, dry_run: bool = False) -> Object:
        if not dry_run:
            self.sent.append(write)
            fault = self.faults.pop(0) if self.faults else None
            if fault is not None:
                raise fault
        return await super().write(write, dry_run=dry_run)

    def _check(self, resource: Resource) -> None:
        if resource in self.unreadable:
            raise Forbidden(f"cannot list {resource.plural}")


class Proposing:
    """A planner that proposes what it was told to, whatever the step."""

    name = "proposing"

    def __init__(self, **changed: Any) -> None:
        self.changed = changed

    async def propose(self, step: Step, context: ToolContext, allowance: Allowance) -> Proposal:
        honest = (await ScriptedPlanner().propose(step, context, allowance)).call
        call = ToolCall(
            tool=self.changed.get("tool", honest.tool), arguments=honest.arguments | self.changed.get("arguments", {})
        )
        return Proposal(call=call, trace={"step": step.name})


def moment(example: Any) -> datetime:
    found = newest_time(load(example / "cluster.yaml"))
    assert found is not None
    return found


def alert_of(example: Any) -> Alert:
    return parse((example / "payload.json").read_bytes(), source="test").alerts[0]


async def queued(store: Store, alert: Alert, now: datetime, *, scope: str | None = None) -> Assignment:
    queue = InlineQueue()
    used = scope or str(uuid4())
    (admission,) = await receive(
        [alert],
        sender=Sender(origin=Origin.REPLAY, scope=used, mode=Mode.AUTO),
        store=store,
        queue=queue,
        runbooks=load_runbooks(load_settings({})),
        settings=load_settings({}),
        cluster=None,
        now=now,
    )
    run_id = queue.take()
    assert run_id is not None
    assert admission.incident_id is not None
    return Assignment(run_id=run_id, incident_id=admission.incident_id, alert=alert, scope=used, mode=Mode.AUTO)


async def run_on(
    store: Store,
    cluster: SnapshotCluster,
    *,
    example: Any = EXAMPLE,
    planner: Any = None,
    clock: Clock | None = None,
    assignment: Assignment | None = None,
    **environment: str,
) -> RunRecord:
    now, alert = moment(example), alert_of(example)
    return await run_incident(
        assignment or await queued(store, alert, now),
        store=store,
        cluster=cluster,
        planner=planner or ScriptedPlanner(),
        runbooks=load_runbooks(load_settings({})),
        settings=load_settings(environment),
        clock=clock or (lambda: now),
    )


async def types_of(store: Store, record: RunRecord) -> list[str]:
    assert record.incident_id is not None
    return [str(event.event_type) for event in await store.events(record.incident_id)]


async def test_the_intent_is_stored_before_and_the_outcome_after_the_write(store: Store) -> None:
    record = await run_on(store, Faulty(EXAMPLE))
    assert record.status is RunStatus.SUCCEEDED
    assert await types_of(store, record) == ["webhook_received", "intent", "outcome", "step", "final", "analysis"]


async def test_an_unknown_outcome_is_kept_and_not_sent_again(store: Store) -> None:
    cluster = Faulty(EXAMPLE, [UnknownOutcome("connection reset")])
    record = await run_on(store, cluster)
    assert (record.status, record.action_taken) == (RunStatus.ESCALATED, None)
    assert record.steps[-1].status is StepStatus.UNKNOWN
    assert len(cluster.sent) == 1
    assert record.incident_id is not None
    outcome = next(event for event in await store.events(record.incident_id) if event.event_type == EventType.OUTCOME)
    assert outcome.payload["outcome"] == "unknown"


async def test_a_conflict_is_judged_again_and_then_written_once(store: Store) -> None:
    cluster = Faulty(EXAMPLE, [Conflict("resourceVersion")])
    record = await run_on(store, cluster)
    assert record.status is RunStatus.SUCCEEDED
    assert len(cluster.accepted_writes) == 1
    assert (await types_of(store, record)).count("intent") == 2


async def test_three_conflicts_end_the_run_for_a_person(store: Store) -> None:
    cluster = Faulty(EXAMPLE, [Conflict("resourceVersion")] * 5)
    record = await run_on(store, cluster)
    assert record.status is RunStatus.ESCALATED
    assert "somebody else kept changing the object" in (record.escalation or "")
    assert len(cluster.sent) == 3
    assert record.writes == ()


async def test_a_refused_write_fails_the_run_and_says_why(store: Store) -> None:
    record = await run_on(store, Faulty(EXAMPLE, [Refused("exceeded quota: mem")]))
    assert record.status is RunStatus.FAILED
    assert "exceeded quota" in (record.action_error or "")


@pytest.mark.parametrize(
    "unreadable",
    [
        pytest.param([Resource.RESOURCE_QUOTAS], id="quotas"),
        pytest.param([Resource.LIMIT_RANGES], id="limit ranges"),
        pytest.param([Resource.HORIZONTAL_POD_AUTOSCALERS], id="HPAs"),
        pytest.param([Resource.VERTICAL_POD_AUTOSCALERS], id="VPAs"),
        pytest.param([Resource.NAMESPACES], id="the namespace"),
    ],
)
async def test_what_cannot_be_read_stops_the_write(store: Store, unreadable: list[Resource]) -> None:
    cluster = Faulty(EXAMPLE, unreadable=unreadable)
    record = await run_on(store, cluster)
    assert cluster.sent == []
    assert record.steps[-1].status in {StepStatus.REFUSED, StepStatus.PROPOSED}


async def test_evidence_that_took_too_long_to_read_is_not_acted_upon(store: Store) -> None:
    class Slow(Faulty):
        """Each list takes half of the time that evidence may be old."""

        now = moment(EXAMPLE)

        async def list(self, resource: Resource, namespace: str | None = None, **selectors: Any) -> list[Object]:
            Slow.now += timedelta(seconds=31)
            return await super().list(resource, namespace, **selectors)

    cluster = Slow(EXAMPLE)
    record = await run_on(store, cluster, clock=lambda: Slow.now)
    assert cluster.sent == []
    refused = record.steps[-1]
    assert refused.status is StepStatus.REFUSED
    assert "evidence-age" in {judgement.rule for judgement in refused.judgements}


async def test_a_cluster_that_is_away_fails_the_run_and_nothing_else(store: Store) -> None:
    class Away(SnapshotCluster):
        async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
            raise Unavailable("connection refused")

    record = await run_on(store, Away(load(EXAMPLE / "cluster.yaml")))
    assert record.status is RunStatus.FAILED
    assert "connection refused" in (record.action_error or "")


async def test_a_crash_inside_a_step_ends_the_run_and_is_stored(store: Store) -> None:
    class Broken(SnapshotCluster):
        async def list(self, *arguments: Any, **selectors: Any) -> list[Object]:
            raise KeyError("metadata")

    record = await run_on(store, Broken(load(EXAMPLE / "cluster.yaml")))
    assert record.status is RunStatus.FAILED
    assert "KeyError" in (record.action_error or "")
    assert EventType.ERROR in await types_of(store, record)


async def test_a_run_that_was_taken_over_writes_nothing(store: Store) -> None:
    cluster, now, alert = Faulty(EXAMPLE), moment(EXAMPLE), alert_of(EXAMPLE)
    assignment = await queued(store, alert, now)

    class TakenOver(ScriptedPlanner):
        async def propose(self, step: Step, context: ToolContext, allowance: Allowance) -> Proposal:
            await store.start_run(assignment.run_id, now=now)
            return await super().propose(step, context, allowance)

    with pytest.raises(LostFence):
        await run_incident(
            assignment,
            store=store,
            cluster=cluster,
            planner=TakenOver(),
            runbooks=load_runbooks(load_settings({})),
            settings=load_settings({}),
            clock=lambda: now,
        )
    assert cluster.sent == []


async def test_a_database_that_goes_away_before_the_intent_stops_the_write(database: str) -> None:
    class Dying(Store):
        async def record_intent(self, *arguments: Any, **values: Any) -> int:
            raise Unreachable("the server closed the connection")

    cluster = Faulty(EXAMPLE)
    async with Dying.open(database) as dying:
        with pytest.raises(Unreachable):
            await run_on(dying, cluster)
    assert cluster.sent == []


async def test_a_run_that_is_interrupted_keeps_how_far_it_came_and_can_be_followed_by_another(
    store: Store, database: str
) -> None:
    class Silent(Faulty):
        """Takes the write and never answers."""

        sent_one = asyncio.Event()

        async def write(self, write: Write, *, dry_run: bool = False) -> Object:
            answer = await super().write(write, dry_run=dry_run)
            if not dry_run:
                self.sent_one.set()
                await asyncio.Event().wait()
            return answer

    cluster, scope = Silent(EXAMPLE), str(uuid4())
    first = await queued(store, alert_of(EXAMPLE), moment(EXAMPLE), scope=scope)
    under_way = asyncio.create_task(run_on(store, cluster, assignment=first))
    await cluster.sent_one.wait()
    under_way.cancel()
    with pytest.raises(asyncio.CancelledError):
        await under_way
    with psycopg.connect(database, autocommit=True) as connection:
        (incident,) = connection.execute("select action_taken, action_error from incidents").fetchall()
        actions = connection.execute("select status from actions").fetchall()
    assert incident[0] is None
    assert incident[1].startswith("interrupted at increase_memory_limit: patch_memory_limit:shop/checkout/app:")
    assert incident[1].endswith("no answer had come, it may have been done")
    assert actions == [("unknown",)]
    again = await queued(store, alert_of(EXAMPLE), moment(EXAMPLE) + timedelta(hours=1), scope=scope)
    assert again.incident_id == first.incident_id


@pytest.mark.parametrize("by_hand", [pytest.param(True, id="a person asks"), pytest.param(False, id="a notification")])
async def test_only_a_person_has_another_run_right_after_one(store: Store, by_hand: bool) -> None:
    now, scope = moment(EXAMPLE), str(uuid4())
    first = await queued(store, alert_of(EXAMPLE), now, scope=scope)
    await run_on(store, Faulty(EXAMPLE), assignment=first)
    (again,) = await receive(
        [alert_of(EXAMPLE)],
        sender=Sender(origin=Origin.REPLAY, scope=scope, mode=Mode.AUTO, by_hand=by_hand),
        store=store,
        queue=InlineQueue(),
        runbooks=load_runbooks(load_settings({})),
        settings=load_settings({}),
        cluster=None,
        now=now + timedelta(seconds=1),
    )
    assert again.incident_id == first.incident_id
    assert (again.run_id is not None) is by_hand


HOSTILE = [
    pytest.param({"tool": "delete_pod"}, id="another tool"),
    pytest.param({"tool": "rm -rf"}, id="a tool that does not exist"),
    pytest.param({"arguments": {"namespace": "kube-system"}}, id="another namespace"),
    pytest.param({"arguments": {"pod": "other"}}, id="another pod"),
    pytest.param({"arguments": {"container": "sidecar"}}, id="another container"),
    pytest.param({"arguments": {"memory": "64Gi"}}, id="an argument that the tool does not have"),
]


@pytest.mark.parametrize("changed", HOSTILE)
async def test_a_hostile_proposal_is_refused_and_kept(store: Store, changed: dict[str, Any]) -> None:
    cluster = Faulty(EXAMPLE)
    record = await run_on(store, cluster, planner=Proposing(**changed))
    assert cluster.sent == []
    assert {step.status for step in record.steps} == {StepStatus.REFUSED}
    assert record.llm_trace


async def test_an_alert_of_another_cluster_is_recorded_and_never_acted_on(store: Store) -> None:
    cluster, now = Faulty(EXAMPLE), moment(EXAMPLE)
    alert = alert_of(EXAMPLE)
    foreign = replace(alert, labels=alert.labels | {"cluster": "west"})
    record = await run_incident(
        await queued(store, foreign, now),
        store=store,
        cluster=cluster,
        planner=ScriptedPlanner(),
        runbooks=load_runbooks(load_settings({})),
        settings=load_settings({"CLUSTER_NAME": "east"}),
        clock=lambda: now,
    )
    assert cluster.sent == []
    assert "west" in (record.steps[0].reason or "")


async def test_an_event_that_cannot_be_told_does_not_undo_the_change(store: Store) -> None:
    class Deaf(Faulty):
        async def emit_event(self, event: Object) -> None:
            raise NotFound("namespace is gone")

    record = await run_on(store, Deaf(EXAMPLE))
    assert record.action_taken is not None


async def test_a_second_run_of_the_same_scope_is_held_by_the_cooldown(store: Store) -> None:
    now, alert = moment(EXAMPLE), alert_of(EXAMPLE)
    first = await queued(store, alert, now, scope="one")
    values: dict[str, Any] = {
        "store": store,
        "planner": ScriptedPlanner(),
        "runbooks": load_runbooks(load_settings({})),
        "settings": load_settings({}),
        "clock": lambda: now,
    }
    await run_incident(first, cluster=Faulty(EXAMPLE), **values)
    other = replace(alert, labels=alert.labels | {"alertname": "PodOOMKilled"})
    second = await run_incident(await queued(store, other, now, scope="one"), cluster=Faulty(EXAMPLE), **values)
    third = await run_incident(await queued(store, other, now, scope="two"), cluster=Faulty(EXAMPLE), **values)
    assert [judgement.rule for judgement in second.steps[-1].judgements] == ["cooldown"]
    assert second.retry_at is not None
    assert third.action_taken is not None
