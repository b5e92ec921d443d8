"""A server that speaks like a language model's, on loopback, and answers what a test tells it to."""

import asyncio
import json
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

NAME = "scripted-model"


@dataclass(frozen=True, kw_only=True)
class Cut:
    """An answer that ends before its end, as the server says."""

    text: str


Said = str | int | Cut | dict[str, Any]
"""A text; a status without one; a whole body."""


@dataclass(kw_only=True)
class ScriptedModel:
    """Gives its answers in turn, the last of them again and again.

    `asked` are the requests as they came; `heard` gets the number of each of them.
    """

    answers: Sequence[Said]
    asked: list[dict[str, Any]] = field(default_factory=list)
    heard: "queue.SimpleQueue[int]" = field(default_factory=queue.SimpleQueue)
    url: str = ""
    seconds: float = 0.0
    meanwhile: Callable[[], None] | None = None

    @property
    def environment(self) -> dict[str, str]:
        return {"OPENAI_BASE_URL": self.url, "OPENAI_MODEL": NAME, "OPENAI_API_KEY": "sk-test"}

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json())
        self.heard.put(len(self.asked))
        await asyncio.sleep(self.seconds)
        if self.meanwhile is not None:
            await asyncio.to_thread(self.meanwhile)
        said = self.answers[min(len(self.asked), len(self.answers)) - 1]
        if isinstance(said, int):
            return web.Response(status=said, text=json.dumps({"error": {"message": "no"}}))
        return web.json_response(said if isinstance(said, dict) else body(said))


def body(said: str | Cut) -> dict[str, Any]:
    text, reason = (said.text, "length") if isinstance(said, Cut) else (said, "stop")
    return {
        "id": "1",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": reason}],
        "usage": {"prompt_tokens": 1800, "completion_tokens": 600},
    }


@contextmanager
def scripted(
    *answers: Said, seconds: float = 0.0, meanwhile: Callable[[], None] | None = None
) -> Iterator[ScriptedModel]:
    """The server, in a thread with an event loop of its own: it serves commands and coroutines alike."""
    model = ScriptedModel(answers=answers, seconds=seconds, meanwhile=meanwhile)
    started, ending = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        app = web.Application(client_max_size=2**24)
        app.router.add_post("/v1/chat/completions", model.answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        model.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        started.set()
        await ending.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    started.wait()
    try:
        yield model
    finally:
        loop.call_soon_threadsafe(ending.set)
        thread.join()
        loop.close()
