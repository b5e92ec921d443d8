"""The proof of the chains: every tampering is found, nothing honest is suspected; pruning leaves checkpoints."""

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.errors import RestrictViolation

from sre_agent.errors import BadInput, SreAgentError
from sre_agent.resources import data_path
from sre_agent.run import Outcome
from sre_agent.store import Store, audit
from sre_agent.store.audit import Fault, Proved, PruneReport
from sre_agent.store.migrations import migrate
from tests.store.store_builders import (
    NOW,
    execute,
    finish,
    intended,
    new_action,
    new_incident,
    outcome,
    receive,
    replayed,
    rows,
    started,
    types_of,
)

COPIES = 1_000
EVENTS = 6
TAMPERED = """
-- Owner of the database, so no trigger and no foreign key is in the way.
set session_replication_role = replica;
create temp table victim as
    select id, row_number() over (order by id) % {kinds} as kind from incidents where id % 2 = 0;
create function kind_of(incident bigint) returns bigint language sql stable as
    $$ select kind from pg_temp.victim where id = incident $$;

update incident_events set payload = payload || '{{"cluster": "elsewhere"}}' where kind_of(incident_id) = 0 and seq = 3;
update incident_events e set payload = o.payload, event_type = o.event_type, ts = o.ts from incident_events o
 where kind_of(e.incident_id) = 1 and o.incident_id = e.incident_id and e.seq in (2, 4) and o.seq = 6 - e.seq;
delete from incident_events where kind_of(incident_id) = 2 and seq = 6;
delete from incident_events where kind_of(incident_id) = 3 and seq in (3, 4);
update incident_events set hash = sha256('forged') where kind_of(incident_id) = 4 and seq = 5;
update incident_events set id = -id where kind_of(incident_id) = 5;
update incident_events e set id = -o.id from incident_events o
 where kind_of(e.incident_id) = 5 and o.incident_id = e.incident_id and e.seq + o.seq = 7;
update incident_events set ts = ts - interval '1 day' where kind_of(incident_id) = 6 and seq = 1;
update incident_events set seq = seq + 10 where kind_of(incident_id) = 7 and seq in (2, 3);
update incident_events set seq = 15 - seq where kind_of(incident_id) = 7 and seq in (12, 13);
update incidents set last_hash = sha256('forged') where kind_of(id) = 8;
delete from incident_events where kind_of(incident_id) = 9;
delete from incidents where kind_of(id) = 9;
"""
"""One statement or two for each kind of tampering."""
FIRST_BROKEN = {
    0: (3, Fault.CHANGED),
    1: (2, Fault.CHANGED),
    2: (6, Fault.MISSING_END),
    3: (5, Fault.MISSING_BEFORE),
    4: (5, Fault.CHANGED),
    5: (2, Fault.REORDERED),
    6: (1, Fault.CHANGED),
    7: (2, Fault.CHANGED),
    8: (6, Fault.OTHER_HEAD),
    9: (None, Fault.GONE),
}


def honest_copies(database: str, copies: int) -> None:
    """Incidents with EVENTS events each, appended as the store appends them, through the triggers."""
    execute(
        database,
        f"""
        insert into incidents (origin, scope, cluster, fingerprint, dedup_key, alertname, agent_mode, labels,
                               annotations, created_at, updated_at)
        select 'live', 'live', 'prod', n::text, n::text, 'KubePodOOMKilled', 'auto', '{{}}', '{{}}', now(), now()
          from generate_series(1, {copies}) as n;
        insert into incident_events (incident_id, ts, event_type, payload)
        select id, now() + n * interval '1 second', (array['webhook_received', 'step', 'final', 'error'])[1 + n % 4],
               jsonb_build_object('cluster', 'prod', 'n', n)
          from incidents, generate_series(1, {EVENTS}) as n order by n, id
        """,
    )


async def broken(store: Store) -> dict[int, tuple[int | None, Fault]]:
    found = await store.audit.verify()
    assert [row.incident_id for row in found] == sorted({row.incident_id for row in found})
    assert all(row.what for row in found)
    ids = {(event.seq, event.id) for row in found for event in await store.events(row.incident_id)}
    assert all((row.seq, row.event_id) in ids for row in found if row.event_id is not None)
    return {row.incident_id: (row.seq, row.fault) for row in found}


