"""Carries out the evictions of a drain: asks until each pod may go, is gone, is refused for good, or time is up.

Called by `execution`. Protects the promises of a drain: a pod leaves through the Eviction API or not at all; nothing
is deleted and nothing forced; no answer is taken for granted; the deadline holds over calls and pauses alike; no try
begins without leave; and what had to wait stays on a node that needs no drain any more.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from sre_agent import objects
from sre_agent.cluster.port import (
    Cluster,
    ClusterError,
    Conflict,
    Leaving,
    NotFound,
    Resource,
    TooManyRequests,
    Unavailable,
    UnknownOutcome,
    Write,
)
from sre_agent.cluster.readback import LOOKS, Effect, look_up
from sre_agent.log import get_logger
from sre_agent.objects import Object
from sre_agent.store import Braked

AT_ONCE = 10
"""Evictions on their way at the same time."""
POLL_SECONDS = 0.5
"""How often the node's pods are listed while evicted ones terminate."""
TELL_SECONDS = 10.0
"""How often a long drain says how far it is."""
NODE_SECONDS = 1.0
"""How old a look at the node may be that lets an eviction be sent again."""
RETRY_SECONDS = 5.0
"""The pause after an answer that may change and does not say when: kubectl's."""

log = get_logger(__name__)


class Fate(StrEnum):
    """What became of one pod."""

    ASKED = "not evicted yet"
    EVICTED = "evicted, still terminating"
    GONE = "gone"
    STAYS = "stays"
    UNKNOWN = "unknown"


@dataclass(kw_only=True, slots=True)
class _Eviction:
    """One pod while it is evicted. `reason` is the last answer against it."""

    write: Write
    fate: Fate = Fate.ASKED
    accepted: bool = False
    reason: str = ""
    in_flight: bool = False
    settled: bool = False
    held: Braked | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Settled:
    """A pod's end: `accepted` whether the API server took the eviction, `reason` why it stays or is not known.

    `held` is the brake because of which it was not asked again.
    """

    write: Write
    fate: Fate
    accepted: bool
    reason: str
    held: Braked | None = None

    @property
    def pod(self) -> str:
        return f"{self.write.namespace}/{self.write.name}"


Settle = Callable[[Settled], Awaitable[None]]
Leave = Callable[[], Awaitable[None]]
"""Asked right before a request that changes something: returns, or raises Braked, or what ends everything."""
Over = Callable[[Object], str | None]


@dataclass(kw_only=True, slots=True)
class _Drain:
    cluster: Cluster
    node: str
    evictions: list[_Eviction]
    patient: bool
    over: Over
    awaited: bool
    settle: Settle
    leave: Leave
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    looking: asyncio.Lock = field(default_factory=asyncio.Lock)
    looked_at: float = -float("inf")
    ended: str | None = None


async def drain(
    cluster: Cluster,
    node: str,
    evictions: Iterable[Write],
    *,
    within: timedelta,
    over: Over,
    awaited: bool,
    settle: Settle,
    leave: Leave,
) -> list[Settled]:
    """Evicts pods of one node and returns what became of each, in the given order. Never raises ClusterError.

    With `within` of 0 each eviction is sent once and nothing is waited for: a recording cannot heal. `over` says of the
    node why nothing more shall leave it; it is asked before an eviction is sent again. `awaited`:
    whether evicted pods are waited for until they are gone, which an unreachable kubelet cannot do. `settle` is told
    each pod as soon as its eviction is decided, and `leave` asked before each try: what they raise ends the drain, but
    for Braked, after which the pod stays. A cancelled drain decides what is open as at the deadline before it ends.
    """
    run = _Drain(
        cluster=cluster,
        node=node,
        evictions=[_Eviction(write=write) for write in evictions],
        patient=within > timedelta(0),
        over=over,
        awaited=awaited and within > timedelta(0),
        settle=settle,
        leave=leave,
    )
    if not run.patient:
        for eviction in run.evictions:
            await _evict(run, eviction)
    else:
        await _until(run, within)
    return [_settled(eviction) for eviction in run.evictions]


async def _until(run: _Drain, within: timedelta) -> None:
    """All evictions at once, then the wait; whatever is open at the deadline is looked up once and said."""
    telling = asyncio.create_task(_tell(run))
    try:
        async with asyncio.timeout(within.total_seconds()), asyncio.TaskGroup() as group:
            for eviction in run.evictions:
                group.create_task(_evict(run, eviction))
            if run.awaited:
                group.create_task(_await_gone(run))
    except TimeoutError:
        await _close_all(run, "the deadline")
    except asyncio.CancelledError:
        await _close_all(run, "the interruption")
        raise
    except BaseExceptionGroup as failed:  # what `settle` or `leave` raised, as it raised it
        raise failed.exceptions[0] from None
    finally:
        telling.cancel()


async def _evict(run: _Drain, eviction: _Eviction) -> None:
    """One pod, as often as its answers allow another try."""
    while eviction.fate is Fate.ASKED:
        pause = await _try(run, eviction)
        if eviction.fate is Fate.ASKED and not run.patient:
            eviction.fate = Fate.STAYS
        elif eviction.fate is Fate.ASKED:
            await asyncio.sleep(pause)
            await _look_again(run, eviction)
            if eviction.fate is Fate.ASKED and (ended := await _look_at_node(run)):
                eviction.fate = Fate.STAYS
                eviction.reason = f"{ended}; before, {eviction.reason}"
    await _settle(run, eviction)


