"""Each pattern at its threshold and just below it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sre_agent.analysis.facts import CaseFacts
from sre_agent.analysis.patterns import patterns_of
from sre_agent.incident import Incident, IncidentStatus, Origin
from sre_agent.store.history_rows import (
    AlertTotal,
    Deploy,
    Deploys,
    FoundLimit,
    HourCount,
    Neighbour,
    NodeCount,
    Occurrence,
    PatternFacts,
    Raise,
    Recent,
    Recommended,
    Tried,
    Undone,
    WeekdayCount,
    Windows,
)

NOW = datetime(2026, 3, 23, 6, 17, tzinfo=UTC)
HERE = Occurrence(incident_id=9, at=NOW, event_id=90)


def facts(**changed: Any) -> PatternFacts:
    values: dict[str, Any] = {
        "windows": Windows(),
        "occurrences": 2,
        "first": replace(HERE, incident_id=1, at=NOW - timedelta(days=20), event_id=1),
        "last": HERE,
        "recent": None,
        "node": None,
        "hours": None,
        "weekday": None,
        "raises": (),
        "limits": (),
        "tried": (),
        "undone": None,
        "deploys": deploys(0, 0),
        "recommended": None,
        "neighbour_workloads": 0,
        "neighbours": (),
        "alert_total": AlertTotal(incidents=2, first_at=NOW, oldest_kept=NOW),
        "template_changed_at": None,
    }
    return PatternFacts(**{**values, **changed})


INCIDENT = Incident(
    id=9,
    origin=Origin.LIVE,
    scope="live",
    cluster="prod",
    fingerprint="f",
    dedup_key="KubePodOOMKilled:demo:app-1:app",
    alertname="KubePodOOMKilled",
    namespace="demo",
    pod="app-1",
    container="app",
    node="worker-1",
    workload="Deployment/app",
    severity="warning",
    runbook_id="RB_OOM",
    status=IncidentStatus.OPEN,
    agent_mode="auto",
    summary=None,
    action_taken=None,
    action_recommended=None,
    action_error=None,
    labels={},
    annotations={},
    suppressed_count=0,
    starts_at=NOW,
    created_at=NOW,
    updated_at=NOW,
    resolved_at=None,
)


def raised(*steps: str, container: str = "app") -> tuple[Raise, ...]:
    return tuple(
        Raise(
            incident_id=number,
            action=f"patch_memory_limit:demo/app/{container}:{step}",
            value=step.partition("→")[2],
            at=NOW,
            event_id=number,
        )
        for number, step in enumerate(steps)
    )


def found(*values: str, container: str = "app") -> tuple[FoundLimit, ...]:
    return tuple(
        FoundLimit(field=f"patch_memory_limit:demo/app/{container}", value=value, at=NOW, event_id=number)
        for number, value in enumerate(values)
    )


def tried(tool: str, times: int, recurred: int) -> Tried:
    return Tried(
        tool=tool, times=times, recurred=recurred, first_at=NOW, last_at=NOW, first_event_id=1, last_event_id=2
    )


def deploys(times: int, known: int, changes: int | None = None) -> Deploys:
    newest = tuple(Deploy(at=NOW, changed_at=NOW, event_id=3) for _ in range(min(times, 3)))
    return Deploys(known=known, times=times, changes=times if changes is None else changes, newest=newest)


def node(times: int, known: int, anew: int | None = None) -> NodeCount:
    return NodeCount(
        node="worker-1",
        times=times,
        anew=times if anew is None else anew,
        known=known,
        first_event_id=1,
        last_event_id=2,
    )


def hours(times: int, days: int, hour: int = 23) -> HourCount:
    return HourCount(hour=hour, times=times, days=days, event_id=4)


def weekday(times: int, weeks: int) -> WeekdayCount:
    return WeekdayCount(weekday=7, times=times, weeks=weeks, event_id=4)


def neighbours(count: int) -> dict[str, Any]:
    entries = tuple(
        Neighbour(namespace="demo", workload=f"Deployment/app-{number}", at=NOW, event_id=number)
        for number in range(min(count, 5))
    )
    return {"neighbour_workloads": count, "neighbours": entries}


UNDONE = Undone(
    times=1,
    action="patch_memory_limit:demo/app/app:256Mi→512Mi",
    value="512Mi",
    at=NOW,
    event_id=5,
    found_value="256Mi",
    found_at=NOW,
    found_event_id=6,
)
CHAIN = raised("128Mi→256Mi", "256Mi→512Mi", "512Mi→1Gi")
OTHER = raised("512Mi→1Gi", container="sidecar")

CASES = [
    pytest.param({"raises": CHAIN}, ["rising_limit"], id="three raises in a chain"),
    pytest.param({"raises": CHAIN[:2]}, [], id="two raises"),
    pytest.param({"raises": (*CHAIN[:2], *OTHER)}, [], id="the third is another container's"),
    pytest.param({"raises": (*CHAIN[:2], *OTHER, CHAIN[2])}, ["rising_limit"], id="another container's in between"),
    pytest.param({"raises": raised("128Mi→256Mi", "256Mi→512Mi", "700Mi→1Gi")}, [], id="a person's in between"),
    pytest.param({"raises": raised("128Mi→256Mi", "128Mi→256Mi", "128Mi→256Mi")}, [], id="raised from the same value"),
    pytest.param({"limits": found("1Gi", "2Gi", "3Gi", "4Gi")}, ["rising_need"], id="found higher three times"),
    pytest.param(
        {"limits": (*found("1Gi", "2Gi"), *found("3Gi", "4Gi", container="sidecar"))},
        [],
        id="higher in another container",
    ),
    pytest.param({"limits": found("1Gi", "1024Mi", "2Gi", "4Gi")}, [], id="found higher twice, once written otherwise"),
    pytest.param({"limits": found("1Gi", "2Gi", "3Gi", "4Gi", "1Gi")}, [], id="found low again at last"),
    pytest.param(
        {"limits": found("1Gi", "2Gi", "3Gi", "4Gi"), "raises": CHAIN}, ["rising_limit"], id="both: the agent's own"
    ),
    pytest.param({"undone": UNDONE}, ["undone"], id="one value gone"),
    pytest.param({"tried": (tried("delete_pod", 2, 2),)}, ["never_helped"], id="twice without help"),
    pytest.param({"tried": (tried("delete_pod", 1, 1),)}, [], id="once without help"),
    pytest.param({"tried": (tried("delete_pod", 3, 2),)}, [], id="helped once of three"),
    pytest.param({"deploys": deploys(2, 2)}, ["deploy_before"], id="both after a deploy"),
    pytest.param({"deploys": deploys(1, 1)}, [], id="the only one after a deploy"),
    pytest.param({"deploys": deploys(3, 4)}, [], id="not each of them"),
    pytest.param({"deploys": deploys(2, 2, changes=1)}, [], id="two pods after one deploy"),
    pytest.param(neighbours(3), ["several_on_node"], id="three workloads on the node"),
    pytest.param(neighbours(2), [], id="two workloads on the node"),
    pytest.param(neighbours(7), ["several_on_node"], id="more workloads than are named"),
    pytest.param({"node": node(3, 3)}, ["same_node"], id="three times on the node"),
    pytest.param({"node": node(2, 2)}, [], id="two times on the node"),
    pytest.param({"node": node(3, 3, anew=1)}, [], id="three pods at once on the node"),
    pytest.param({"node": node(4, 5)}, ["same_node"], id="four of five"),
    pytest.param({"node": node(3, 4)}, [], id="three of four"),
    pytest.param({"recent": Recent(times=4, first_at=NOW, event_id=7)}, ["flapping"], id="four in a day"),
    pytest.param({"recent": Recent(times=3, first_at=NOW, event_id=7)}, [], id="three in a day"),
    pytest.param({"hours": hours(5, 4), "occurrences": 6}, ["time_of_day"], id="five of six at night"),
    pytest.param({"hours": hours(4, 4), "occurrences": 4}, [], id="four at night"),
    pytest.param({"hours": hours(5, 3), "occurrences": 5}, [], id="five in three nights"),
    pytest.param({"hours": hours(5, 5), "occurrences": 7}, [], id="five of seven at night"),
    pytest.param({"weekday": weekday(4, 3), "occurrences": 5}, ["day_of_week"], id="four Sundays of five"),
    pytest.param({"weekday": weekday(3, 3), "occurrences": 3}, [], id="three Sundays"),
    pytest.param({"weekday": weekday(4, 2), "occurrences": 4}, [], id="four in two weeks"),
    pytest.param({"weekday": weekday(4, 4), "occurrences": 6}, [], id="four of six"),
    pytest.param({"recommended": Recommended(times=3, first_at=NOW, event_id=8)}, ["unheeded"], id="advised thrice"),
    pytest.param({"recommended": Recommended(times=2, first_at=NOW, event_id=8)}, [], id="advised twice"),
    pytest.param({"occurrences": 1, "first": HERE}, ["first_ever"], id="the first"),
    pytest.param({}, [], id="two without a pattern"),
]


@pytest.mark.parametrize(("changed", "names"), CASES)
def test_a_pattern_is_seen_from_its_threshold_on(changed: dict[str, Any], names: list[str]) -> None:
    case = CaseFacts(incident=INCIDENT, events=(), past=facts(**changed))
    assert [pattern.name for pattern in patterns_of(case)] == names


def test_patterns_come_most_telling_first_and_cite_their_events() -> None:
    past = facts(raises=CHAIN, undone=UNDONE, node=node(5, 5), **neighbours(7))
    patterns = patterns_of(CaseFacts(incident=INCIDENT, events=(), past=past))
    assert [pattern.name for pattern in patterns] == ["rising_limit", "undone", "several_on_node", "same_node"]
    assert all("[event " in pattern.sentence for pattern in patterns)
    assert patterns[0].sentence == (
        "The memory limit of container `app` was raised 3 times: "
        "`128Mi` → `256Mi` [event 0] → `512Mi` [event 1] → `1Gi` [event 2]."
    )
    assert "and others" in patterns[2].sentence


def test_a_window_of_two_hours_may_go_past_midnight() -> None:
    case = CaseFacts(incident=INCIDENT, events=(), past=facts(hours=hours(5, 5), occurrences=5))
    (pattern,) = patterns_of(case)
    assert "between 23:00 and 01:00 UTC" in pattern.sentence
