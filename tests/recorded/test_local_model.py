"""A real, small model at each runbook, at an analysis and at an unknown alert: whatever it says, code stays right."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sre_agent.agent import Agent
from sre_agent.analysis import COMPOSED, regenerate
from sre_agent.llm.trace import Used
from sre_agent.run import RunRecord, StepStatus
from sre_agent.store.rows import EventRow
from tests.recorded.conftest import Recorded, played

pytestmark = [pytest.mark.vcr, pytest.mark.block_network, pytest.mark.timeout(7200)]

MOST_TOKENS = 8_000
"""Of a run about a known incident, its analysis included."""

OF_EACH_RUNBOOK = {
    "RB_IMAGEPULL": "image-not-found",
    "RB_OOM": "oom-killed",
    "RB_CONTAINERCREATING": "container-creating",
    "RB_CRASHLOOP": "crash-bad-release",
    "RB_NODE_UNSCHEDULABLE": "node-cordoned",
    "RB_NODE_NOTREADY": "node-not-ready",
    "RB_UNKNOWN": "unknown-alert",
}


@pytest.mark.parametrize("runbook", OF_EACH_RUNBOOK)
async def test_it_ends_with_the_action_of_the_scripted_planner(
    runbook: str, recorded: Recorded, scripted: Agent, figure: Callable[[str], None]
) -> None:
    async with recorded.opened() as agent:
        run = await played(agent, OF_EACH_RUNBOOK[runbook])
    without = await played(scripted, OF_EACH_RUNBOOK[runbook])
    assert run.runbook_id == runbook
    assert done(run) == done(without)
    assert len(run.llm_trace) == len([step for step in run.steps if step.status is not StepStatus.SKIPPED])
    used = [step["used"] for step in run.llm_trace]
    shares = ", ".join(f"{used.count(way)} {way}" for way in (Used.FIRST, Used.CORRECTED, Used.SCRIPTED))
    figure(f"{len(used)} steps: {shares}; {tokens_of(run.llm_trace)} tokens; the same action as without a model")


async def test_a_run_with_its_analysis_stays_within_the_tokens_of_a_known_incident(
    recorded: Recorded, figure: Callable[[str], None]
) -> None:
    async with recorded.opened() as agent:
        run = await played(agent, "oom-killed", writing=True)
        (analysis,) = [event for event in await agent.store.events(run.incident_id or 0) if is_analysis(event)]
    payload = analysis.payload
    tokens = tokens_of(run.llm_trace) + tokens_of(payload["llm_trace"])
    assert payload["planner"] == "llm"
    assert set(payload["sections"].values()) <= {COMPOSED, agent.minds.author.name}
    assert tokens <= MOST_TOKENS
    by_model = [title for title, author in payload["sections"].items() if author != COMPOSED]
    figure(
        f"{tokens} tokens in all; {len(by_model)} of {len(payload['sections'])} sections are the model's after "
        f"{len(payload['llm_trace'][0]['exchanges'])} answers, {len(payload['faults'])} faults refused"
    )


async def test_an_analysis_is_written_anew_and_the_old_one_stays(recorded: Recorded) -> None:
    async with recorded.opened() as agent:
        run = await played(agent, "image-not-found")
        incident_id = run.incident_id or 0
        written = await regenerate(
            agent.store, incident_id, now=datetime(2026, 11, 28, tzinfo=UTC), author=agent.minds.author, seconds=7200
        )
        analyses = [event for event in await agent.store.events(incident_id) if is_analysis(event)]
    assert [event.payload["planner"] for event in analyses] == [COMPOSED, "llm"]
    assert [event.payload["regenerated"] for event in analyses] == [False, True]
    assert written.markdown == analyses[-1].payload["analysis_markdown"]


WORDS_ALONE = """version: 1

# system
Answer with one short sentence that says what you would do. Call no tool.

# user
${tool} ${purpose} ${target} ${alert} ${earlier} ${runbook}
"""


async def test_what_is_refused_is_told_once(recorded: Recorded, scripted: Agent, tmp_path: Path) -> None:
    """A prompt that forbids the call, to a server that is known to refuse `tool_choice`: the first answer is words."""
    prompts = tmp_path / "prompts"
    prompts.mkdir()
    (prompts / "step.md").write_text(WORDS_ALONE)
    async with recorded.opened(SRE_AGENT_PROMPTS_DIR=str(prompts)) as agent:
        refusing: Any = agent.minds.planner
        refusing._model._manners._without.append("tool_choice")  # what a refusal would have taught
        run = await played(agent, "oom-killed")
    without = await played(scripted, "oom-killed")
    (step,) = run.llm_trace
    first, second = step["exchanges"]
    assert first["verdict"].startswith("no tool was called")
    assert (second["verdict"] == "accepted") is (step["used"] == Used.CORRECTED)
    assert done(run) == done(without)


async def test_an_unknown_alert_is_looked_into_and_nothing_is_changed(
    recorded: Recorded, figure: Callable[[str], None]
) -> None:
    async with recorded.opened(SRE_AGENT_INVESTIGATE="on") as agent:
        run = await played(agent, "crash-bad-release", alertname="PaymentsErrorRateHigh")
    assert run.runbook_id == "RB_UNKNOWN"
    assert (run.action_taken, run.action_recommended, run.writes) == (None, None, ())
    assert run.steps
    last = run.steps[-1]
    figure(f"{len(run.steps) - 1} reads, then {last.step} {last.status}: {last.reason or last.result}")


def done(run: RunRecord) -> tuple[Any, ...]:
    """What a run came to, without what a model was asked."""
    return (
        run.status,
        run.action_taken,
        run.action_recommended,
        run.action_error,
        [(write.verb, write.resource, write.namespace, write.name, write.body) for write in run.writes],
        [(step.step, step.status, step.reason, step.result) for step in run.steps],
    )


def tokens_of(trace: Any) -> int:
    return sum(asked["prompt_tokens"] + asked["completion_tokens"] for step in trace for asked in step["exchanges"])


def is_analysis(event: EventRow) -> bool:
    return event.event_type == "analysis"
