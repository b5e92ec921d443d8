"""Facts about a subject with very many incidents: one pass over them, whatever the planner believes."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sre_agent.store import Store
from sre_agent.store.database import Database
from sre_agent.store.history import History
from sre_agent.store.migrations import migrate
from sre_agent.store.queries import query
from sre_agent.store.values import parameters
from tests.store.store_builders import NOW, execute, intended, new_action, new_incident, receive, rows, started

BUSY = """
    insert into incidents (
        id, origin, scope, cluster, fingerprint, dedup_key, alertname, namespace, pod, node, workload, agent_mode,
        status, labels, annotations, starts_at, created_at, updated_at, resolved_at, resolved_by, template_changed_at,
        found_field, found_value, found_at)
    select n, 'live', 'live', 'prod', 'f', 'key-' || n, 'KubePodOOMKilled', 'demo', 'app-' || n, 'worker-1',
           'Deployment/app', 'auto', 'resolved', '{}', '{}', at, at, at, at + interval '1 minute', 'alertmanager',
           at - interval '5 minutes', 'patch_memory_limit:demo/app/app', '256Mi', at + interval '5 seconds'
      from generate_series(%(first)s::bigint, %(last)s) as n,
           lateral (select %(now)s - n * interval '3 hours' as at) as t;
    insert into runs (id, incident_id, runbook_id, runbook_sha256, mode, status, queued_at, finished_at)
    select lpad(to_hex(id), 32, '0')::uuid, id, 'RB_OOM', '0', 'auto', 'succeeded', created_at, created_at
      from incidents where id between %(first)s and %(last)s;
    insert into actions (
        incident_id, run_id, attempt, scope, cluster, tool, action, target_key, value, body, near_limit, status,
        intended_at, finished_at)
    select id, lpad(to_hex(id), 32, '0')::uuid, 1, 'live', 'prod', 'increase_memory_limit',
           found_field || ':256Mi→512Mi', 'app', '512Mi', '{}', false, 'done', created_at + interval '10 seconds',
           created_at
      from incidents where id between %(first)s and %(last)s;
"""
"""One workload, again every three hours, its limit raised each time, and found as low as before."""

OLD = """
    insert into incidents (
        id, origin, scope, cluster, fingerprint, dedup_key, alertname, agent_mode, labels, annotations, created_at,
        updated_at)
    select n, 'live', 'live', 'prod', 'f', 'key-' || n, 'A', 'auto', '{}', '{}', now(), now()
      from generate_series(1, 2) as n;
    insert into runs (incident_id, runbook_id, runbook_sha256, mode, queued_at)
    values (2, 'RB_OOM', '0', 'auto', now());
    insert into actions (
        incident_id, run_id, attempt, scope, cluster, tool, action, target_key, body, near_limit, intended_at)
    select 2, id, 1, 'live', 'prod', 'delete_pod', 'delete_pod:demo/app', 'key', '{}', false, now() from runs
"""


LATER = NOW + timedelta(days=2)


class Remembering(Database):
    """Remembers what the last query was asked with."""

    asked: dict[str, Any]

    async def rows(self, name: str, *, prepare: bool | None = None, **values: Any) -> Any:
        type(self).asked = values
        return await super().rows(name, prepare=prepare, **values)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", []):
        yield from nodes(part)


def work(database: str, values: dict[str, Any]) -> float:
    """How many rows the facts take in hand, those that are thrown away included."""
    with psycopg.connect(database, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        explained = connection.execute(
            b"explain (analyze, timing off, format json) " + query("pattern_facts"), parameters(values)
        ).fetchone()
    assert explained is not None
    found = explained[0] if isinstance(explained[0], list) else json.loads(explained[0])
    counted = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Join Filter")
    return sum(each["Actual Loops"] * each.get(name, 0) for each in nodes(found[0]["Plan"]) for name in counted)


@pytest.mark.parametrize("analysed", [pytest.param(False, id="no statistics"), pytest.param(True, id="statistics")])
async def test_four_times_the_incidents_are_about_four_times_the_work(
    store: Store, database: str, analysed: bool
) -> None:
    done = []
    for first, last in ((1, 300), (301, 1200)):
        with psycopg.connect(database, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
            connection.execute(BUSY, {"first": first, "last": last, "now": NOW})
            if analysed:
                connection.execute("analyze")
        history = History(Remembering(pool=store.database.pool, server="here"))
        facts = await history.facts(await store.book.find(1), as_of=LATER)
        assert (facts.occurrences, facts.tried[0].times, facts.undone and facts.undone.times) == (last, last, last - 1)
        done.append(work(database, Remembering.asked))
    assert done[1] < 5 * done[0]


async def test_an_incident_in_which_something_was_intended_is_marked(store: Store, database: str) -> None:
    run = await started(store)
    assert rows(database, "select acted from incidents") == [(False,)]
    await intended(store, run, new_action(), scope="live", cluster="prod", now=NOW)
    assert rows(database, "select acted from incidents") == [(True,)]


def without_the_mark(directory: Path, earlier: Path) -> Path:
    """The migrations from before actions marked their incidents, in a directory of their own."""
    earlier.mkdir()
    for path in sorted(directory.glob("*.sql"))[:6]:
        (earlier / path.name).write_text(path.read_text())
    return earlier


async def test_what_was_done_before_the_mark_was_there_still_counts(
    blank_database: str, directory: Path, tmp_path: Path
) -> None:
    await migrate(blank_database, migrations=without_the_mark(directory, tmp_path / "earlier"))
    execute(blank_database, OLD)
    await migrate(blank_database, migrations=directory)
    assert rows(blank_database, "select id, acted from incidents order by id") == [(1, False), (2, True)]


async def test_the_past_of_a_small_cluster_does_not_read_that_of_a_large_one(store: Store, database: str) -> None:
    lone = new_incident(cluster="lab", dedup_key="lone", workload="Deployment/app", node="worker-1")
    receipt = await receive(store, lone, now=NOW + timedelta(hours=1))
    with psycopg.connect(database, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute(BUSY, {"first": 2, "last": 600, "now": NOW})
        connection.execute("analyze")
    history = History(Remembering(pool=store.database.pool, server="here"))
    incident = await store.book.find(receipt.incident_id)
    assert await history.similar(incident) == []
    assert (await history.facts(incident, as_of=LATER)).occurrences == 1
    assert work(database, Remembering.asked) < 100
