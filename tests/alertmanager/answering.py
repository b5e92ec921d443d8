"""A server on loopback that answers every request alike, where no healthy Alertmanager would do."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

Serve = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def answering(serve: Serve) -> AsyncIterator[str]:
    """Its address, while the block runs."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", serve)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


def body(content: Any, status: int = 200, *, asked: list[web.Request] | None = None) -> Serve:
    """Answers with this body, bytes as they are; every request is noted in `asked`."""

    async def serve(request: web.Request) -> web.StreamResponse:
        if asked is not None:
            asked.append(request)
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        return web.Response(status=status, body=data, content_type="application/json")

    return serve
