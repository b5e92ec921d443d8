"""Whether this server can store what it takes.

Readiness asks for the database and its schema, and nothing else: a server whose cluster or LLM is away still has to
take alerts. Open to everybody, so no answer says where the database is.
"""

import asyncio
import time
from collections.abc import Callable

from sre_agent.errors import Unreachable
from sre_agent.log import get_logger
from sre_agent.store import Store
from sre_agent.web.patience import answered

FRESH_SECONDS = 1.0
"""How long an answer is good: many who ask are one question to the database."""

log = get_logger(__name__)


class Health:
    """Whether the store can be used, asked at most once in FRESH_SECONDS."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._asking = asyncio.Lock()
        self._asked_at = float("-inf")
        self._fault: str | None = None

    async def fault(self) -> str | None:
        """What is wrong, in words for everybody; None where nothing is."""
        async with self._asking:
            if self._clock() - self._asked_at >= FRESH_SECONDS:
                fault = await self._ask()
                if fault != self._fault:
                    log.warning("health.changed", fault=fault)
                self._fault, self._asked_at = fault, self._clock()
            return self._fault

    async def _ask(self) -> str | None:
        try:
            current = await answered(self._store.schema_is_current())
        except Unreachable:
            return "the database cannot be reached, or does not answer"
        return None if current else "the schema of the database is not current: sre-agent db migrate"
