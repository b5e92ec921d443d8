"""The evidence of a run that investigated can be played again, with and without a model."""

import pytest

from sre_agent.agent import Agent, Minds
from sre_agent.decision import decision, differences
from sre_agent.executor import run_incident
from sre_agent.kept_evidence import read_back
from sre_agent.planner.scripted import ScriptedPlanner
from sre_agent.replay import play
from sre_agent.replay_incident import part_of
from sre_agent.run import RunRecord, RunStatus, StepStatus
from sre_agent.settings import load as load_settings
from sre_agent.store import Store
from tests.executor.evidence_builders import Ticking, played_again
from tests.investigation.investigated import (
    RUNBOOKS,
    Watched,
    conclusion,
    investigated,
    investigator_of,
    queued,
    settings_for,
    unknown_alert,
)
from tests.investigation.scripted_model import Script, by_script, concluding, looking, scripted_model

FINDING = ("The log ends with FATAL.", "get_pod_logs")


def script() -> Script:
    return looking("get_pod_logs", then=concluding([FINDING]))


async def test_without_a_model_the_run_decides_as_it_did(store: Store) -> None:
    async with scripted_model(script()) as model:
        run = await investigated(store, model)
    again, different = await played_again(store, run)
    assert different == []
    assert again.steps == ()
    assert again.status is RunStatus.SUCCEEDED


@pytest.mark.parametrize(("tool", "status"), [("get_pod_logs", StepStatus.DONE), ("get_pod_events", StepStatus.FAILED)])
async def test_with_a_model_it_reads_what_was_kept_and_nothing_else(
    store: Store, tool: str, status: StepStatus
) -> None:
    """The events were not read then: that they are unknown is what the step says."""
    async with scripted_model(script()) as model:
        run = await investigated(store, model)
        kept = await store.evidence.newest(run.incident_id or 0)
        assert kept is not None
        settings = settings_for(model)
        stored = read_back(kept, settings)
        model.answering = by_script(looking(*dict.fromkeys([tool, "get_pod_logs"]), then=concluding([FINDING])))
        async with investigator_of(store, settings) as investigator:
            minds = Minds(planner=ScriptedPlanner(), investigator=investigator)
            agent = Agent(store=store, minds=minds, runbooks=RUNBOOKS, settings=settings)
            (again,) = [result async for result in play(part_of(stored), agent, stored.cluster, "again", stored.mode)]
    assert isinstance(again, RunRecord)
    now = decision(again, runbook_sha256=RUNBOOKS["RB_UNKNOWN"].sha256)
    assert differences(stored.decision, now) == []
    assert again.status is RunStatus.SUCCEEDED
    assert (again.steps[0].tool, again.steps[0].status) == (tool, status)
    assert conclusion(again).status is StepStatus.DONE


async def test_without_an_investigator_an_unknown_alert_has_no_step(store: Store) -> None:
    alert, settings = unknown_alert(), load_settings({"HOME": "/", "SRE_AGENT_INVESTIGATE": "on"})
    run = await run_incident(
        await queued(store, alert, settings),
        store=store,
        cluster=Watched(),
        planner=ScriptedPlanner(),
        runbooks=RUNBOOKS,
        settings=settings,
        clock=Ticking(alert.starts_at),
    )
    assert run.steps == ()
    assert run.target is None
    assert run.llm_trace == ()
    assert "so nothing was looked at or tried" in (run.analysis_markdown or "")


async def test_an_alert_that_a_runbook_covers_is_not_investigated(store: Store) -> None:
    async with scripted_model(script()) as model:
        run = await investigated(store, model, alert=unknown_alert(runbook_id="RB_CRASHLOOP"))
    assert run.runbook_id == "RB_CRASHLOOP"
    assert model.asked == []
    assert not any(step.investigates for step in run.steps)
