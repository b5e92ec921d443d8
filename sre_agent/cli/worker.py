"""`sre-agent worker`: executes the runs that servers have queued; with a port it also says how it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from sre_agent.cli.options import ContextOption, PlannerOption

if TYPE_CHECKING:
    import signal
    import socket
    from collections.abc import Sequence

    from sre_agent.settings import Settings
    from sre_agent.web.access import Access
    from sre_agent.web.certificate import Certificate

EPILOG = """\b
Examples:
  DATABASE_URL=postgresql://agent@db/sre sre-agent worker
  sre-agent worker --concurrency 8 --context staging
  sre-agent worker --port 9090    # /livez, /healthz, /metrics there"""


def worker(
    concurrency: Annotated[
        int | None, typer.Option(help="Runs at a time; default: SRE_AGENT_CONCURRENCY.", min=1, max=100)
    ] = None,
    context: ContextOption = None,
    planner: PlannerOption = None,
    host: Annotated[
        str | None, typer.Option(help="Listen there; default: the host of SRE_AGENT_LISTEN.", metavar="HOST")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(help="The port of health and metrics; 0 takes a free one; default: none.", min=0, max=65535),
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Beyond loopback, leave /metrics open without a credential.")
    ] = False,
) -> int:
    """Execute queued runs beside the servers.

    As many of these processes as are wanted work on one database. With --port it answers /livez, /healthz and /metrics
    there. SIGTERM and ctrl-C end it: steps that are under way finish, what takes longer is handed back.
    """
    import asyncio
    from contextlib import ExitStack
    from dataclasses import replace

    from sre_agent import agent
    from sre_agent.cli.output import load_settings
    from sre_agent.cli.serving import INTERRUPTED

    if port is None and (host is not None or insecure):
        raise typer.BadParameter("they say where and how it listens: give --port, too", param_hint="--host, --insecure")
    settings = load_settings(usual_level="INFO")
    settings = replace(settings, planner=planner or settings.planner)
    agent.check_settings(settings)
    agent.require_shared_database(settings)
    settings = replace(settings, concurrency=concurrency or settings.concurrency)
    with ExitStack() as bound:
        watched = None if port is None else bound.enter_context(_watched(settings, host, port, insecure=insecure))
        ended_by = asyncio.run(_work(settings, context, watched))
    return INTERRUPTED if ended_by.name == "SIGINT" else 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """Where a worker may be watched, and by whom."""

    sockets: "Sequence[socket.socket]"
    certificate: "Certificate | None"
    access: "Access"


@contextmanager
def _watched(settings: "Settings", host: str | None, port: int, *, insecure: bool) -> Iterator[Watched]:
    """Binds the port. Raises BadInput, and Unreachable for one that is in use or not allowed."""
    from dataclasses import replace

    from sre_agent.web.access import Access
    from sre_agent.web.certificate import Certificate
    from sre_agent.web.listening import bound, only_loopback

    certificate = Certificate.of(settings)
    with bound(replace(settings.listen, host=host or settings.listen.host, port=port)) as sockets:
        access = Access.of(settings, loopback=only_loopback(sockets), insecure=insecure)
        access.require_reader()
        yield Watched(sockets=sockets, certificate=certificate, access=access)


async def _work(settings: "Settings", context: str | None, watched: Watched | None) -> "signal.Signals":
    """Works until a signal comes, and returns it."""
    import asyncio
    from contextlib import AsyncExitStack

    from sre_agent import agent
    from sre_agent.cli.serving import execute_runs, first_signal, missing_for_runs, now, opened_cluster, stored_in, tell
    from sre_agent.web.counting import count_run

    shelf, stopping = agent.open_shelf(settings, now), asyncio.Event()
    async with (
        opened_cluster(context) as opened,
        agent.open_service(
            settings, runbooks=lambda: shelf.current, cluster=opened.cluster, place=opened.place, migrating=False
        ) as service,
        AsyncExitStack() as listening_too,
    ):
        watching, first = asyncio.create_task(shelf.watch()), first_signal(stopping)
        facts = {
            "database": stored_in(settings),
            "cluster": service.place,
            "planner": service.minds.planner.name,
            "runbooks": str(len(shelf.current.by_id)),
            "worker": f"{settings.concurrency} runs at a time",
        }
        try:
            missing = await missing_for_runs(settings, opened)
            if watched is not None:
                from sre_agent.web.listening import listening, places_of
                from sre_agent.web.operations import METRICS, worker_app

                app = worker_app(service.store, access=watched.access, runbooks_fault=lambda: shelf.fault)
                await listening_too.enter_async_context(listening(app, watched.sockets, watched.certificate))
                facts = {"listening": places_of(watched.sockets, watched.certificate), **facts}
                missing += watched.access.open_or_shut(METRICS)
            tell("worker", facts, missing)
            await execute_runs(service, stopping, finished=count_run)
            return await first
        finally:
            watching.cancel()
