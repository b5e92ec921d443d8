"""A secret in the value of a label reaches no column, and what is hidden still tells problems apart."""

from dataclasses import fields

import pytest

from sre_agent.store import NewIncident, Store
from tests.store.store_builders import (
    NOW,
    finish,
    new_incident,
    receive,
    received,
    rows,
    started,
)

SECRET = "AKIAIOSFODNN7EXAMPLE"
OURS = {"problem", "mode", "runbook_id", "runbook_sha256", "starts_at"}
"""What does not come from a label's value."""
COLUMNS = [
    *sorted({field.name for field in fields(NewIncident)} - OURS - {"labels", "annotations"}),
    "cluster",
    "dedup_key",
]


def everything(database: str) -> str:
    """All rows of all tables, as text."""
    tables = [name for (name,) in rows(database, "select tablename from pg_tables where schemaname = 'public'")]
    return "\n".join(str(rows(database, f"select t::text from {table} t")) for table in tables)


@pytest.mark.parametrize("column", COLUMNS)
async def test_a_secret_in_a_label_reaches_no_column(store: Store, database: str, column: str) -> None:
    new = new_incident(**{column: f"tenant {SECRET}"}, labels={"a": SECRET}, annotations={"b": SECRET})
    run = await started(store, new)
    await receive(store, new)
    await store.note(new.problem, received(labels={"a": SECRET}), now=NOW)
    await finish(store, run, workload=f"Deployment/{SECRET}", node=SECRET, summary=SECRET)
    assert await store.resolve(new.problem, now=NOW, by="alertmanager", reason=SECRET) == run.incident_id
    stored = everything(database)
    assert "RB_OOM" in stored
    assert SECRET not in stored


async def test_a_problem_whose_key_holds_a_secret_is_found_again(store: Store) -> None:
    new = new_incident(dedup_key=f"Alert:demo:{SECRET}", cluster=f"prod {SECRET}")
    first = await receive(store, new)
    assert (await receive(store, new)).incident_id == first.incident_id


async def test_what_was_hidden_still_tells_two_problems_apart(store: Store) -> None:
    """`auth-token:` reads like an assignment, so the pod behind it is hidden in four digits: too few for many pods."""
    pods = [await receive(store, new_incident(dedup_key=f"Alert:auth-token:pod-{n}:app")) for n in range(600)]
    assert len({receipt.incident_id for receipt in pods}) == 600


async def test_the_kept_key_leads_to_the_same_incident(store: Store) -> None:
    receipt = await receive(store, new_incident(dedup_key=f"Alert:demo:{SECRET}"))
    incident = await store.incident(receipt.incident_id)
    assert incident is not None
    assert (await receive(store, new_incident(dedup_key=incident.dedup_key))).incident_id == receipt.incident_id
