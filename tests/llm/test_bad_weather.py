"""A model's server that is away, slow, full, or talks nonsense changes nothing but the trace, which says why."""

import asyncio
import json
import socket
import time
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web

from sre_agent.llm import client
from sre_agent.llm.client import OpenAIModel
from sre_agent.llm.port import Allowance, Exchange, Purpose, Question, ToolSpec
from sre_agent.llm.prompts import load_prompts
from sre_agent.planner.guided import GuidedPlanner
from sre_agent.run import RunRecord
from sre_agent.settings import Settings
from sre_agent.store import Store
from tests.llm.guided_runs import case_of, decided, guided, run_case, run_guided, settings_of
from tests.model_server import (
    Answering,
    Body,
    behaving,
    completion,
    model_server,
    refusing,
    right_arguments,
    right_tool,
)

CASE = case_of("crash-loop-oom")
STEPS = 6
"""Of this incident that ask for a call."""
STEP_SECONDS = 20.0
"""More than anything here takes, also on a busy machine: only what would wait for its end comes near."""


QUESTION = Question(
    purpose=Purpose.PROBE,
    prompt="probe",
    messages=({"role": "user", "content": "hello"},),
    tools=(ToolSpec(name="look", description="Looks.", parameters={"type": "object", "properties": {}}),),
    must_call="look",
)


def always(response: Any) -> Answering:
    async def answering(_: web.Request, body: Body) -> web.StreamResponse:
        made: web.StreamResponse = response()
        return made

    return answering


async def hanging(_: web.Request, body: Body) -> web.StreamResponse:
    await asyncio.sleep(61)
    raise AssertionError("nobody waits that long")


async def dripping(request: web.Request, body: Body) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(1000):
        await response.write(b" ")
        await asyncio.sleep(0.05)
    return response


async def breaking(request: web.Request, body: Body) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "5000"})
    await response.prepare(request)
    await response.write(b'{"choices": [')
    assert request.transport is not None
    request.transport.close()
    return response


async def talking(_: web.Request, body: Body) -> web.StreamResponse:
    """A model that was never taught to call tools."""
    said = json.dumps({"name": right_tool(body), "arguments": right_arguments(body)})
    return web.json_response(completion(text=f"```json\n{said}\n```", finish="stop"))


def packed() -> web.Response:
    response = web.json_response(completion(text="x" * 1000))
    response.enable_compression(web.ContentCoding.gzip)
    return response


@dataclass(frozen=True, kw_only=True)
class Weather:
    """`requests`: how many come in during the whole run; fewer than its steps where the server is given up."""

    id: str
    answering: Answering
    why: str
    requests: int


WEATHER = (
    Weather(id="slow", answering=hanging, why="did not answer in time", requests=1),
    Weather(id="dripping", answering=dripping, why="did not answer in time", requests=1),
    Weather(id="429", answering=always(lambda: refusing(429, "slow down")), why="answered 429: ", requests=3),
    Weather(id="500", answering=always(lambda: refusing(500, "oh")), why="answered 500: ", requests=3),
    Weather(
        id="wrong key",
        answering=always(lambda: refusing(401, "Incorrect API key provided: sk-proj-abcdefghijklmnop")),
        why="refuses the key (401): set OPENAI_API_KEY",
        requests=1,
    ),
    Weather(
        id="wrong model",
        answering=always(lambda: refusing(404, "no such model")),
        why="has no model test-model (404): set OPENAI_MODEL or OPENAI_BASE_URL",
        requests=1,
    ),
    Weather(id="closed in the middle", answering=breaking, why="cannot be reached: ", requests=3),
    Weather(id="no JSON", answering=always(lambda: web.Response(text="<html>")), why="is not JSON", requests=STEPS),
    Weather(
        id="no choice",
        answering=always(lambda: web.json_response({"choices": []})),
        why="holds no choice",
        requests=STEPS,
    ),
    Weather(
        id="a refusal of the whole",
        answering=always(lambda: refusing(400, "your context is too long")),
        why="it refused the request (400): ",
        requests=STEPS,
    ),
    Weather(id="gzip", answering=always(packed), why="came as gzip", requests=STEPS),
    Weather(
        id="5 MiB",
        answering=always(lambda: web.Response(text=" " * 5 * 2**20)),
        why="larger than 4 MiB",
        requests=STEPS,
    ),
    Weather(id="words", answering=talking, why="no tool was called: the answer is text", requests=2 * STEPS),
)