async def test_every_tampered_copy_is_found_with_its_first_broken_row_and_no_honest_one(
    store: Store, database: str
) -> None:
    honest_copies(database, 2 * COPIES)
    assert await broken(store) == {}
    kinds = len(FIRST_BROKEN)
    execute(database, TAMPERED.format(kinds=kinds))
    expected = {
        incident_id: FIRST_BROKEN[place % kinds]
        for place, incident_id in enumerate(range(2, 2 * COPIES + 1, 2), start=1)
    }
    assert len(expected) == COPIES
    assert await broken(store) == expected


ALONE = [
    pytest.param("update incident_events set incident_id = 2, seq = 7 where incident_id = 1 and seq = 6",
        {1: (6, Fault.MISSING_END), 2: (7, Fault.CHANGED)}, id="an event moved to another incident"),
    pytest.param("update incident_events set prev_hash = sha256('x') where incident_id = 1 and seq = 2",
        {1: (2, Fault.CHANGED)}, id="another previous hash"),
    pytest.param("update incident_events e set prev_hash = sha256('x'), hash = event_hash(incident_id, seq, run_id, ts,"
        " event_type, payload, sha256('x')) where incident_id = 1 and seq = 6;"
        "update incidents set last_hash = e.hash from incident_events e"
        " where incidents.id = 1 and incident_id = 1 and seq = 6",
        {1: (6, Fault.UNLINKED)}, id="a chain that was begun anew"),
    pytest.param("delete from incident_events where incident_id = 1", {1: (1, Fault.MISSING_END)}, id="all events"),
    pytest.param("delete from incident_events where incident_id = 1;"
        "update incidents set last_seq = 0, last_hash = null where id = 1",
        {1: (1, Fault.NO_EVENTS)}, id="all events and the head"),
    pytest.param("update incident_events set id = -seq where incident_id = 1", {1: (2, Fault.REORDERED)},
        id="ids below all that were ever given"),
    pytest.param("update incident_events e set payload = o.payload, event_type = o.event_type, ts = o.ts"
        " from incident_events o where (e.incident_id, o.incident_id) in ((1, 2), (2, 1)) and e.seq = 3 and o.seq = 4",
        {1: (3, Fault.CHANGED), 2: (3, Fault.CHANGED)}, id="events swapped between incidents"),
    pytest.param("update incidents set id = 9 where id = 1; update incident_events set incident_id = 9"
        " where incident_id = 1; update incident_ledger set incident_id = 9 where incident_id = 1",
        {9: (1, Fault.CHANGED)}, id="another id of the incident"),
    pytest.param("insert into incident_ledger (incident_id) values (9)", {9: (None, Fault.GONE)},
        id="a ledger row of nothing"),
    pytest.param("delete from incidents where id = 1", {1: (None, Fault.GONE)}, id="the incident without its events"),
    pytest.param("delete from incident_ledger where incident_id = 1", {1: (None, Fault.NOT_IN_LEDGER)},
        id="the ledger's row"),
    pytest.param("delete from incidents where id = 1; delete from incident_ledger where incident_id = 1",
        {1: (1, Fault.NO_INCIDENT)}, id="the incident and the ledger's row"),
    pytest.param("update incident_ledger set pruned_at = now(), pruned_by = 'x', last_seq = 6, last_hash = 'x'"
        " where incident_id = 1", {1: (None, Fault.PRUNED_AND_THERE)}, id="a checkpoint of what is there"),
    pytest.param("update incidents set last_seq = 5, last_hash = e.hash from incident_events e"
        " where incidents.id = 1 and incident_id = 1 and seq = 5", {1: (6, Fault.OTHER_HEAD)}, id="an older head"),
    pytest.param("update incident_events set event_type = 'step' where incident_id = 1 and seq = 2",
        {1: (2, Fault.CHANGED)}, id="another type"),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "expected"), ALONE)
async def test_a_tampering_names_its_row(
    statement: str, expected: dict[int, tuple[int | None, Fault]], store: Store, database: str
) -> None:
    honest_copies(database, 2)
    execute(database, f"set session_replication_role = replica; {statement}")
    assert await broken(store) == expected


async def test_a_proof_says_how_far_it_is_and_ends_with_the_totals(
    store: Store, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "RANGE", 3)
    honest_copies(database, 7)
    told: list[Proved] = []
    assert await store.audit.verify(progress=told.append) == []
    assert [proved.incidents for proved in told] == [3, 6, 7, 7]
    assert told[-1] == Proved(incidents=7, events=7 * EVENTS, checkpoints=0)


