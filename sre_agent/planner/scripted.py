"""The deterministic planner: the step's own tool with the bound target. The default where no model is set up."""

from sre_agent.llm.port import Allowance
from sre_agent.planner.port import Proposal
from sre_agent.run import ToolCall
from sre_agent.runbook import Step
from sre_agent.tools.registry import TOOLS
from sre_agent.tools.types import ToolContext
from sre_agent.tools.validate import arguments_for


class ScriptedPlanner:
    """Proposes what the runbook says, for the target that code bound."""

    name = "scripted"

    async def propose(self, step: Step, context: ToolContext, allowance: Allowance) -> Proposal:  # noqa: ARG002 - it asks nobody
        tool = TOOLS[step.tool]
        return Proposal(call=ToolCall(tool=tool.name, arguments=arguments_for(tool, context.target)))
