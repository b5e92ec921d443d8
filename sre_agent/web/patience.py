"""Questions to the store that somebody waits for: answered within a time, or given up.

Used where a program asks and has a patience of its own: health and metrics.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from sre_agent.errors import Unreachable

PATIENCE_SECONDS = 2.0

Answer = TypeVar("Answer")


async def answered(question: Coroutine[Any, Any, Answer]) -> Answer:
    """The store's answer. Raises Unreachable, also where none comes within PATIENCE_SECONDS.

    The end of a question that was given up is not waited for: a server that is frozen does not even end it.
    """
    asking = asyncio.ensure_future(question)
    done, _ = await asyncio.wait({asking}, timeout=PATIENCE_SECONDS)
    if not done:
        asking.cancel()
        asking.add_done_callback(_heard)
        raise Unreachable(f"the database does not answer within {PATIENCE_SECONDS:g} s")
    return asking.result()


def _heard(asking: "asyncio.Future[Any]") -> None:
    """Nobody is left whom its error would tell anything."""
    if not asking.cancelled():
        asking.exception()
