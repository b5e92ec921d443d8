"""Counts what is asked of a model before it is asked, and settles it afterwards. Used by the client.

Protects two rules: nothing is asked for which a budget has no room; and no server can make a call count for more than
was reserved for it, nor for nothing where it may have done the work.
"""

import json
from dataclasses import dataclass

from sre_agent.errors import Unreachable
from sre_agent.llm.port import Allowance, Exchange, Question
from sre_agent.log import get_logger
from sre_agent.settings import Settings
from sre_agent.store import Store
from sre_agent.store.llm_calls import Limits, Spent

BYTES_OF_A_TOKEN = 2
"""Of prompts: the names and JSON of a cluster come to 2.5 and more, so this reserves rather too much."""

log = get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reserved:
    """Room for one call, at most so many tokens; `number` is its row, None where nobody counts."""

    number: int | None
    prompt_tokens: int
    completion_tokens: int


class Meter:
    """The budgets of all questions. Without a store nothing is counted."""

    def __init__(self, settings: Settings, store: Store | None) -> None:
        self._settings = settings
        self._store = store

    async def reserve(self, question: Question, allowance: Allowance, *, model: str) -> Reserved | Spent:
        """Counts the call with the most that it can cost; Spent where there is no room. Raises Unreachable."""
        asked = [question.messages, *((tool.name, tool.description, tool.parameters) for tool in question.tools)]
        prompt_tokens = len(json.dumps(asked, ensure_ascii=False).encode("utf-8", "replace")) // BYTES_OF_A_TOKEN
        number: int | Spent | None = None
        if self._store is not None:
            settings = self._settings
            number = await self._store.llm_calls.reserve(
                budget_id=allowance.budget_id,
                incident_id=allowance.incident_id,
                purpose=question.purpose.value,
                model=model,
                tokens=prompt_tokens + question.max_tokens,
                cost=self.cost(prompt_tokens, question.max_tokens) or 0.0,
                limits=Limits(
                    calls_per_run=settings.llm_calls_per_run,
                    tokens_per_run=settings.llm_tokens_per_run,
                    tokens_per_day=settings.llm_tokens_per_day,
                    cost_per_day=settings.llm_cost_per_day,
                ),
            )
        if isinstance(number, Spent):
            return number
        return Reserved(number=number, prompt_tokens=prompt_tokens, completion_tokens=question.max_tokens)

    async def settle(self, reserved: Reserved, exchange: Exchange) -> None:
        """Says what the call was. A store that is away keeps what was reserved: too much rather than too little."""
        if self._store is None or reserved.number is None:
            return
        try:
            await self._store.llm_calls.settle(
                reserved.number,
                prompt_tokens=exchange.prompt_tokens,
                completion_tokens=exchange.completion_tokens,
                cost=exchange.cost or 0.0,
                latency_ms=exchange.latency_ms,
                error=exchange.error,
            )
        except Unreachable as error:
            log.warning("llm.not_settled", number=reserved.number, error=str(error))

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float | None:
        """In the currency of the prices, which are for a million tokens; None without prices."""
        price_in, price_out = self._settings.llm_price_in, self._settings.llm_price_out
        if price_in is None and price_out is None:
            return None
        return (prompt_tokens * (price_in or 0.0) + completion_tokens * (price_out or 0.0)) / 1e6
