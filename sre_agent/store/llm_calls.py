"""What was asked of language models, and what it cost, counted for a run and for a day over all processes.

Used by `llm`. Protects the rule that a call is counted before it is made: what all processes ask together stays within
the day's budget, and all attempts at a run within the run's.
"""

from dataclasses import asdict, dataclass
from uuid import UUID

from sre_agent.redaction import redact_text
from sre_agent.store.database import Database
from sre_agent.store.queries import query
from sre_agent.store.values import indexed, parameters


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """The budgets. Costs are in the currency of the prices; None: no limit."""

    calls_per_run: int
    tokens_per_run: int
    tokens_per_day: int
    cost_per_day: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Spent:
    """The call is not made: a budget has no room for it. `why` says which, and its setting."""

    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Today:
    """What all processes have asked since midnight UTC."""

    calls: int
    tokens: int
    cost: float


class LlmCalls:
    """The calls of all runs. Every method raises Unreachable when the server is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def reserve(
        self,
        *,
        budget_id: UUID,
        incident_id: int | None,
        purpose: str,
        model: str,
        tokens: int,
        cost: float,
        limits: Limits,
    ) -> int | Spent:
        """Counts a call of at most so many tokens, and returns its number; Spent where there is no room for it."""
        call = {
            "budget_id": budget_id,
            "incident_id": incident_id,
            "purpose": purpose,
            "model": indexed(model),
            "tokens": tokens,
            "cost": cost,
        }
        async with self._database.connection() as connection, connection.transaction():
            await connection.execute(query("lock_llm_budget"), {"budget_id": budget_id})
            cursor = await connection.execute(query("reserve_llm_call"), parameters(call | asdict(limits)))
            (row,) = await cursor.fetchall()
        number: int | None = row["id"]
        if number is not None:
            return number
        if row["calls"] >= limits.calls_per_run:
            return Spent(why=f"the run has made its {limits.calls_per_run} calls (SRE_AGENT_LLM_CALLS_PER_RUN)")
        if row["tokens"] + tokens > limits.tokens_per_run:
            room = f"{row['tokens']} of {limits.tokens_per_run} are used, and up to {tokens} would be needed"
            return Spent(why=f"the tokens of the run are used up: {room} (SRE_AGENT_LLM_TOKENS_PER_RUN)")
        return Spent(why="the budget of the day is used up (SRE_AGENT_LLM_TOKENS_PER_DAY, SRE_AGENT_LLM_COST_PER_DAY)")

    async def settle(
        self,
        number: int,
        *,
        prompt_tokens: int,
        completion_tokens: int,
        cost: float,
        latency_ms: int,
        error: str | None,
    ) -> None:
        """Says what a call really was."""
        await self._database.rows(
            "settle_llm_call",
            id=number,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            cost=cost,
            latency_ms=latency_ms,
            error=None if error is None else redact_text(error),
        )

    async def today(self) -> Today:
        """What was asked since midnight UTC."""
        (row,) = await self._database.rows("llm_today")
        return Today(calls=row["calls"], tokens=row["tokens"], cost=row["cost"])
