"""Small tools and runbook texts for the linter's tests."""

from pathlib import Path

from sre_agent.cluster.port import Cluster
from sre_agent.evidence import Evidence
from sre_agent.lint import lint_paths
from sre_agent.run import Assessment
from sre_agent.target import Subject
from sre_agent.tools.types import (
    DiagnosticTool,
    NodeInput,
    RemediationTool,
    Tool,
    ToolContext,
    ToolModel,
    WorkloadInput,
)


class Nothing(ToolModel):
    """No fields."""


class OomAnswer(ToolModel):
    oom_detected: bool
    swap_detected: bool
    reasons: list[str]


class Changed(ToolModel):
    changed: bool


_INPUTS: dict[Subject, type[ToolModel]] = {Subject.WORKLOAD: WorkloadInput, Subject.NODE: NodeInput}


async def _run(cluster: Cluster, arguments: object, context: ToolContext) -> ToolModel:
    return Nothing()


def _assess(arguments: object, evidence: Evidence, context: ToolContext) -> Assessment:
    return Assessment()


def _reads(name: str, output: type[ToolModel], about: Subject = Subject.WORKLOAD) -> Tool:
    return DiagnosticTool(
        name=name, summary="", subject=about, input=_INPUTS[about], output=output, permissions=(), run=_run
    )


def _changes(name: str, about: Subject = Subject.WORKLOAD) -> Tool:
    return RemediationTool(
        name=name,
        summary="",
        subject=about,
        input=_INPUTS[about],
        output=Changed,
        permissions=(),
        action_format="",
        assess=_assess,
    )


TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        _reads("check_oom", OomAnswer),
        _reads("get_pod_events", Nothing),
        DiagnosticTool(
            name="get_runbook",
            summary="",
            subject=None,
            input=Nothing,
            output=Nothing,
            permissions=(),
            run=_run,
        ),
        _reads("get_node_ready", Nothing, Subject.NODE),
        _changes("increase_memory_limit"),
        _changes("fix_imagepullbackoff"),
        _changes("cordon_node", Subject.NODE),
    )
}

HEAD = "id: RB_OOM\ntitle: Out of memory\n"
STEPS = "workflow:\n  - step: check_oom\n  - step: increase_memory_limit\n"
UNKNOWN = "---\nid: RB_UNKNOWN\ntitle: Unknown\n---\n"


def page(front: str) -> str:
    return f"---\n{front}---\nProse.\n"


def steps(*lines: str) -> str:
    """A whole runbook whose workflow begins in line 5 with check_oom and goes on in line 6 with `lines`."""
    return page(HEAD + "workflow:\n  - step: check_oom\n" + "".join(f"  {line}\n" for line in lines))


def faults_of(tmp_path: Path, text: str | bytes, name: str = "RB_X.md") -> list[str]:
    """The faults of one file, without its name."""
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return [str(fault).removeprefix(f"{path}:") for fault in lint_paths([path], TOOLS)]
