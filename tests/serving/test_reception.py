"""Webhook bodies on their way into the store: all of a body or nothing, together with its queued runs."""

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import psycopg
import pytest

from sre_agent.alert import LONGEST_TEXT, Payload
from sre_agent.errors import Unreachable
from sre_agent.incident import Origin
from sre_agent.intake import STILL_FIRING, Sender
from sre_agent.reception import IN_THREAD, Reception
from sre_agent.run import Mode
from sre_agent.runbook import Runbooks
from sre_agent.store import Store
from sre_agent.store.book import IncidentFilters
from tests.chaos.monkey import OwnPostgres
from tests.conftest import copy_of
from tests.serving.serving_builders import RUNBOOKS, SETTINGS, alert, body, node_alert, now, reception
from tests.web.servers import until

ROUNDS = 5
AT_ONCE = 50
MOST_SECONDS = 5.0
"""Half of what Alertmanager gives the whole try at least."""


def ask(database: str, question: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database) as connection:
        return connection.execute(question).fetchall()


async def test_a_body_is_kept_with_its_incidents_its_runs_and_their_jobs(store: Store, database: str) -> None:
    found = await reception(store).accept(body([alert("app-1"), alert("app-2"), alert("app-1")]))
    assert [each.incident_id for each in found] == [1, 2, 1]
    assert [each.run_id is not None for each in found] == [True, True, False]
    runs = ask(database, "select id::text from runs where status = 'queued' order by 1")
    assert ask(database, "select args ->> 'run_id' from jobs.procrastinate_jobs order by 1") == runs
    ((alerts, payload),) = ask(database, "select alerts, payload from webhooks")
    assert (alerts, payload["receiver"], len(payload["alerts"])) == (3, "agent", 3)
    events = ask(database, "select event_type from incident_events where incident_id = 1 order by seq")
    assert [kind for (kind,) in events] == ["webhook_received", "webhook_received", "suppressed"]


async def test_what_is_ignored_or_over_opens_no_incident(store: Store, database: str) -> None:
    watchdog = alert(alertname="Watchdog")
    found = await reception(store).accept(body([watchdog, alert("app-9", status="resolved")]))
    assert [(each.incident_id, each.run_id) for each in found] == [(None, None), (None, None)]
    assert "SRE_AGENT_IGNORE_ALERTS" in found[0].reason
    assert ask(database, "select count(*) from incidents") == [(0,)]
    assert ask(database, "select alerts from webhooks") == [(2,)]


async def test_a_resolved_notification_closes_the_incident_of_a_pod(store: Store) -> None:
    door = reception(store)
    await door.accept(body([alert()]))
    await door.accept(body([alert(status="resolved")]))
    incident = await store.book.find(1)
    assert incident.status == "resolved"


async def test_a_resolved_notification_about_a_node_is_noted_because_nobody_looks_at_the_node_here(
    store: Store,
) -> None:
    door = reception(store)
    await door.accept(body([node_alert()]))
    (found,) = await door.accept(body([node_alert(status="resolved")]))
    assert found.incident_id == 1
    assert (await store.book.find(1)).status == "open"
    assert [event.event_type for event in await store.events(1)] == ["webhook_received", "webhook_received"]


async def test_a_problem_is_over_when_the_last_of_its_alerts_is(store: Store, database: str) -> None:
    door = reception(store)
    one, other = {"prometheus_replica": "a"}, {"prometheus_replica": "b"}
    await door.accept(body([alert(**one), alert(**other)]))
    for mixed in ([(one, "firing"), (other, "resolved")], [(other, "resolved"), (one, "firing")]):
        found = await door.accept(body([alert(status=status, **replica) for replica, status in mixed]))
        assert (await store.book.find(1)).status == "open"
        assert [each.reason for each in found if each.alert.status == "resolved"] == [STILL_FIRING]
    await door.accept(body([alert(status="resolved", **one), alert(status="resolved", **other)]))
    assert (await store.book.find(1)).status == "resolved"
    assert ask(database, "select count(*) from incidents") == [(1,)]


