"""A model's server that answers each question of an investigation as a test's script says."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any

from aiohttp import web

from tests.model_server import Answering, Body, ModelServer, body_of, model_beside, model_server, used

Reply = Body | web.Response
Script = Callable[[Body], Reply]
"""From a request to the answer's message, or to a whole response."""


def scripted_model(script: Script) -> AbstractAsyncContextManager[ModelServer]:
    """Serves until the test is over."""
    return model_server(by_script(script))


def scripted_beside(script: Script) -> AbstractContextManager[ModelServer]:
    """The same in a thread of its own, for commands that bring their own event loop."""
    return model_beside(by_script(script))


def by_script(script: Script) -> Answering:
    """Answers as the script says; a server that serves already may be given another one."""

    async def answer(_: web.Request, body: Body) -> web.Response:
        reply = script(body)
        if isinstance(reply, web.Response):
            return reply
        return web.json_response(body_of(reply, finish="stop", usage=used(1200, 40)))

    return answer


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
