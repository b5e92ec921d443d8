"""One run of one runbook for one incident, from top to bottom. Read this first.

Called by whoever executes runs: a replay, a worker. It protects four rules: nothing is written that a guard did not
allow; the intent is committed before the first byte leaves; what became of it is always recorded; and the target is
bound here, by code, once.
"""

import asyncio
from dataclasses import replace
from functools import partial

from sre_agent import gates, records
from sre_agent.afterwards import keep_evidence, write_up
from sre_agent.analysis import Author
from sre_agent.analysis.surroundings import look
from sre_agent.border import Border
from sre_agent.cluster.absent import WHERE_FROM, AbsentCluster
from sre_agent.cluster.port import Clock, Cluster, ClusterError
from sre_agent.conclusion import brake_to_tell, conclude, summary
from sre_agent.errors import Unreachable
from sre_agent.event import ErrorRaised, Escalated, Event
from sre_agent.facts import Ground
from sre_agent.guards.brakes import CALM
from sre_agent.guards.stop import UNREAD_LOOK
from sre_agent.investigation import Investigator
from sre_agent.kept_evidence import RunRecorder
from sre_agent.llm.port import Allowance
from sre_agent.log import get_logger
from sre_agent.planner.port import Planner
from sre_agent.remediation import remediate
from sre_agent.resumption import look_back
from sre_agent.routing import route
from sre_agent.run import RunRecord, RunStatus, StepRecord, StepStatus
from sre_agent.runbook import UNKNOWN_ID, Runbooks, Step
from sre_agent.settings import UNNAMED, Settings
from sre_agent.store import LostFence, Store
from sre_agent.store.columns import name_column
from sre_agent.store.history_rows import Surroundings
from sre_agent.target import Subject, Target, Unbound, bind, subject_of
from sre_agent.tools.registry import TOOLS, actionable, subject_of_runbook
from sre_agent.tools.types import DiagnosticTool, RemediationTool, ToolContext
from sre_agent.tools.validate import Rejected, ValidatedCall, validate
from sre_agent.walk import Assignment, Walk

__all__ = ["DEATHS", "Assignment", "run_incident"]

DEATHS = 3
"""So many workers may die on one run before nobody takes it up any more."""

log = get_logger(__name__)


async def run_incident(
    assignment: Assignment,
    *,
    store: Store,
    cluster: Cluster,
    planner: Planner,
    runbooks: Runbooks,
    settings: Settings,
    clock: Clock,
    author: Author | None = None,
    investigator: Investigator | None = None,
) -> RunRecord:
    """Walks the routed runbook for one incident, stores every step, and returns the whole run.

    Without an `author` its analysis is composed; without an `investigator` nobody looks into an alert that no runbook
    covers.

    Raises LostFence when another worker took the run up, Unreachable when the store is away; every other failure
    is part of the returned record.
    """
    recorder = RunRecorder(assignment.run_id, cluster=cluster, clock=clock, limit=settings.evidence_bytes)
    walk = Walk(
        assignment=assignment,
        active=await store.start_run(assignment.run_id, mode=assignment.mode, now=recorder.clock()),
        route=route(assignment.alert.labels, runbooks),
        ground=_ground(assignment, runbooks),
        store=store,
        cluster=recorder.cluster,
        planner=planner,
        settings=settings,
        clock=recorder.clock,
        unrecorded_clock=clock,
        recorder=recorder,
        allowance=Allowance.begin(
            assignment.run_id, assignment.incident_id, seconds=settings.llm_time_per_run.total_seconds()
        ),
        no_cluster=cluster.why if isinstance(cluster, AbsentCluster) else None,
    )
    try:
        if await _goes_on(walk):
            await _walk(walk, investigator)
    except (LostFence, Unreachable):
        raise
    except ClusterError as error:
        walk.error = f"what the alert is about could not be looked up: {error}"
        walk.unread(error)
    except asyncio.CancelledError:
        await (store.queue.hand_back(walk.active) if assignment.returns else _cut_short(walk))
        raise
    except Exception as error:  # the run's border: an unforeseen error ends this run, not the worker
        log.exception("run.crashed", run_id=str(assignment.run_id))
        walk.error = f"{type(error).__name__}: {error}"
        walk.unsaved.append(Event(payload=ErrorRaised(where="run", error=walk.error)))
    record = await _finish(walk)
    ended, around = walk.clock(), walk.around or Surroundings()
    # The evidence first: a model may take its time over the analysis, and the process may be told to end meanwhile.
    record = await keep_evidence(store, record, recorder, runbook_sha256=walk.route.runbook.sha256, settings=settings)
    analysis = await write_up(store, assignment.incident_id, around, now=ended, author=author, allowance=walk.allowance)
    return replace(record, analysis_markdown=analysis)


