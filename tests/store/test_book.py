"""The list by cursor, offset and filters; unknown ids; what a person decides about an incident."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sre_agent.errors import BadInput
from sre_agent.incident import IncidentStatus, Origin
from sre_agent.run import Outcome
from sre_agent.store import Disposition, Store
from sre_agent.store.book import MOST, IncidentFilters, StateForbids, UnknownIncident
from tests.store.store_builders import (
    NOW,
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

EVERYTHING = IncidentFilters()


async def opened(store: Store, name: str, *, minute: int = 0, **changed: Any) -> int:
    """An incident of its own, last updated so many minutes after NOW."""
    new = new_incident(**{"dedup_key": name, "pod": name, **changed})
    return (await receive(store, new, now=NOW + timedelta(minutes=minute))).incident_id


async def ids(store: Store, filters: IncidentFilters = EVERYTHING, **place: Any) -> list[int]:
    return [incident.id for incident in (await store.book.page(filters, **place)).incidents]


async def test_the_list_is_newest_update_first_and_by_id_among_equals(store: Store) -> None:
    first, second = await opened(store, "a", minute=2), await opened(store, "b", minute=1)
    third, fourth = await opened(store, "c", minute=1), await opened(store, "d", minute=3)
    assert await ids(store) == [fourth, first, third, second]


async def test_what_went_on_lately_is_counted_and_the_newest_changes_are_named(store: Store) -> None:
    """Live incidents opened since then, what came of them, and this cluster's changes, an uncertain one as such."""
    taken, recommended, failed = [await started(store, new_incident(dedup_key=name)) for name in ("t", "r", "f")]
    await opened(store, "before", minute=-60)
    await receive(store, replayed("replay:x", dedup_key="x"))
    made = {}
    for minute, came in enumerate((Outcome.DONE, Outcome.FAILED, Outcome.UNKNOWN, Outcome.DONE), start=1):
        at = NOW + timedelta(minutes=minute)
        action = new_action(action=f"patch_memory_limit:demo/app/app:{came}", target_key=f"Deployment/demo/{minute}")
        made[minute] = await intended(store, taken, action, now=at)
        await store.record_outcome(taken, made[minute], came, None, [outcome(made[minute], came)], now=at)
    await finish(store, taken, action_taken="patched")
    await finish(store, recommended, action_recommended="patch it")
    await finish(store, failed, action_error="did not answer", action_recommended="patch it")
    found = await store.book.lately(cluster="prod", since=NOW - timedelta(minutes=1), most=2)
    assert (found.incidents, found.recommended, found.failed, found.changes) == (3, 1, 1, 3)
    assert [(change.incident_id, change.at, change.known) for change in found.newest] == [
        (taken.incident_id, NOW + timedelta(minutes=4), True),
        (taken.incident_id, NOW + timedelta(minutes=3), False),
    ]
    assert found.open == 4  # that of before, too; no replay
    await store.book.resolve(taken.incident_id, by="a person", reason=None, now=NOW)
    assert (await store.book.lately(cluster="prod", since=NOW)).open == 3
    later = await store.book.lately(cluster="prod", since=NOW + timedelta(minutes=5))
    assert (later.incidents, later.changes, later.newest) == (0, 0, ())
    assert (await store.book.lately(cluster="other", since=NOW)).changes == 0


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8, MOST])
async def test_cursors_lead_through_the_whole_list_once(store: Store, limit: int) -> None:
    expected = [await opened(store, f"p{n}", minute=n // 3) for n in range(7)][::-1]
    seen: list[int] = []
    cursor: str | None = None
    pages = 0
    while cursor is not None or pages == 0:
        page = await store.book.page(EVERYTHING, limit=limit, cursor=cursor)
        seen += [incident.id for incident in page.incidents]
        cursor, pages = page.next_cursor, pages + 1
    assert seen == expected
    assert pages == -(-7 // limit)
    assert await ids(store, limit=limit, offset=3) == expected[3 : 3 + limit]


async def test_a_cursor_stays_where_it_is_when_new_incidents_come(store: Store) -> None:
    older, newer = await opened(store, "a"), await opened(store, "b", minute=1)
    page = await store.book.page(EVERYTHING, limit=1)
    await opened(store, "c", minute=2)
    assert [incident.id for incident in page.incidents] == [newer]
    assert await ids(store, cursor=page.next_cursor) == [older]


async def test_an_incident_that_changes_between_pages_moves_to_the_top_and_no_other_is_lost_or_repeated(
    store: Store,
) -> None:
    known = [await opened(store, f"p{n}", minute=n) for n in range(6)][::-1]
    page = await store.book.page(EVERYTHING, limit=2)
    for moved in (known[1], known[4]):  # one that was seen, one that was not yet
        await store.book.suppress(moved, by="ada", reason=None, now=NOW + timedelta(hours=1))
    assert [incident.id for incident in page.incidents] == known[:2]
    assert await ids(store, cursor=page.next_cursor) == [known[2], known[3], known[5]]
    assert set(await ids(store, limit=2)) == {known[1], known[4]}


@pytest.mark.parametrize("year", [1, 1969, 1970, 2026, 9999])
async def test_a_replays_clock_of_any_year_makes_a_cursor_that_leads_on(store: Store, year: int) -> None:
    then = datetime(year, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    first, second = [(await receive(store, new_incident(dedup_key=key), now=then)).incident_id for key in ("a", "b")]
    page = await store.book.page(EVERYTHING, limit=1)
    assert [incident.id for incident in page.incidents] == [second]
    assert await ids(store, cursor=page.next_cursor) == [first]


@pytest.mark.parametrize(
    ("place", "said"),
    [
        pytest.param({"limit": 0}, "1 to 200", id="no limit"),
        pytest.param({"limit": 201}, "1 to 200", id="a limit too large"),
        pytest.param({"offset": -1}, "0 or more", id="a negative offset"),
        pytest.param({"cursor": "yesterday"}, "next_cursor", id="no cursor"),
        pytest.param({"cursor": "1-2-3"}, "next_cursor", id="nearly a cursor"),
        pytest.param({"cursor": "9" * 18 + "-1"}, "next_cursor", id="a cursor out of time"),
        pytest.param({"cursor": "-" + "9" * 18 + "-1"}, "next_cursor", id="a cursor before time"),
        pytest.param({"cursor": "1-" + "9" * 19}, "next_cursor", id="a cursor behind an id that no database has"),
        pytest.param({"cursor": " 1-1"}, "next_cursor", id="a cursor with a space"),
        pytest.param({"cursor": ""}, "next_cursor", id="an empty cursor"),
    ],
)
async def test_a_bad_place_is_refused_with_what_is_allowed(store: Store, place: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        await store.book.page(EVERYTHING, **place)


FILTERS = [
    pytest.param({"origin": Origin.REPLAY}, {"replay"}, id="origin"),
    pytest.param({"status": IncidentStatus.RESOLVED}, {"closed"}, id="status"),
    pytest.param({"alertname": "KubeNodeNotReady"}, {"node"}, id="alert"),
    pytest.param({"namespace": "shop"}, {"shop", "closed"}, id="namespace"),
    pytest.param({"node": "worker-3"}, {"node"}, id="node"),
    pytest.param({"severity": "critical"}, {"node"}, id="severity"),
    pytest.param({"runbook_id": "RB_NODE_NOTREADY"}, {"node"}, id="runbook"),
    pytest.param({"since": NOW + timedelta(minutes=3)}, {"closed", "replay", "long"}, id="since"),
    pytest.param({"namespace": "shop", "status": IncidentStatus.OPEN}, {"shop"}, id="two at once"),
    pytest.param({"namespace": "n" * 600}, {"long"}, id="a name that is kept shortened"),
    pytest.param({"severity": "password=hunter2secret"}, {"long"}, id="a name that is kept without its secret"),
    pytest.param({"alertname": "kubenodenotready"}, set(), id="names are exact"),
    pytest.param({"alertname": "' or true --"}, set(), id="no way into the statement"),
    pytest.param({"text": "OOMKilled"}, {"shop", "closed", "replay", "long"}, id="text from a capital on"),
    pytest.param({"text": "kubepodoom"}, {"shop", "closed", "replay", "long"}, id="text from the beginning on"),
    pytest.param({"text": "checkout-6f7c"}, {"shop"}, id="the beginning of a pod"),
    pytest.param({"text": "shop Deployment/check"}, {"shop"}, id="two words, both of them"),
    pytest.param({"text": "worker-3"}, {"node"}, id="a node"),
    pytest.param({"text": "shop & !x:* '"}, {"shop"}, id="words with the signs of a query"),
    pytest.param({"text": "worker\0"}, set(), id="a sign that the database refuses"),
]


@pytest.mark.parametrize(("filters", "expected"), FILTERS)
async def test_filters_leave_what_fits(store: Store, filters: dict[str, Any], expected: set[str]) -> None:
    named = {
        "shop": await opened(store, "checkout-6f7c9-x", namespace="shop", workload="Deployment/checkout"),
        "node": await opened(
            store,
            "nodes",
            minute=1,
            alertname="KubeNodeNotReady",
            namespace=None,
            pod=None,
            node="worker-3",
            severity="critical",
            runbook_id="RB_NODE_NOTREADY",
        ),
        "closed": await opened(store, "closed", minute=3, namespace="shop"),
        "replay": (await receive(store, replayed("one"), now=NOW + timedelta(minutes=4))).incident_id,
        "long": await opened(store, "long", minute=5, namespace="n" * 600, severity="password=hunter2secret"),
    }
    await store.book.resolve(named["closed"], by="ada", reason=None, now=NOW)
    assert set(await ids(store, IncidentFilters(**filters))) == {named[name] for name in expected}


async def test_what_was_done_is_found_by_its_words(store: Store) -> None:
    run = await started(store)
    await finish(store, run, summary="RB_OOM: done patch_memory_limit:demo/app/app:256Mi→512Mi " + "é" * 9000)
    assert await ids(store, IncidentFilters(text="512Mi")) == []
    assert await ids(store, IncidentFilters(text="256mi patch")) == [run.incident_id]


@pytest.mark.parametrize("text", ["", "  ", "-/:", "'", "x" * 201])
def test_a_text_without_a_word_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="at least one of them a letter or digit"):
        IncidentFilters(text=text)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    alertname=st.text(max_size=60),
    pod=st.text(max_size=60),
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
)
async def test_any_name_can_be_kept_and_any_text_searched(store: Store, alertname: str, pod: str, text: str) -> None:
    await receive(store, new_incident(alertname=alertname, pod=pod, dedup_key=f"{alertname}{pod}"))
    try:
        filters = IncidentFilters(text=text)
    except BadInput:
        return
    await store.book.page(filters)


async def test_an_unknown_id_is_told_with_the_nearest(store: Store) -> None:
    with pytest.raises(UnknownIncident, match="no incident 7: none is stored yet"):
        await store.book.find(7)
    known = [await opened(store, f"p{n}") for n in range(3)]
    assert await store.book.nearest_ids(known[1]) == [known[0], known[2]]
    with pytest.raises(UnknownIncident, match=f"no incident 99: the nearest are {known[1]}, {known[2]}"):
        await store.book.find(99)
    assert (await store.book.find(known[0])).pod == "p0"


async def test_an_incident_that_was_pruned_is_told_so(store: Store) -> None:
    incident_id = await opened(store, "a")
    await store.book.resolve(incident_id, by="ada", reason=None, now=NOW)
    await store.audit.prune(NOW + timedelta(days=1), now=NOW + timedelta(days=2))
    with pytest.raises(UnknownIncident, match=r"was removed by `sre-agent db prune` at 2026-11-25"):
        await store.book.find(incident_id)


async def test_what_a_person_resolved_stays_resolved_for_the_same_firing(store: Store, database: str) -> None:
    incident_id = await opened(store, "a")
    decision = await store.book.resolve(incident_id, by="ada", reason="fixed the leak", now=NOW + timedelta(minutes=1))
    assert decision.changed
    assert decision.incident.status is IncidentStatus.RESOLVED
    assert decision.incident.resolved_at == NOW + timedelta(minutes=1)
    assert (await store.events(incident_id))[-1].payload == {
        "by": "person",
        "reason": "resolved by ada: fixed the leak",
    }
    assert rows(database, "select status, finished_at is not null from runs") == [("cancelled", True)]
    again = await receive(store, new_incident(dedup_key="a", pod="a"), now=NOW + timedelta(hours=1))
    assert (again.incident_id, again.disposition) == (incident_id, Disposition.CLOSED_BY_PERSON)
    later = new_incident(dedup_key="a", pod="a", starts_at=NOW + timedelta(hours=2))
    assert (await receive(store, later, now=NOW + timedelta(hours=2))).disposition is Disposition.OPENED


async def test_resolving_twice_changes_nothing(store: Store) -> None:
    incident_id = await opened(store, "a")
    await store.book.resolve(incident_id, by="ada", reason=None, now=NOW)
    events = await types_of(store, incident_id)
    again = await store.book.resolve(incident_id, by="bob", reason=None, now=NOW + timedelta(hours=1))
    assert not again.changed
    assert again.incident.resolved_at == NOW
    assert await types_of(store, incident_id) == events


async def test_a_suppressed_incident_has_no_runs_until_it_is_resolved(store: Store, database: str) -> None:
    incident_id = await opened(store, "a")
    decision = await store.book.suppress(incident_id, by="ada", reason="known", now=NOW)
    assert decision.changed
    assert decision.incident.status is IncidentStatus.SUPPRESSED
    assert (await store.events(incident_id))[-1].payload == {
        "reason": "muted by ada: known",
        "fingerprint": "d4f0a1b2c3e4f506",
    }
    assert rows(database, "select status from runs") == [("cancelled",)]
    again = await receive(store, new_incident(dedup_key="a", pod="a"), now=NOW + timedelta(hours=1))
    assert again.disposition is Disposition.MUTED
    assert not (await store.book.suppress(incident_id, by="ada", reason=None, now=NOW)).changed
    assert (await store.book.resolve(incident_id, by="ada", reason=None, now=NOW)).changed
    with pytest.raises(StateForbids, match="is resolved: only an open one can be suppressed"):
        await store.book.suppress(incident_id, by="ada", reason=None, now=NOW)
    assert await store.audit.verify() == []


async def test_a_run_at_work_is_left_to_itself(store: Store, database: str) -> None:
    run = await started(store)
    await store.book.resolve(run.incident_id, by="ada", reason=None, now=NOW)
    assert rows(database, "select status from runs") == [("running",)]
    await finish(store, run)
    incident = await store.incident(run.incident_id)
    assert incident is not None
    assert incident.status is IncidentStatus.RESOLVED


@pytest.mark.parametrize("decide", ["resolve", "suppress"])
async def test_deciding_about_nothing_is_refused(store: Store, decide: str) -> None:
    with pytest.raises(UnknownIncident):
        await getattr(store.book, decide)(4, by="ada", reason=None, now=NOW)


async def test_a_secret_in_a_reason_is_not_kept(store: Store) -> None:
    incident_id = await opened(store, "a")
    await store.book.resolve(incident_id, by="ada", reason="password=hunter2secret", now=NOW)
    assert "hunter2" not in str((await store.events(incident_id))[-1].payload)


async def test_each_filter_has_an_index_in_the_order_of_the_list(store: Store, database: str) -> None:
    wanted = {"origin", "status", "alertname", "namespace", "node", "runbook_id", "severity"}
    with psycopg.connect(database) as connection:
        defined = connection.execute("select indexdef from pg_indexes where tablename = 'incidents'").fetchall()
    served = {name for name in wanted for (text,) in defined if f"({name}, updated_at DESC, id DESC)" in text}
    assert served == wanted
