"""A server that speaks like a language model's: real HTTP on loopback, answers as the test says, keeps what it got."""

import asyncio
import json
import queue
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Body = dict[str, Any]
Answering = Callable[[web.Request, Body], Awaitable[web.StreamResponse]]
KEY = "sk-test-0123456789abcdefghij"
NAME = "test-model"


@dataclass(kw_only=True)
class ModelServer:
    """`asked` and `headers` are what came in, in order; `texts` the same as it was sent.

    `heard` gets the number of each request when it has come, before it is answered.
    """

    answering: Answering
    url: str = ""
    name: str = NAME
    asked: list[Body] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    heard: "queue.SimpleQueue[int]" = field(default_factory=queue.SimpleQueue)

    @property
    def environment(self) -> dict[str, str]:
        """The settings that lead here."""
        return {"OPENAI_BASE_URL": self.url, "OPENAI_API_KEY": KEY, "OPENAI_MODEL": self.name}

    @property
    def prompts(self) -> list[str]:
        """The words of every request."""
        return [said_in(body) for body in self.asked]


@asynccontextmanager
async def model_server(
    answering: Answering, *, tls: ssl.SSLContext | None = None, name: str = NAME
) -> AsyncIterator[ModelServer]:
    """A server on a free port of loopback."""
    server = ModelServer(answering=answering, name=name)

    async def handle(request: web.Request) -> web.StreamResponse:
        text = await request.text()
        server.texts.append(text)
        server.headers.append(dict(request.headers))
        server.asked.append(json.loads(text))
        server.heard.put(len(server.asked))
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


@contextmanager
def model_beside(answering: Answering, *, name: str = NAME) -> Iterator[ModelServer]:
    """The same in a thread with an event loop of its own: it serves commands, which bring theirs, and coroutines."""
    started: Future[tuple[ModelServer, Callable[[], object]]] = Future()

    async def serve() -> None:
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        async with model_server(answering, name=name) as server:
            started.set_result((server, lambda: loop.call_soon_threadsafe(over.set)))
            await over.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    server, end = started.result(timeout=30)
    try:
        yield server
    finally:
        end()
        thread.join(timeout=30)


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
    said: Body = {"content": text}
    if calls:
        said["tool_calls"] = [
            {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for number, (name, arguments) in enumerate(calls)
        ]
    return body_of(said, finish=finish, usage=usage or used(700, 30)) | more


def body_of(message: Body, *, finish: str, usage: Any) -> Body:
    """The body of an answer with this message."""
    said = {"role": "assistant", "content": None, **message}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": NAME,
        "choices": [{"index": 0, "message": said, "finish_reason": finish}],
        "usage": usage,
    }


def used(prompt: int, completion: int) -> dict[str, int]:
    """So many tokens of a question and of its answer."""
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


async def behaving(_: web.Request, body: Body) -> web.StreamResponse:
    """The one call that is right."""
    return web.json_response(completion((right_tool(body), json.dumps(right_arguments(body)))))


def refusing(status: int, message: str, *, param: str | None = None, headers: Any = None) -> web.Response:
    """An error as OpenAI's API writes it."""
    body = {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": None}}
    return web.json_response(body, status=status, headers=headers)
