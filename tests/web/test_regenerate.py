"""POST /api/incidents/{id}/regenerate-analysis where a model writes: slowly, at once, without a connection held."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.analysis.scripted_model import NAME, scripted
from tests.conftest import copy_of
from tests.web.servers import served

PATH = "/api/incidents/1/regenerate-analysis"
SUMMARY = "## Summary\n\nThe alert came [event 1].\n"


@pytest.fixture
def database_with_runs(postgres: str, played: str) -> Iterator[str]:
    with contextmanager(copy_of)(postgres, played) as conninfo:
        yield conninfo


async def test_a_model_writes_and_the_older_analyses_stay(database_with_runs: str) -> None:
    with scripted(SUMMARY) as model:
        async with served(database_with_runs, model.environment) as server:
            answer = await server.post(PATH)
            detail = (await server.get("/api/incidents/1")).body
    assert answer.status == 200
    assert (answer.body["planner"], answer.body["model"]) == ("llm", NAME)
    assert [title for title, author in answer.body["sections"].items() if author == NAME] == ["Summary"]
    assert "The alert came [event 1]." in answer.body["analysis_markdown"]
    older, newest = [event for event in detail["events"] if event["event_type"] == "analysis"]
    assert (older["payload"]["regenerated"], newest["payload"]["regenerated"]) == (False, True)
    assert newest["payload"]["sections"] == answer.body["sections"]
    (trace,) = newest["payload"]["llm_trace"]
    assert trace["used"] == "some sections"
    assert {exchange["verdict"] is None for exchange in trace["exchanges"]} == {False}


async def test_who_writes_may_be_said(database_with_runs: str) -> None:
    with scripted(SUMMARY) as model:
        async with served(database_with_runs, model.environment) as server:
            composed = await server.post(f"{PATH}?planner=composed")
            asked = len(model.asked)
            written = await server.post(f"{PATH}?planner=llm")
            unknown = await server.post(f"{PATH}?planner=me")
            other = await server.post(f"{PATH}?planer=llm")
    assert (composed.body["planner"], composed.body["model"], asked) == ("composed", None, 0)
    assert written.body["planner"] == "llm"
    assert (unknown.status, unknown.error["path"]) == (400, "planner")
    assert (other.status, "planner" in other.error["message"]) == (400, True)


async def test_a_model_that_is_not_set_up_cannot_be_asked_for(database_with_runs: str) -> None:
    async with served(database_with_runs, {}) as server:
        answer = await server.post(f"{PATH}?planner=llm")
    assert (answer.status, answer.error["path"]) == (400, "planner")
    assert "OPENAI_API_KEY" in answer.error["message"]


async def test_many_at_once_are_all_answered_while_the_database_stays_free(database_with_runs: str) -> None:
    """Each of them waits for its model longer than the store's connections would last."""
    with scripted(SUMMARY, seconds=1.0) as model:
        async with served(database_with_runs, model.environment) as server:
            asking = [asyncio.create_task(server.post(PATH)) for _ in range(12)]
            for _ in asking:
                await asyncio.to_thread(model.heard.get, timeout=10)
            began = asyncio.get_running_loop().time()
            shown = await server.get("/api/incidents/1")
            took = asyncio.get_running_loop().time() - began
            answers = await asyncio.gather(*asking)
    assert (shown.status, took < 0.9) == (200, True)
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body["event_id"] for answer in answers}) == 12


async def test_a_model_that_does_not_answer_is_waited_for_no_longer_than_allowed(database_with_runs: str) -> None:
    with scripted(SUMMARY, seconds=20.0) as model:
        environment = {**model.environment, "SRE_AGENT_LLM_TIME_PER_RUN": "1s"}
        async with served(database_with_runs, environment) as server:
            began = asyncio.get_running_loop().time()
            answer = await server.post(PATH)
            took = asyncio.get_running_loop().time() - began
    assert (answer.status, answer.body["planner"]) == (200, "composed")
    assert "did not answer" in answer.body["why"]
    assert took < 5
