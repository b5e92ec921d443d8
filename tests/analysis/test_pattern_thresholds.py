"""What each pattern says in full, what lies right beside its threshold, and the order of all of them."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sre_agent.analysis.facts import CaseFacts
from sre_agent.analysis.memory_patterns import rising_chain, rising_found
from sre_agent.analysis.pattern import Pattern
from sre_agent.analysis.patterns import count_sentence, patterns_of
from sre_agent.incident import Incident
from sre_agent.store.history_rows import Deploy, Deploys, Recent, Recommended
from tests.analysis.test_patterns import (
    CHAIN,
    HERE,
    INCIDENT,
    NOW,
    UNDONE,
    deploys,
    facts,
    found,
    hours,
    neighbours,
    node,
    raised,
    tried,
    weekday,
)

ON_NODE = replace(INCIDENT, alertname="KubeNodeNotReady", pod=None, container=None, workload=None, namespace=None)
NOWHERE = replace(INCIDENT, node=None)
RECENT = Recent(times=4, first_at=NOW - timedelta(hours=7), event_id=7)
ADVISED = Recommended(times=3, first_at=NOW - timedelta(days=2), event_id=8)
LEAK = {
    "hypothesis": "A need that grows past every new limit points to a leak, rather than to a limit that is too small.",
    "advice": (
        "Profile the application for a memory leak: heap dumps, allocation profiles.",
        "Review recent code changes for caches, buffers and connections that grow without bound.",
        "Alert on memory usage well below the limit, to see the growth before the kill.",
        "If the application keeps no state, a periodic restart may relieve until the cause is found.",
    ),
}
TAKEN_BACK = {
    "hypothesis": (
        "Somebody or something takes the change back: a GitOps reconciler, a deploy, an operator, a person."
    ),
    "advice": ("Make the change where the value comes from: the Git repository, the chart, the operator's resource.",),
}
UNDONE_ONCE = (
    "The agent did `patch_memory_limit:demo/app/app:256Mi→512Mi` [event 5], but `256Mi`, which had stood there before, "
    "was found again at 2026-03-23 06:17 UTC [event 6]."
)
NODE_AGAIN = {
    "hypothesis": "The same node again and again points to the node itself, or to what is done to it.",
    "advice": (
        "Check node `worker-1`: hardware, disk, kubelet and kernel logs, and who or what changes it; "
        "replace it if in doubt.",
    ),
}
THREE_ON_NODE = (
    "`demo/Deployment/app-0` [event 0], `demo/Deployment/app-1` [event 1], `demo/Deployment/app-2` [event 2]"
)


def case_of(incident: Incident = INCIDENT, **changed: Any) -> CaseFacts:
    return CaseFacts(incident=incident, events=(), past=facts(**changed))


def seen(incident: Incident = INCIDENT, **changed: Any) -> list[str]:
    return [pattern.name for pattern in patterns_of(case_of(incident, **changed))]


IN_FULL = [
    pytest.param(
        case_of(raises=CHAIN),
        Pattern(
            name="rising_limit",
            sentence="The memory limit of container `app` was raised 3 times: "
            "`128Mi` → `256Mi` [event 0] → `512Mi` [event 1] → `1Gi` [event 2].",
            **LEAK,
        ),
        id="a limit that was raised",
    ),
    pytest.param(
        case_of(limits=found("1Gi", "2Gi", "3Gi", "4Gi")),
        Pattern(
            name="rising_need",
            sentence="The memory limit of container `app` was found ever higher: "
            "`1Gi` [event 0] → `2Gi` [event 1] → `3Gi` [event 2] → `4Gi` [event 3].",
            **LEAK,
        ),
        id="a limit that was found higher",
    ),
    pytest.param(case_of(undone=UNDONE), Pattern(name="undone", sentence=UNDONE_ONCE, **TAKEN_BACK), id="undone once"),
    pytest.param(
        case_of(undone=replace(UNDONE, times=2)),
        Pattern(
            name="undone",
            sentence=f"{UNDONE_ONCE} Changes were undone 2 times in all [event 5] [event 6].",
            **TAKEN_BACK,
        ),
        id="undone twice",
    ),
    pytest.param(
        case_of(tried=(tried("delete_pod", 2, 2), tried("cordon_node", 3, 2), tried("increase_memory_limit", 3, 3))),
        Pattern(
            name="never_helped",
            sentence="The alert came back within 24h each time: 2 times after `delete_pod` [event 1] [event 2], "
            "3 times after `increase_memory_limit` [event 1] [event 2].",
            hypothesis="What was done does not touch the cause.",
            advice=("Do not repeat what did not help: find the cause by hand, or let the step only recommend.",),
        ),
        id="two tools that never helped, beside one that did once",
    ),
    pytest.param(
        case_of(
            deploys=Deploys(
                known=2,
                times=2,
                changes=2,
                newest=(
                    Deploy(at=NOW, changed_at=NOW - timedelta(minutes=9), event_id=4),
                    Deploy(at=NOW, changed_at=NOW - timedelta(days=9), event_id=3),
                ),
            )
        ),
        Pattern(
            name="deploy_before",
            sentence="2 of 2 occurrences with a known deploy began within 1h of it, "
            "the newest deploy being at 2026-03-23 06:08 UTC [event 4] [event 3].",
            hypothesis="A deploy brings the problem: look at what changed in it.",
            advice=(
                "Compare the newest revision with the one before, and roll back if the symptom began with it.",
                "Let the pipeline wait for readiness and watch this alert for a while after each deploy.",
            ),
        ),
        id="deploys",
    ),
    *(
        pytest.param(
            case_of(**past),
            Pattern(
                name="several_on_node",
                sentence=f"{count} workloads had incidents on node `worker-1` within 24h of this one: {named}.",
                hypothesis="Several workloads at once point to their node, rather than to each of them.",
                advice=("Look at node `worker-1` first: its conditions, its kubelet, its memory, disk and network.",),
            ),
            id=f"{count} workloads on a node",
        )
        for past, count, named in (
            (neighbours(3), 3, THREE_ON_NODE),
            (
                neighbours(6),
                6,
                f"{THREE_ON_NODE}, `demo/Deployment/app-3` [event 3], `demo/Deployment/app-4` [event 4], and others",
            ),
        )
    ),
    pytest.param(
        case_of(node=node(4, 5)),
        Pattern(
            name="same_node",
            sentence="4 of 5 occurrences with a known node were on node `worker-1` [event 1] [event 2].",
            **NODE_AGAIN,
        ),
        id="a workload on one node",
    ),
    pytest.param(
        case_of(ON_NODE, node=node(5, 5)),
        Pattern(
            name="same_node",
            sentence="It is the same node again and again: `worker-1`, 5 times so far [event 1] [event 2].",
            **NODE_AGAIN,
        ),
        id="a node",
    ),
    pytest.param(
        case_of(recent=RECENT),
        Pattern(
            name="flapping",
            sentence="The alert flapped: it came 4 times within 24h, the first of them at 2026-03-22 23:17 UTC "
            "[event 7].",
            hypothesis="A state that changes by itself so often lies near a threshold, or a probe or a link is "
            "unsteady.",
            advice=(
                "Look for what alternates: heartbeats, probes, network, load; a longer wait in the rule hides it.",
            ),
        ),
        id="flapping",
    ),
    *(
        pytest.param(
            case_of(hours=hours(5, 4, hour), occurrences=6),
            Pattern(
                name="time_of_day",
                sentence=f"5 of 6 occurrences began between {window} UTC, on 4 days [event 4].",
                hypothesis="A time of day points to something scheduled, or to the daily load.",
                advice=("Look for what runs at that time: CronJobs, backups, batch imports, a daily peak of traffic.",),
            ),
            id=f"between {window}",
        )
        for hour, window in ((3, "03:00 and 05:00"), (22, "22:00 and 00:00"), (23, "23:00 and 01:00"))
    ),
    *(
        pytest.param(
            case_of(weekday=replace(weekday(4, 3), weekday=day), occurrences=5),
            Pattern(
                name="day_of_week",
                sentence=f"4 of 5 occurrences began on a {name} (UTC), in 3 weeks [event 4].",
                hypothesis="A day of the week points to something scheduled, or to the weekly load.",
                advice=("Look for what happens on that day: weekly jobs, reports, releases, maintenance.",),
            ),
            id=f"on a {name}",
        )
        for day, name in ((1, "Monday"), (7, "Sunday"))
    ),
    pytest.param(
        case_of(recommended=ADVISED),
        Pattern(
            name="unheeded",
            sentence="The agent recommended a change 3 times without making one, first at 2026-03-21 06:17 UTC "
            "[event 8]; whether somebody followed is not known.",
            hypothesis="",
            advice=("Decide on the recommendation: make the change, or let the agent make it where that is wanted.",),
        ),
        id="unheeded",
    ),
    pytest.param(
        case_of(occurrences=1, first=HERE),
        Pattern(
            name="first_ever",
            sentence="This is the first recorded occurrence of `KubePodOOMKilled` on workload `demo/Deployment/app` "
            "[event 90].",
            hypothesis="",
            advice=(),
        ),
        id="the first",
    ),
]


@pytest.mark.parametrize(("case", "expected"), IN_FULL)
def test_a_pattern_says_what_was_seen_what_it_suggests_and_what_to_do(case: CaseFacts, expected: Pattern) -> None:
    assert patterns_of(case) == [expected]


def test_what_was_undone_is_quoted_whole_for_it_is_compared() -> None:
    action, image = f"patch_image:demo/app/app:{'a' * 200}", "b" * 200
    (pattern,) = patterns_of(case_of(undone=replace(UNDONE, action=action, found_value=image)))
    assert f"`{action}`" in pattern.sentence
    assert f"`{image}`" in pattern.sentence


BESIDE = [
    pytest.param(case_of(undone=replace(UNDONE, times=0)), [], id="nothing undone"),
    pytest.param(case_of(deploys=deploys(3, 3, changes=2)), ["deploy_before"], id="three after two deploys"),
    pytest.param(case_of(NOWHERE, **neighbours(3)), [], id="neighbours of an incident without a node"),
    pytest.param(case_of(node=node(8, 10)), ["same_node"], id="exactly four fifths on the node"),
    pytest.param(case_of(node=node(5, 5, anew=3)), ["same_node"], id="three times anew on the node"),
    pytest.param(case_of(node=node(5, 5, anew=2)), [], id="five times, but only twice anew"),
    pytest.param(
        case_of(node=node(4, 4), recent=RECENT), ["flapping", "same_node"], id="a workload that flaps on one node"
    ),
    pytest.param(case_of(ON_NODE, node=node(4, 4), recent=RECENT), ["flapping"], id="a node that flaps"),
    pytest.param(case_of(hours=hours(8, 8), occurrences=10), ["time_of_day"], id="exactly four fifths at night"),
    pytest.param(case_of(hours=hours(7, 7), occurrences=9), [], id="seven of nine at night"),
    pytest.param(case_of(weekday=weekday(8, 8), occurrences=10), ["day_of_week"], id="exactly four fifths on Sundays"),
    pytest.param(case_of(weekday=weekday(7, 7), occurrences=9), [], id="seven of nine on Sundays"),
    pytest.param(
        case_of(limits=found("1Gi", "2Gi", "3Gi", "4Gi"), raises=CHAIN[:2]),
        ["rising_need"],
        id="found higher, and raised by the agent too seldom",
    ),
]


@pytest.mark.parametrize(("case", "names"), BESIDE)
def test_a_pattern_is_not_seen_below_its_threshold(case: CaseFacts, names: list[str]) -> None:
    assert [pattern.name for pattern in patterns_of(case)] == names


CHAINS = [
    pytest.param((), [], id="none"),
    pytest.param(raised("1Gi→2Gi"), ["2Gi"], id="one"),
    pytest.param(raised("1Gi→2Gi", "3Gi→4Gi", "4Gi→5Gi"), ["4Gi", "5Gi"], id="it begins anew where a person was"),
    pytest.param((*CHAIN, *raised("1Gi→2Gi", container="side")), ["256Mi", "512Mi", "1Gi"], id="the longest of two"),
    pytest.param(
        (*raised("1Gi→2Gi", "2Gi→3Gi", "3Gi→4Gi", "1Gi→2Gi"), *raised("5Gi→6Gi", "6Gi→7Gi", container="side")),
        ["6Gi", "7Gi"],
        id="a chain that broke counts only from its break on",
    ),
]


@pytest.mark.parametrize(("raises", "values"), CHAINS)
def test_a_chain_is_the_newest_raises_that_follow_each_other(raises: tuple[Any, ...], values: list[str]) -> None:
    assert [step.value for step in rising_chain(raises)] == values


RISES = [
    pytest.param((), [], id="none"),
    pytest.param(found("1Gi", "2Gi", "1Gi", "3Gi"), ["1Gi", "3Gi"], id="it begins anew where it fell"),
    pytest.param(found("0", "1Gi"), ["1Gi"], id="a limit of nothing is none"),
    pytest.param(found("1Gi", "1024Mi", "2Gi"), ["1Gi", "2Gi"], id="each value once, however it is written"),
    pytest.param((*found("1Gi", "2Gi"), *found("3Gi", container="side")), ["1Gi", "2Gi"], id="the longest of two"),
]


@pytest.mark.parametrize(("limits", "values"), RISES)
def test_a_rise_is_the_newest_limits_each_higher_than_the_one_before(
    limits: tuple[Any, ...], values: list[str]
) -> None:
    assert [limit.value for limit in rising_found(limits)] == values


def test_all_patterns_at_once_come_most_telling_first() -> None:
    assert seen(
        raises=CHAIN,
        undone=UNDONE,
        recent=RECENT,
        tried=(tried("delete_pod", 2, 2),),
        deploys=deploys(2, 2),
        node=node(5, 5),
        hours=hours(5, 5),
        weekday=weekday(5, 5),
        occurrences=5,
        recommended=ADVISED,
        **neighbours(3),
    ) == [
        "rising_limit",
        "undone",
        "flapping",
        "never_helped",
        "deploy_before",
        "several_on_node",
        "same_node",
        "time_of_day",
        "day_of_week",
        "unheeded",
    ]
    assert seen(limits=found("1Gi", "2Gi", "3Gi", "4Gi"), undone=UNDONE) == ["rising_need", "undone"]
    assert seen(occurrences=1, recommended=ADVISED) == ["unheeded", "first_ever"]


@pytest.mark.parametrize(
    ("apart", "within", "first"),
    [
        pytest.param(timedelta(seconds=59), "within a minute", "06:16 UTC", id="within a minute"),
        pytest.param(timedelta(minutes=1), "in 1 minute", "06:16 UTC", id="a minute"),
        pytest.param(timedelta(hours=5), "in 5 hours", "01:17 UTC", id="five hours"),
    ],
)
def test_how_often_the_alert_fired_is_said_with_its_first_and_last_time(
    apart: timedelta, within: str, first: str
) -> None:
    past = {"occurrences": 3, "first": replace(HERE, at=NOW - apart, event_id=1)}
    assert count_sentence(case_of(**past)) == (
        f"`KubePodOOMKilled` fired 3 times on workload `demo/Deployment/app` {within}: "
        f"first at 2026-03-23 {first} [event 1], last at 2026-03-23 06:17 UTC [event 90]."
    )
