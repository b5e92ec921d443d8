"""Values for the store's tests: an alert about one workload, its events, and a run that holds it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from sre_agent.event import Event, Final, FinalState, IntentRecorded, OutcomeRecorded, StepTaken, WebhookReceived
from sre_agent.incident import Origin
from sre_agent.run import RunStatus
from sre_agent.store import ActiveRun, Limits, NewAction, NewIncident, Problem, Receipt, Store

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
COOLDOWN = timedelta(minutes=30)
NOTHING = timedelta(0)
UNLIMITED = Limits(
    cooldown=NOTHING,
    action_window=NOTHING,
    actions_per_day=100,
    writes=1000,
    writes_window=timedelta(minutes=10),
    drain_pause=NOTHING,
    storm=1000,
    storm_window=NOTHING,
    actionable=(),
    open_for=timedelta(minutes=15),
)
"""Brakes that hold nothing but a second writer."""


def problem(**changed: Any) -> Problem:
    values: dict[str, Any] = {
        "origin": Origin.LIVE,
        "scope": "live",
        "cluster": "prod",
        "dedup_key": "KubePodOOMKilled:demo:app-7d9c-x2x:app",
    }
    return Problem(**{**values, **changed})


def replays_problem(scope: str, **changed: Any) -> Problem:
    return problem(origin=Origin.REPLAY, scope=scope, **changed)


def new_incident(**changed: Any) -> NewIncident:
    """An incident of `problem`; what names one of the problem's fields changes that."""
    of_problem = {name: changed.pop(name) for name in ("origin", "scope", "cluster", "dedup_key") if name in changed}
    values: dict[str, Any] = {
        "problem": problem(**of_problem),
        "fingerprint": "d4f0a1b2c3e4f506",
        "alertname": "KubePodOOMKilled",
        "namespace": "demo",
        "pod": "app-7d9c-x2x",
        "container": "app",
        "node": None,
        "workload": None,
        "severity": "warning",
        "runbook_id": "RB_OOM",
        "mode": "auto",
        "runbook_sha256": "0" * 64,
        "labels": {"alertname": "KubePodOOMKilled", "namespace": "demo"},
        "annotations": {"summary": "killed"},
        "starts_at": NOW - timedelta(minutes=5),
    }
    return NewIncident(**{**values, **changed})


def replayed(scope: str, **changed: Any) -> NewIncident:
    return new_incident(origin=Origin.REPLAY, scope=scope, **changed)


def received(**changed: Any) -> Event:
    values: dict[str, Any] = {
        "labels": {"alertname": "KubePodOOMKilled"},
        "annotations": {},
        "cluster": "prod",
        "startsAt": None,
        "fingerprint": "d4f0a1b2c3e4f506",
    }
    return Event(payload=WebhookReceived(**{**values, **changed}))


def step(name: str = "check_oom", result: dict[str, Any] | None = None) -> Event:
    taken = StepTaken(
        step=name,
        tool=name,
        status="done",
        reason=None,
        gate=None,
        arguments=None,
        result=result,
        judgements=[],
    )
    return Event(payload=taken)


def intent() -> Event:
    recorded = IntentRecorded(
        action_id=0,
        tool="increase_memory_limit",
        action="patch_memory_limit:demo/app/app:256Mi→512Mi",
        target="Deployment/demo/app",
        value="512Mi",
        writes=[],
        undo=[],
    )
    return Event(payload=recorded)


def outcome(action_id: int, said: str = "done") -> Event:
    return Event(payload=OutcomeRecorded(action_id=action_id, outcome=said, detail=None, writes=[]))


def final() -> Event:
    state = FinalState(action_taken=None, action_recommended=None, action_error=None, rb_steps=[], llm_trace=[])
    return Event(payload=Final(runbook_id="RB_OOM", state=state))


def new_action(**changed: Any) -> NewAction:
    values: dict[str, Any] = {
        "tool": "increase_memory_limit",
        "action": "patch_memory_limit:demo/app/app:256Mi→512Mi",
        "target_key": "Deployment/demo/app",
        "value": "512Mi",
        "body": {"writes": [{"verb": "patch"}], "undo": []},
        "near_limit": False,
    }
    return NewAction(**{**values, **changed})


async def receive(store: Store, new: NewIncident | None = None, *, now: datetime = NOW) -> Receipt:
    return await store.receive(new or new_incident(), received(), now=now, cooldown=COOLDOWN)


async def started(store: Store, new: NewIncident | None = None) -> ActiveRun:
    """A run of a new incident, taken up."""
    receipt = await receive(store, new)
    assert receipt.run_id is not None
    return await store.start_run(receipt.run_id, now=NOW)


async def intended(store: Store, run: ActiveRun, action: NewAction | None = None, **where: Any) -> int:
    """A recorded intent of a run, by default one minute after it was taken up."""
    values: dict[str, Any] = {
        "scope": "live",
        "cluster": "prod",
        "limits": UNLIMITED,
        "now": NOW + timedelta(minutes=1),
    }
    return await store.record_intent(run, action or new_action(), [intent()], **{**values, **where})


async def finish(store: Store, run: ActiveRun, **changed: Any) -> None:
    values: dict[str, Any] = {
        "status": RunStatus.SUCCEEDED,
        "action_taken": None,
        "action_recommended": None,
        "action_error": None,
        "summary": None,
        "workload": None,
        "node": None,
        "retry_at": None,
        "events": [final()],
        "now": NOW + timedelta(minutes=2),
    }
    await store.finish_run(run, **{**values, **changed})


async def types_of(store: Store, incident_id: int) -> list[str]:
    return [str(event.event_type) for event in await store.events(incident_id)]


def rows(database: str, statement: str) -> list[tuple[Any, ...]]:
    """What a statement of the test itself answers, read past the store."""
    with psycopg.connect(database, autocommit=True) as connection:
        return connection.execute(statement.encode()).fetchall()


def execute(database: str, statement: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(statement.encode())
