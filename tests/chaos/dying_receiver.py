"""`sre-agent serve` that ends itself, with SIGKILL, at a named point of a webhook.

Run as `python -m tests.chaos.dying_receiver POINT TIMES serve …`; TIMES is how many webhooks pass the point before.
"""

import functools
import inspect
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from aiohttp import web

from sre_agent.cli.main import run
from sre_agent.reception import Reception
from sre_agent.store.webhooks import Webhooks
from sre_agent.web import webhook

PROGRAM = ("-m", "tests.chaos.dying_receiver")

POINTS: dict[str, tuple[Any, str, str]] = {
    "the body is read": (webhook, "read_body", "after"),
    "it is parsed": (webhook, "parse", "after"),
    "it is prepared": (Reception, "_prepare", "after"),
    "before the commit": (Webhooks, "take_in", "before"),
    "after the commit": (Webhooks, "take_in", "after"),
    "it is answered": (web.Response, "write_eof", "after"),
}
"""Where each point is: whose attribute, and whether before it is called or after."""


class Life:
    """Ends when it has been counted down."""

    def __init__(self, times: int) -> None:
        self._left = times

    def passes(self) -> None:
        self._left -= 1
        if self._left < 0:
            os.kill(os.getpid(), signal.SIGKILL)


def mortal(function: Callable[..., Any], when: str, life: Life) -> Callable[..., Any]:
    """The function, with a death before it or after it."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if when == "before":
            life.passes()
        answer = function(*args, **kwargs)
        if when == "after":
            life.passes()
        return answer

    @functools.wraps(function)
    async def wait(*args: Any, **kwargs: Any) -> Any:
        if when == "before":
            life.passes()
        answer = await function(*args, **kwargs)
        if when == "after":
            life.passes()
        return answer

    return wait if inspect.iscoroutinefunction(function) else call


def main(point: str, times: str, *arguments: str) -> int:
    owner, name, when = POINTS[point]
    setattr(owner, name, mortal(getattr(owner, name), when, Life(int(times))))
    return run(list(arguments))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
