"""A run while it is walked: what it was given, and what grows until it ends.

Made by the executor, which hands it on to `remediation`. Everything else about a run is a function over it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sre_agent.alert import Alert
from sre_agent.alert.standing import Standing
from sre_agent.cluster.port import BARRIERS, PASSING, Clock, Cluster, ClusterError, Write
from sre_agent.event import Event
from sre_agent.facts import Ground, Past, PastBrakes
from sre_agent.kept_evidence import RunRecorder
from sre_agent.llm.port import Allowance
from sre_agent.planner.port import Planner
from sre_agent.routing import Route
from sre_agent.run import Mode, StepRecord, StepStatus
from sre_agent.settings import Settings
from sre_agent.store import ActiveRun, Store
from sre_agent.store.history_rows import Surroundings
from sre_agent.target import Target
from sre_agent.tools.types import ToolContext


@dataclass(frozen=True, kw_only=True, slots=True)
class Assignment:
    """A queued run and what it is about. `scope` separates the cool-downs of a replay from all others.

    `past` and `past_brakes` are what had been done before a stored run that is played again, and what held it;
    `standing` is how its alert stood then. With `returns` somebody else takes the run up where this one is interrupted.
    """

    run_id: UUID
    incident_id: int
    alert: Alert
    scope: str
    mode: Mode
    past: Past | None = None
    standing: Standing | None = None
    past_brakes: PastBrakes | None = None
    returns: bool = False


@dataclass(kw_only=True, slots=True)
class Walk:
    """What a run was given, then what grows."""

    assignment: Assignment
    active: ActiveRun
    route: Route
    ground: Ground
    store: Store
    cluster: Cluster
    planner: Planner
    settings: Settings
    clock: Clock
    unrecorded_clock: Clock
    """The clock for what is not decided upon: its readings are not recorded."""
    recorder: RunRecorder
    allowance: Allowance

    target: Target | None = None
    around: Surroundings | None = None
    steps: list[StepRecord] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    unsaved: list[Event] = field(default_factory=list)
    error: str | None = None
    barred: bool = False
    passing: bool = False
    given_up: str | None = None
    no_cluster: str | None = None

    @property
    def results(self) -> Mapping[str, Mapping[str, Any] | None]:
        """What each step said, for the gates behind it; None for a step that did not run."""
        ran = {StepStatus.DONE, StepStatus.PROPOSED}
        return {step.step: step.result if step.status in ran else None for step in self.steps}

    @property
    def llm_trace(self) -> tuple[dict[str, Any], ...]:
        """What a model was asked at each step, and what it answered."""
        return tuple(step.llm for step in self.steps if step.llm is not None)

    def unread(self, error: ClusterError) -> None:
        """Remembers what stood before a read: whether a person has to open the way, whether it passes by itself."""
        self.barred |= isinstance(error, BARRIERS)
        self.passing |= isinstance(error, PASSING)

    def context(self, target: Target) -> ToolContext:
        """What a tool may look at, as it stands now."""
        return ToolContext(
            alert=self.assignment.alert,
            target=target,
            runbook=self.route.runbook,
            now=self.clock(),
            settings=self.settings,
            incident_id=self.assignment.incident_id,
            earlier=tuple(self.steps),
        )
