"""One investigation while it is made: what may still be looked at, what was, and what the model may answer.

Used by `Investigator`. Protects two rules: each tool is offered for the one target that code bound, and once; and a
call that was not offered, or that names anything else, never becomes a validated one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sre_agent.cluster.port import ClusterError, Resource
from sre_agent.investigation.findings import (
    LONGEST,
    MOST_FINDINGS,
    SaidConclusion,
    said_conclusion,
    schema_of_conclusion,
)
from sre_agent.llm.port import Answer, Message, SaidCall, ToolSpec
from sre_agent.llm.trace import Transcript
from sre_agent.llm.untrusted import cut
from sre_agent.objects import uid
from sre_agent.run import CONCLUDE, INVESTIGATION, StepRecord, StepStatus, ToolCall
from sre_agent.runbook import Step
from sre_agent.target import Subject, Target
from sre_agent.tools.registry import DIAGNOSTICS
from sre_agent.tools.types import DiagnosticTool
from sre_agent.tools.validate import Rejected, ValidatedCall, arguments_of, schema_for, validate
from sre_agent.walk import Walk

MOST_CALLS = 8
"""Reads of one investigation, over all attempts at its run."""

MOST_FAULT = 400
"""Bytes of a refused answer, and of what was wrong with it."""

SUMMARY = f"Ends the investigation: at most {MOST_FINDINGS} findings of at most {LONGEST} characters, and a hypothesis."


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """A tool that may be called, and the one target that it may be called for."""

    tool: DiagnosticTool
    target: Target

    @property
    def spec(self) -> ToolSpec:
        """The tool as the model sees it: the bound target is the only argument that its schema allows."""
        schema = schema_for(self.tool, self.target)
        return ToolSpec(name=self.tool.name, description=self.tool.summary, parameters=schema)


@dataclass(kw_only=True, slots=True)
class Inquiry:
    """What was offered, made and said. `refused` is what was wrong with the last answer, None where nothing was."""

    target: Target
    offers: Mapping[str, Offer]
    made: list[StepRecord]
    prompt: str
    messages: list[Message]
    transcript: Transcript = field(default_factory=Transcript)
    refused: str | None = None

    @property
    def open(self) -> dict[str, Offer]:
        """What may still be looked at."""
        called = {step.tool for step in self.made}
        if len(self.made) >= MOST_CALLS:
            return {}
        return {name: offer for name, offer in self.offers.items() if name not in called}

    @property
    def readable(self) -> list[str]:
        """The steps that a finding may rest on."""
        return [step.step for step in self.made if step.status is StepStatus.DONE]

    @property
    def allowed(self) -> list[str]:
        """The tools that may be called now. Nothing is concluded before anything was read."""
        return [*self.open, *([CONCLUDE] if self.readable else [])]

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """The same as the model sees them."""
        specs = [offer.spec for offer in self.open.values()]
        if self.readable:
            schema = schema_of_conclusion(self.readable)
            specs.append(ToolSpec(name=CONCLUDE, description=SUMMARY, parameters=schema))
        return tuple(specs)

    def judged(self, answer: Answer) -> ValidatedCall | SaidConclusion | str:
        """The call that may be made, the conclusion, or what is wrong with the answer."""
        calls, allowed = answer.calls, self.allowed
        if len(calls) != 1:
            return f"{len(calls) or 'no'} tools were called; exactly one is called at a time"
        (said,) = calls
        if said.name not in allowed:
            name = cut(said.name, MOST_FAULT // 4)
            return f"{name} cannot be called, or was called already; there are {', '.join(allowed)}"
        arguments = arguments_of(said.arguments)
        if isinstance(arguments, Rejected):
            return cut(arguments.reason, MOST_FAULT)
        return said_conclusion(arguments) if said.name == CONCLUDE else self._validated(said, arguments)

    def _validated(self, said: SaidCall, arguments: dict[str, Any]) -> ValidatedCall | str:
        offer, call = self.offers[said.name], ToolCall(tool=said.name, arguments=arguments)
        checked = validate(call, step=self.step(said.name), target=offer.target, tools={said.name: offer.tool})
        return cut(checked.reason, MOST_FAULT) if isinstance(checked, Rejected) else checked

    def step(self, tool: str) -> Step:
        """The next step, as a runbook would have it."""
        return Step(name=f"{INVESTIGATION}{len(self.made) + 1}-{tool}", tool=tool)


async def offers_for(walk: Walk, target: Target) -> dict[str, Offer]:
    """The tools that read what was bound, and the node that its pod runs on, by name."""
    if target.kind == "Node":
        return _offers(Subject.NODE, target)
    node = await _node_of(walk, target)
    return _offers(Subject.WORKLOAD, target) | ({} if node is None else _offers(Subject.NODE, node))


def _offers(subject: Subject, target: Target) -> dict[str, Offer]:
    return {name: Offer(tool=tool, target=target) for name, tool in DIAGNOSTICS.items() if tool.subject is subject}


async def _node_of(walk: Walk, target: Target) -> Target | None:
    """The node of the bound pod, None where there is none or it cannot be read."""
    if target.pod is None:
        return None
    try:
        pod = await walk.cluster.get(Resource.PODS, target.namespace, target.pod)
        name = (pod.get("spec") or {}).get("nodeName")
        node = await walk.cluster.get(Resource.NODES, None, str(name)) if name else None
    except ClusterError:
        return None
    return None if node is None else Target(kind="Node", namespace=None, name=str(name), uid=uid(node))
