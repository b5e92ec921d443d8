"""What a tool is: its typed input and output, its effect, the rights it needs.

Two kinds: a diagnostic reads and answers; a remediation assesses evidence and says what it would change.
Neither can write: the executor sends what `Change.writes` holds, after the guards.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from sre_agent.alert import Alert
from sre_agent.cluster.port import Cluster, Resource
from sre_agent.diagnosis import NEAR_LIMIT_ALERTS
from sre_agent.evidence import Evidence
from sre_agent.objects import Object
from sre_agent.run import Assessment, StepRecord
from sre_agent.runbook import Runbook
from sre_agent.settings import Settings
from sre_agent.target import Subject, Target


class ToolModel(BaseModel):
    """Base of every input and output model: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class WorkloadInput(ToolModel):
    """The bound target of a tool that looks at a pod and its workload."""

    namespace: str
    pod: str | None
    container: str | None


class NodeInput(ToolModel):
    """The bound target of a tool that looks at a node."""

    node: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Permission:
    """One right that a tool needs, as RBAC names it. `name`: one object alone, in the agent's own namespace."""

    verb: str
    resource: Resource
    subresource: str | None = None
    name: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolContext:
    """What a tool may look at beside its arguments. `now` is the run's clock, read once for this step.

    `settings` hold the bounds; `earlier` are the records of the steps before this one.
    """

    alert: Alert
    target: Target
    runbook: Runbook
    now: datetime
    settings: Settings
    incident_id: int | None = None
    earlier: tuple[StepRecord, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class DiagnosticTool:
    """Reads the cluster and answers with `output`. Expected absences are answers, not errors.

    `subject` None: it looks at neither a workload nor a node, and fits into every runbook.
    """

    name: str
    summary: str
    subject: Subject | None
    input: type[ToolModel]
    output: type[ToolModel]
    permissions: tuple[Permission, ...]
    run: Callable[[Cluster, Any, ToolContext], Awaitable[ToolModel]]


@dataclass(frozen=True, kw_only=True, slots=True)
class RemediationTool:
    """Judges the evidence, purely, and says what it would change.

    `action_format` documents its action string. `value_in` reads, from a container's spec, what stands there now in
    the field that the tool would set, written as the tool writes it; None where the tool sets no such field.
    """

    name: str
    summary: str
    subject: Subject
    input: type[ToolModel]
    output: type[ToolModel]
    permissions: tuple[Permission, ...]
    action_format: str
    assess: Callable[[Any, Evidence, ToolContext], Assessment]
    value_in: Callable[[Object], str | None] | None = None

    def looks(self, alert: Alert) -> frozenset[Resource]:
        """The kinds that it judges: the evidence need hold nothing else. Metrics only confirm a near-limit alert."""
        kinds = frozenset(right.resource for right in self.permissions if right.verb in {"get", "list"})
        return kinds if alert.name in NEAR_LIMIT_ALERTS else kinds - {Resource.POD_METRICS}

    @property
    def action_word(self) -> str:
        """What its action strings begin with, up to the first colon."""
        return self.action_format.partition(":")[0]


Tool = DiagnosticTool | RemediationTool
