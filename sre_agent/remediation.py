"""One remediation of a run: judged on fresh facts, sent if every guard allows it, and recorded whatever becomes of it.

Called by the executor for each changing step. It protects two rules: the intent is committed before the first byte
leaves, and its outcome is recorded; a conflict, and a brake that another process pulled, mean judging again.
"""

import asyncio
from datetime import timedelta
from functools import partial

from sre_agent import guards, records
from sre_agent.analysis.surroundings import seen
from sre_agent.cluster.port import ClusterError
from sre_agent.draining import Settled
from sre_agent.execution import Execution, cut_off, event_about, execute, outcome_of
from sre_agent.facts import Facts, gather, gather_again, limits
from sre_agent.guards.brakes import refused
from sre_agent.leave import leave_for
from sre_agent.log import get_logger
from sre_agent.run import Change, Judgement, Outcome, StepRecord, Verdict, worst
from sre_agent.runbook import Step
from sre_agent.stop_switch import read_switch
from sre_agent.store import Braked
from sre_agent.tools.types import RemediationTool, ToolContext
from sre_agent.tools.validate import ValidatedCall
from sre_agent.walk import Walk

CONFLICT_TRIES = 3
"""How often a change is judged again after somebody else changed the object first."""

log = get_logger(__name__)


async def remediate(walk: Walk, step: Step, call: ValidatedCall, tool: RemediationTool) -> StepRecord:
    """Judges on fresh facts and acts if every guard allows it; a conflict means judging again, not sending again."""
    for _ in range(CONFLICT_TRIES):
        context = walk.context(call.target)
        facts = await gather(
            context,
            step=step,
            tool=tool,
            mode=walk.assignment.mode,
            ground=walk.ground,
            cluster=walk.cluster,
            store=walk.store,
            clock=walk.clock,
        )
        walk.recorder.past(call.target.key, facts.past_actions)
        walk.recorder.brakes(call.target.key, facts.brakes)
        walk.recorder.stood(facts.standing)
        assessment = tool.assess(call.input, facts.evidence, context)
        walk.around = walk.around or seen(facts.evidence, tool, assessment)
        judgements, execution = assessment.judgements, None
        if assessment.change is not None:
            judgements += guards.judge(facts, assessment.change)
            if worst(judgements) is Verdict.ALLOW:
                try:
                    execution = await _act(walk, step, assessment.change)
                except Braked as braked:
                    judgements += await _judge_again(walk, facts, context, assessment.change, braked)
        if execution is None or not execution.conflict:
            break
    if execution is not None and execution.held is not None:
        rest = max(walk.settings.cooldown, walk.settings.drain_pause) if execution.writes else timedelta(0)
        judgements += (refused(execution.held, walk.unrecorded_clock(), rest=rest),)
    return records.judged(step, call, assessment, judgements, execution)


async def _judge_again(
    walk: Walk, facts: Facts, context: ToolContext, change: Change, braked: Braked
) -> tuple[Judgement, ...]:
    """What speaks against a change that another process came before: what the guards say now, else the brake itself."""
    latest = await gather_again(facts, context, ground=walk.ground, cluster=walk.cluster, store=walk.store)
    walk.recorder.past(change.target.key, latest.past_actions)
    walk.recorder.brakes(change.target.key, latest.brakes, again=True)
    return guards.judge(latest, change) or (refused(braked, walk.unrecorded_clock()),)


async def _act(walk: Walk, step: Step, change: Change) -> Execution:
    """Commits the intent with everything read before it, sends the change, always records the outcome.

    Raises Braked where another process was faster, and then nothing is committed or sent.
    """
    held_to = limits(walk.settings, walk.ground.actionable)
    action_id = await walk.store.record_intent(
        walk.active,
        records.new_action(step.name, change),
        [*walk.unsaved, records.intent(change)],
        scope=walk.assignment.scope,
        cluster=walk.settings.cluster,
        limits=held_to,
        now=walk.clock(),
    )
    walk.unsaved.clear()

    leave = leave_for(
        walk.active,
        action_id,
        change,
        store=walk.store,
        scope=walk.assignment.scope,
        open_for=held_to.open_for,
        clock=walk.unrecorded_clock,
        switch=partial(read_switch, walk.cluster, walk.settings.agent_namespace),
    )
    settled: list[Settled] = []

    async def settle(pod: Settled) -> None:
        settled.append(pod)
        await walk.store.settle_eviction(
            action_id,
            namespace=pod.write.namespace or "",
            pod=pod.write.name,
            outcome=outcome_of(pod),
            detail=pod.reason,
            now=walk.clock(),
        )

    patience = timedelta(0) if walk.cluster.recorded else walk.settings.drain_timeout
    try:
        execution = await execute(walk.cluster, change, patience=patience, settle=settle, leave=leave)
    except asyncio.CancelledError:
        if not walk.assignment.returns:  # whoever takes it up again looks for itself what became of it
            execution = cut_off(change, settled)
            walk.error = f"{execution.action}: {execution.detail}"
            await _keep_outcome(walk, action_id, execution)
        raise
    await _keep_outcome(walk, action_id, execution)
    if execution.outcome is Outcome.DONE:
        await _tell_cluster(walk, change, execution)
    return execution


async def _keep_outcome(walk: Walk, action_id: int, execution: Execution) -> None:
    walk.writes.extend(execution.writes)
    walk.barred |= execution.barred
    await walk.store.record_outcome(
        walk.active,
        action_id,
        execution.outcome,
        execution.detail,
        [records.outcome(action_id, execution)],
        now=walk.clock(),
    )


async def _tell_cluster(walk: Walk, change: Change, execution: Execution) -> None:
    """A Kubernetes Event on the object. Best effort: the change stands whether or not it can be told there."""
    event = event_about(change, execution, walk.assignment.incident_id, walk.clock())
    try:
        await walk.cluster.emit_event(event)
    except ClusterError as error:
        log.event("cluster.event_failed", action=execution.action, error=str(error))
