"""Replays beside live incidents, beside earlier replays, and beside each other."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from sre_agent.incident import IncidentStatus
from sre_agent.store import Disposition, Store
from tests.store.store_builders import (
    NOW,
    execute,
    finish,
    intended,
    new_action,
    receive,
    received,
    replayed,
    replays_problem,
    rows,
    started,
)


async def status_of(store: Store, incident_id: int) -> IncidentStatus:
    incident = await store.incident(incident_id)
    assert incident is not None
    return incident.status


async def resolve(store: Store, scope: str, *, by: str = "alertmanager") -> int | None:
    """A replay's resolved notification."""
    return await store.resolve(replays_problem(scope), now=NOW, by=by, reason="it came")


async def test_a_replay_neither_joins_nor_closes_a_live_incident(store: Store) -> None:
    live = await receive(store)
    replay = await receive(store, replayed("a"))
    assert replay.disposition is Disposition.OPENED
    assert await status_of(store, live.incident_id) is IncidentStatus.OPEN
    assert (await receive(store)).disposition is Disposition.SUPPRESSED
    assert await status_of(store, replay.incident_id) is IncidentStatus.OPEN


async def test_resolving_in_a_replay_leaves_the_live_incident_open(store: Store) -> None:
    live = await receive(store)
    replay = await receive(store, replayed("a"))
    assert await resolve(store, "a") == replay.incident_id
    assert await status_of(store, live.incident_id) is IncidentStatus.OPEN


async def test_a_replay_closes_what_an_earlier_one_left_open(store: Store) -> None:
    earlier = await receive(store, replayed("a"))
    now = await receive(store, replayed("b"))
    assert now.disposition is Disposition.OPENED
    assert await status_of(store, earlier.incident_id) is IncidentStatus.RESOLVED
    resolved = (await store.events(earlier.incident_id))[-1]
    assert resolved.payload == {"by": "replay", "reason": "another replay of this alert began"}


async def test_parts_of_one_replay_share_their_incident(store: Store) -> None:
    first = await receive(store, replayed("a"))
    second = await receive(store, replayed("a"))
    assert (second.disposition, second.incident_id) == (Disposition.SUPPRESSED, first.incident_id)


async def test_other_problems_and_clusters_of_earlier_replays_stay_open(store: Store) -> None:
    other_key = await receive(store, replayed("a", dedup_key="another"))
    other_cluster = await receive(store, replayed("a", cluster="staging"))
    await receive(store, replayed("b"))
    assert await status_of(store, other_key.incident_id) is IncidentStatus.OPEN
    assert await status_of(store, other_cluster.incident_id) is IncidentStatus.OPEN


async def test_a_run_that_another_replay_works_on_goes_on_to_its_end(store: Store, database: str) -> None:
    run = await started(store, replayed("a"))
    await receive(store, replayed("b"))
    await intended(store, run, scope="a")
    await finish(store, run, action_taken="patched")
    assert rows(database, f"select status from runs where id = '{run.id}'") == [("succeeded",)]
    incident = await store.incident(run.incident_id)
    assert incident is not None
    assert (incident.status, incident.action_taken) == (IncidentStatus.RESOLVED, "patched")


async def test_a_run_that_was_left_behind_is_cancelled(store: Store, database: str) -> None:
    run = await started(store, replayed("a"))
    execute(database, "update runs set touched_at = clock_timestamp() - interval '6 minutes'")
    await receive(store, replayed("b"))
    assert rows(database, f"select status, finished_at from runs where id = '{run.id}'") == [("cancelled", NOW)]


@pytest.mark.parametrize("minutes", [pytest.param(0, id="at once"), pytest.param(120, id="after the cool-down")])
async def test_a_replay_whose_incident_another_one_closed_goes_on_as_if_it_were_open(
    store: Store, database: str, minutes: int
) -> None:
    run = await started(store, replayed("a"))
    other = await receive(store, replayed("b"))
    later = NOW + timedelta(minutes=minutes)
    assert (await receive(store, replayed("a"), now=later)).disposition is Disposition.SUPPRESSED
    await finish(store, run, now=NOW)
    again = await receive(store, replayed("a"), now=later)
    assert again.disposition is (Disposition.REQUEUED if minutes else Disposition.JOINED)
    assert again.incident_id == run.incident_id
    assert await status_of(store, run.incident_id) is IncidentStatus.RESOLVED
    assert await status_of(store, other.incident_id) is IncidentStatus.OPEN
    assert rows(database, "select count(*) from incidents") == [(2,)]