async def test_writers_at_work_and_a_prune_are_never_suspected(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "BATCH", 2)
    async with Store.open(database, max_size=20) as store:
        run = await started(store)
        action_id = await intended(store, run, new_action(target_key="Deployment/other/app"))
        for _ in range(8):
            await resolved(store)

        async def write(worker: int) -> None:
            for _ in range(8):
                several = [outcome(action_id, f"{worker}.{place}") for place in range(3)]
                await store.record_outcome(run, action_id, Outcome.DONE, None, several, now=NOW)
                await receive(store, new_incident(dedup_key=f"other-{worker % 3}"))

        async def prove() -> None:
            for _ in range(6):
                assert await store.audit.verify() == []

        await asyncio.gather(prove(), store.audit.prune(NOW, now=NOW), *(write(worker) for worker in range(16)))
        assert await store.audit.verify() == []
        events = await store.events(run.incident_id)
        assert [event.id for event in events] == sorted(event.id for event in events)
        said = [event.payload["outcome"] for event in events if event.event_type == "outcome"]
        assert said == [f"{word.split('.')[0]}.{place % 3}" for place, word in enumerate(said)]


@pytest.mark.parametrize(
    ("last_unordered", "expected"),
    [
        pytest.param(1100, {}, id="all from before"),
        pytest.param(1001, {1: (3, Fault.REORDERED)}, id="one from before behind one from after"),
    ],
)
async def test_ids_from_before_they_were_ordered_are_not_suspected(
    last_unordered: int, expected: dict[int, tuple[int | None, Fault]], store: Store, database: str
) -> None:
    honest_copies(database, 1)
    execute(
        database,
        "set session_replication_role = replica;"
        "update incident_events set id = 1000 + id where seq = 2; update incident_events set id = 500 where seq = 1;"
        "create or replace function last_unordered_event() returns bigint language sql immutable"
        f" as 'select {last_unordered}::bigint'",
    )
    assert await broken(store) == expected


async def resolved(store: Store, *, days_ago: int = 10, **changed: object) -> int:
    """An incident with a whole run, resolved some days ago."""
    new = new_incident(**{"dedup_key": uuid4().hex, **changed})
    run = await started(store, new)
    action_id = await intended(store, run)
    await store.record_outcome(run, action_id, Outcome.DONE, None, [outcome(action_id)], now=NOW)
    await finish(store, run)
    closed = await store.resolve(new.problem, now=NOW - timedelta(days=days_ago), by="alertmanager", reason="over")
    assert closed == run.incident_id
    return run.incident_id


async def test_pruning_removes_whole_old_incidents_and_leaves_checkpoints(store: Store, database: str) -> None:
    old, older = await resolved(store), await resolved(store, days_ago=20)
    young = await resolved(store, days_ago=1)
    open_one = (await receive(store)).incident_id
    heads = rows(database, f"select id, last_seq, last_hash from incidents where id in ({old}, {older}) order by id")
    events = len(await store.events(old)) + len(await store.events(older))
    before = NOW - timedelta(days=5)
    assert await store.audit.prunable(before) == PruneReport(incidents=2, events=events)
    assert await store.audit.prune(before, now=NOW) == PruneReport(incidents=2, events=events)
    for table in ("incidents", "runs", "actions", "incident_events"):
        column = "id" if table == "incidents" else "incident_id"
        assert {row[0] for row in rows(database, f"select {column} from {table}")} <= {young, open_one}
    checkpoints = rows(
        database,
        "select incident_id, last_seq, last_hash, pruned_at, pruned_by = current_user from incident_ledger"
        " where pruned_at is not null order by incident_id",
    )
    assert checkpoints == [(*head, NOW, True) for head in heads]
    told: list[Proved] = []
    assert await store.audit.verify(progress=told.append) == []
    assert told[-1].checkpoints == 2
    assert await store.audit.prune(before, now=NOW) == PruneReport(incidents=0, events=0)


