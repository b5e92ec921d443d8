"""What `serve` and `worker` share: the cluster, the runs, and a signal that ends both."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    import signal
    from datetime import datetime

    from sre_agent.agent import Service
    from sre_agent.cluster.live import LiveCluster
    from sre_agent.cluster.port import Cluster
    from sre_agent.run import RunRecord
    from sre_agent.settings import Settings

INTERRUPTED = 130
ANSWER_SECONDS = 2.0
"""How long what is said at the start waits for the cluster's answer. Alerts are taken already."""
PROBE_SECONDS = 15.0
WORKER_SECONDS = 24.0
"""How long a worker may take to let go of its runs: with what closing takes, less than the 30 s of a pod."""


def first_signal(stopping: "asyncio.Event") -> "asyncio.Future[signal.Signals]":
    """SIGTERM or ctrl-C, whichever comes first; from then on nothing is taken in. A second one ends the process."""
    import asyncio
    import signal

    loop = asyncio.get_running_loop()
    first: asyncio.Future[signal.Signals] = loop.create_future()

    def stop(number: signal.Signals) -> None:
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(each)
        stopping.set()
        first.set_result(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    return first


async def execute_runs(
    service: "Service", stopping: "asyncio.Event", *, finished: "Callable[[RunRecord], None] | None" = None
) -> None:
    """Executes runs until the server stops, and lets go of them within WORKER_SECONDS."""
    import asyncio

    from sre_agent.log import get_logger
    from sre_agent.recovery import resolve_recovered
    from sre_agent.worker import RunWorker

    async def close_recovered() -> None:
        await resolve_recovered(service.store, service.cluster, settings=service.settings, now=now())

    worker = RunWorker(service, concurrency=service.settings.concurrency, finished=finished, upkeep=close_recovered)
    working, told = asyncio.create_task(worker.work(stopping)), asyncio.create_task(stopping.wait())
    await asyncio.wait({working, told}, return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    try:
        async with asyncio.timeout(WORKER_SECONDS):
            await working
    except TimeoutError:
        get_logger(__name__).warning("worker.runs_left", seconds=WORKER_SECONDS)


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenedCluster:
    """The cluster that is configured, and where it is in words. `answered` ends when it has answered once."""

    cluster: "Cluster"
    place: str
    answered: "asyncio.Task[None] | None" = None

    async def fault(self) -> str | None:
        """What a person should know about it at the start; a cluster that is slow is not waited for."""
        import asyncio

        if self.answered is None:
            return "without a cluster every run ends with advice to a person: give --context, or a kubeconfig"
        done, _ = await asyncio.wait({self.answered}, timeout=ANSWER_SECONDS)
        return None if done else "the cluster does not answer: alerts are kept, and their runs look again until it does"


@asynccontextmanager
async def opened_cluster(context: str | None) -> AsyncIterator[OpenedCluster]:
    """The cluster that is configured. Without one, or while it does not answer, alerts are taken all the same.

    Raises Unreachable for a configuration that leads nowhere.
    """
    import asyncio

    from sre_agent import agent

    if not agent.cluster_configured(context):
        from sre_agent.cluster.absent import AbsentCluster

        yield OpenedCluster(cluster=AbsentCluster(), place="none")
        return
    async with agent.open_live_cluster(context, probing=False) as cluster:
        answered = asyncio.create_task(_until_it_answers(cluster))
        try:
            yield OpenedCluster(
                cluster=cluster, place=f"context {cluster.context} at {cluster.server}", answered=answered
            )
        finally:
            answered.cancel()


async def _until_it_answers(cluster: "LiveCluster") -> None:
    """Says why a cluster cannot be used, once for each reason, and when it can."""
    import asyncio

    from sre_agent.errors import Unreachable
    from sre_agent.log import get_logger

    log, told = get_logger(__name__), None
    while True:
        try:
            await cluster.probe()
        except Unreachable as error:
            if str(error) != told:
                log.warning("cluster.away", error=str(error))
            told = str(error)
        else:
            if told is not None:
                log.event("cluster.answers", server=cluster.server)
            return
        await asyncio.sleep(PROBE_SECONDS)


async def missing_for_runs(settings: "Settings", cluster: OpenedCluster) -> list[str]:
    """What would make runs do more."""

    fault = await cluster.fault()
    missing = [] if fault is None else [fault]
    if not settings.has_model:
        missing.append("without OPENAI_API_KEY the planner is the scripted one, and analyses are composed")
    if settings.investigate and not settings.asks_model:
        missing.append("SRE_AGENT_INVESTIGATE is on, but no model is asked: alerts without a runbook are only kept")
    if settings.cluster_name is None:
        missing.append("without CLUSTER_NAME nothing is changed for alerts with a label `cluster`")
    return missing


def tell(title: str, facts: dict[str, str], missing: list[str]) -> None:
    """What somebody who starts a process wants to know: to a person as lines, to a machine as one event."""
    import sys

    from sre_agent import __version__
    from sre_agent.cli.output import say
    from sre_agent.log import get_logger

    if not sys.stderr.isatty():
        get_logger(__name__).event(f"{title}.started", version=__version__, **facts, missing=missing)
        return
    say(f"sre-agent {__version__}")
    for name, value in facts.items():
        say(f"{name:<10} {value}")
    for number, what in enumerate(missing):
        say(f"{'' if number else 'missing':<10} {what}")
    say("ctrl-C ends it")


def stored_in(settings: "Settings") -> str:
    """Where everything is kept, in words."""
    from sre_agent.store.connection import place

    return place(settings.database_url) if settings.database_url else f"embedded, in {settings.data_dir}"


def now() -> "datetime":
    from datetime import UTC, datetime

    return datetime.now(UTC)