async def test_an_alert_that_does_not_say_when_it_began_opens_again_what_a_person_resolved(store: Store) -> None:
    door, undated = reception(store), alert()
    del undated["startsAt"]
    (first,) = await door.accept(body([undated]))
    assert first.incident_id is not None
    await store.book.resolve(first.incident_id, by="a test", reason=None, now=now())
    (again,) = await door.accept(body([undated]))
    assert (again.opened, again.incident_id) == (True, first.incident_id + 1)


async def test_a_node_is_not_waited_for_while_another_alert_of_its_problem_fires(store: Store, database: str) -> None:
    door = reception(store)
    ending = node_alert(status="resolved")
    ending["labels"]["prometheus_replica"] = "b"
    await door.accept(body([node_alert(), ending]))
    assert ask(database, "select status, over_seq from incidents") == [("open", None)]


@pytest.mark.parametrize(
    ("statuses", "open_at_the_end"),
    [
        pytest.param("a+ b+ a- b-", False, id="both begin and end"),
        pytest.param("a+ a- b-", False, id="one began and both end"),
        pytest.param("a- a+", True, id="one ends and begins anew"),
        pytest.param("a+ a-", False, id="one begins and ends"),
        pytest.param("a- a+ b-", True, id="one begins anew, another ends"),
    ],
)
async def test_what_an_alert_says_last_counts(store: Store, statuses: str, open_at_the_end: bool) -> None:
    words = {"+": "firing", "-": "resolved"}
    said = [alert(prometheus_replica=each[0], status=words[each[1]]) for each in statuses.split()]
    await reception(store).accept(body(said))
    (newest,) = (await store.book.page(IncidentFilters(), limit=1)).incidents
    assert (newest.status == "open") is open_at_the_end


LONG = "x" * (IN_THREAD + 1)


@pytest.mark.parametrize(
    "long",
    [
        pytest.param(body([alert(note=LONG)]), id="a label"),
        pytest.param(body([alert() | {"generatorURL": LONG}]), id="generatorURL"),
        pytest.param(body([alert() | {"fingerprint": LONG}]), id="a fingerprint"),
        pytest.param(body([alert()], receiver=LONG), id="the receiver"),
        pytest.param(body([alert()], externalURL=LONG), id="externalURL"),
        pytest.param(body([alert()], groupKey=LONG), id="the group key"),
        pytest.param(body([alert(), *[{"labels": {"a": 1}}] * 1000]), id="alerts that cannot be read"),
    ],
)
async def test_whatever_makes_a_body_long_nobody_waits_for_it_on_the_event_loop(store: Store, long: Payload) -> None:
    prepared_in: list[threading.Thread] = []

    def runbooks() -> Runbooks:
        prepared_in.append(threading.current_thread())
        return RUNBOOKS

    door = Reception(
        store,
        sender=Sender(origin=Origin.LIVE, scope="live", mode=Mode.RECOMMEND),
        runbooks=runbooks,
        settings=SETTINGS,
        clock=now,
    )
    await door.accept(long)
    assert prepared_in[0] is not threading.current_thread()


def test_no_text_of_an_alert_is_without_end() -> None:
    endless = "x" * (LONGEST_TEXT + 1)
    (found,) = body([alert() | {"generatorURL": endless, "fingerprint": endless}]).alerts
    assert {len(found.generator_url), len(found.fingerprint)} == {LONGEST_TEXT}


@pytest.fixture
async def stores(database: str) -> AsyncIterator[list[Store]]:
    """Three replicas."""
    async with Store.open(database) as one, Store.open(database) as two, Store.open(database) as three:
        yield [one, two, three]


