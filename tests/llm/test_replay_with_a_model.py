"""`sre-agent replay` with a model, as a user types it: a process, its settings, a server on loopback."""

import asyncio
import json
import os
import sys
from typing import Any

import pytest
from aiohttp import web

from sre_agent.resources import data_path
from sre_agent.store import Store
from tests.examples import comparable
from tests.model_server import (
    KEY,
    Answering,
    Body,
    ModelServer,
    behaving,
    completion,
    model_server,
    right_arguments,
    right_tool,
)

EXAMPLE = str(data_path("examples") / "crash-loop-oom")


async def replayed(server: ModelServer, database: str, *arguments: str) -> dict[str, Any]:
    """The run of the example. Neither what is printed nor what is logged holds the key."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sre_agent", "replay", EXAMPLE, "--mode", "auto", "--json", *arguments),
        env={**os.environ, **server.environment, "DATABASE_URL": database, "LOG_LEVEL": "DEBUG"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert KEY not in out.decode() + err.decode()
    (run,) = json.loads(out)["runs"]
    assert isinstance(run, dict)
    return run


async def calling_twice(request: web.Request, body: Body) -> web.StreamResponse:
    """The right call, two times: never what was asked for."""
    call = (right_tool(body), json.dumps(right_arguments(body)))
    return web.json_response(completion(call, call))


@pytest.mark.parametrize("answering", [behaving, calling_twice], ids=lambda answering: answering.__name__)
async def test_a_replay_asks_the_model_that_is_set_up(answering: Answering, store: Store, database: str) -> None:
    async with model_server(answering) as server:
        run = await replayed(server, database)
        asked = len(server.asked)
        scripted = await replayed(server, database, "--planner", "scripted")
        assert len(server.asked) == asked
    steps = [body for body in server.asked if "tools" in body]
    assert len(steps) == (12 if answering is calling_twice else 6)
    assert comparable(run) == comparable(scripted)
    assert run["action_taken"] is not None
    final = next(event for event in await store.events(run["incident_id"]) if event.event_type == "final")
    assert len(final.payload["state"]["llm_trace"]) == 6
