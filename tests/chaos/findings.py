"""What must be true of a database when all the trouble is over, whatever died on the way."""

import asyncio
import time
from collections.abc import Iterable
from typing import Any

import psycopg

from tests.chaos.replicas import PATIENCE

ENDED = "select count(*) from runs where finished_at is null"
DOUBLED_INCIDENTS = "select dedup_key from incidents group by dedup_key having count(*) > 1"
DOUBLED_RUNS = "select incident_id from runs group by incident_id having count(*) > 1"
OPEN_INTENTS = """
    select a.id from actions a join runs r on r.id = a.run_id
     where a.status = 'intended' and r.finished_at is not null"""
BROKEN_CHAINS = "select * from chain_faults"
WITHOUT_JOB = """
    select r.id from runs r
     where r.finished_at is null
       and not exists (select from jobs.procrastinate_jobs j where j.args ->> 'run_id' = r.id::text
                                                              and j.status in ('todo', 'doing'))"""
HALF_STORED = """
    with told as materialized (
        select alert -> 'labels' as labels from webhooks w, jsonb_array_elements(w.payload -> 'alerts') as alert)
    select i.id from incidents i
     where not exists (select from told where told.labels = i.labels)
        or not exists (select from runs r where r.incident_id = i.id)
        or not exists (select from incident_events e
                        where e.incident_id = i.id and e.event_type = 'webhook_received'
                          and e.payload -> 'labels' = i.labels)"""


def ask(database: str, question: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database) as connection:
        return connection.execute(question).fetchall()


def pods(database: str) -> list[str]:
    """The pods that incidents are about, sorted."""
    return [pod for (pod,) in ask(database, "select pod from incidents order by pod")]


async def all_ended(database: str, *, patience: float = PATIENCE) -> float:
    """Waits until no run is under way or waits, and says for how many seconds."""
    began = time.monotonic()
    while (left := ask(database, ENDED)) != [(0,)]:
        assert time.monotonic() - began < patience, f"after {patience:.0f} s {left} runs have not ended"
        await asyncio.sleep(0.1)
    return time.monotonic() - began


def assert_nothing_doubled_or_half(database: str, *, sent: Iterable[str]) -> None:
    """Every alert that was sent, named by its pod, has one incident with one run; nothing is half stored."""
    assert pods(database) == sorted(sent)
    for question in (DOUBLED_INCIDENTS, DOUBLED_RUNS):
        assert ask(database, question) == [], question
    assert_nothing_half_stored(database)
    assert_nothing_is_left_behind(database)


def assert_nothing_half_stored(database: str) -> None:
    """Every incident has the webhook that told of it, its events in an unbroken chain, and a run."""
    for question in (HALF_STORED, BROKEN_CHAINS):
        assert ask(database, question) == [], question


def assert_nothing_is_left_behind(database: str) -> None:
    """A run that has not ended waits for a worker or is at one; only such a run has an intent without outcome."""
    for question in (WITHOUT_JOB, OPEN_INTENTS):
        assert ask(database, question) == [], question