async def test_the_same_body_from_everywhere_at_once_is_one_incident_and_one_run(
    stores: list[Store], database: str
) -> None:
    doors = [reception(store) for store in stores]
    for number in range(1, ROUNDS + 1):
        same = body([alert(f"app-{number}")])
        await asyncio.gather(*(doors[place % len(doors)].accept(same) for place in range(AT_ONCE)))
        assert ask(database, "select count(*), sum(suppressed_count) from incidents") == [
            (number, number * (AT_ONCE - 1))
        ]
        assert ask(database, "select count(*) from runs") == [(number,)]


async def test_bodies_with_the_same_alerts_in_any_order_wait_for_each_other(stores: list[Store], database: str) -> None:
    doors, alerts = [reception(store) for store in stores], [alert(f"app-{number}") for number in range(40)]
    shuffled = [random.Random(seed).sample(alerts, len(alerts)) for seed in range(12)]
    await asyncio.gather(*(doors[seed % 3].accept(body(order)) for seed, order in enumerate(shuffled)))
    assert ask(database, "select count(*), sum(suppressed_count) from incidents") == [(40, 40 * 11)]


async def test_bodies_that_come_during_a_commit_share_the_next_one(store: Store, database: str) -> None:
    door = reception(store)
    await asyncio.gather(*(door.accept(body([alert(f"app-{number}")])) for number in range(30)))
    ((moments, bodies),) = ask(database, "select count(distinct received_at), count(*) from webhooks")
    assert bodies == 30
    assert moments < 10


