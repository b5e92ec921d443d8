"""Agents of several clusters on one store: whoever takes a run up acts in no cluster but the one that it is about."""

import pytest

from sre_agent.run import RunStatus, StepStatus
from sre_agent.store import Store
from tests.executor.evidence_builders import Faulty, run_on


async def test_the_run_of_an_alert_that_another_clusters_agent_took_in_changes_nothing_here(store: Store) -> None:
    record = await run_on(store, Faulty(), received_by="east", CLUSTER_NAME="west")
    assert (record.status, record.writes) == (RunStatus.ESCALATED, ())
    assert {step.status for step in record.steps} == {StepStatus.REFUSED}
    assert record.steps[0].reason == "the alert is about cluster east; this agent acts in west"


@pytest.mark.parametrize(
    ("received_by", "ours"),
    [
        pytest.param("west", {"CLUSTER_NAME": "west"}, id="its own"),
        pytest.param("unknown", {"CLUSTER_NAME": "west"}, id="one without a name"),
        pytest.param("east", {}, id="an agent without a name"),
    ],
)
async def test_elsewhere_it_acts(store: Store, received_by: str, ours: dict[str, str]) -> None:
    record = await run_on(store, Faulty(), received_by=received_by, **ours)
    assert record.status is RunStatus.SUCCEEDED
    assert record.writes
