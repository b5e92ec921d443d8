"""Exchanges with a real language model, recorded once and played again: no test here reaches a network.

The cassettes hold what `qwen2.5-coder-1.5b-instruct` (a 4-bit GGUF behind llama.cpp) was asked and answered, with every
credential filtered. `make record` asks again, at OPENAI_BASE_URL. A request that no cassette holds fails its test: a
prompt that was changed is recorded again.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from sre_agent.agent import Agent, load_runbooks, open_agent
from sre_agent.analysis import ComposedAuthor
from sre_agent.parts import load_parts
from sre_agent.replay import play
from sre_agent.resources import data_path
from sre_agent.run import Mode, RunRecord
from sre_agent.settings import load
from tests.conftest import copy_of

MODEL = "qwen2.5-coder-1.5b-instruct"
SERVER = os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8089/v1")
"""Where the model listens that is recorded; nobody has to listen there when it is played again."""

PATIENCE = "1h"
"""A small machine without a graphics card takes a minute for what others do in a second."""


@pytest.fixture(scope="module")
def vcr_config() -> dict[str, Any]:
    """Requests are told apart by what they ask; nothing that could be a secret is kept."""
    return {
        "match_on": ["method", "path", "body"],
        "filter_headers": ["authorization", "cookie", "openai-organization", "openai-project", "user-agent"],
        "before_record_request": _without_machine,
        "before_record_response": _without_timings,
        "decode_compressed_response": True,
        "ignore_hosts": [],
    }


@pytest.fixture(scope="module")
def vcr_cassette_dir() -> str:
    return str(Path(__file__).parent / "cassettes")


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """The agent that asks the recorded model, on a database of its own."""

    conninfo: str
    home: Path

    @asynccontextmanager
    async def opened(self, **environment: str) -> AsyncIterator[Agent]:
        """The agent with further settings by keyword; the recorded model writes no analysis by itself."""
        async with opened_agent(
            self.conninfo,
            self.home,
            OPENAI_BASE_URL=SERVER,
            OPENAI_MODEL=MODEL,
            SRE_AGENT_LLM_TIMEOUT=PATIENCE,
            SRE_AGENT_LLM_TIME_PER_STEP=PATIENCE,
            SRE_AGENT_LLM_TIME_PER_RUN=PATIENCE,
            **environment,
        ) as agent:
            yield agent


@asynccontextmanager
async def opened_agent(conninfo: str, home: Path, **environment: str) -> AsyncIterator[Agent]:
    settings = load({"HOME": str(home), "DATABASE_URL": conninfo, **environment})
    async with open_agent(settings, runbooks=load_runbooks(settings)) as agent:
        yield agent


@pytest.fixture
def recorded(database: str, tmp_path: Path) -> Recorded:
    return Recorded(conninfo=database, home=tmp_path)


@pytest.fixture
async def scripted(postgres: str, migrated_template: str, tmp_path: Path) -> AsyncIterator[Agent]:
    """The same agent without a model."""
    with contextmanager(copy_of)(postgres, migrated_template) as conninfo:
        async with opened_agent(conninfo, tmp_path) as agent:
            yield agent


async def played(agent: Agent, example: str, *, writing: bool = False, alertname: str | None = None) -> RunRecord:
    """The one run of an example in `auto`; with `writing` the model writes its analysis.

    With an `alertname` of its own, the alert names no runbook.
    """
    minds = agent.minds if writing else replace(agent.minds, author=ComposedAuthor())
    (part,) = load_parts([str(data_path("examples") / example)], snapshot=None)
    assert part.cluster is not None
    if alertname is not None:
        (alert,) = part.payload.alerts
        labels = {name: value for name, value in alert.labels.items() if name != "runbook_id"}
        alert = replace(alert, labels=labels | {"alertname": alertname})
        part = replace(part, payload=replace(part.payload, alerts=(alert,)))
    runs = [run async for run in play(part, replace(agent, minds=minds), part.cluster, example, Mode.AUTO)]
    (run,) = runs
    assert isinstance(run, RunRecord)
    return run


def _without_machine(request: Any) -> Any:
    """Where it was recorded says nothing about what was asked."""
    for name in [name for name in request.headers if name.lower().startswith("x-stainless")]:
        del request.headers[name]
    return request


def _without_timings(response: dict[str, Any]) -> dict[str, Any]:
    response["headers"] = {"content-type": ["application/json"]}
    return response