async def test_what_the_database_refuses_of_one_body_does_not_lose_another(store: Store, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("alter table incidents add check (pod <> 'app-bad')")
    door = reception(store)
    answers = await asyncio.gather(
        *(door.accept(body([alert(pod)])) for pod in ("app-1", "app-2", "app-bad", "app-3")), return_exceptions=True
    )
    assert [isinstance(answer, psycopg.errors.CheckViolation) for answer in answers] == [False, False, True, False]
    assert ask(database, "select count(*) from incidents") == [(3,)]
    assert ask(database, "select count(*) from webhooks") == [(3,)]


async def test_without_its_database_a_body_is_not_taken(database: str) -> None:
    async with Store.open(database) as store:
        door = reception(store)
    with pytest.raises(Unreachable):
        await door.accept(body([alert()]))


async def test_no_secret_of_a_body_is_kept(store: Store, database: str) -> None:
    secret = "hunter2-canary"
    told = alert("app-1", password=secret) | {
        "generatorURL": f"http://u:{secret}@prometheus/graph",
        "annotations": {"summary": f"token={secret}"},
    }
    await reception(store).accept(body([told], externalURL=f"http://u:{secret}@alertmanager"))
    kept = ask(database, "select payload::text from webhooks union all select payload::text from incident_events")
    assert len(kept) == 2
    assert [text for (text,) in kept if secret in text] == []


async def test_more_alerts_than_the_server_has_locks_are_one_body(store: Store, database: str) -> None:
    await reception(store).accept(body([alert(f"app-{number}") for number in range(2_500)]))
    assert ask(database, "select count(*) from runs where status = 'queued'") == [(2_500,)]


async def test_a_prune_removes_the_bodies_that_came_before_and_no_later_ones(store: Store, database: str) -> None:
    door = reception(store)
    await door.accept(body([alert("app-1")]))
    await door.accept(body([alert("app-2")]))
    (between,) = ask(database, "select max(received_at) from webhooks")[0]
    found = await store.audit.prunable(between)
    assert (found.incidents, found.webhooks) == (0, 1)
    assert await store.audit.prune(between, now=between) == found
    ((kept,),) = ask(database, "select payload from webhooks")
    assert [each["labels"]["pod"] for each in kept["alerts"]] == ["app-2"]


@pytest.fixture
def second_database(postgres: str, migrated_template: str) -> Iterator[str]:
    yield from copy_of(postgres, migrated_template)


@pytest.mark.parametrize("seed", range(8))
async def test_alerts_that_share_bodies_come_to_the_same_as_alerts_one_by_one(
    store: Store, database: str, second_database: str, seed: int
) -> None:
    chance = random.Random(seed)
    history = [
        node_alert(status=chance.choice(("firing", "resolved")))
        if chance.random() < 0.1
        else alert(f"app-{chance.randrange(6)}", status=chance.choice(("firing", "firing", "resolved")))
        for _ in range(80)
    ]
    alone, together = [], []
    door = reception(store)
    for each in history:
        alone += await door.accept(body([each]))
    async with Store.open(second_database) as other:
        door, rest = reception(other), history
        while rest:
            taken = chance.randrange(1, 25)
            together += await door.accept(body(rest[:taken]))
            rest = rest[taken:]
    assert [(each.opened, each.run_id is None) for each in together] == [
        (each.opened, each.run_id is None) for each in alone
    ]
    story = (
        "select i.dedup_key, i.status, i.suppressed_count, i.over_seq, array_agg(e.event_type order by e.seq), "
        "row_number() over (partition by i.dedup_key order by i.id) "
        "from incidents i join incident_events e on e.incident_id = i.id group by i.id order by 1, 6"
    )
    assert ask(second_database, story) == ask(database, story)
    counts = "select alertname, incidents from alert_counts order by 1"
    assert ask(second_database, counts) == ask(database, counts)
    runs = "select i.dedup_key, r.status, count(*) from runs r join incidents i on i.id = r.incident_id group by 1, 2"
    assert sorted(ask(second_database, runs)) == sorted(ask(database, runs))
    for each in (database, second_database):
        assert ask(each, "select * from chain_faults") == []


async def test_a_body_that_meets_a_database_that_is_away_is_told_so_while_its_sender_still_waits(
    own_postgres: OwnPostgres, figure: Callable[[str], None]
) -> None:
    async with Store.open(own_postgres.conninfo) as away:
        door = reception(away)
        await own_postgres.stop()
        with pytest.raises(Unreachable):
            await door.accept(body([alert("the first meets a connection that has broken")]))
        began = time.monotonic()
        with pytest.raises(Unreachable):
            await door.accept(body([alert("the next one waits for another")]))
        took = time.monotonic() - began
        figure(f"database away: refused after {took:.1f} s, at most {MOST_SECONDS:.0f} s")
        assert took < MOST_SECONDS


async def test_two_bodies_with_the_same_alert_names_in_another_order_never_wait_crosswise(
    store: Store, database: str
) -> None:
    """What a person had resolved opens one by one, in the order of its body: each is held up at its second alert."""
    names = {"a": "KubePodOOMKilled", "b": "KubePodCrashLooping"}
    bodies = [
        [alert(f"{name}-{number}", alertname=names[name]) for name in order]
        for number, order in enumerate(("ab", "ba"))
    ]
    await reception(store).accept(body(bodies[0] + bodies[1]))
    for incident_id in range(1, 5):
        await store.book.resolve(incident_id, by="ada", reason=None, now=now())
    for each in bodies[0] + bodies[1]:
        each["startsAt"] = "2026-11-28T11:00:00Z"
    second = "select id from incidents where pod in ('b-0', 'a-1') for update"
    here = "datname = current_database() and wait_event_type = 'Lock'"
    async with Store.open(database) as other, await psycopg.AsyncConnection.connect(database) as holding:
        await holding.execute(second)
        doors = [reception(store), reception(other)]
        coming = [asyncio.create_task(door.accept(body(each))) for door, each in zip(doors, bodies, strict=True)]

        async def held_up() -> bool:
            return ask(database, f"select count(*) from pg_stat_activity where {here}") == [(2,)]

        await until(held_up)
        await holding.commit()
        found = [each for answers in await asyncio.gather(*coming) for each in answers]
    assert [each.run_id is not None for each in found] == [True] * 4
    assert ask(database, "select alertname, incidents from alert_counts order by 1") == [
        ("KubePodCrashLooping", 4),
        ("KubePodOOMKilled", 4),
    ]