@pytest.mark.parametrize("weather", WEATHER, ids=lambda weather: weather.id)
async def test_the_run_ends_as_without_a_model_and_the_trace_says_why(weather: Weather, store: Store) -> None:
    async with model_server(weather.answering) as server:
        timeout = 1.0 if "in time" in weather.why else STEP_SECONDS
        settings = settings_of(server.environment, timeout=timeout, step=STEP_SECONDS)
        scripted, record = await run_case(store, CASE, settings), await run_guided(store, CASE, settings)
    assert decided(record) == decided(scripted)
    assert record.action_taken is not None
    assert waited(record) < STEP_SECONDS
    assert len(record.llm_trace) == STEPS
    assert {trace["used"] for trace in record.llm_trace} == {"scripted call"}
    assert all(weather.why in trace["why"] for trace in record.llm_trace)
    assert len(server.asked) == weather.requests
    assert "abcdefghijklmnop" not in json.dumps(record.llm_trace)


async def test_a_step_waits_no_longer_than_its_budget_however_patient_a_request_is(store: Store) -> None:
    async with model_server(dripping) as server:
        began = time.monotonic()
        record = await run_guided(store, CASE, settings_of(server.environment, timeout=60.0, step=1.0))
        took = time.monotonic() - began
    assert record.action_taken is not None
    assert "did not answer in time (at most 1 s)" in record.llm_trace[0]["why"]
    assert took >= 1.0, "the second of the step, of which a little went by before the question"
    assert waited(record) < STEP_SECONDS


def waited(record: RunRecord) -> float:
    """Seconds of the run that went by with the model."""
    return sum(exchange["latency_ms"] for trace in record.llm_trace for exchange in trace["exchanges"]) / 1000


async def test_a_server_that_is_down_is_tried_three_times_and_then_left_alone(store: Store) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        settings = settings_of({"OPENAI_BASE_URL": f"http://127.0.0.1:{taken.getsockname()[1]}/v1"}, step=STEP_SECONDS)
        scripted, record = await run_case(store, CASE, settings), await run_guided(store, CASE, settings)
    assert decided(record) == decided(scripted)
    assert waited(record) < STEP_SECONDS
    first, *others = record.llm_trace
    assert "cannot be reached" in first["why"]
    assert first["exchanges"][0]["latency_ms"] >= 1000
    assert all(trace["why"].startswith("it is not asked again in this run: ") for trace in others)
    assert [trace["exchanges"][0]["latency_ms"] for trace in others] == [0] * (STEPS - 1)


async def test_a_server_that_was_away_is_asked_again_by_the_next_run_after_a_while(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "SILENCE_SECONDS", 1.0)
    away = True

    async def returning(request: web.Request, body: Body) -> web.StreamResponse:
        return refusing(401, "who are you") if away else await behaving(request, body)

    async with model_server(returning) as server, guided(settings_of(server.environment), store) as planner:
        first = await run_case(store, CASE, settings_of(server.environment), planner)
        second = await run_case(store, CASE, settings_of(server.environment), planner)
        away = False
        await asyncio.sleep(client.SILENCE_SECONDS)
        third = await run_case(store, CASE, settings_of(server.environment), planner)
    assert len(server.asked) == 1 + STEPS
    assert "refuses the key" in first.llm_trace[0]["why"]
    assert second.llm_trace[0]["why"].startswith("it is asked again in ")
    assert {trace["used"] for trace in third.llm_trace} == {"first answer"}


@pytest.mark.parametrize(
    ("header", "waits"), [("1", True), ("3600", False), ("Wed, 21 Oct 2099 07:28:00 GMT", False)], ids=str
)
async def test_retry_after_is_honoured_within_the_budget_only(header: str, waits: bool) -> None:
    async def full(request: web.Request, body: Body) -> web.StreamResponse:
        if len(server.asked) == 1:
            return refusing(429, "slow down", headers={"Retry-After": header})
        return await behaving(request, body)

    async with model_server(full) as server:
        exchange = await asked(settings_of(server.environment), within=STEP_SECONDS)
    assert (exchange.answer is not None) is waits
    assert len(server.asked) == 1 + waits
    assert exchange.latency_ms >= 1000 * waits
    assert waits or "answered 429 (wait " in (exchange.error or "")


async def test_what_a_server_refuses_is_left_out_from_then_on(store: Store) -> None:
    """One that knows nothing but messages, tools and max_tokens, and says so one parameter at a time."""
    refused = {"temperature", "reasoning_effort", "parallel_tool_calls", "tool_choice", "max_completion_tokens"}

    async def plain(request: web.Request, body: Body) -> web.StreamResponse:
        unknown = sorted(refused & set(body))
        if unknown:
            return refusing(400, f"Unsupported parameter: '{unknown[0]}'", param=unknown[0])
        if "strict" in body["tools"][0]["function"]:
            return refusing(422, "tools.0.function.strict: Extra inputs are not permitted")
        return await behaving(request, body)

    async with model_server(plain) as server:
        settings = settings_of({**server.environment, "SRE_AGENT_LLM_REASONING": "low"})
        async with guided(settings, store) as planner:
            record = await run_case(store, CASE, settings, planner)
            again = await run_case(store, CASE, settings, planner)
    assert len(server.asked) == len(refused) + 1 + 2 * STEPS
    assert {trace["used"] for trace in (*record.llm_trace, *again.llm_trace)} == {"first answer"}
    assert set(server.asked[-1]) == {"model", "messages", "tools", "max_tokens"}
    assert set(again.llm_trace[0]["exchanges"][0]["without"]) == {*refused, "strict"}


