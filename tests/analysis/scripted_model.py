"""A model's server that gives a test's answers in turn, to whoever asks for an analysis."""

import asyncio
import itertools
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.model_server import Body, ModelServer, body_of, model_beside, used

NAME = "scripted-model"


@dataclass(frozen=True, kw_only=True)
class Cut:
    """An answer that ends before its end, as the server says."""

    text: str


Said = str | int | Cut | dict[str, Any]
"""A text; a status without one; a whole body."""


def scripted(
    *answers: Said, seconds: float = 0.0, meanwhile: Callable[[], None] | None = None
) -> AbstractContextManager[ModelServer]:
    """The server: it gives its answers in turn, the last of them again and again, each after so many seconds."""
    coming = itertools.chain(answers, itertools.repeat(answers[-1]))

    async def answer(_: web.Request, __: Body) -> web.Response:
        said = next(coming)
        await asyncio.sleep(seconds)
        if meanwhile is not None:
            await asyncio.to_thread(meanwhile)
        if isinstance(said, int):
            return web.Response(status=said, text=json.dumps({"error": {"message": "no"}}))
        return web.json_response(said if isinstance(said, dict) else body(said))

    return model_beside(answer, name=NAME)


def body(said: str | Cut) -> Body:
    text, finish = (said.text, "length") if isinstance(said, Cut) else (said, "stop")
    return body_of({"content": text}, finish=finish, usage=used(1800, 600))