async def test_a_replay_resolves_its_own_incident_also_when_another_one_closed_it(store: Store) -> None:
    mine = await receive(store, replayed("a"))
    other = await receive(store, replayed("b"))
    assert await resolve(store, "a") == mine.incident_id
    assert await resolve(store, "a") is None
    assert (await receive(store, replayed("a"))).disposition is Disposition.OPENED
    assert await resolve(store, "b") == other.incident_id


async def test_a_resolved_notification_closes_what_earlier_replays_left_and_does_not_say_so(store: Store) -> None:
    earlier = await receive(store, replayed("a"))
    assert await resolve(store, "b") is None
    assert await status_of(store, earlier.incident_id) is IncidentStatus.RESOLVED
    assert (await store.events(earlier.incident_id))[-1].payload["by"] == "replay"


async def test_a_note_of_a_replay_reaches_its_own_incident_only(store: Store) -> None:
    mine = await receive(store, replayed("a"))
    assert await store.note(replays_problem("b"), received(), now=NOW) is None
    await receive(store, replayed("b"))
    assert await store.note(replays_problem("a"), received(), now=NOW) == mine.incident_id


async def test_a_run_is_cancelled_also_when_its_incident_was_closed_meanwhile(store: Store, database: str) -> None:
    run = await started(store, replayed("killed"))
    await receive(store, replayed("soon after"))
    assert rows(database, f"select status from runs where id = '{run.id}'") == [("running",)]
    execute(database, "update runs set touched_at = clock_timestamp() - interval '6 minutes'")
    await receive(store, replayed("much later"))
    assert rows(database, f"select status, finished_at from runs where id = '{run.id}'") == [("cancelled", NOW)]


async def test_a_left_run_of_another_problem_is_not_touched(store: Store, database: str) -> None:
    run = await started(store, replayed("a", dedup_key="another"))
    execute(database, "update runs set touched_at = clock_timestamp() - interval '6 minutes'")
    await receive(store, replayed("b"))
    assert rows(database, f"select status from runs where id = '{run.id}'") == [("running",)]


async def test_a_person_s_word_on_an_earlier_replay_does_not_bind_the_next(store: Store) -> None:
    await receive(store, replayed("a"))
    await resolve(store, "a", by="person")
    assert (await receive(store, replayed("b"))).disposition is Disposition.OPENED
    await resolve(store, "b", by="person")
    assert (await receive(store, replayed("b"))).disposition is Disposition.CLOSED_BY_PERSON


async def test_replays_of_one_payload_at_once_do_not_notice_each_other(database: str) -> None:
    async with Store.open(database, max_size=8) as store:

        async def replay() -> list[tuple[Disposition, bool]]:
            scope, seen = str(uuid4()), []
            for key in ("first", "second", "third"):
                run = await started(store, replayed(scope, dedup_key=key))
                repeat = await receive(store, replayed(scope, dedup_key=key))
                await intended(store, run, new_action(target_key=f"Deployment/{key}/app"), scope=scope)
                await finish(store, run)
                closed = await store.resolve(
                    replays_problem(scope, dedup_key=key), now=NOW, by="alertmanager", reason="it came"
                )
                seen.append((repeat.disposition, run.incident_id == repeat.incident_id == closed))
            return seen

        seen = await asyncio.gather(*(replay() for _ in range(8)))
    assert seen == [[(Disposition.SUPPRESSED, True)] * 3] * 8
    assert rows(database, "select status, count(*) from runs group by status") == [("succeeded", 24)]
    assert rows(database, "select resolved_by, count(*) from incidents group by 1") == [("alertmanager", 24)]


async def test_cool_downs_see_their_own_scope_and_cluster_only(store: Store) -> None:
    live = await started(store)
    replay = await started(store, replayed("a"))
    await intended(store, live)
    mine = await intended(store, replay, scope="a")
    seen = await store.past_actions(
        scope="a", cluster="prod", target_key="Deployment/demo/app", since=NOW - timedelta(days=1)
    )
    assert [action.id for action in seen] == [mine]
    assert await store.past_actions(scope="a", cluster="other", target_key="Deployment/demo/app", since=NOW) == []
