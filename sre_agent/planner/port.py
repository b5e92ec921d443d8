"""The planner port: proposes one tool call for one step, with a trace of how it came to it.

Called by the executor for every step whose gate is open. A proposal is untrusted: validation lies between it and
any execution, whoever made it.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from sre_agent.llm.port import Allowance
from sre_agent.run import ToolCall
from sre_agent.runbook import Step
from sre_agent.tools.types import ToolContext


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """A proposed call. `trace` is what goes into the run's `llm_trace`; None where no model was asked."""

    call: ToolCall
    trace: dict[str, Any] | None = None


class Planner(Protocol):
    """Proposes; never executes."""

    @property
    def name(self) -> str:
        """`scripted` or the model's name."""
        ...

    async def propose(self, step: Step, context: ToolContext, allowance: Allowance) -> Proposal:
        """The call for this step; `allowance` is what its run may still ask a model.

        Raises nothing for a model that answers badly: it falls back by itself.
        """
        ...