async def _goes_on(walk: Walk) -> bool:
    """A run that was cut off goes on from its records, unless too many workers have died on it."""
    if walk.active.attempt == 1:
        return True
    if walk.active.deaths >= DEATHS:
        walk.given_up = f"{walk.active.deaths} workers ended while they were at work on this run; it is not tried again"
        return False
    so_far = await look_back(walk.active, store=walk.store, cluster=walk.cluster, clock=walk.clock)
    walk.steps.extend(so_far.steps.values())
    walk.writes.extend(so_far.writes)
    walk.unsaved.extend(records.step_taken(step) for step in walk.steps if step.step not in so_far.told)
    return True


async def _walk(walk: Walk, investigator: Investigator | None) -> None:
    """Bind the target, then take the steps in order. Without a target every step is refused with the reason."""
    bound = await _bind(walk, subject_of_runbook(walk.route.runbook))
    walk.target = bound if isinstance(bound, Target) else None
    finished = {step.step for step in walk.steps}
    for step in walk.route.runbook.workflow:
        if step.name in finished:
            continue
        if isinstance(bound, Unbound):
            record = records.unbound(step, bound)
        else:
            record = await _take_step(walk, step, bound)
        walk.steps.append(record)
        walk.unsaved.append(records.step_taken(record))
    if investigator is not None and walk.route.runbook.id == UNKNOWN_ID:
        await _look_into(walk, investigator)
    walk.around = walk.around or await look(walk.cluster, walk.target)


async def _look_into(walk: Walk, investigator: Investigator) -> None:
    """No runbook says what the alert is about: its labels do. What cannot be bound is not looked into."""
    bound: Target | Unbound
    try:
        bound = walk.target or await _bind(walk, subject_of(walk.assignment.alert.labels, None))
    except ClusterError as error:
        bound = Unbound(reason=f"what the alert is about could not be looked up: {error}")
    walk.target = bound if isinstance(bound, Target) else None
    with Border("investigation.crashed", passing=(LostFence, Unreachable), run_id=str(walk.active.id)):
        await investigator.investigate(walk, bound)


async def _bind(walk: Walk, subject: Subject | None) -> Target | Unbound:
    if walk.no_cluster is not None:
        return Unbound(reason=walk.no_cluster, allowed_by=WHERE_FROM)
    other = await _other_cluster(walk)
    if other is not None:
        return Unbound(reason=f"the alert is about cluster {other}; this agent acts in {walk.settings.cluster_name}")
    return await bind(walk.assignment.alert, subject, walk.cluster)


async def _other_cluster(walk: Walk) -> str | None:
    """The cluster that the run is about, where it is not this agent's; None where it is, or where nobody can tell.

    An alert without a label `cluster` is about the cluster of whoever took it in, and agents of several clusters may
    share a store.
    """
    ours = walk.settings.cluster_name
    if ours is None:
        return None
    if named := walk.assignment.alert.labels.get("cluster"):
        return named if named != ours else None
    incident = await walk.store.incident(walk.assignment.incident_id)
    return None if incident is None or incident.cluster in {name_column(ours), UNNAMED} else incident.cluster


