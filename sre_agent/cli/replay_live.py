"""`replay --live`: opens the real cluster, shows which one it is, and asks before anything may be written."""

import signal
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sre_agent.errors import BadInput, SreAgentError, Unreachable

if TYPE_CHECKING:
    from sre_agent.cluster.live import LiveCluster
    from sre_agent.cluster.port import Cluster
    from sre_agent.parts import Part
    from sre_agent.run import Mode
    from sre_agent.settings import Settings


@asynccontextmanager
async def live_cluster(
    parts: "Sequence[Part]",
    context: str | None,
    settings: "Settings",
    mode: "Mode",
    *,
    yes: bool,
    assume_firing: bool,
) -> "AsyncIterator[Cluster | None]":
    """The cluster for the parts that have no recording; None where each has one.

    Raises BadInput, Unreachable, and SreAgentError where a person says no.
    """
    from sre_agent import agent, log
    from sre_agent.cli.output import say
    from sre_agent.replay import check_age
    from sre_agent.run import Mode

    recorded = [part.source for part in parts if part.cluster is not None]
    for source in recorded:
        say(f"{source}: played on the recording beside it, not on the live cluster")
    if len(recorded) == len(parts):
        yield None
        return
    if not assume_firing:
        check_age(parts, now=datetime.now(UTC), limit=settings.alert_max_age)
    async with agent.open_live_cluster(context) as cluster:
        say(f"context {cluster.context} at {cluster.server}, mode {mode}")
        await _check_clock(cluster, mode)
        if mode is Mode.AUTO and not yes:
            _ask(cluster.context, cluster.server)
        if "LOG_LEVEL" not in settings.from_environment:
            log.follow("sre_agent.draining")  # a drain may take minutes, and its story is told when it is over
        with _kills_like_ctrl_c():
            yield cluster


@contextmanager
def _kills_like_ctrl_c() -> Iterator[None]:
    """A terminal that closes, and a polite kill, let the run settle what it sent, too."""
    ours = [kill for kill in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(kill) is signal.SIG_DFL]
    for kill in ours:
        signal.signal(kill, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        for kill in ours:
            signal.signal(kill, signal.SIG_DFL)


async def _check_clock(cluster: "LiveCluster", mode: "Mode") -> None:
    """Ages of what others did are told by this machine's clock. Raises Unreachable before it acts on a wrong one."""
    from sre_agent.cli.output import say
    from sre_agent.doctor import State
    from sre_agent.doctor.cluster import check_clock
    from sre_agent.run import Mode

    clock = await check_clock(cluster)
    if clock.state is State.OK:
        return
    if mode is Mode.AUTO:
        raise Unreachable(f"nothing was done: {clock.check}: {clock.what}; {clock.instead}")
    say(f"sre-agent: warning: {clock.check}: {clock.what}; {clock.instead}")


def _ask(context: str, server: str) -> None:
    """Raises BadInput where nobody can be asked, SreAgentError for a no."""
    from sre_agent.cli.output import ask

    what = f"act on the cluster of context {context} at {server}"
    if not sys.stdin.isatty():
        raise BadInput(f"this would {what}; nobody can be asked here: add --yes")
    if not ask(f"May I {what}, where every guard allows it?"):
        raise SreAgentError("nothing was done: the answer was no; --mode recommend only looks")
