"""The nouns of a run and their closed sets: statuses, verdicts, judgements, changes, step records.

Made by the executor, its tools and its guards; kept by the store; shown by `views`. Nothing here does any work.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any

from sre_agent.alert import Alert
from sre_agent.cluster.port import Resource, Write
from sre_agent.target import Target


class Mode(StrEnum):
    """`recommend` never writes; `auto` writes what every guard allows."""

    RECOMMEND = "recommend"
    AUTO = "auto"


class RunStatus(StrEnum):
    """queued -> running -> one of the others, all of them final but waiting_approval.

    planned is only printed: a replay without a cluster stores nothing.
    """

    QUEUED = "queued"
    RUNNING = "running"
    WAITING_APPROVAL = "waiting_approval"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ESCALATED = "escalated"
    CANCELLED = "cancelled"
    PLANNED = "planned"


class StepStatus(StrEnum):
    """How one step of a run ended. unknown: a write was sent and no answer came."""

    SKIPPED = "skipped"
    REFUSED = "refused"
    PROPOSED = "proposed"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"
    PLANNED = "planned"


class Outcome(StrEnum):
    """What became of an intent. unknown is an outcome; the row of an intent without one was cut off."""

    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Verdict(IntEnum):
    """ALLOW: act. ASK: recommend, a person may approve. REFUSE: neither. The worst of all wins."""

    ALLOW = 0
    ASK = 1
    REFUSE = 2


class Tells(StrEnum):
    """Whom a refusal that leaves the symptom is told to. Where several speak against a change: once, each, nobody."""

    ONCE = "once"
    """It holds for the whole cluster: one run of all that meet it escalates, the others are put off until its end."""
    EACH = "each"
    """It speaks of this change: the run escalates."""
    NOBODY = "nobody"
    """It passes within minutes, or a person wanted it so: the run is put off."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What one rule has against a change: its name, how much, why, and what would allow it (and when).

    `settled` marks a refusal because there is nothing left to do (the symptom is gone, somebody already
    changed it): such a refusal does not escalate; `tells` says how another does. `by_hand` is a kubectl command that
    a person could use.
    """

    rule: str
    verdict: Verdict
    reason: str
    allowed_by: str
    retry_at: datetime | None = None
    settled: bool = False
    by_hand: str | None = None
    tells: Tells = Tells.EACH


def refusal(
    rule: str,
    reason: str,
    allowed_by: str,
    *,
    settled: bool = False,
    retry_at: datetime | None = None,
    by_hand: str | None = None,
    tells: Tells = Tells.EACH,
) -> Judgement:
    """A condition that is not met. `settled`: because nothing is left to do."""
    return Judgement(
        rule=rule,
        verdict=Verdict.REFUSE,
        reason=reason,
        allowed_by=allowed_by,
        settled=settled,
        retry_at=retry_at,
        by_hand=by_hand,
        tells=tells,
    )


def question(
    rule: str, reason: str, allowed_by: str, *, retry_at: datetime | None = None, by_hand: str | None = None
) -> Judgement:
    """What a person has to decide."""
    return Judgement(
        rule=rule, verdict=Verdict.ASK, reason=reason, allowed_by=allowed_by, retry_at=retry_at, by_hand=by_hand
    )


def worst(judgements: Iterable[Judgement]) -> Verdict:
    """ALLOW where nothing speaks against it, else the worst verdict."""
    return max((judgement.verdict for judgement in judgements), default=Verdict.ALLOW)


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldChange:
    """One line of the diff that a person sees: `spec...memory`, before, after (None where absent)."""

    path: str
    before: str | None
    after: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What a remediation would do, completely: computed once, stored, then executed exactly as it stands.

    `action` is the action string (`patch_image:demo/app/app:IMAGE`), `value` the one value set (image, memory
    limit, revision; None for nodes), `kubectl` the command for a person, `undo` the writes that take it back
    (empty where nothing can), `leaves` how many pods a drain leaves on its node, `awaited` whether its evicted pods
    are waited for (no kubelet that cannot answer is),
    `near_limit` whether a limit is raised before anything was killed, `tool` the remediation that made
    it, which may differ from the step's tool (a stuck rollout's `fix_imagepullbackoff` proposes `rollback_deployment`).
    """

    tool: str
    action: str
    target: Target
    writes: tuple[Write, ...]
    diff: tuple[FieldChange, ...]
    kubectl: str
    value: str | None = None
    undo: tuple[Write, ...] = ()
    notes: tuple[str, ...] = ()
    leaves: int = 0
    awaited: bool = False
    near_limit: bool = False

    @property
    def patches_template(self) -> bool:
        """Whether pods are made anew from another template, whichever tool wants it."""
        return any(write.resource is Resource.DEPLOYMENTS for write in self.writes)

    @property
    def evicts(self) -> bool:
        """Whether pods are evicted."""
        return any(write.subresource == "eviction" for write in self.writes)

    @property
    def takes_node_away(self) -> bool:
        """Whether a node serves less afterwards: cordoned or drained."""
        cordons = any((write.body.get("spec") or {}).get("unschedulable") for write in self.writes)
        return cordons or self.evicts


