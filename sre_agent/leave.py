"""The leave to send: asked between the commit of an intent and each request that changes the cluster.

Made by `remediation`, asked by `execution` and `draining`. Protects two rules: nothing is sent later than a moment
after a pause began or the stop switch was thrown, also between two steps and in the middle of a drain; and a process
that was stopped for longer than others wait for it sends nothing when it wakes up.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from time import monotonic

from sre_agent.cluster.port import Clock
from sre_agent.draining import Leave
from sre_agent.run import Change
from sre_agent.stop_switch import RULE, StopSwitch
from sre_agent.store import ActiveRun, Braked, Store

FRESH_SECONDS = 2.0
"""How old the leave may be when the request is sent: its process may have been stopped since it asked."""

SWITCH_SECONDS = 2.0
"""How old what the stop switch said may be then. The evictions of a drain share one reading of it."""

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
    switch: Callable[[], Awaitable[StopSwitch]],
) -> Leave:
    """Asks whether a request of this intent may leave now. What it makes raises LostFence, Braked or Unreachable.

    `open_for` is how long the intent holds its target against others; a drain sends as long as that. `switch` reads the
    stop switch.
    """
    within = open_for if change.evicts else SEND_WITHIN
    released_at = monotonic() - SWITCH_SECONDS

    async def require_switch() -> None:
        nonlocal released_at
        asked_at = monotonic()
        if asked_at - released_at < SWITCH_SECONDS:
            return
        stop = (await switch()).reason
        if stop is not None:
            raise Braked(RULE, stop)
        released_at = asked_at

    async def leave() -> None:
        await require_switch()
        fresh = False
        while not fresh:
            asked_at = monotonic()
            await store.brakes.require_leave(run, action_id, scope=scope, within=within, now=clock())
            fresh = monotonic() - asked_at < FRESH_SECONDS

    return leave
