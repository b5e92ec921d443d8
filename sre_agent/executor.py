"""One run of one runbook for one incident, from top to bottom. Read this first.

Called by whoever executes runs: a replay, a worker. It protects four rules: nothing is written that a guard did not
allow; the intent is committed before the first byte leaves; what became of it is always recorded; and the target is
bound here, by code, once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sre_agent import gates, guards, records
from sre_agent.alert import Alert
from sre_agent.cluster.port import Clock, Cluster, ClusterError, Write
from sre_agent.conclusion import conclude, summary
from sre_agent.diagnosis import NEAR_LIMIT_ALERTS
from sre_agent.errors import Unreachable
from sre_agent.event import ErrorRaised, Escalated, Event
from sre_agent.execution import Execution, event_about, execute
from sre_agent.facts import Facts, gather
from sre_agent.log import get_logger
from sre_agent.planner.port import Planner
from sre_agent.routing import Route, route
from sre_agent.run import (
    Assessment,
    Change,
    Judgement,
    Mode,
    Outcome,
    RunRecord,
    RunStatus,
    StepRecord,
    StepStatus,
    Verdict,
)
from sre_agent.runbook import Runbooks, Step
from sre_agent.settings import Settings
from sre_agent.store import ActiveRun, LostFence, Store
from sre_agent.target import Subject, Target, Unbound, bind
from sre_agent.tools.registry import TOOLS, subject_of_runbook
from sre_agent.tools.types import DiagnosticTool, Limits, RemediationTool, ToolContext
from sre_agent.tools.validate import Rejected, ValidatedCall, validate

CONFLICT_TRIES = 3
"""How often a change is judged again after somebody else changed the object first."""

log = get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Assignment:
    """A queued run and what it is about. `scope` separates the cool-downs of a replay from all others."""

    run_id: UUID
    incident_id: int
    alert: Alert
    scope: str
    mode: Mode


@dataclass(kw_only=True, slots=True)
class _Run:
    """The state of a run while it is walked; everything else here is a function over it."""

    assignment: Assignment
    active: ActiveRun
    route: Route
    store: Store
    cluster: Cluster | None
    planner: Planner
    settings: Settings
    clock: Clock
    target: Target | None = None
    steps: list[StepRecord] = field(default_factory=list)
    results: dict[str, Mapping[str, Any] | None] = field(default_factory=dict)
    writes: list[Write] = field(default_factory=list)
    llm_trace: list[dict[str, Any]] = field(default_factory=list)
    unsaved: list[Event] = field(default_factory=list)
    error: str | None = None


async def run_incident(
    assignment: Assignment,
    *,
    store: Store,
    cluster: Cluster | None,
    planner: Planner,
    runbooks: Runbooks,
    settings: Settings,
    clock: Clock,
) -> RunRecord:
    """Walks the routed runbook for one incident, stores every step, and returns the whole run.

    Raises LostFence when another worker took the run up, Unreachable when the store is away; every other failure
    is part of the returned record.
    """
    run = _Run(
        assignment=assignment,
        active=await store.start_run(assignment.run_id, now=clock()),
        route=route(assignment.alert.labels, runbooks),
        store=store,
        cluster=cluster,
        planner=planner,
        settings=settings,
        clock=clock,
    )
    try:
        await _walk(run)
    except (LostFence, Unreachable):
        raise
    except ClusterError as error:
        run.error = f"the cluster did not answer: {error}"
    except Exception as error:  # the run's border: an unforeseen error ends this run, not the worker
        log.exception("run.crashed", run_id=str(assignment.run_id))
        run.error = f"{type(error).__name__}: {error}"
        run.unsaved.append(Event(payload=ErrorRaised(where="run", error=run.error)))
    return await _finish(run)


async def _walk(run: _Run) -> None:
    """Bind the target, then take the steps in order. Without a target every step is refused with the reason."""
    bound = await _bind(run)
    if isinstance(bound, Unbound):
        for step in run.route.runbook.workflow:
            _record(run, records.unbound(step, bound))
        return
    run.target = bound
    for step in run.route.runbook.workflow:
        _record(run, await _take_step(run, step, bound))


async def _bind(run: _Run) -> Target | Unbound:
    alert, settings = run.assignment.alert, run.settings
    named = alert.labels.get("cluster")
    if named and settings.cluster_name is not None and named != settings.cluster_name:
        return Unbound(reason=f"the alert is about cluster {named}; this agent acts in {settings.cluster_name}")
    if run.cluster is None:
        return Unbound(reason="no cluster: give a kubeconfig, or a snapshot to replay on")
    subject: Subject | None = subject_of_runbook(run.route.runbook)
    return await bind(alert, subject, run.cluster)


async def _take_step(run: _Run, step: Step, target: Target) -> StepRecord:
    """Gate, proposal, validation; then look (diagnostic) or judge and act (remediation)."""
    gate = gates.evaluate(step.gate, run.results)
    if not gate.open:
        return records.closed(step, StepStatus.SKIPPED, gate=gate.text)
    context = _context(run, target)
    proposal = await run.planner.propose(step, context)
    if proposal.trace is not None:
        run.llm_trace.append(proposal.trace)
    call = validate(proposal.call, step=step, target=target, tools=TOOLS)
    if isinstance(call, Rejected):
        return records.closed(step, StepStatus.REFUSED, gate=gate.text, reason=call.reason)
    tool = TOOLS[call.tool]
    try:
        if isinstance(tool, DiagnosticTool):
            return await _diagnose(run, step, gate.text, call, tool, context)
        return await _remediate(run, step, gate.text, call, tool)
    except ClusterError as error:
        return records.closed(step, StepStatus.FAILED, gate=gate.text, reason=f"{type(error).__name__}: {error}")


async def _diagnose(
    run: _Run, step: Step, gate: str | None, call: ValidatedCall, tool: DiagnosticTool, context: ToolContext
) -> StepRecord:
    output = await tool.run(_cluster(run), call.input, context)
    return StepRecord(
        step=step.name,
        tool=tool.name,
        status=StepStatus.DONE,
        gate=gate,
        arguments=call.arguments,
        result=output.model_dump(mode="json"),
    )


async def _remediate(run: _Run, step: Step, gate: str | None, call: ValidatedCall, tool: RemediationTool) -> StepRecord:
    """Judges on fresh facts and acts if every guard allows it; a conflict means judging again, not sending again."""
    for _ in range(CONFLICT_TRIES):
        facts = await _gather(run, step, call.target)
        assessment = tool.assess(call.input, facts.evidence, _context(run, call.target))
        judgements = _judge(facts, assessment)
        execution: Execution | None = None
        if assessment.change and guards.worst(judgements) is Verdict.ALLOW:
            execution = await _act(run, facts, assessment.change)
            if execution.conflict:
                continue
        break
    return records.judged(step, gate, call, assessment, judgements, execution)


def _judge(facts: Facts, assessment: Assessment) -> tuple[Judgement, ...]:
    """The tool's own conditions first, then the guards; all reasons are kept."""
    if assessment.change is None:
        return assessment.judgements
    return assessment.judgements + guards.judge(facts, assessment.change)