@dataclass(frozen=True, kw_only=True, slots=True)
class Assessment:
    """A remediation's own look at the evidence: the change it would make, and every condition that is not met.

    `already` says that the wished state is there (a cordoned node): the step is done without a write.
    Without `change` and `already`, `judgements` holds at least one REFUSE.
    `output` is what later steps' gates and the report see.
    """

    change: Change | None = None
    judgements: tuple[Judgement, ...] = ()
    already: str | None = None
    output: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolCall:
    """A proposal: anyone can make one, nothing executes it. `tools.validate` turns it into a ValidatedCall."""

    tool: str
    arguments: dict[str, Any]


INVESTIGATION = "investigate-"
"""How the names of a model's own steps begin. A runbook cannot have such a step: its names hold no hyphen."""

CONCLUDE = "conclude"
"""The tool of an investigation's last step. It executes nothing: it holds what the model found."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepRecord:
    """What happened at one step. `gate` is the gate's text with its value, `result` the tool's output as JSON.

    `llm` is the trace of how a model came to the call, None where none was asked.
    """

    step: str
    tool: str
    status: StepStatus
    reason: str | None = None
    gate: str | None = None
    arguments: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    judgements: tuple[Judgement, ...] = ()
    change: Change | None = None
    llm: dict[str, Any] | None = None

    @property
    def investigates(self) -> bool:
        """Whether a model asked for it, beside the runbook: what the run came to does not rest on it."""
        return self.step.startswith(INVESTIGATION)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """One finished run, as every front end shows it.

    `writes` is what the cluster accepted, in order; `planned_writes` what a yes to the recommendation would send.
    `incident_id` and `run_id` are None for a plan, which is not stored. `escalation` is why a person is told,
    `retry_at` when what forbade the change will have passed. `notes` say what a reader must know, such
    as that an effect was not verified. `analysis_markdown` is None where none could be written. `barred` says that the
    cluster could not be reached, or did not allow the agent what the run needed.
    """

    incident_id: int | None
    run_id: str | None
    alert: Alert
    target: Target | None
    runbook_id: str
    route_reason: str
    mode: Mode
    status: RunStatus
    steps: tuple[StepRecord, ...]
    action_taken: str | None = None
    action_recommended: str | None = None
    action_error: str | None = None
    writes: tuple[Write, ...] = ()
    planned_writes: tuple[Write, ...] = ()
    llm_trace: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    escalation: str | None = None
    retry_at: datetime | None = None
    analysis_markdown: str | None = None
    barred: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Skipped:
    """An alert that has no run, and why. `path` is its place in the payload where it could not be read."""

    source: str
    alertname: str | None
    fingerprint: str | None
    incident_id: int | None
    reason: str
    path: str | None = None
