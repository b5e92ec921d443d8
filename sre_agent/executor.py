"""One run of one runbook for one incident, from top to bottom. Read this first.

Called by whoever executes runs: a replay, a worker. It protects four rules: nothing is written that a guard did not
allow; the intent is committed before the first byte leaves; what became of it is always recorded; and the target is
bound here, by code, once.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from sre_agent import gates, guards, records
from sre_agent.afterwards import keep_evidence, write_up
from sre_agent.alert import Alert
from sre_agent.alert.standing import Standing
from sre_agent.analysis.surroundings import look, seen
from sre_agent.cluster.absent import WHERE_FROM, AbsentCluster
from sre_agent.cluster.port import BARRIERS, PASSING, Clock, Cluster, ClusterError, Write
from sre_agent.conclusion import brake_to_tell, conclude, summary
from sre_agent.draining import Settled
from sre_agent.errors import Unreachable
from sre_agent.event import ErrorRaised, Escalated, Event
from sre_agent.execution import Execution, cut_off, event_about, execute, outcome_of
from sre_agent.facts import Facts, Ground, Past, PastBrakes, gather, gather_again, limits
from sre_agent.guards.brakes import CALM, refused
from sre_agent.guards.stop import UNREAD_LOOK
from sre_agent.kept_evidence import RunRecorder
from sre_agent.leave import leave_for
from sre_agent.log import get_logger
from sre_agent.planner.port import Planner
from sre_agent.resumption import look_back
from sre_agent.routing import Route, route
from sre_agent.run import Change, Judgement, Mode, Outcome, RunRecord, RunStatus, StepRecord, StepStatus, Verdict, worst
from sre_agent.runbook import Runbooks, Step
from sre_agent.settings import Settings
from sre_agent.stop_switch import read_switch
from sre_agent.store import ActiveRun, Braked, LostFence, Store
from sre_agent.store.history_rows import Surroundings
from sre_agent.target import Target, Unbound, bind
from sre_agent.tools.registry import TOOLS, actionable, subject_of_runbook
from sre_agent.tools.types import DiagnosticTool, RemediationTool, ToolContext
from sre_agent.tools.validate import Rejected, ValidatedCall, validate

CONFLICT_TRIES = 3
"""How often a change is judged again after somebody else changed the object first."""

DEATHS = 3
"""So many workers may die on one run before nobody takes it up any more."""

log = get_logger(__name__)


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
class _Run:
    """A run while it is walked: what it was given, then what grows. Everything else here is a function over it."""

    assignment: Assignment
    active: ActiveRun
    route: Route
    ground: Ground
    store: Store
    cluster: Cluster
    planner: Planner
    settings: Settings
    clock: Clock
    now: Clock
    """The clock for what is not decided upon: its readings are not recorded."""
    recorder: RunRecorder

    target: Target | None = None
    around: Surroundings | None = None
    steps: list[StepRecord] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    llm_trace: list[dict[str, Any]] = field(default_factory=list)
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

    def unread(self, error: ClusterError) -> None:
        """Remembers what stood before a read: whether a person has to open the way, whether it passes by itself."""
        self.barred |= isinstance(error, BARRIERS)
        self.passing |= isinstance(error, PASSING)


async def run_incident(
    assignment: Assignment,
    *,
    store: Store,
    cluster: Cluster,
    planner: Planner,
    runbooks: Runbooks,
    settings: Settings,
    clock: Clock,
) -> RunRecord:
    """Walks the routed runbook for one incident, stores every step, and returns the whole run.

    Raises LostFence when another worker took the run up, Unreachable when the store is away; every other failure
    is part of the returned record.
    """
    recorder = RunRecorder(assignment.run_id, cluster=cluster, clock=clock, limit=settings.evidence_bytes)
    run = _Run(
        assignment=assignment,
        active=await store.start_run(assignment.run_id, mode=assignment.mode, now=recorder.clock()),
        route=route(assignment.alert.labels, runbooks),
        ground=_ground(assignment, runbooks),
        store=store,
        cluster=recorder.cluster,
        planner=planner,
        settings=settings,
        clock=recorder.clock,
        now=clock,
        recorder=recorder,
        no_cluster=cluster.why if isinstance(cluster, AbsentCluster) else None,
    )
    try:
        if await _goes_on(run):
            await _walk(run)
    except (LostFence, Unreachable):
        raise
    except ClusterError as error:
        run.error = f"what the alert is about could not be looked up: {error}"
        run.unread(error)
    except asyncio.CancelledError:
        await (store.queue.hand_back(run.active) if assignment.returns else _cut_short(run))
        raise
    except Exception as error:  # the run's border: an unforeseen error ends this run, not the worker
        log.exception("run.crashed", run_id=str(assignment.run_id))
        run.error = f"{type(error).__name__}: {error}"
        run.unsaved.append(Event(payload=ErrorRaised(where="run", error=run.error)))
    record = await _finish(run)
    analysis = await write_up(store, assignment.incident_id, run.around or Surroundings(), now=run.clock())
    record = await keep_evidence(store, record, recorder, runbook_sha256=run.route.runbook.sha256, settings=settings)
    return replace(record, analysis_markdown=analysis)


async def _goes_on(run: _Run) -> bool:
    """A run that was cut off goes on from its records, unless too many workers have died on it."""
    if run.active.attempt == 1:
        return True
    if run.active.deaths >= DEATHS:
        run.given_up = f"{run.active.deaths} workers ended while they were at work on this run; it is not tried again"
        return False
    so_far = await look_back(run.active, store=run.store, cluster=run.cluster, clock=run.clock)
    run.steps.extend(so_far.steps.values())
    run.writes.extend(so_far.writes)
    run.unsaved.extend(records.step_taken(step) for step in run.steps if step.step not in so_far.told)
    return True


async def _walk(run: _Run) -> None:
    """Bind the target, then take the steps in order. Without a target every step is refused with the reason."""
    bound = await _bind(run)
    run.target = bound if isinstance(bound, Target) else None
    finished = {step.step for step in run.steps}
    for step in run.route.runbook.workflow:
        if step.name in finished:
            continue
        if isinstance(bound, Unbound):
            record = records.unbound(step, bound)
        else:
            record = await _take_step(run, step, bound)
        run.steps.append(record)
        run.unsaved.append(records.step_taken(record))
    run.around = run.around or await look(run.cluster, run.target)


async def _bind(run: _Run) -> Target | Unbound:
    if run.no_cluster is not None:
        return Unbound(reason=run.no_cluster, allowed_by=WHERE_FROM)
    named, ours = run.assignment.alert.labels.get("cluster"), run.settings.cluster_name
    if named and ours is not None and named != ours:
        return Unbound(reason=f"the alert is about cluster {named}; this agent acts in {ours}")
    return await bind(run.assignment.alert, subject_of_runbook(run.route.runbook), run.cluster)


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
        record = records.closed(step, StepStatus.REFUSED, reason=call.reason)
    else:
        try:
            record = await _use_tool(run, step, call, context)
        except ClusterError as error:
            record = records.closed(step, StepStatus.FAILED, reason=f"{type(error).__name__}: {error}")
            run.unread(error)
    return replace(record, gate=gate.text or None)


async def _use_tool(run: _Run, step: Step, call: ValidatedCall, context: ToolContext) -> StepRecord:
    tool = TOOLS[call.tool]
    if isinstance(tool, RemediationTool):
        return await _remediate(run, step, call, tool)
    return await _diagnose(run, step, call, tool, context)


async def _diagnose(
    run: _Run, step: Step, call: ValidatedCall, tool: DiagnosticTool, context: ToolContext
) -> StepRecord:
    return records.diagnosed(step, call, await tool.run(run.cluster, call.input, context))


async def _remediate(run: _Run, step: Step, call: ValidatedCall, tool: RemediationTool) -> StepRecord:
    """Judges on fresh facts and acts if every guard allows it; a conflict means judging again, not sending again."""
    for _ in range(CONFLICT_TRIES):
        context = _context(run, call.target)
        facts = await gather(
            context,
            step=step,
            tool=tool,
            mode=run.assignment.mode,
            ground=run.ground,
            cluster=run.cluster,
            store=run.store,
            clock=run.clock,
        )
        run.recorder.past(call.target.key, facts.past_actions)
        run.recorder.brakes(call.target.key, facts.brakes)
        run.recorder.stood(facts.standing)
        assessment = tool.assess(call.input, facts.evidence, context)
        run.around = run.around or seen(facts.evidence, tool, assessment)
        judgements, execution = assessment.judgements, None
        if assessment.change is not None:
            judgements += guards.judge(facts, assessment.change)
            if worst(judgements) is Verdict.ALLOW:
                try:
                    execution = await _act(run, step, assessment.change)
                except Braked as braked:
                    judgements += await _judge_again(run, facts, context, assessment.change, braked)
        if execution is None or not execution.conflict:
            break
    if execution is not None and execution.held is not None:
        judgements += (refused(execution.held, run.now()),)
    return records.judged(step, call, assessment, judgements, execution)


async def _judge_again(
    run: _Run, facts: Facts, context: ToolContext, change: Change, braked: Braked
) -> tuple[Judgement, ...]:
    """What speaks against a change that another process came before: what the guards say now, else the brake itself."""
    latest = await gather_again(facts, context, ground=run.ground, cluster=run.cluster, store=run.store)
    run.recorder.past(change.target.key, latest.past_actions)
    run.recorder.brakes(change.target.key, latest.brakes, again=True)
    return guards.judge(latest, change) or (refused(braked, run.now()),)


async def _act(run: _Run, step: Step, change: Change) -> Execution:
    """Commits the intent with everything read before it, sends the change, always records the outcome.

    Raises Braked where another process was faster, and then nothing is committed or sent.
    """
    held_to = limits(run.settings, run.ground.actionable)
    action_id = await run.store.record_intent(
        run.active,
        records.new_action(step.name, change),
        [*run.unsaved, records.intent(change)],
        scope=run.assignment.scope,
        cluster=run.settings.cluster,
        limits=held_to,
        now=run.clock(),
    )
    run.unsaved.clear()

    leave = leave_for(
        run.active,
        action_id,
        change,
        store=run.store,
        scope=run.assignment.scope,
        open_for=held_to.open_for,
        clock=run.now,
        switch=partial(read_switch, run.cluster, run.settings.agent_namespace),
    )
    settled: list[Settled] = []

    async def settle(pod: Settled) -> None:
        settled.append(pod)
        await run.store.settle_eviction(
            action_id,
            namespace=pod.write.namespace or "",
            pod=pod.write.name,
            outcome=outcome_of(pod),
            detail=pod.reason,
            now=run.clock(),
        )

    patience = timedelta(0) if run.cluster.recorded else run.settings.drain_timeout
    try:
        execution = await execute(run.cluster, change, patience=patience, settle=settle, leave=leave)
    except asyncio.CancelledError:
        if not run.assignment.returns:  # whoever takes it up again looks for itself what became of it
            execution = cut_off(change, settled)
            run.error = f"{execution.action}: {execution.detail}"
            await _keep_outcome(run, action_id, execution)
        raise
    await _keep_outcome(run, action_id, execution)
    if execution.outcome is Outcome.DONE:
        await _tell_cluster(run, change, execution)
    return execution


async def _keep_outcome(run: _Run, action_id: int, execution: Execution) -> None:
    run.writes.extend(execution.writes)
    run.barred |= execution.barred
    await run.store.record_outcome(
        run.active,
        action_id,
        execution.outcome,
        execution.detail,
        [records.outcome(action_id, execution)],
        now=run.clock(),
    )


async def _tell_cluster(run: _Run, change: Change, execution: Execution) -> None:
    """A Kubernetes Event on the object. Best effort: the change stands whether or not it can be told there."""
    event = event_about(change, execution, run.assignment.incident_id, run.clock())
    try:
        await run.cluster.emit_event(event)
    except ClusterError as error:
        log.event("cluster.event_failed", action=execution.action, error=str(error))


async def _cut_short(run: _Run) -> None:
    """Whoever waited for the run no longer does: the incident keeps how far it came, and can have another run."""
    at = next((step.name for step in run.route.runbook.workflow[len(run.steps) :]), "the end")
    run.error = f"interrupted at {at}" + (f": {run.error}" if run.error else "")
    run.unsaved.append(Event(payload=ErrorRaised(where="run", error=run.error)))
    await _finish(run)
    await write_up(run.store, run.assignment.incident_id, run.around or Surroundings(), now=run.clock())
    log.warning("run.interrupted", incident_id=run.assignment.incident_id, error=run.error)


async def _finish(run: _Run) -> RunRecord:
    """Says what the run came to, and stores its end in one commit."""
    walked = RunRecord(
        incident_id=run.assignment.incident_id,
        run_id=str(run.active.id),
        alert=run.assignment.alert,
        target=next((step.change.target for step in run.steps if step.change), run.target),
        runbook_id=run.route.runbook.id,
        route_reason=run.route.reason,
        mode=run.assignment.mode,
        status=RunStatus.RUNNING,
        steps=tuple(run.steps),
        writes=tuple(run.writes),
        llm_trace=tuple(run.llm_trace),
        barred=run.barred,
    )
    record = await _conclude(run, walked)
    if record.escalation is not None:
        run.unsaved.append(Event(payload=Escalated(reason=record.escalation)))
    await run.store.finish_run(
        run.active,
        status=record.status,
        action_taken=record.action_taken,
        action_recommended=record.action_recommended,
        action_error=record.action_error,
        summary=summary(record),
        workload=None if run.target is None else run.target.workload,
        node=None if run.target is None else run.target.node,
        retry_at=record.retry_at,
        events=[*run.unsaved, records.final(record, run.around or Surroundings())],
        now=run.clock(),
    )
    log.event("run.finished", run_id=record.run_id, incident_id=record.incident_id, status=record.status)
    return record


async def _conclude(run: _Run, walked: RunRecord) -> RunRecord:
    """What the run came to; of the runs that a brake of the whole cluster holds, one escalates for all."""
    conclusion = partial(
        conclude,
        walked,
        error=run.error,
        given_up=run.given_up,
        no_cluster=run.no_cluster,
        recorded=run.cluster.recorded,
        look_again=run.now() + UNREAD_LOOK if run.passing else None,
    )
    record, rule = conclusion(), brake_to_tell(run.steps)
    if rule is None or record.status is not RunStatus.ESCALATED:
        return record
    told_by = await run.store.brakes.tell(
        rule, run.active, scope=run.assignment.scope, cluster=run.settings.cluster, calm=CALM, now=run.now()
    )
    return record if told_by is None else conclusion(told_by=told_by)


def _ground(assignment: Assignment, runbooks: Runbooks) -> Ground:
    return Ground(
        run_id=assignment.run_id,
        scope=assignment.scope,
        actionable=actionable(runbooks),
        past=assignment.past,
        brakes=assignment.past_brakes,
        standing=assignment.standing,
    )


def _context(run: _Run, target: Target) -> ToolContext:
    """What a tool may look at, as it stands now."""
    return ToolContext(
        alert=run.assignment.alert,
        target=target,
        runbook=run.route.runbook,
        now=run.clock(),
        settings=run.settings,
        incident_id=run.assignment.incident_id,
        earlier=tuple(run.steps),
    )
