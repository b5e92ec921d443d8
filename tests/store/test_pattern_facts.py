"""Histories that tempt a careless count: several pods at once, cut-off actions, other containers, other replays."""

from datetime import timedelta
from typing import Any

import pytest

from sre_agent.incident import Incident, Origin
from sre_agent.run import Outcome
from sre_agent.store import Store
from sre_agent.store.history_rows import PatternFacts, Surroundings
from tests.store.store_builders import NOW, finish, intended, new_action, new_incident, outcome, receive

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
LATER = NOW + timedelta(days=30)
FIELD = "patch_memory_limit:demo/app/app"


async def happened(
    store: Store,
    *,
    hours: float,
    until: float | None = 0.25,
    done: str | None = None,
    tool: str = "increase_memory_limit",
    said: Outcome = Outcome.DONE,
    found: str | None = None,
    field: str = FIELD,
    deployed: float | None = None,
    workload: str | None = "Deployment/app",
    node: str | None = "worker-1",
    **changed: Any,
) -> Incident:
    """An incident that begins `hours` after NOW, is acted upon a minute later, and ends `until` hours after that."""
    at = NOW + hours * HOUR
    new = new_incident(**{"dedup_key": f"key-{hours}", "pod": f"app-{hours}", "starts_at": at, **changed})
    receipt = await receive(store, new, now=at)
    assert receipt.run_id is not None
    run = await store.start_run(receipt.run_id, now=at)
    if done is not None:
        where = {"scope": new.problem.scope, "cluster": new.problem.cluster, "now": at + MINUTE}
        value = done.partition("→")[2] or done
        action = new_action(tool=tool, action=f"{field}:{done}", value=value)
        number = await intended(store, run, action, **where)
        ended = [outcome(number, said.value)]
        await store.record_outcome(run, number, said, None, ended, now=at + MINUTE)
    seen = Surroundings(
        node=node,
        template_changed_at=None if deployed is None else NOW + deployed * HOUR,
        found_field=field if found else None,
        found_value=found,
        found_at=at if found else None,
    )
    await finish(store, run, workload=workload, now=at + MINUTE)
    await store.history.note(receipt.incident_id, seen)
    if until is not None:
        await store.resolve(new.problem, now=at + until * HOUR, by="alertmanager", reason="over")
    return await store.book.find(receipt.incident_id)


async def known(store: Store, own: Incident) -> PatternFacts:
    return await store.history.facts(own, as_of=LATER)


async def test_pods_that_fail_at_once_are_neither_a_flapping_alert_nor_a_node_again_and_again(store: Store) -> None:
    for number in range(3):
        await happened(store, hours=number / 100, until=2)
    own = await happened(store, hours=1, until=2)
    facts = await known(store, own)
    assert (facts.occurrences, facts.recent and facts.recent.times) == (4, 1)
    assert facts.node is not None
    assert (facts.node.times, facts.node.anew) == (4, 1)


async def test_an_alert_that_ended_before_it_came_again_is_counted_each_time(store: Store) -> None:
    for number in range(3):
        await happened(store, hours=number)
    facts = await known(store, await happened(store, hours=3, until=None))
    assert facts.recent is not None
    assert facts.node is not None
    assert (facts.recent.times, facts.node.anew) == (4, 4)


async def test_an_incident_that_was_open_beside_the_action_is_no_return_of_the_alert(store: Store) -> None:
    await happened(store, hours=0, until=1, done="256Mi→512Mi")
    own = await happened(store, hours=0.1, until=1)
    (tried,) = (await known(store, own)).tried
    assert (tried.times, tried.recurred) == (1, 0)
    (tried,) = (await known(store, await happened(store, hours=5))).tried
    assert (tried.times, tried.recurred) == (1, 1)


async def test_an_alert_that_had_begun_before_the_action_did_not_come_back_after_it(store: Store) -> None:
    await happened(store, hours=0, until=0.5, done="256Mi→512Mi")
    own = await happened(store, hours=1, starts_at=NOW - MINUTE)
    assert [entry.recurred for entry in (await known(store, own)).tried] == [0]


