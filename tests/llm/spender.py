"""A process that asks a model as often as it may: `python -m tests.llm.spender DATABASE BUDGET QUESTIONS`.

It prints how many were answered, then why the last one was not. Its settings are its environment's.
"""

import asyncio
import os
import sys
from contextlib import aclosing
from uuid import UUID

from sre_agent.llm.client import OpenAIModel
from sre_agent.llm.port import Allowance, Purpose, Question
from sre_agent.settings import load
from sre_agent.store import Store

QUESTION = Question(
    purpose=Purpose.STEP, prompt="test/1", messages=({"role": "user", "content": "x" * 165},), max_tokens=100
)
TOKENS = 200
"""That are reserved for it: 100 for its 200 bytes, and those of the answer."""


async def spend(conninfo: str, budget: UUID, questions: int) -> tuple[int, str | None]:
    answered, why = 0, None
    async with Store.open(conninfo) as store, aclosing(OpenAIModel(load(os.environ), store)) as model:
        for _ in range(questions):
            exchange = await model.ask(QUESTION, Allowance.begin(budget, None, seconds=60.0))
            answered += exchange.answer is not None
            why = exchange.error
    return answered, why


if __name__ == "__main__":
    sys.stdout.write("{} {}\n".format(*asyncio.run(spend(sys.argv[1], UUID(sys.argv[2]), int(sys.argv[3])))))