async def _act(run: _Run, facts: Facts, change: Change) -> Execution:
    """Commits the intent, sends the change, always records the outcome."""
    near_limit = facts.alert.name in NEAR_LIMIT_ALERTS
    read_before, run.unsaved = run.unsaved, []
    action_id = await run.store.record_intent(
        run.active,
        records.new_action(change, near_limit=near_limit),
        lambda action_id: [*read_before, records.intent(action_id, change)],
        scope=run.assignment.scope,
        cluster=run.settings.cluster,
        now=run.clock(),
    )
    execution = await execute(_cluster(run), change)
    run.writes.extend(execution.writes)
    await run.store.record_outcome(
        run.active,
        action_id,
        execution.outcome,
        execution.detail,
        [records.outcome(action_id, execution)],
        now=run.clock(),
    )
    if execution.outcome is Outcome.DONE:
        await _tell_cluster(run, change, execution)
    return execution


async def _tell_cluster(run: _Run, change: Change, execution: Execution) -> None:
    """A Kubernetes Event on the object. Best effort: the change stands whether or not it can be told there."""
    event = event_about(change, execution, run.assignment.incident_id, run.clock())
    try:
        await _cluster(run).emit_event(event)
    except ClusterError as error:
        log.event("cluster.event_failed", action=execution.action, error=str(error))


