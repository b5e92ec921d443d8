"""Budgets hold over attempts, over processes that ask at once, and where somebody dies or gives up in between."""

import asyncio
import os
import sys
from contextlib import aclosing
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiohttp import web

from sre_agent.llm.client import OpenAIModel
from sre_agent.llm.port import Allowance, Exchange
from sre_agent.store import Store
from tests.chaos.monkey import OwnPostgres
from tests.executor.evidence_builders import rows
from tests.llm.guided_runs import case_of, run_guided, settings_of
from tests.llm.spender import QUESTION, TOKENS
from tests.model_server import Answering, Body, ModelServer, behaving, completion, model_server

PROCESSES = 3


def saying(**usage: Any) -> Answering:
    async def answering(_: web.Request, body: Body) -> web.StreamResponse:
        return web.json_response(completion(text="yes", usage=usage))

    return answering


FULL = {"prompt_tokens": 100, "completion_tokens": 100}
"""What is reserved for a question of these tests."""


async def spenders(database: str, server: ModelServer, budgets: list[UUID], **limits: str) -> list[tuple[int, str]]:
    """How much each process was answered, and what it heard last."""
    environment = {**os.environ, **server.environment, **limits}
    command = [sys.executable, "-m", "tests.llm.spender", database]
    processes = [
        await asyncio.create_subprocess_exec(
            *command, str(budget), "20", env=environment, stdout=asyncio.subprocess.PIPE
        )
        for budget in budgets
    ]
    said = [(await process.communicate())[0].decode() for process in processes]
    assert [process.returncode for process in processes] == [0] * len(budgets)
    return [(int(answered), why.strip()) for answered, _, why in (line.partition(" ") for line in said)]


def day(database: str) -> tuple[int, int, float]:
    ((calls, tokens, cost),) = rows(database, "select calls, tokens, cost from llm_days")
    return calls, tokens, cost


async def test_the_day_has_room_for_so_many_tokens_whoever_asks(database: str) -> None:
    async with model_server(saying(**FULL)) as server:
        limit = 30 * TOKENS + TOKENS // 2
        heard = await spenders(
            database, server, [uuid4() for _ in range(PROCESSES)], SRE_AGENT_LLM_TOKENS_PER_DAY=str(limit)
        )
    assert len(server.asked) == sum(answered for answered, _ in heard) == 30
    assert day(database)[:2] == (30, 30 * TOKENS)
    assert any("the budget of the day is used up (SRE_AGENT_LLM_TOKENS_PER_DAY" in why for _, why in heard)


async def test_the_day_has_room_for_so_much_money_whoever_asks(database: str) -> None:
    """100 tokens each way, at 10 and 40 for a million: 0.005."""
    limits = {
        "SRE_AGENT_LLM_PRICE_IN": "10",
        "SRE_AGENT_LLM_PRICE_OUT": "40",
        "SRE_AGENT_LLM_COST_PER_DAY": "0.126",
    }
    async with model_server(saying(**FULL)) as server:
        await spenders(database, server, [uuid4() for _ in range(PROCESSES)], **limits)
    assert len(server.asked) == 25
    assert day(database)[2] == pytest.approx(0.125)


async def test_a_run_has_room_for_so_many_calls_whoever_walks_it(database: str) -> None:
    """A worker that was taken for dead may still ask while the next one does."""
    async with model_server(saying(**FULL)) as server:
        heard = await spenders(database, server, [uuid4()] * PROCESSES, SRE_AGENT_LLM_CALLS_PER_RUN="25")
    assert len(server.asked) == 25
    assert any("the run has made its 25 calls (SRE_AGENT_LLM_CALLS_PER_RUN)" in why for _, why in heard)