@pytest.mark.parametrize("said", [Outcome.FAILED, Outcome.UNKNOWN])
async def test_only_what_was_done_counts_as_done(said: Outcome, store: Store) -> None:
    await happened(store, hours=0, done="256Mi→512Mi", said=said)
    facts = await known(store, await happened(store, hours=5, found="256Mi"))
    assert (facts.raises, facts.tried, facts.undone) == ((), (), None)


UNDONE = [
    pytest.param("256Mi", 1, id="the value from before is back"),
    pytest.param("512Mi", 0, id="our value is there"),
    pytest.param("1Gi", 0, id="somebody raised it further"),
    pytest.param("300Mi", 0, id="somebody chose another value"),
]


@pytest.mark.parametrize(("found", "times"), UNDONE)
async def test_an_action_is_undone_when_what_stood_there_before_is_back(found: str, times: int, store: Store) -> None:
    await happened(store, hours=0, done="256Mi→512Mi", found="256Mi")
    undone = (await known(store, await happened(store, hours=5, found=found))).undone
    assert (undone.times if undone else 0) == times


async def test_what_an_unknown_outcome_may_have_set_is_not_taken_for_somebody_else(store: Store) -> None:
    await happened(store, hours=0, done="256Mi→512Mi", found="256Mi")
    await happened(store, hours=1, done="512Mi→256Mi", said=Outcome.UNKNOWN)
    assert (await known(store, await happened(store, hours=5, found="256Mi"))).undone is None


async def test_an_image_is_put_back_when_the_one_from_before_is_found_again(store: Store) -> None:
    image = {"field": "patch_image:demo/app/app", "tool": "fix_imagepullbackoff"}
    await happened(store, hours=0, done="hello:1.0", found="app:broken", **image)
    await happened(store, hours=4, found="app:fixed", **image)
    assert (await known(store, await happened(store, hours=5, found="app:broken-again", **image))).undone is None
    undone = (await known(store, await happened(store, hours=6, found="app:broken", **image))).undone
    assert undone is not None
    assert (undone.action, undone.found_value) == ("patch_image:demo/app/app:hello:1.0", "app:broken")


async def test_what_one_replay_did_is_not_missed_in_the_recording_of_another(store: Store) -> None:
    first, other = ({"origin": Origin.REPLAY, "scope": scope} for scope in ("one", "two"))
    await happened(store, hours=0, done="256Mi→512Mi", found="256Mi", **first)
    own = await happened(store, hours=5, found="256Mi", **other)
    facts = await known(store, own)
    assert (facts.occurrences, facts.undone, facts.tried) == (2, None, ())
    same = await known(store, await happened(store, hours=6, found="256Mi", **first))
    assert same.undone is not None
    assert [entry.recurred for entry in same.tried] == [1]


async def test_a_limit_is_known_by_its_container(store: Store) -> None:
    await happened(store, hours=0, found="1Gi")
    own = await happened(store, hours=1, found="2Gi", field="patch_memory_limit:demo/app/sidecar")
    limits = (await known(store, own)).limits
    assert [(limit.field.rpartition("/")[2], limit.value) for limit in limits] == [("app", "1Gi"), ("sidecar", "2Gi")]


async def test_two_pods_that_one_deploy_broke_are_one_deploy(store: Store) -> None:
    await happened(store, hours=1, deployed=0.9)
    own = await happened(store, hours=1.2, deployed=0.9)
    deploys = (await known(store, own)).deploys
    assert (deploys.times, deploys.known, deploys.changes) == (2, 2, 1)


async def test_the_same_pod_name_in_another_namespace_or_cluster_is_another_pod(store: Store) -> None:
    for number, elsewhere in enumerate([{"namespace": "other"}, {"cluster": "staging"}, {}]):
        own = await happened(store, hours=number, pod="app-0", workload=None, **elsewhere)
    assert (await known(store, own)).occurrences == 1