async def test_a_refusal_of_what_was_not_sent_is_not_asked_again() -> None:
    """A restricted model is no word about `strict`, and what was left out cannot be the reason twice."""
    async with model_server(always(lambda: refusing(400, "this model is restricted, max_tokens: 5"))) as server:
        exchange = await asked(settings_of(server.environment))
    assert len(server.asked) == 1
    assert exchange.without == ()


async def test_a_second_answer_may_still_be_right(store: Store) -> None:
    """The first is refused, and the model is told why; what it said stands fenced before that."""

    async def learning(request: web.Request, body: Body) -> web.StreamResponse:
        if len(body["messages"]) == 2:
            return web.json_response(completion(("drain_node", '{"node": "worker-1"}')))
        return await behaving(request, body)

    async with model_server(learning) as server:
        record = await run_guided(store, CASE, settings_of(server.environment))
    assert {trace["used"] for trace in record.llm_trace} == {"corrected answer"}
    first, second = record.llm_trace[0]["exchanges"]
    assert first["verdict"] == "step get_pod_events calls get_pod_events; drain_node was proposed"
    assert second["verdict"] == "accepted"
    assert [message["role"] for message in second["asked"]] == ["assistant", "user"]
    assert "drain_node was proposed" in second["asked"][1]["content"]


async def test_an_error_that_nobody_foresaw_ends_at_the_border(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: str) -> Any:
        raise LookupError("a bug")

    monkeypatch.setattr(client, "understood", broken)
    async with model_server(behaving) as server:
        settings = settings_of(server.environment)
        scripted, record = await run_case(store, CASE, settings), await run_guided(store, CASE, settings)
    assert decided(record) == decided(scripted)
    assert record.llm_trace[0]["why"] == "asking it failed: LookupError: a bug"
    assert {entry.getMessage() for entry in caplog.records if entry.levelname == "ERROR"} == {"llm.crashed"}


class BrokenModel:
    """A model that breaks the promise of its port."""

    name = "broken"

    async def ask(self, question: Question, allowance: Allowance, *, within: float | None = None) -> Exchange:
        raise RuntimeError("a bug")


async def test_a_planner_that_fails_falls_back_to_the_scripted_call(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_of({})
    planner = GuidedPlanner(BrokenModel(), load_prompts(), seconds=1.0, hide_emails=False)
    scripted, record = await run_case(store, CASE, settings), await run_case(store, CASE, settings, planner)
    assert decided(record) == decided(scripted)
    assert {trace["why"] for trace in record.llm_trace} == {"the planner failed: RuntimeError: a bug"}
    assert {entry.getMessage() for entry in caplog.records if entry.levelname == "ERROR"} == {"planner.crashed"}


async def test_the_time_of_a_run_and_of_a_step_end_the_questions(store: Store) -> None:
    async with model_server(behaving) as server:
        settings = settings_of({**server.environment, "SRE_AGENT_LLM_TIME_PER_RUN": "0"})
        record = await run_guided(store, CASE, settings)
        late = await asked(settings_of(server.environment), within=0.0)
    assert server.asked == []
    assert "the time of this run for a model is used up (SRE_AGENT_LLM_TIME_PER_RUN" in record.llm_trace[0]["why"]
    assert "the time of this step for a model is used up (SRE_AGENT_LLM_TIME_PER_STEP" in (late.error or "")


async def test_connections_are_given_back(store: Store) -> None:
    """Answers that are right, that are errors and that are none: a hundred questions need one connection."""
    peers: set[Any] = set()
    answers = (behaving, always(lambda: refusing(400, "no")), always(lambda: web.Response(text="no")), talking)

    async def counting(request: web.Request, body: Body) -> web.StreamResponse:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return await answers[len(server.asked) % len(answers)](request, body)

    async with (
        model_server(counting) as server,
        aclosing(OpenAIModel(settings_of(server.environment), None)) as model,
    ):
        for _ in range(100):
            await model.ask(QUESTION, allowance())
    assert len(server.asked) == 100
    assert len(peers) == 1


def allowance() -> Allowance:
    return Allowance.begin(uuid4(), None, seconds=60.0)


async def asked(settings: Settings, *, within: float | None = None) -> Exchange:
    async with aclosing(OpenAIModel(settings, None)) as model:
        return await model.ask(QUESTION, allowance(), within=within)
