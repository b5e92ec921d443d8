"""The leave to send: asked of the store between the commit of an intent and each request that changes the cluster.

Made by the executor, asked by `execution` and `draining`. Protects two rules: nothing is sent later than a moment after
a pause began, also between two steps and in the middle of a drain; and a process that was stopped for longer than
others wait for it sends nothing when it wakes up.
"""

from datetime import timedelta
from time import monotonic

from sre_agent.cluster.port import Clock
from sre_agent.draining import Leave
from sre_agent.run import Change
from sre_agent.store import ActiveRun, Store

FRESH_SECONDS = 2.0
"""How old the leave may be when the request is sent: its process may have been stopped since it asked."""

SEND_WITHIN = timedelta(seconds=15)
"""The latest that a single write leaves after its intent: whoever takes the run up looks for it not much longer."""


def leave_for(
    run: ActiveRun,
    action_id: int,
    change: Change,
    *,
    store: Store,
    scope: str,
    open_for: timedelta,
    clock: Clock,
) -> Leave:
    """Asks whether a request of this intent may leave now. What it makes raises LostFence, Braked or Unreachable.

    `open_for` is how long the intent holds its target against others; a drain sends as long as that.
    """
    within = open_for if change.evicts else SEND_WITHIN

    async def leave() -> None:
        fresh = False
        while not fresh:
            asked_at = monotonic()
            await store.brakes.require_leave(run, action_id, scope=scope, within=within, now=clock())
            fresh = monotonic() - asked_at < FRESH_SECONDS

    return leave
