"""The chain of events: append-only, dense, and recomputable from the definition in the migration alone."""

import asyncio
import hashlib
import json
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.errors import ForeignKeyViolation, RestrictViolation

from sre_agent.redaction import redact
from sre_agent.run import Outcome
from sre_agent.store import EventRow, Store
from tests.store.store_builders import (
    NOW,
    finish,
    intended,
    new_action,
    new_incident,
    outcome,
    receive,
    received,
    rows,
    started,
    step,
    types_of,
)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=12,
)


def jsonb(value: Any) -> str:
    """JSON as jsonb prints it: written here from the documentation, independently of the database."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
        return "{" + ", ".join(f"{jsonb(key)}: {jsonb(value[key])}" for key in keys) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(jsonb, value)) + "]"
    if isinstance(value, float):
        return format(abs(Decimal(repr(value))) if value == 0 else Decimal(repr(value)), "f")
    return json.dumps(value, ensure_ascii=False)


def documented_hash(incident_id: int, event: EventRow) -> str:
    moment = event.ts.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    run_id = None if event.run_id is None else str(event.run_id)
    hashed = [incident_id, event.seq, run_id, moment, event.event_type, event.payload, event.prev_hash]
    return hashlib.sha256(jsonb(hashed).encode()).hexdigest()


async def assert_chained(store: Store, database: str, incident_id: int) -> list[EventRow]:
    events = await store.events(incident_id)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.prev_hash for event in events] == [None, *(event.hash for event in events[:-1])]
    assert [event.hash for event in events] == [documented_hash(incident_id, event) for event in events]
    head = rows(database, f"select last_seq, encode(last_hash, 'hex') from incidents where id = {incident_id}")
    assert head == [(events[-1].seq, events[-1].hash)]
    return events


async def test_a_whole_run_is_chained_as_the_migration_says(store: Store, database: str) -> None:
    run = await started(store)
    await receive(store)
    action_id = await intended(store, run)
    await store.record_outcome(run, action_id, Outcome.DONE, None, [outcome(action_id)], now=NOW)
    await finish(store, run, events=[step("á"), step("b", {"n": 1.50, "big": 10**30, "deep": [{"z": None}]})])
    await assert_chained(store, database, run.incident_id)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(payloads=st.lists(st.dictionaries(st.text("abcé", max_size=3), JSON, max_size=4), min_size=1, max_size=3))
async def test_any_payload_keeps_the_chain(store: Store, database: str, payloads: list[dict[str, Any]]) -> None:
    run = await started(store, new_incident(dedup_key=uuid4().hex))
    action_id = await intended(store, run)
    results = [step("s", payload) for payload in payloads]
    await store.record_outcome(run, action_id, Outcome.DONE, None, results, now=datetime.now(NOW.tzinfo))
    events = await assert_chained(store, database, run.incident_id)
    stored = [event.payload["result"] for event in events[-len(payloads) :]]
    assert list(map(jsonb, stored)) == [jsonb(redact(payload)) for payload in payloads]


async def test_sixteen_at_once_leave_no_gap(database: str) -> None:
    async with Store.open(database, max_size=16) as store:
        run = await started(store)
        action_id = await intended(store, run)

        async def append(worker: int) -> None:
            for n in range(5):
                pair = [step(f"{worker}-{n}"), step(f"{worker}-{n}+")]
                await store.record_outcome(run, action_id, Outcome.DONE, None, pair, now=NOW)
                await receive(store)

        await asyncio.gather(*(append(worker) for worker in range(16)))
        events = await assert_chained(store, database, run.incident_id)
    assert len(events) == 2 + 16 * 5 * 3 + 1  # the first repeat is also noted as suppressed
    order = [event.payload["step"] for event in events if event.event_type == "step"]
    assert all(second == first + "+" for first, second in zip(order[::2], order[1::2], strict=True))


async def test_one_statement_may_append_to_several_incidents(store: Store, database: str) -> None:
    ids = [(await receive(store, new_incident(dedup_key=key))).incident_id for key in ("one", "other")]
    with psycopg.connect(database) as connection:
        connection.execute(
            "insert into incident_events (incident_id, ts, event_type, payload)"
            f" select unnest(array{ids}), now(), 'error', to_jsonb(n) from generate_series(1, 3) n"
        )
    for incident_id in ids:
        events = await assert_chained(store, database, incident_id)
        assert [event.payload for event in events[1:]] == [1, 2, 3]


async def test_a_statement_that_fails_leaves_the_chain_as_it_was(store: Store, database: str) -> None:
    receipt = await receive(store)
    with psycopg.connect(database) as connection, pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(
            "insert into incident_events (incident_id, ts, event_type, payload)"
            f" select {receipt.incident_id}, now(), type, '{{}}' from unnest(array['error', 'nonsense']) type"
        )
    await receive(store)
    assert len(await assert_chained(store, database, receipt.incident_id)) == 3


async def test_a_removed_last_event_still_shows_after_the_next_one(store: Store, database: str) -> None:
    receipt = await receive(store)
    await store.note(new_incident().problem, received(), now=NOW)
    with psycopg.connect(database, autocommit=True) as owner:
        owner.execute("alter table incident_events disable trigger whole_incidents_only")
        owner.execute("delete from incident_events where seq = 2")
    await store.note(new_incident().problem, received(), now=NOW)
    assert [event.seq for event in await store.events(receipt.incident_id)] == [1, 3]


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("update incident_events set payload = '{}'", id="update"),
        pytest.param("update incident_events set ts = now() where seq = 2", id="update that meets no row"),
        pytest.param("delete from incident_events", id="delete"),
        pytest.param("truncate incident_events", id="truncate"),
        pytest.param("truncate incidents cascade", id="truncate of the incidents"),
    ],
)
async def test_what_happened_cannot_be_changed(store: Store, database: str, statement: str) -> None:
    receipt = await receive(store)
    with psycopg.connect(database) as connection, pytest.raises(RestrictViolation, match="append-only"):
        connection.execute(statement.encode())
    assert await types_of(store, receipt.incident_id) == ["webhook_received"]


@pytest.mark.parametrize("table", ["incidents", "runs"])
async def test_what_has_events_cannot_be_deleted(store: Store, database: str, table: str) -> None:
    run = await started(store)
    await finish(store, run)
    with psycopg.connect(database) as connection, pytest.raises(ForeignKeyViolation):
        connection.execute(f"delete from {table}".encode())


async def test_an_event_of_no_incident_is_refused(database: str, store: Store) -> None:
    with psycopg.connect(database) as connection, pytest.raises(ForeignKeyViolation, match="incident 99 does not"):
        connection.execute(
            "insert into incident_events (incident_id, ts, event_type, payload) values (99, now(), 'step', '{}')"
        )


async def test_the_database_numbers_and_hashes_whatever_an_insert_claims(store: Store, database: str) -> None:
    receipt = await receive(store)
    with psycopg.connect(database) as connection:
        connection.execute(
            "insert into incident_events (incident_id, ts, event_type, payload, seq, prev_hash, hash)"
            f" values ({receipt.incident_id}, now(), 'error', '{{}}', 77, 'x', 'y')"
        )
    await assert_chained(store, database, receipt.incident_id)


async def test_a_forged_row_no_longer_fits_its_hash(store: Store, database: str) -> None:
    receipt = await receive(store)
    with psycopg.connect(database, autocommit=True) as owner:
        owner.execute("alter table incident_events disable trigger append_only")
        owner.execute("""update incident_events set payload = payload || '{"cluster": "other"}'""")
        forged = owner.execute(
            "select hash <> event_hash(incident_id, seq, run_id, ts, event_type, payload, prev_hash)"
            " from incident_events"
        ).fetchall()
    assert forged == [(True,)]
    [event] = await store.events(receipt.incident_id)
    assert event.hash != documented_hash(receipt.incident_id, event)


async def test_what_jsonb_refuses_is_replaced_and_nothing_is_lost(store: Store, database: str) -> None:
    labels = {"alertname": "nul\0", "half": "\ud83d|", "whole": "\U0001f600", "back": "\\u0000"}
    event = received(labels=labels)
    run = await started(store)
    await store.record_outcome(
        run,
        await intended(store, run, new_action(body={"writes": [{"ratio": float("inf"), "name": "a\0"}]})),
        Outcome.FAILED,
        "said \0 and \udfff",
        [event, step("s", {"key\0": [float("nan"), "a\0b", {"c": "\0"}]})],
        now=NOW,
    )
    stored = await assert_chained(store, database, run.incident_id)
    assert stored[-2].payload["labels"] == {
        "alertname": "nul",
        "half": "|",
        "whole": "\U0001f600",
        "back": "\\u0000",
    }
    assert stored[-1].payload["result"] == {"key": [None, "ab", {"c": ""}]}
    assert rows(database, "select detail, body from actions") == [
        ("said  and ", {"writes": [{"ratio": None, "name": "a"}]})
    ]