def _record(run: _Run, record: StepRecord) -> None:
    """Keeps a step; it is stored with the next intent or at the end. Only what ran gives later gates a result."""
    run.steps.append(record)
    ran = record.status in {StepStatus.DONE, StepStatus.PROPOSED}
    run.results[record.step] = record.result if ran else None
    run.unsaved.append(records.step_taken(record))


async def _finish(run: _Run) -> RunRecord:
    """Says what the run came to, and stores its end in one commit."""
    recorded = run.cluster is not None and run.cluster.recorded
    end = conclude(run.steps, error=run.error, recorded=recorded)
    record = RunRecord(
        incident_id=run.assignment.incident_id,
        run_id=str(run.active.id),
        alert=run.assignment.alert,
        target=run.target,
        runbook_id=run.route.runbook.id,
        route_reason=run.route.reason,
        mode=run.assignment.mode,
        status=end.status,
        steps=tuple(run.steps),
        action_taken=end.action_taken,
        action_recommended=end.action_recommended,
        action_error=end.action_error,
        writes=tuple(run.writes),
        planned_writes=end.planned_writes,
        llm_trace=tuple(run.llm_trace),
        notes=end.notes,
        retry_at=end.retry_at,
    )
    if end.status is RunStatus.ESCALATED:
        run.unsaved.append(Event(payload=Escalated(reason=end.escalation or "the symptom is left to a person")))
    run.unsaved.append(records.final(record))
    await run.store.finish_run(
        run.active,
        status=record.status,
        action_taken=record.action_taken,
        action_recommended=record.action_recommended,
        action_error=record.action_error,
        summary=summary(record),
        workload=None if run.target is None or run.target.kind == "Node" else f"{run.target.kind}/{run.target.name}",
        node=run.target.name if run.target is not None and run.target.kind == "Node" else None,
        retry_at=record.retry_at,
        events=run.unsaved,
        now=run.clock(),
    )
    log.event("run.finished", run_id=record.run_id, incident_id=record.incident_id, status=record.status)
    return record


def _context(run: _Run, target: Target) -> ToolContext:
    settings = run.settings
    return ToolContext(
        alert=run.assignment.alert,
        target=target,
        runbook=run.route.runbook,
        now=run.clock(),
        limits=Limits(
            memory_floor=settings.memory_floor,
            memory_cap=settings.memory_cap,
            node_ready_for=settings.node_ready_for.total_seconds(),
            cordon_settle=settings.cordon_settle.total_seconds(),
            agent_namespace=settings.agent_namespace,
        ),
        incident_id=run.assignment.incident_id,
        earlier=tuple(run.steps),
    )


async def _gather(run: _Run, step: Step, target: Target) -> Facts:
    return await gather(
        cluster=_cluster(run),
        store=run.store,
        settings=run.settings,
        mode=run.assignment.mode,
        scope=run.assignment.scope,
        alert=run.assignment.alert,
        runbook=run.route.runbook,
        step=step,
        target=target,
        earlier=tuple(run.steps),
        now=run.clock(),
    )


def _cluster(run: _Run) -> Cluster:
    """The cluster of a run that has a target: a target is only ever bound in one."""
    if run.cluster is None:
        raise Unreachable("no cluster")
    return run.cluster