async def test_who_told_of_a_brake_is_forgotten_with_the_incident(store: Store, database: str) -> None:
    """Those of replays, too: each directory that was ever played would leave some."""
    calm = timedelta(minutes=15)
    gone, replay = await started(store), await started(store, replayed("one"))
    for run, scope in ((gone, "live"), (replay, "one")):
        await store.brakes.tell("storm", run, scope=scope, cluster="prod", calm=calm, now=NOW)
        await finish(store, run)
    await store.resolve(new_incident().problem, now=NOW, by="alertmanager", reason="over")
    await store.resolve(replayed("one").problem, now=NOW, by="replay", reason="over")
    stays = await started(store, new_incident(dedup_key="another"))
    await store.brakes.tell("writes", stays, scope="live", cluster="prod", calm=calm, now=NOW)
    assert (await store.audit.prune(NOW + calm, now=NOW + calm)).incidents == 2
    assert rows(database, "select scope, rule, incident_id from brake_episodes") == [
        ("live", "writes", stays.incident_id)
    ]


async def test_what_is_open_or_at_work_or_young_stays(store: Store, database: str) -> None:
    at_work = await started(store)
    await store.resolve(new_incident().problem, now=NOW - timedelta(days=10), by="alertmanager", reason="over")
    await receive(store, replayed("one", dedup_key="replayed"))
    assert await store.audit.prune(NOW, now=NOW) == PruneReport(incidents=0, events=0)
    assert await store.incident(at_work.incident_id) is not None


async def test_a_long_prune_goes_in_batches_and_says_how_far_it_is(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "BATCH", 2)
    for _ in range(5):
        await resolved(store)
    told: list[PruneReport] = []
    assert (await store.audit.prune(NOW, now=NOW, progress=told.append)).incidents == 5
    assert [report.incidents for report in told] == [2, 4, 5]


async def test_an_incident_whose_chain_is_broken_is_not_removed(store: Store, database: str) -> None:
    forged = await resolved(store)
    execute(
        database,
        "set session_replication_role = replica;"
        f"update incident_events set payload = '{{}}' where incident_id = {forged} and seq = 1",
    )
    with pytest.raises(SreAgentError, match=f"nothing more was removed: the chain of incident {forged} is broken"):
        await store.audit.prune(NOW, now=NOW)
    assert await broken(store) == {forged: (1, Fault.CHANGED)}


async def test_an_incident_that_somebody_holds_stays_for_the_next_time(store: Store, database: str) -> None:
    held, free = await resolved(store), await resolved(store)
    with psycopg.connect(database) as other:
        other.execute("select from incidents where id = %s for update", (held,))
        assert (await store.audit.prune(NOW, now=NOW)).incidents == 1
    assert await types_of(store, free) == []
    assert (await store.audit.prune(NOW, now=NOW)).incidents == 1


@contextmanager
def role_with(database: str, rights: str) -> Iterator[str]:
    """A connection string of a role that may write all tables, and what else is given."""
    name = f"agent_{uuid4().hex[:8]}"
    execute(
        database,
        f"create role {name} login; grant select, insert, update on all tables in schema public to {name};"
        f"grant usage on all sequences in schema public to {name}; {rights.format(role=name)}",
    )
    yield make_conninfo(database, user=name)
    execute(database, f"drop owned by {name}; drop role {name}")


async def test_a_role_that_may_not_delete_is_told_what_it_lacks(store: Store, database: str) -> None:
    incident_id = await resolved(store)
    with role_with(database, "") as writer:
        async with Store.open(writer) as limited:
            with pytest.raises(BadInput, match=r"permission denied for table .+ Pruning takes DELETE on incidents"):
                await limited.audit.prune(NOW, now=NOW)
            await receive(limited, new_incident(dedup_key="it may write"))
            assert await limited.audit.verify() == []
    assert await store.incident(incident_id) is not None


async def test_a_role_that_may_delete_incidents_and_no_evidence_is_told_so(store: Store, database: str) -> None:
    await resolved(store)
    rights = "grant delete on incidents, runs, actions, approvals, incident_events to {role}"
    with role_with(database, rights) as nearly:
        async with Store.open(nearly) as limited:
            with pytest.raises(BadInput, match="permission denied for table evidence_objects"):
                await limited.audit.prune(NOW, now=NOW)
    assert await store.audit.verify() == []


async def test_the_evidence_that_a_killed_prune_has_left_goes_with_the_next(store: Store, database: str) -> None:
    execute(database, "insert into evidence_objects (sha256, body) values (sha256('left'), 'left')")
    await store.audit.prune(NOW, now=NOW)
    assert rows(database, "select count(*) from evidence_objects") == [(0,)]


