"""What earlier attempts at a run have done, so that the next one goes on from there instead of beginning anew.

Called by the executor when it takes a run up again. Protects two rules: a step that was finished is not taken again,
and an intent without an outcome is looked up in the cluster before anything else is done. Whoever held the run before
lost the fence when this attempt began, so it sends nothing more.
"""

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta

from sre_agent import records
from sre_agent.cluster.port import Clock, Cluster, Write
from sre_agent.cluster.readback import Effect, look_up
from sre_agent.execution import Execution
from sre_agent.intents import change_of
from sre_agent.run import Change, Outcome, StepRecord
from sre_agent.store import ActiveRun, Store
from sre_agent.store.run_queue import StoredIntent
from sre_agent.tools.drain import drained_action

CUT_OFF = "the run was cut off before it was sent"
"""What is said of an intent whose write never arrived: its step is taken again."""

LATEST_ARRIVAL = timedelta(seconds=25)
"""After its intent's commit a write can still be on its way for so long: a dry run and a write, each with its limit."""

LOOK_AGAIN_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class SoFar:
    """The steps that need not be taken again, by name in the runbook's order, and what the cluster accepted."""

    steps: dict[str, StepRecord]
    writes: tuple[Write, ...]
    told: frozenset[str]
    """The steps that stand among the events already."""


async def look_back(run: ActiveRun, *, store: Store, cluster: Cluster, clock: Clock) -> SoFar:
    """Reads what was done, settles what was left open. Raises LostFence, Unreachable; never ClusterError."""
    steps = {record.step: record for record in map(records.step_of, await store.queue.steps_so_far(run))}
    told = frozenset(steps)
    writes: list[Write] = []
    for intent in await store.queue.intents_so_far(run):
        change = change_of(
            intent.body, tool=intent.tool, action=intent.action, value=intent.value, near_limit=intent.near_limit
        )
        execution = await _what_became(run, intent, change, store=store, cluster=cluster, clock=clock)
        step = str(intent.body["step"])
        if (execution.detail or "").startswith(CUT_OFF):
            continue
        writes.extend(execution.writes)
        known = steps.get(step)
        steps[step] = records.carried_out(step, change, execution) if known is None else replace(known, change=change)
    return SoFar(steps=steps, writes=tuple(writes), told=told)


async def _what_became(
    run: ActiveRun, intent: StoredIntent, change: Change, *, store: Store, cluster: Cluster, clock: Clock
) -> Execution:
    """The outcome of an intent: as it was recorded, else looked up and recorded now."""
    if intent.outcome is not None and not change.evicts:
        done = intent.outcome is Outcome.DONE
        return Execution(
            outcome=intent.outcome,
            action=intent.action,
            writes=change.writes if done else (),
            detail=intent.detail,
        )
    if change.evicts:
        execution = await _evictions(intent, change, store=store, cluster=cluster, clock=clock)
    else:
        execution = await _one_write(intent, change, cluster=cluster, clock=clock)
    if intent.outcome is None:
        await store.record_outcome(
            run,
            intent.id,
            execution.outcome,
            execution.detail,
            [records.outcome(intent.id, execution)],
            now=clock(),
        )
    return execution


async def _one_write(intent: StoredIntent, change: Change, *, cluster: Cluster, clock: Clock) -> Execution:
    """Looks until it is clear whether the write took effect, at the latest when it cannot arrive any more."""
    (write,) = change.writes
    effect = await look_up(cluster, write, looks=1)
    until = intent.intended_at + LATEST_ARRIVAL
    while effect is not Effect.TOOK and effect is not Effect.NEVER and clock() < until:
        await asyncio.sleep(LOOK_AGAIN_SECONDS)
        effect = await look_up(cluster, write, looks=1)
    if effect is Effect.TOOK:
        detail = f"the run was cut off; read back: it {effect}"
        return Execution(outcome=Outcome.DONE, action=change.action, writes=(write,), detail=detail)
    if effect is Effect.UNREAD:
        return Execution(
            outcome=Outcome.UNKNOWN, action=change.action, writes=(), detail=f"the run was cut off; it {effect}"
        )
    return Execution(outcome=Outcome.FAILED, action=change.action, writes=(), detail=CUT_OFF)


async def _evictions(
    intent: StoredIntent, change: Change, *, store: Store, cluster: Cluster, clock: Clock
) -> Execution:
    """Each pod whose eviction has no end is looked up. A drain that was cut off begins again with what is left."""
    outcomes = await store.queue.evictions_so_far(intent.id)
    gone = []
    for write in change.writes:
        outcome = outcomes.get((write.namespace or "", write.name))
        if outcome is None:
            took = await look_up(cluster, write, looks=1) is Effect.TOOK
            outcome = Outcome.DONE if took else Outcome.FAILED
            await store.settle_eviction(
                intent.id,
                namespace=write.namespace or "",
                pod=write.name,
                outcome=outcome,
                detail="the run was cut off; looked up by another worker",
                now=clock(),
            )
        if outcome is Outcome.DONE:
            gone.append(write)
    left = len(change.writes) - len(gone)
    action = drained_action(change.target.name, len(gone), change.leaves + left)
    if intent.outcome is not None:
        return Execution(outcome=intent.outcome, action=action, writes=tuple(gone), detail=intent.detail)
    if left:
        detail = f"{CUT_OFF} to {left} of {len(change.writes)} pods"
        return Execution(outcome=Outcome.FAILED, action=action, writes=tuple(gone), detail=detail)
    return Execution(outcome=Outcome.DONE, action=action, writes=tuple(gone), detail="the run was cut off")