async def _take_step(walk: Walk, step: Step, target: Target) -> StepRecord:
    """Gate, proposal, validation; then look (diagnostic) or judge and act (remediation)."""
    gate = gates.evaluate(step.gate, walk.results)
    if not gate.open:
        return records.closed(step, StepStatus.SKIPPED, gate=gate.text)
    context = walk.context(target)
    proposal = await walk.planner.propose(step, context, walk.allowance)
    call = validate(proposal.call, step=step, target=target, tools=TOOLS)
    if isinstance(call, Rejected):
        record = records.closed(step, StepStatus.REFUSED, reason=call.reason)
    else:
        try:
            record = await _use_tool(walk, step, call, context)
        except ClusterError as error:
            record = records.closed(step, StepStatus.FAILED, reason=f"{type(error).__name__}: {error}")
            walk.unread(error)
    return replace(record, gate=gate.text or None, llm=proposal.trace)


async def _use_tool(walk: Walk, step: Step, call: ValidatedCall, context: ToolContext) -> StepRecord:
    tool = TOOLS[call.tool]
    if isinstance(tool, RemediationTool):
        return await remediate(walk, step, call, tool)
    return await _diagnose(walk, step, call, tool, context)


async def _diagnose(
    walk: Walk, step: Step, call: ValidatedCall, tool: DiagnosticTool, context: ToolContext
) -> StepRecord:
    return records.diagnosed(step, call, await tool.run(walk.cluster, call.input, context))


async def _cut_short(walk: Walk) -> None:
    """Whoever waited for the run no longer does: the incident keeps how far it came, and can have another run."""
    at = next((step.name for step in walk.route.runbook.workflow[len(walk.steps) :]), "the end")
    walk.error = f"interrupted at {at}" + (f": {walk.error}" if walk.error else "")
    walk.unsaved.append(Event(payload=ErrorRaised(where="run", error=walk.error)))
    await _finish(walk)
    await write_up(walk.store, walk.assignment.incident_id, walk.around or Surroundings(), now=walk.clock())
    log.warning("run.interrupted", incident_id=walk.assignment.incident_id, error=walk.error)


async def _finish(walk: Walk) -> RunRecord:
    """Says what the run came to, and stores its end in one commit."""
    walked = RunRecord(
        incident_id=walk.assignment.incident_id,
        run_id=str(walk.active.id),
        alert=walk.assignment.alert,
        target=next((step.change.target for step in walk.steps if step.change), walk.target),
        runbook_id=walk.route.runbook.id,
        route_reason=walk.route.reason,
        mode=walk.assignment.mode,
        status=RunStatus.RUNNING,
        steps=tuple(walk.steps),
        writes=tuple(walk.writes),
        llm_trace=walk.llm_trace,
        barred=walk.barred,
    )
    record = await _conclude(walk, walked)
    if record.escalation is not None:
        walk.unsaved.append(Event(payload=Escalated(reason=record.escalation)))
    await walk.store.finish_run(
        walk.active,
        status=record.status,
        action_taken=record.action_taken,
        action_recommended=record.action_recommended,
        action_error=record.action_error,
        summary=summary(record),
        workload=None if walk.target is None else walk.target.workload,
        node=None if walk.target is None else walk.target.node,
        retry_at=record.retry_at,
        events=[*walk.unsaved, records.final(record, walk.around or Surroundings())],
        now=walk.clock(),
    )
    log.event("run.finished", run_id=record.run_id, incident_id=record.incident_id, status=record.status)
    return record


async def _conclude(walk: Walk, walked: RunRecord) -> RunRecord:
    """What the run came to; of the runs that a brake of the whole cluster holds, one escalates for all."""
    conclusion = partial(
        conclude,
        walked,
        error=walk.error,
        given_up=walk.given_up,
        no_cluster=walk.no_cluster,
        recorded=walk.cluster.recorded,
        look_again=walk.unrecorded_clock() + UNREAD_LOOK if walk.passing else None,
    )
    record, rule = conclusion(), brake_to_tell(walk.steps)
    if rule is None or record.status is not RunStatus.ESCALATED:
        return record
    told_by = await walk.store.brakes.tell(
        rule,
        walk.active,
        scope=walk.assignment.scope,
        cluster=walk.settings.cluster,
        calm=CALM,
        now=walk.unrecorded_clock(),
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