SHADOWED = [
    pytest.param(
        "create temp table incident_ledger as select id as incident_id, now() as pruned_at from incidents;"
        "create temp table incident_events (incident_id bigint);"
        "delete from public.incident_events where incident_id = 1 and seq > 3",
        id="the ledger, to cut off an end",
    ),
    pytest.param(
        "create temp table incidents as select id, 'resolved' as status, 1::bigint as last_seq, ''::bytea as last_hash"
        "  from public.incidents;"
        "update incident_ledger set pruned_at = now(), pruned_by = 'x', last_seq = 1, last_hash = ''",
        id="the incidents, to forge a checkpoint",
    ),
    pytest.param(
        "create temp table incidents as select 9::bigint as id; insert into incident_ledger (incident_id) values (9)",
        id="the incidents, to enter one that never was",
    ),
]


@pytest.mark.parametrize("statements", SHADOWED)
async def test_a_temporary_table_cannot_stand_before_what_a_trigger_guards(
    statements: str, store: Store, database: str
) -> None:
    honest_copies(database, 2)
    with (
        role_with(database, "grant delete on all tables in schema public to {role}") as other,
        pytest.raises(RestrictViolation, match="refused"),
    ):
        execute(other, statements)
    assert await broken(store) == {}


async def checkpointed(store: Store, database: str) -> tuple[psycopg.Connection, int]:
    """A transaction that has left the checkpoint of a resolved incident, by hand."""
    incident_id = await resolved(store)
    connection = psycopg.connect(database)
    connection.execute(
        "update incident_ledger l set pruned_at = now(), pruned_by = 'somebody else', last_seq = i.last_seq,"
        " last_hash = i.last_hash from incidents i where l.incident_id = i.id and i.id = %s",
        (incident_id,),
    )
    return connection, incident_id


async def test_a_part_of_an_incident_cannot_be_deleted_even_with_a_checkpoint(store: Store, database: str) -> None:
    connection, incident_id = await checkpointed(store, database)
    with connection, pytest.raises(RestrictViolation, match="append-only: DELETE of events of incident"):
        connection.execute("delete from incident_events where incident_id = %s and seq > 2", (incident_id,))


async def test_a_whole_incident_with_its_checkpoint_can_be_deleted_by_hand(store: Store, database: str) -> None:
    connection, incident_id = await checkpointed(store, database)
    with connection:
        for table in ("incident_events", "actions", "runs"):
            connection.execute(f"delete from {table} where incident_id = %s".encode(), (incident_id,))
        connection.execute("delete from incidents where id = %s", (incident_id,))
    assert await broken(store) == {}
    assert rows(database, "select pruned_by = session_user from incident_ledger") == [(True,)]


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("delete from incident_ledger", id="delete"),
        pytest.param("truncate incident_ledger", id="truncate"),
        pytest.param("insert into incident_ledger (incident_id) values (9)", id="an incident that never was"),
        pytest.param("insert into incident_ledger values (9, now(), 'x', 1, 'x')", id="a checkpoint of nothing"),
        pytest.param("update incident_ledger set incident_id = incident_id + 1", id="another incident"),
        pytest.param(
            "update incident_ledger set pruned_at = now(), pruned_by = 'x', last_seq = 1, last_hash = 'forged'",
            id="a head that is not the incident's",
        ),
        pytest.param(
            "update incident_ledger l set pruned_at = now(), pruned_by = 'x', last_seq = i.last_seq,"
            " last_hash = i.last_hash from incidents i where i.id = l.incident_id",
            id="of an open incident",
        ),
    ],
)
async def test_the_ledger_cannot_be_bent(store: Store, database: str, statement: str) -> None:
    await receive(store)
    with psycopg.connect(database) as connection, pytest.raises(RestrictViolation, match="refused"):
        connection.execute(statement.encode())


async def test_a_database_from_before_the_ledger_is_whole_after_its_migration(
    blank_database: str, tmp_path: Path
) -> None:
    early = tmp_path / "early"
    early.mkdir()
    for path in sorted((data_path("sql") / "migrations").glob("000[1-6]_*.sql")):
        shutil.copy(path, early)
    await migrate(blank_database, migrations=early)
    honest_copies(blank_database, 3)
    assert "0008_prune" in await migrate(blank_database)
    async with Store.open(blank_database) as store:
        assert (await receive(store)).incident_id == 4
        assert await broken(store) == {}
        execute(blank_database, "set session_replication_role = replica; delete from incidents where id = 2")
        assert await broken(store) == {2: (None, Fault.GONE)}
