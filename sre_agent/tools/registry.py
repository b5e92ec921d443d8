"""All tools by name, and what a runbook is about by the tools it calls.

Asked by lint, planner, validation and executor. A new tool is one entry in its family's `TOOLS`.
"""

from collections.abc import Iterable

from sre_agent.runbook import Runbook
from sre_agent.target import Subject
from sre_agent.tools import deletion, drain, images, memory, nodes, pods, rollback
from sre_agent.tools.types import DiagnosticTool, RemediationTool, Tool

TOOLS: dict[str, Tool] = {
    tool.name: tool for family in (pods, images, memory, deletion, rollback, nodes, drain) for tool in family.TOOLS
}

REMEDIATIONS: dict[str, RemediationTool] = {
    name: tool for name, tool in TOOLS.items() if isinstance(tool, RemediationTool)
}
"""The tools that change something."""

DIAGNOSTICS: dict[str, DiagnosticTool] = {
    name: tool for name, tool in TOOLS.items() if isinstance(tool, DiagnosticTool)
}
"""The tools that only read."""


def subject_of_runbook(runbook: Runbook) -> Subject | None:
    """What the runbook's tools act on; None where they name nothing, or both a workload and a node."""
    subjects = {TOOLS[step.tool].subject for step in runbook.workflow if step.tool in TOOLS} - {None}
    return subjects.pop() if len(subjects) == 1 else None


def actionable(runbooks: Iterable[Runbook]) -> tuple[str, ...]:
    """The ids of the runbooks that may change something."""
    return tuple(book.id for book in runbooks if any(step.tool in REMEDIATIONS for step in book.workflow))
