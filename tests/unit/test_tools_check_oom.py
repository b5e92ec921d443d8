"""check_oom: what it reads, and where status and events disagree."""

import pytest

from sre_agent.cluster.port import Resource
from tests.unit.memory_cases import world
from tests.unit.workload_objects import Away, container, deployment, diagnose, ended, event, oom, running


@pytest.mark.parametrize(
    ("statuses", "events", "detected", "words"),
    [
        pytest.param((oom(),), [], True, "container app was OOMKilled", id="killed"),
        pytest.param((running(),), [event("OOMKilling", "x")], False, "not taken as proof", id="an event alone"),
        pytest.param((running(lastState=ended("Error")),), [], False, "not proven", id="exit 137"),
        pytest.param((running(),), [], False, "", id="healthy"),
    ],
)
async def test_check_oom_reads_status_and_says_where_events_disagree(statuses, events, detected, words):
    found = await diagnose("check_oom", world(*events, statuses=statuses))
    assert (found.oom_detected, found.container) == (detected, "app")
    assert words in "; ".join(found.reasons)


async def test_check_oom_tells_a_bystanders_kill_from_the_alerts_container():
    objects = world(containers=[container(), container("proxy")], statuses=(running(), oom("proxy")))
    found = await diagnose("check_oom", objects)
    assert not found.oom_detected
    assert found.reasons[0].endswith("but the alert is about app")


async def test_check_oom_without_a_container_takes_any():
    objects = world(containers=[container(), container("proxy")], statuses=(oom(), oom("proxy")))
    found = await diagnose("check_oom", objects, pod="app-2-a")
    assert (found.oom_detected, found.container, len(found.reasons)) == (True, None, 2)


async def test_check_oom_says_when_events_could_not_be_read():
    found = await diagnose("check_oom", Away(world(), Resource.EVENTS))
    assert found.oom_detected
    assert found.reasons[-1] == "the events of the pod could not be listed"


async def test_check_oom_of_a_workload_without_pods_finds_nothing():
    found = await diagnose("check_oom", [deployment()], deployment="app")
    assert (found.oom_detected, found.reasons) == (False, ["the pod is gone"])
