"""A server on loopback that speaks like a language model's, and answers each question as a test's script says."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Body = dict[str, Any]
Reply = Body | web.Response
Script = Callable[[Body], Reply]
"""From a request to the answer's message, or to a whole response."""

USAGE = {"prompt_tokens": 1200, "completion_tokens": 40, "total_tokens": 1240}


@dataclass(kw_only=True)
class ScriptedModel:
    """The server. `asked` are the requests so far."""

    script: Script
    url: str = ""
    asked: list[Body] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """The settings that lead to it."""
        return {"OPENAI_BASE_URL": self.url, "OPENAI_API_KEY": "sk-test-0123456789", "OPENAI_MODEL": "test-model"}


@asynccontextmanager
async def scripted_model(script: Script) -> AsyncIterator[ScriptedModel]:
    """Serves until the test is over."""
    model = ScriptedModel(script=script)

    async def answer(request: web.Request) -> web.Response:
        body = await request.json()
        model.asked.append(body)
        reply = model.script(body)
        if isinstance(reply, web.Response):
            return reply
        message = {"role": "assistant", "content": None, **reply}
        return web.json_response({"choices": [{"message": message, "finish_reason": "stop"}], "usage": USAGE})

    app = web.Application(client_max_size=2**24)
    app.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    model.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield model
    finally:
        await runner.cleanup()


def call(name: str, arguments: Any) -> Body:
    """A message that calls a tool; arguments that are no text are written as JSON."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return {"tool_calls": [{"id": "call_x", "type": "function", "function": {"name": name, "arguments": text}}]}


def offered(body: Body) -> list[str]:
    return [tool["function"]["name"] for tool in body.get("tools", ())]


def parameters(body: Body, name: str) -> Body:
    found: Body = next(t["function"]["parameters"] for t in body["tools"] if t["function"]["name"] == name)
    return found


def bound(body: Body, name: str) -> Body:
    """The arguments that the schema of a tool allows."""
    properties = parameters(body, name)["properties"]
    return {key: schema["enum"][0] if "enum" in schema else None for key, schema in properties.items()}


def looking(*tools: str, then: Script) -> Script:
    """Calls these tools rightly, one after another, then goes on as `then`."""
    coming: Iterator[str] = iter(tools)

    def script(body: Body) -> Reply:
        name = next(coming, None)
        return then(body) if name is None else call(name, bound(body, name))

    return script


def concluding(findings: Sequence[tuple[str, str]], hypothesis: str | None = None) -> Script:
    """Concludes with findings: a statement, and the tool whose step it names."""

    def script(body: Body) -> Reply:
        steps = parameters(body, "conclude")["properties"]["findings"]["items"]["properties"]["step"]["enum"]
        named = [
            {"statement": said, "step": next((s for s in steps if s.endswith(f"-{tool}")), tool)}
            for said, tool in findings
        ]
        return call("conclude", {"findings": named, "hypothesis": hypothesis})

    return script


@contextmanager
def model_beside(script: Script) -> Iterator[ScriptedModel]:
    """The same in a thread of its own, for commands that bring their own event loop."""
    started: Future[ScriptedModel] = Future()
    loop = asyncio.new_event_loop()
    over = asyncio.Event()

    async def serve() -> None:
        async with scripted_model(script) as model:
            started.set_result(model)
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        yield started.result(timeout=30)
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(timeout=30)
        loop.close()
