"""Brakes where they count: in the transaction of an intent, before each request, and among processes at once."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from sre_agent.cluster.port import Traffic
from sre_agent.errors import BadInput
from sre_agent.incident import Origin
from sre_agent.run import Outcome
from sre_agent.store import ActiveRun, Braked, Limits, LostFence, NewAction, Store
from tests.store.store_builders import (
    NOW,
    finish,
    intended,
    new_action,
    new_incident,
    receive,
    replayed,
    rows,
    started,
    step,
)

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
LIMITS = Limits(
    cooldown=30 * MINUTE,
    action_window=24 * HOUR,
    actions_per_day=2,
    writes=5,
    writes_window=10 * MINUTE,
    drain_pause=10 * MINUTE,
    storm=20,
    storm_window=5 * MINUTE,
    actionable=("RB_OOM",),
    open_for=15 * MINUTE,
)


def patch(name: str = "app", namespace: str = "demo") -> NewAction:
    return new_action(target_key=f"Deployment/{namespace}/{name}")


def drain(node: str = "worker-1") -> NewAction:
    return new_action(tool="drain_node", target_key=f"Node//{node}", value=None)


async def run_of(store: Store, **changed: Any) -> ActiveRun:
    """A run of an incident of its own, which is no part of a storm."""
    values = {"dedup_key": uuid4().hex, "runbook_id": "RB_OTHER"}
    return await started(store, new_incident(**{**values, **changed}))


async def wants(store: Store, run: ActiveRun, action: NewAction, at: datetime, **where: Any) -> int:
    return await intended(store, run, action, **{"limits": LIMITS, "now": at, **where})


async def wrote(
    store: Store, action: NewAction, at: datetime, *, took: timedelta | None = SECOND, came: Outcome = Outcome.DONE
) -> ActiveRun:
    """What another run did; under way still where it took None."""
    run = await run_of(store)
    action_id = await intended(store, run, action, now=at)
    if took is not None:
        await store.record_outcome(run, action_id, came, None, [], now=at + took)
    return run


Earlier = list[tuple[NewAction, timedelta, timedelta | None]]
"""What others did: so long ago, in so much time."""

FIVE: Earlier = [(patch(namespace=f"ns-{number}"), number * MINUTE, SECOND) for number in range(1, 6)]

CASES = [
    pytest.param([], patch(), None, None, id="nothing is going on"),
    pytest.param([(patch(), MINUTE, None)], patch(), "target-busy", None, id="another run is at the target"),
    pytest.param([(patch(), 15 * MINUTE, None)], patch(), "cooldown", 15 * MINUTE, id="an old intent holds no more"),
    pytest.param([(patch("web"), MINUTE, None)], patch(), "namespace-busy", None, id="another is in the namespace"),
    pytest.param([(patch("web"), MINUTE, SECOND)], patch(), None, None, id="another was in the namespace"),
    pytest.param([(patch("web", "blog"), MINUTE, None)], patch(), None, None, id="another namespace"),
    pytest.param([(drain("worker-2"), MINUTE, None)], patch(), None, None, id="a drain holds no workload"),
    pytest.param([(drain("worker-2"), MINUTE, None)], drain(), "drain-busy", None, id="another drain"),
    pytest.param([(drain(), MINUTE, None)], drain(), "target-busy", None, id="another drains the node"),
    pytest.param([(patch(), MINUTE, None)], drain(), None, None, id="a workload holds no drain"),
    pytest.param(
        [(drain("worker-2"), 12 * MINUTE, 3 * MINUTE)], drain(), "drain-pause", MINUTE, id="the pause after a drain"
    ),
    pytest.param([(drain("worker-2"), 12 * MINUTE, 2 * MINUTE)], drain(), None, None, id="the pause is over"),
    pytest.param(FIVE[:4], patch(), None, None, id="four writes"),
    pytest.param(FIVE, patch(), "writes", 5 * MINUTE, id="five writes"),
    pytest.param(
        [*FIVE[:4], (patch(namespace="ns-9"), 10 * MINUTE, SECOND)], patch(), None, None, id="the fifth has aged"
    ),
    pytest.param([*FIVE[:4], (drain(), 6 * MINUTE, SECOND)], patch(), "writes", 4 * MINUTE, id="a drain is a write"),
    pytest.param([(patch(), 29 * MINUTE, SECOND)], patch(), "cooldown", MINUTE, id="the same a while ago"),
    pytest.param([(patch(), 30 * MINUTE, SECOND)], patch(), None, None, id="the same long ago"),
    pytest.param(
        [(patch(), 23 * HOUR, SECOND), (patch(), HOUR, SECOND)], patch(), "daily-cap", HOUR, id="twice within a day"
    ),
]


@pytest.mark.parametrize(("earlier", "wanted", "rule", "until"), CASES)
async def test_an_intent_is_committed_where_no_brake_holds_it(
    store: Store, database: str, earlier: Earlier, wanted: NewAction, rule: str | None, until: timedelta | None
) -> None:
    for action, ago, took in sorted(earlier, key=lambda entry: entry[1], reverse=True):
        await wrote(store, action, NOW - ago, took=took)
    run = await run_of(store)
    before = await store.events(run.incident_id)
    if rule is None:
        await wants(store, run, wanted, NOW)
        return
    with pytest.raises(Braked) as braked:
        await wants(store, run, wanted, NOW)
    assert (braked.value.rule, braked.value.retry_at) == (rule, None if until is None else NOW + until)
    assert await store.events(run.incident_id) == before
    assert rows(database, "select count(*) from actions") == [(len(earlier),)]


async def test_what_failed_changed_nothing_and_holds_nothing(store: Store) -> None:
    for number in range(5):
        await wrote(store, patch(namespace=f"ns-{number}"), NOW - MINUTE, came=Outcome.FAILED)
    await wrote(store, patch(), NOW - MINUTE, came=Outcome.FAILED)
    await wants(store, await run_of(store), patch(), NOW)


async def test_a_run_is_not_braked_by_what_it_left_when_it_was_cut_off(store: Store) -> None:
    run = await run_of(store)
    await wants(store, run, drain(), NOW)
    again = await store.start_run(run.id, now=NOW + MINUTE)
    await wants(store, again, drain(), NOW + MINUTE)
    for number in range(4):
        await wants(store, await run_of(store), patch(namespace=f"ns-{number}"), NOW + 2 * MINUTE)
    with pytest.raises(Braked) as braked:
        await wants(store, await run_of(store), patch(), NOW + 2 * MINUTE)
    assert (braked.value.rule, braked.value.retry_at) == ("writes", NOW + 11 * MINUTE)


async def test_scopes_and_clusters_do_not_brake_each_other(store: Store) -> None:
    await wants(store, await run_of(store), patch(), NOW)
    await store.brakes.pause(by="kim", reason=None, until=None, now=NOW)
    replay = await started(store, replayed("a"))
    await wants(store, replay, patch(), NOW, scope="a")
    state = await store.brakes.state(scope="a", cluster="prod", limits=LIMITS, now=NOW)
    assert (len(state.writes), state.pauses) == (1, ())
    elsewhere = await store.brakes.state(scope="live", cluster="west", limits=LIMITS, now=NOW)
    assert (len(elsewhere.writes), len(elsewhere.pauses)) == (0, 1)


async def test_of_many_that_judged_at_once_one_writes_to_a_target_and_no_cap_is_passed(database: str) -> None:
    async with Store.open(database, max_size=12) as store:

        async def attempt(run: ActiveRun, action: NewAction) -> str:
            try:
                await wants(store, run, action, NOW)
            except Braked as braked:
                return braked.rule
            return "written"

        for target in ("one", "two", "three"):
            runs = [await run_of(store) for _ in range(12)]
            came = await asyncio.gather(*(attempt(run, patch(target, namespace=target)) for run in runs))
            assert sorted(came) == ["target-busy"] * 11 + ["written"]
        runs = [await run_of(store) for _ in range(12)]
        came = await asyncio.gather(*(attempt(run, patch(namespace=f"ns-{number}")) for number, run in enumerate(runs)))
        assert sorted(came) == ["writes"] * 10 + ["written"] * 2


async def test_guards_and_the_transaction_see_the_same_writes(store: Store) -> None:
    run = await wrote(store, drain("worker-2"), NOW - 12 * MINUTE, took=3 * MINUTE)
    await wrote(store, patch(), NOW - MINUTE, took=None)
    await wrote(store, patch("web", "blog"), NOW - MINUTE, came=Outcome.FAILED)
    state = await store.brakes.state(scope="live", cluster="prod", limits=LIMITS, now=NOW)
    seen = [(write.target_key, write.namespace, write.status, write.open) for write in state.writes]
    assert seen == [("Deployment/demo/app", "demo", "intended", True), ("Node//worker-2", "", "done", False)]
    oldest = state.writes[1]
    assert (oldest.run_id, oldest.intended_at, oldest.finished_at) == (
        run.id,
        NOW - 12 * MINUTE,
        NOW - 9 * MINUTE,
    )


# Storms


async def alerts(store: Store, began: list[timedelta], *, came: datetime = NOW, **changed: Any) -> None:
    for ago in began:
        values = {"dedup_key": uuid4().hex, "starts_at": came - ago}
        await receive(store, new_incident(**{**values, **changed}), now=came)


async def storm_until(store: Store, now: datetime, limits: Limits = LIMITS) -> datetime | None:
    return (await store.brakes.state(scope="live", cluster="prod", limits=limits, now=now)).storm_until


STORMS = [
    pytest.param([SECOND] * 20, {}, None, id="twenty at once are none"),
    pytest.param([SECOND] * 21, {}, NOW + 5 * MINUTE, id="twenty-one at once"),
    pytest.param([number * 14 * SECOND for number in range(21)], {}, NOW + 5 * MINUTE, id="just within the window"),
    pytest.param([number * 15 * SECOND for number in range(21)], {}, None, id="just not within the window"),
    pytest.param([number * HOUR for number in range(40)], {}, None, id="old alerts, told all at once"),
    pytest.param([SECOND] * 21, {"runbook_id": "RB_UNKNOWN"}, None, id="nothing could be done about them"),
    pytest.param([SECOND] * 21, {"cluster": "west"}, None, id="of another cluster"),
    pytest.param([SECOND] * 21, {"origin": Origin.REPLAY, "scope": "a"}, None, id="of a replay"),
]


@pytest.mark.parametrize(("began", "changed", "until"), STORMS)
async def test_a_storm_is_many_new_incidents_that_began_together(
    store: Store, began: list[timedelta], changed: dict[str, Any], until: datetime | None
) -> None:
    await alerts(store, began, **changed)
    assert await storm_until(store, NOW) == until


async def test_alerts_without_a_start_began_when_they_came(store: Store) -> None:
    await alerts(store, [SECOND] * 21, starts_at=None)
    assert await storm_until(store, NOW) == NOW + 5 * MINUTE


async def test_a_storm_is_over_after_a_calm_and_a_second_one_begins_it_anew(store: Store) -> None:
    await alerts(store, [SECOND] * 21)
    assert await storm_until(store, NOW + 5 * MINUTE - SECOND) == NOW + 5 * MINUTE
    await alerts(store, [SECOND], came=NOW + 2 * MINUTE)
    assert await storm_until(store, NOW + 6 * MINUTE) == NOW + 7 * MINUTE
    assert await storm_until(store, NOW + 7 * MINUTE) is None
    await alerts(store, [SECOND] * 21, came=NOW + 8 * MINUTE)
    assert await storm_until(store, NOW + 8 * MINUTE) == NOW + 13 * MINUTE


async def test_a_storm_holds_an_intent_back(store: Store) -> None:
    run = await run_of(store)
    await alerts(store, [SECOND] * 21)
    with pytest.raises(Braked) as braked:
        await wants(store, run, patch(), NOW + MINUTE)
    assert (braked.value.rule, braked.value.retry_at) == ("storm", NOW + 5 * MINUTE)
    await wants(store, run, patch(), NOW + 5 * MINUTE)


# Pauses, and the leave to send


async def test_a_pause_holds_intents_and_requests_until_its_end(store: Store) -> None:
    run = await run_of(store)
    action_id = await wants(store, run, patch(), NOW)
    await store.brakes.pause(by="kim", reason="token: hunter2-Secret", until=NOW + HOUR, now=NOW)
    for moment in (NOW + SECOND, NOW + HOUR - SECOND):
        with pytest.raises(Braked, match="paused before it was sent") as held:
            await leave(store, run, action_id, moment, within=2 * HOUR)
        with pytest.raises(Braked) as braked:
            await wants(store, await run_of(store), patch("web", "blog"), moment)
        assert {(error.value.rule, error.value.retry_at) for error in (held, braked)} == {("pause", NOW + HOUR)}
    await leave(store, run, action_id, NOW + HOUR, within=2 * HOUR)


async def leave(
    store: Store, run: ActiveRun, action_id: int, now: datetime, *, within: timedelta = 15 * SECOND, scope: str = "live"
) -> None:
    await store.brakes.require_leave(run, action_id, scope=scope, within=within, now=now)


async def test_pauses_add_up_and_one_resume_ends_all(store: Store) -> None:
    await store.brakes.pause(by="kim", reason="upgrade", until=NOW + HOUR, now=NOW)
    await store.brakes.pause(by="sam", reason=None, until=None, now=NOW + SECOND)
    state = await store.brakes.state(scope="live", cluster="prod", limits=LIMITS, now=NOW + MINUTE)
    assert [(entry.by, entry.reason, entry.until) for entry in state.pauses] == [
        ("kim", "upgrade", NOW + HOUR),
        ("sam", None, None),
    ]
    assert list(state.pauses) == await store.brakes.resume(by="kim", now=NOW + MINUTE)
    assert await store.brakes.resume(by="kim", now=NOW + MINUTE) == []
    assert (await store.brakes.state(scope="live", cluster="prod", limits=LIMITS, now=NOW + MINUTE)).pauses == ()


async def test_a_pause_that_is_over_already_is_refused(store: Store) -> None:
    with pytest.raises(BadInput, match="would be over already"):
        await store.brakes.pause(by="kim", reason=None, until=NOW, now=NOW)


async def test_secrets_in_a_reason_are_not_kept(store: Store, database: str) -> None:
    await store.brakes.pause(by="kim", reason="password=hunter2-Secret", until=None, now=NOW)
    assert "hunter2" not in str(rows(database, "select * from pauses"))


async def test_a_run_that_was_taken_over_gets_no_leave(store: Store) -> None:
    run = await run_of(store)
    action_id = await wants(store, run, patch(), NOW)
    await leave(store, run, action_id, NOW)
    await store.start_run(run.id, now=NOW)
    with pytest.raises(LostFence):
        await leave(store, run, action_id, NOW)


async def test_a_run_that_has_ended_gets_no_leave(store: Store) -> None:
    run = await run_of(store)
    action_id = await wants(store, run, patch(), NOW)
    await finish(store, run)
    with pytest.raises(LostFence):
        await leave(store, run, action_id, NOW)


async def test_a_write_that_is_late_is_not_sent(store: Store) -> None:
    run = await run_of(store)
    action_id = await wants(store, run, patch(), NOW)
    await leave(store, run, action_id, NOW + 14 * SECOND)
    with pytest.raises(Braked, match="could not be sent in time"):
        await leave(store, run, action_id, NOW + 15 * SECOND)


async def test_an_intent_with_an_outcome_gets_no_leave(store: Store) -> None:
    run = await run_of(store)
    action_id = await wants(store, run, patch(), NOW)
    await store.record_outcome(run, action_id, Outcome.UNKNOWN, None, [], now=NOW)
    with pytest.raises(Braked):
        await leave(store, run, action_id, NOW)


@pytest.mark.parametrize("word", ["resolve", "suppress"])
async def test_what_a_person_closed_or_muted_while_a_run_was_at_work_is_not_sent(store: Store, word: str) -> None:
    run = await run_of(store)
    action_id = await wants(store, run, patch(), NOW)
    await leave(store, run, action_id, NOW)
    await getattr(store.book, word)(run.incident_id, by="kim", reason=None, now=NOW)
    with pytest.raises(Braked, match="before it was sent") as met:
        await leave(store, run, action_id, NOW)
    assert met.value.rule == "resolved"


async def test_a_pause_does_not_hold_a_replay(store: Store) -> None:
    replay = await started(store, replayed("a"))
    action_id = await wants(store, replay, patch(), NOW, scope="a")
    await store.brakes.pause(by="kim", reason=None, until=None, now=NOW)
    await leave(store, replay, action_id, NOW, scope="a")


async def test_what_a_pause_put_off_is_due_when_it_ends(store: Store, database: str) -> None:
    held, other = await run_of(store), await run_of(store)
    refused = step("patch")
    judgements = [{"rule": "pause"}, {"rule": "storm"}]
    paused = type(refused)(payload=refused.payload.model_copy(update={"judgements": judgements}))
    await finish(store, held, retry_at=NOW + HOUR, events=[paused])
    await finish(store, other, retry_at=NOW + HOUR, events=[step("patch")])
    assert await store.brakes.resume(by="kim", now=NOW + MINUTE) == []
    await store.brakes.pause(by="kim", reason=None, until=None, now=NOW)
    await store.brakes.resume(by="kim", now=NOW + MINUTE)
    due = f"select id = '{held.id}', retry_at from runs order by id = '{held.id}'"
    assert rows(database, due) == [(False, NOW + HOUR), (True, NOW + MINUTE)]


# What is told once, and the API server


async def test_the_first_run_tells_of_a_brake_until_it_was_calm(store: Store) -> None:
    first, second, third = [await run_of(store) for _ in range(3)]

    async def told_by(run: ActiveRun, at: datetime, rule: str = "storm") -> int | None:
        return await store.brakes.tell(rule, run, scope="live", cluster="prod", calm=15 * MINUTE, now=at)

    assert await told_by(first, NOW) is None
    assert await told_by(first, NOW) is None
    assert await told_by(second, NOW + 14 * MINUTE) == first.incident_id
    assert await told_by(second, NOW + 14 * MINUTE, rule="writes") is None
    assert await told_by(third, NOW + 28 * MINUTE) == first.incident_id
    assert await told_by(third, NOW + 44 * MINUTE) is None
    assert await told_by(first, NOW + 45 * MINUTE) == third.incident_id
    episodes = {entry.rule: entry for entry in await store.brakes.episodes(cluster="prod")}
    assert (episodes["storm"].incident_id, episodes["storm"].began_at, episodes["storm"].seen_at) == (
        third.incident_id,
        NOW + 44 * MINUTE,
        NOW + 45 * MINUTE,
    )


async def test_of_many_runs_that_meet_a_brake_at_once_one_tells(database: str) -> None:
    async with Store.open(database, max_size=12) as store:
        runs = [await run_of(store) for _ in range(12)]
        came = await asyncio.gather(
            *(store.brakes.tell("storm", run, scope="live", cluster="prod", calm=15 * MINUTE, now=NOW) for run in runs)
        )
    assert came.count(None) == 1
    assert set(came) == {None, runs[came.index(None)].incident_id}


async def test_the_traffic_of_all_processes_counts_together_while_it_is_fresh(store: Store) -> None:
    one, two, elsewhere = uuid4(), uuid4(), uuid4()

    async def report(source: Any, requests: int, errors: int, at: datetime, cluster: str = "prod") -> None:
        traffic = Traffic(requests=requests, errors=errors, source=source)
        await store.brakes.report_traffic(traffic, cluster=cluster, now=at)

    async def seen(at: datetime, scope: str = "live") -> tuple[int, int]:
        state = await store.brakes.state(scope=scope, cluster="prod", limits=LIMITS, now=at)
        return state.traffic.requests, state.traffic.errors

    await report(one, 100, 90, NOW)
    await report(one, 110, 10, NOW + MINUTE)
    await report(two, 40, 5, NOW + 3 * MINUTE)
    await report(elsewhere, 7, 7, NOW + 3 * MINUTE, cluster="west")
    assert await seen(NOW + 3 * MINUTE) == (150, 15)
    assert await seen(NOW + 6 * MINUTE) == (40, 5)
    assert await seen(NOW + 3 * MINUTE, scope="a") == (0, 0)
    await report(two, 1, 0, NOW + 3 * HOUR)
    assert await seen(NOW) == (1, 0)


async def test_the_work_under_way_is_that_of_live_runs(store: Store) -> None:
    empty = await store.brakes.work()
    assert (empty.queued, empty.running, empty.oldest_queued_at, empty.last_alert_at) == (0, 0, None, None)
    await run_of(store)
    await alerts(store, [SECOND, MINUTE], came=NOW + HOUR)
    await started(store, replayed("a"))
    found = await store.brakes.work()
    assert (found.queued, found.running) == (2, 1)
    assert (found.oldest_queued_at, found.oldest_started_at, found.last_alert_at) == (NOW + HOUR, NOW, NOW + HOUR)