async def _try(run: _Drain, eviction: _Eviction) -> float:
    """Sends the eviction once. Leaves the fate ASKED where another try is right, and says after how many seconds."""
    async with run.slots:
        try:
            await run.leave()
        except Braked as held:
            eviction.fate, eviction.reason, eviction.held = Fate.STAYS, held.reason, held
            return 0.0
        eviction.in_flight = True  # and stays so where the deadline cuts the call off
        try:
            await run.cluster.write(eviction.write)
        except UnknownOutcome as error:
            await _look_up(run, eviction, str(error))
        except ClusterError as error:
            eviction.in_flight = False
            eviction.reason = str(error)
            eviction.fate = _fate_after(error)
            if isinstance(error, Conflict):
                await _look_again(run, eviction)
            return error.retry_after if isinstance(error, TooManyRequests) else RETRY_SECONDS
        else:
            eviction.fate, eviction.accepted = Fate.EVICTED, True
        eviction.in_flight = False
    return 0.0


def _fate_after(error: ClusterError) -> Fate:
    """What an answer against an eviction means. After a Conflict the pod tells whether it is still the one meant."""
    if isinstance(error, NotFound):
        return Fate.GONE
    return Fate.ASKED if isinstance(error, TooManyRequests | Unavailable | Leaving | Conflict) else Fate.STAYS


async def _look_up(run: _Drain, eviction: _Eviction, said: str, *, looks: int = LOOKS) -> None:
    effect = await look_up(run.cluster, eviction.write, looks=looks)
    eviction.accepted = effect is Effect.TOOK
    eviction.fate = Fate.EVICTED if eviction.accepted else Fate.UNKNOWN
    eviction.reason = "" if eviction.accepted else f"{said}; it {effect}"


async def _look_again(run: _Drain, eviction: _Eviction) -> None:
    """Before another try: a pod that went by itself needs none."""
    write = eviction.write
    try:
        found = await run.cluster.get(Resource.PODS, write.namespace, write.name)
    except NotFound:
        eviction.fate = Fate.GONE
        return
    except ClusterError:
        return
    if write.uid is not None and objects.uid(found) != write.uid:
        eviction.fate = Fate.GONE
    elif objects.terminating(found):
        eviction.fate = Fate.EVICTED


async def _look_at_node(run: _Drain) -> str | None:
    """Why the drain is over, None while it is not or nobody can tell. All pods that wait share one look."""
    async with run.looking:
        if run.ended is None and time.monotonic() - run.looked_at >= NODE_SECONDS:
            run.looked_at = time.monotonic()
            with suppress(ClusterError):
                run.ended = run.over(await run.cluster.get(Resource.NODES, None, run.node))
    return run.ended


async def _await_gone(run: _Drain) -> None:
    """Lists the node's pods until every pod is decided and each evicted one is gone."""
    while any(eviction.fate in {Fate.ASKED, Fate.EVICTED} for eviction in run.evictions):
        await asyncio.sleep(POLL_SECONDS)
        leaving = [eviction for eviction in run.evictions if eviction.fate is Fate.EVICTED]
        if not leaving:
            continue
        try:
            pods = await run.cluster.list(Resource.PODS, fields={"spec.nodeName": run.node})
        except ClusterError as error:
            log.warning("drain.pods_unread", node=run.node, error=str(error))
            continue
        there = {(objects.namespace(pod), objects.name(pod)): objects.uid(pod) for pod in pods}
        for eviction in leaving:
            found = there.get((eviction.write.namespace or "", eviction.write.name))
            if found is None or eviction.write.uid not in (None, found):
                eviction.fate = Fate.GONE


async def _close_all(run: _Drain, end: str) -> None:
    await asyncio.gather(*(_close(run, eviction, end) for eviction in run.evictions))


async def _close(run: _Drain, eviction: _Eviction, end: str) -> None:
    """What is open at the end: an eviction on its way is looked up once, any other stays with its last answer."""
    if eviction.fate is Fate.ASKED and eviction.in_flight:
        await _look_up(run, eviction, f"{end} came before the answer", looks=1)
    elif eviction.fate is Fate.ASKED:
        eviction.fate = Fate.STAYS
        eviction.reason = f"until {end}: {eviction.reason or 'not asked'}"
    await _settle(run, eviction)


async def _settle(run: _Drain, eviction: _Eviction) -> None:
    if not eviction.settled:
        await run.settle(_settled(eviction))
        eviction.settled = True


async def _tell(run: _Drain) -> None:
    """Progress of a long drain, for whoever watches the log."""
    while True:
        await asyncio.sleep(TELL_SECONDS)
        counted = {fate.name.lower(): sum(entry.fate is fate for entry in run.evictions) for fate in Fate}
        blocked = [f"{_settled(entry).pod}: {entry.reason}" for entry in run.evictions if entry.fate is Fate.ASKED]
        log.event("drain.progress", node=run.node, **counted, waits_for=blocked[:5])


def _settled(eviction: _Eviction) -> Settled:
    return Settled(
        write=eviction.write,
        fate=eviction.fate,
        accepted=eviction.accepted,
        reason=eviction.reason or eviction.fate,
        held=eviction.held,
    )
