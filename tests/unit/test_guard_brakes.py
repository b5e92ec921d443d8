"""Guard 7 alone: what each brake lets pass, what it stops, until when, and whom that is told to."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from sre_agent import guards
from sre_agent.cluster.port import Traffic
from sre_agent.facts import Facts
from sre_agent.guards.brakes import refused
from sre_agent.run import Change, Judgement, Tells, Verdict
from sre_agent.store import Braked, BrakeState, Pause, RecentWrite
from sre_agent.store.brake_rows import braked_meanwhile
from sre_agent.store.brakes import OVER
from tests.unit.guard_cases import (
    HOURS,
    MINUTES,
    NODE,
    NOW,
    WORKLOAD,
    change,
    drain_of,
    facts,
    node,
    node_change,
    node_evidence,
)

SECOND = timedelta(seconds=1)
CART, OTHER, FAR = WORKLOAD.key, "Deployment/shop/web", "Deployment/blog/web"
WORKER_2 = "Node//worker-2"
BRAKES = {
    "brakes",
    "pause",
    "storm",
    "nodes-not-ready",
    "api-errors",
    "writes",
    "target-busy",
    "namespace-busy",
    "drain-busy",
    "drain-pause",
}


def write(target: str, ago: timedelta, *, took: timedelta | None = SECOND, **fields: Any) -> RecentWrite:
    """A write of some time ago; under way still where it took None."""
    values: dict[str, Any] = {
        "run_id": uuid4(),
        "tool": "drain_node" if target.startswith("Node") else "increase_memory_limit",
        "target_key": target,
        "status": "intended" if took is None else "done",
        "intended_at": NOW - ago,
        "finished_at": None if took is None else NOW - ago + took,
    }
    return RecentWrite(**(values | fields))


def writes(*made: RecentWrite) -> BrakeState:
    return BrakeState(writes=made)


def done(count: int, ago: timedelta = MINUTES, **fields: Any) -> list[RecentWrite]:
    return [write(f"Deployment/ns-{number}/app", ago + number * SECOND, **fields) for number in range(count)]


def paused(by: str = "kim", *, reason: str | None = "upgrade", until: datetime | None = None) -> Pause:
    return Pause(id=1, since=NOW - HOURS, until=until, by=by, reason=reason)


def traffic(requests: int, errors: int) -> BrakeState:
    return BrakeState(traffic=Traffic(requests=requests, errors=errors))


def judged(given: Facts, wanted: Change) -> list[Judgement]:
    return [entry for entry in guards.judge(given, wanted) if entry.rule in BRAKES]


def same_run(*targets: str) -> list[RecentWrite]:
    run = UUID(int=7)
    return [write(target, (number + 1) * MINUTES, run_id=run) for number, target in enumerate(targets)]


PATCH, DRAIN = change(), drain_of("cart-1")
FIFTH_AGED = NOW + 9 * MINUTES - 4 * SECOND
"""When the fifth newest of `done` is ten minutes old."""

CASES = [
    pytest.param(BrakeState(), PATCH, {}, id="nothing is going on"),
    pytest.param(BrakeState(pauses=(paused(),)), PATCH, {"pause": NOW + 30 * MINUTES}, id="a pause without an end"),
    pytest.param(
        BrakeState(pauses=(paused(until=NOW + HOURS), paused(until=NOW + 2 * HOURS))),
        PATCH,
        {"pause": NOW + 2 * HOURS},
        id="two pauses: the later end",
    ),
    pytest.param(
        BrakeState(pauses=(paused(until=NOW + HOURS), paused())),
        PATCH,
        {"pause": NOW + 30 * MINUTES},
        id="two pauses, one without an end",
    ),
    pytest.param(BrakeState(storm_until=NOW), PATCH, {}, id="a storm that is over"),
    pytest.param(BrakeState(storm_until=NOW + SECOND), PATCH, {"storm": NOW + SECOND}, id="a storm"),
    pytest.param(traffic(100, 20), PATCH, {}, id="20 % of the requests failed"),
    pytest.param(traffic(100, 21), PATCH, {"api-errors": NOW + 5 * MINUTES}, id="21 % of the requests failed"),
    pytest.param(traffic(19, 19), PATCH, {}, id="too few requests to judge by"),
    pytest.param(traffic(20, 5), DRAIN, {"api-errors": NOW + 5 * MINUTES}, id="enough requests to judge by"),
    pytest.param(writes(*done(4)), PATCH, {}, id="four writes"),
    pytest.param(
        writes(*done(5)),
        PATCH,
        {"writes": FIFTH_AGED},
        id="five writes: the oldest ages",
    ),
    pytest.param(
        writes(*done(7)),
        PATCH,
        {"writes": FIFTH_AGED},
        id="seven writes: three must age",
    ),
    pytest.param(writes(*done(5, 10 * MINUTES)), PATCH, {}, id="five writes that have aged"),
    pytest.param(
        writes(*done(5, status="unknown")),
        PATCH,
        {"writes": FIFTH_AGED},
        id="five writes whose effect nobody knows",
    ),
    pytest.param(
        writes(*done(4), *same_run(WORKER_2, WORKER_2)[:1]),
        PATCH,
        {"writes": NOW + 9 * MINUTES - 3 * SECOND},
        id="a drain is a write",
    ),
    pytest.param(writes(*done(3), *same_run(OTHER, OTHER, OTHER)), PATCH, {}, id="one run, one target: one write"),
    pytest.param(writes(write(CART, MINUTES)), PATCH, {}, id="the target was written to before"),
    pytest.param(
        writes(write(CART, MINUTES, took=None)),
        PATCH,
        {"target-busy": NOW + MINUTES},
        id="another run is at it",
    ),
    pytest.param(
        writes(write(CART, 15 * MINUTES, took=None)), PATCH, {}, id="an intent that was cut off holds no longer"
    ),
    pytest.param(
        writes(write(CART, 15 * MINUTES - SECOND, took=None)),
        PATCH,
        {"target-busy": NOW + MINUTES},
        id="an intent that was cut off still holds",
    ),
    pytest.param(
        writes(write(OTHER, MINUTES, took=None)), PATCH, {"namespace-busy": NOW + MINUTES}, id="the namespace is busy"
    ),
    pytest.param(writes(write(FAR, MINUTES, took=None)), PATCH, {}, id="another namespace is busy"),
    pytest.param(writes(write(WORKER_2, MINUTES, took=None)), PATCH, {}, id="a drain does not hold a workload"),
    pytest.param(writes(write(OTHER, MINUTES, took=None)), DRAIN, {}, id="a workload does not hold a drain"),
    pytest.param(
        writes(write(WORKER_2, MINUTES, took=None)),
        DRAIN,
        {"drain-busy": NOW + MINUTES, "drain-pause": NOW + 9 * MINUTES},
        id="another drain is under way",
    ),
    pytest.param(
        writes(write(NODE.key, MINUTES, took=None)),
        DRAIN,
        {"target-busy": NOW + MINUTES, "drain-pause": NOW + 9 * MINUTES},
        id="another run drains the same node",
    ),
    pytest.param(
        writes(write(WORKER_2, 12 * MINUTES, took=3 * MINUTES)),
        DRAIN,
        {"drain-pause": NOW + MINUTES},
        id="the pause begins at the end of a drain",
    ),
    pytest.param(writes(write(WORKER_2, 12 * MINUTES, took=2 * MINUTES)), DRAIN, {}, id="the pause is over"),
    pytest.param(
        writes(write(WORKER_2, MINUTES)), node_change("cordon_node"), {}, id="a cordon does not wait for drains"
    ),
]


@pytest.mark.parametrize(("state", "wanted", "expected"), CASES)
def test_a_brake_stops_a_change_until_it_is_over(
    state: BrakeState, wanted: Change, expected: dict[str, datetime]
) -> None:
    evidence = node_evidence() if wanted.target is NODE else None
    found = judged(facts(evidence, brakes=state), wanted)
    assert {entry.rule: entry.retry_at for entry in found} == expected
    assert all(entry.verdict is Verdict.REFUSE for entry in found)


OFF = [
    pytest.param({"SRE_AGENT_DRAIN_PAUSE": "0"}, writes(write(WORKER_2, SECOND)), DRAIN, id="no pause between drains"),
    pytest.param({"SRE_AGENT_WRITES_PER_10M": "6"}, writes(*done(5)), PATCH, id="more writes"),
    pytest.param({"SRE_AGENT_API_ERRORS": "100"}, traffic(100, 100), PATCH, id="any share of errors"),
]


@pytest.mark.parametrize(("environment", "state", "wanted"), OFF)
def test_a_brake_goes_by_its_setting(environment: dict[str, str], state: BrakeState, wanted: Change) -> None:
    evidence = node_evidence() if wanted.target is NODE else None
    assert judged(facts(evidence, brakes=state, environment=environment), wanted) == []


NODES = [
    pytest.param(0, 0, False, id="no nodes recorded"),
    pytest.param(60, 30, False, id="half of the nodes"),
    pytest.param(60, 31, True, id="more than half of the nodes"),
    pytest.param(1, 1, True, id="the only node"),
]


@pytest.mark.parametrize(("total", "down", "stopped"), NODES)
@pytest.mark.parametrize("wanted", [PATCH, DRAIN, node_change("uncordon_node")], ids=lambda each: each.tool)
def test_nothing_is_changed_while_most_nodes_are_not_ready(
    total: int, down: int, stopped: bool, wanted: Change
) -> None:
    nodes = tuple(node(f"n-{number}", ready="Unknown" if number < down else "True") for number in range(total))
    evidence = node_evidence(nodes=nodes) if wanted.target is NODE else None
    found = judged(facts(evidence, nodes=nodes), wanted)
    assert [(entry.rule, entry.retry_at) for entry in found] == [("nodes-not-ready", NOW + 5 * MINUTES)] * stopped


def test_what_could_not_be_read_holds_everything_back() -> None:
    assert [entry.rule for entry in judged(facts(brakes=None), PATCH)] == ["brakes"]
    assert [entry.rule for entry in judged(facts(nodes=None), PATCH)] == ["nodes-not-ready"]


def test_every_pause_is_told_with_who_and_why() -> None:
    state = BrakeState(pauses=(paused(), paused("sam", reason=None)))
    (found,) = judged(facts(brakes=state), PATCH)
    since = "since 2026-03-14 02:00:00 UTC"
    assert found.reason == f"paused by kim {since}: upgrade; paused by sam {since}"
    assert found.allowed_by == "sre-agent resume"


TOLD = [
    pytest.param(facts(brakes=BrakeState(pauses=(paused(),))), Tells.NOBODY, id="a person paused"),
    pytest.param(facts(brakes=BrakeState(storm_until=NOW + HOURS)), Tells.ONCE, id="a storm"),
    pytest.param(facts(nodes=(node("n", ready="False"),)), Tells.ONCE, id="nodes"),
    pytest.param(facts(brakes=traffic(100, 90)), Tells.ONCE, id="API errors"),
    pytest.param(facts(brakes=writes(*done(5))), Tells.ONCE, id="writes"),
    pytest.param(facts(brakes=writes(write(CART, SECOND, took=None))), Tells.NOBODY, id="the target is busy"),
    pytest.param(facts(brakes=writes(write(OTHER, SECOND, took=None))), Tells.NOBODY, id="the namespace is busy"),
    pytest.param(facts(brakes=None), Tells.EACH, id="unknown"),
]


@pytest.mark.parametrize(("given", "tells"), TOLD)
def test_a_brake_says_whom_it_is_told_to(given: Facts, tells: Tells) -> None:
    assert [entry.tells for entry in judged(given, PATCH)] == [tells]


MET = [
    pytest.param(braked_meanwhile("writes", NOW + HOURS), NOW + HOURS, Tells.ONCE, id="its end is known"),
    pytest.param(braked_meanwhile("target-busy", None), NOW + MINUTES, Tells.NOBODY, id="its end is not known"),
    pytest.param(braked_meanwhile("cooldown", NOW + HOURS), NOW + HOURS, Tells.EACH, id="of this target"),
    pytest.param(Braked("pause", "paused before it was sent"), NOW + 30 * MINUTES, Tells.NOBODY, id="a pause"),
]


@pytest.mark.parametrize(("braked", "retry_at", "tells"), MET)
def test_a_brake_that_is_met_on_the_way_refuses_as_its_guard_would(
    braked: Braked, retry_at: datetime, tells: Tells
) -> None:
    found = refused(braked, NOW)
    assert (found.rule, found.verdict, found.retry_at, found.tells) == (
        braked.rule,
        Verdict.REFUSE,
        retry_at,
        tells,
    )


@pytest.mark.parametrize(
    ("until", "looked_at"), [(NOW + MINUTES, NOW + 30 * MINUTES), (NOW + HOURS, NOW + HOURS)], ids=["short", "long"]
)
def test_what_a_pause_left_undone_waits_for_its_end_and_for_the_rest_of_what_was_done(
    until: datetime, looked_at: datetime
) -> None:
    found = refused(Braked("pause", "paused before it was sent", until), NOW, rest=30 * MINUTES)
    assert found.retry_at == looked_at


def test_an_incident_that_is_over_leaves_nothing_to_do_and_nothing_to_wait_for() -> None:
    found = refused(Braked(OVER, "the alert was resolved"), NOW)
    assert (found.rule, found.verdict, found.retry_at, found.settled) == ("resolved", Verdict.REFUSE, None, True)
