"""A server that speaks like a language model's: real HTTP on loopback, answers as the test says, keeps what it got."""

import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Body = dict[str, Any]
Answering = Callable[[web.Request, Body], Awaitable[web.StreamResponse]]
KEY = "sk-test-0123456789abcdefghij"


@dataclass(kw_only=True)
class ModelServer:
    """`asked` and `headers` are what came in, in order; `texts` the same as it was sent."""

    url: str
    answering: Answering
    asked: list[Body] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """The settings that lead here."""
        return {"OPENAI_BASE_URL": self.url, "OPENAI_API_KEY": KEY, "OPENAI_MODEL": "test-model"}

    @property
    def prompts(self) -> list[str]:
        """The words of every request."""
        return [said_in(body) for body in self.asked]


@asynccontextmanager
async def model_server(answering: Answering, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[ModelServer]:
    """A server on a free port of loopback."""
    server = ModelServer(url="", answering=answering)

    async def handle(request: web.Request) -> web.StreamResponse:
        text = await request.text()
        server.texts.append(text)
        server.headers.append(dict(request.headers))
        server.asked.append(json.loads(text))
        return await server.answering(request, server.asked[-1])

    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/chat/completions", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    port = runner.addresses[0][1]
    server.url = f"http{'s' if tls else ''}://127.0.0.1:{port}/v1"
    try:
        yield server
    finally:
        await runner.cleanup()


def said_in(body: Body) -> str:
    return "\n".join(message["content"] for message in body["messages"])


def right_arguments(body: Body) -> dict[str, Any]:
    """What the tool's schema allows: of each argument the one value."""
    properties = body["tools"][0]["function"]["parameters"]["properties"]
    return {name: schema["enum"][0] if "enum" in schema else None for name, schema in properties.items()}


def right_tool(body: Body) -> str:
    name: str = body["tools"][0]["function"]["name"]
    return name


def completion(
    *calls: tuple[Any, Any], text: Any = None, finish: str = "tool_calls", usage: Any = None, **more: Any
) -> Body:
    """The body of an answer with such calls: name and arguments, which are text as a rule."""
    said: Body = {"role": "assistant", "content": text}
    if calls:
        said["tool_calls"] = [
            {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for number, (name, arguments) in enumerate(calls)
        ]
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "test-model",
        "choices": [{"index": 0, "message": said, "finish_reason": finish}],
        "usage": usage or {"prompt_tokens": 700, "completion_tokens": 30, "total_tokens": 730},
        **more,
    }


async def behaving(_: web.Request, body: Body) -> web.StreamResponse:
    """The one call that is right."""
    return web.json_response(completion((right_tool(body), json.dumps(right_arguments(body)))))


def refusing(status: int, message: str, *, param: str | None = None, headers: Any = None) -> web.Response:
    """An error as OpenAI's API writes it."""
    body = {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": None}}
    return web.json_response(body, status=status, headers=headers)