async def test_a_run_has_room_for_so_many_tokens_whoever_walks_it(database: str) -> None:
    async with model_server(saying(**FULL)) as server:
        limit = str(15 * TOKENS)
        heard = await spenders(database, server, [uuid4()] * PROCESSES, SRE_AGENT_LLM_TOKENS_PER_RUN=limit)
    assert len(server.asked) == 15
    assert any("SRE_AGENT_LLM_TOKENS_PER_RUN" in why for _, why in heard)


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        pytest.param({"prompt_tokens": 60, "completion_tokens": 5}, 65, id="less than reserved"),
        pytest.param({"prompt_tokens": 10**12, "completion_tokens": 10**12}, TOKENS, id="never more than reserved"),
        pytest.param({"prompt_tokens": -5, "completion_tokens": "5"}, 103, id="nothing that can be: the bytes said"),
        pytest.param({"total": 5}, 103, id="nothing: the bytes said"),
    ],
)
async def test_what_a_server_says_of_tokens_counts_up_to_what_was_reserved(
    usage: dict[str, Any], tokens: int, store: Store, database: str
) -> None:
    async with model_server(saying(**usage)) as server:
        exchange = await once(server, store)
    assert exchange.prompt_tokens + exchange.completion_tokens == tokens
    assert rows(database, "select tokens from llm_calls") == [(tokens,)]
    assert day(database)[:2] == (1, tokens)


async def test_a_question_that_was_given_up_is_settled_and_counts(store: Store, database: str) -> None:
    asking = asyncio.Event()

    async def hanging(_: web.Request, body: Body) -> web.StreamResponse:
        asking.set()
        await asyncio.sleep(60)
        raise AssertionError

    async with model_server(hanging) as server:
        task = asyncio.create_task(once(server, store))
        await asking.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert rows(database, "select tokens, error from llm_calls") == [(TOKENS, "interrupted")]
    assert day(database)[:2] == (1, TOKENS)


async def test_a_process_that_dies_leaves_its_question_counted(database: str) -> None:
    asking, done = asyncio.Event(), asyncio.Event()

    async def hanging(_: web.Request, body: Body) -> web.StreamResponse:
        asking.set()
        await done.wait()
        return web.Response()

    async with model_server(hanging) as server:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.llm.spender", database, str(uuid4()), "1"),
            env={**os.environ, **server.environment},
        )
        await asking.wait()
        process.kill()
        await process.wait()
        done.set()
    assert rows(database, "select tokens, latency_ms, error from llm_calls") == [(TOKENS, None, None)]
    assert day(database)[:2] == (1, TOKENS)


async def test_an_answer_is_used_although_the_database_went_away_before_it_came(
    own_postgres: OwnPostgres, caplog: pytest.LogCaptureFixture
) -> None:
    """It stays counted as it was reserved."""

    async def late(_: web.Request, body: Body) -> web.StreamResponse:
        await own_postgres.stop()
        return web.json_response(completion(text="yes", usage=FULL))

    async with Store.open(own_postgres.conninfo) as store, model_server(late) as server:
        exchange = await once(server, store)
    assert exchange.answer is not None
    assert "llm.not_settled" in {entry.getMessage() for entry in caplog.records}


async def test_a_run_whose_budget_ends_goes_on_without_the_model(store: Store, database: str) -> None:
    async with model_server(behaving) as server:
        settings = settings_of({**server.environment, "SRE_AGENT_LLM_CALLS_PER_RUN": "2"})
        record = await run_guided(store, case_of("crash-loop-oom"), settings)
    assert [trace["used"] for trace in record.llm_trace] == ["first answer"] * 2 + ["scripted call"] * 4
    assert record.llm_trace[2]["why"] == "the run has made its 2 calls (SRE_AGENT_LLM_CALLS_PER_RUN)"
    assert record.action_taken is not None
    assert rows(database, "select count(*) from llm_calls") == [(2,)]


async def once(server: ModelServer, store: Store) -> Exchange:
    async with aclosing(OpenAIModel(settings_of(server.environment), store)) as model:
        return await model.ask(QUESTION, Allowance.begin(uuid4(), None, seconds=60.0))
