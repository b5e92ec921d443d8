"""`sre-agent serve`: the server with its worker, from the first line it prints to the last run it lets finish."""

from typing import TYPE_CHECKING, Annotated

import typer

from sre_agent.cli.options import ContextOption, PlannerOption

if TYPE_CHECKING:
    import signal
    import socket
    from collections.abc import Sequence

    from sre_agent.agent import Service
    from sre_agent.settings import Settings
    from sre_agent.web.access import Access
    from sre_agent.web.certificate import Certificate

EPILOG = """\b
Examples:
  sre-agent serve
  sre-agent serve --port 9000 --context staging
  SRE_AGENT_WEBHOOK_TOKEN=... SRE_AGENT_API_TOKEN=... \\
    sre-agent serve --host 0.0.0.0"""


SWITCH_SECONDS = 0.001
"""How long a thread that prepares a large body lets the event loop wait each time."""


def serve(
    host: Annotated[str | None, typer.Option(help="Listen there; default: SRE_AGENT_LISTEN.", metavar="HOST")] = None,
    port: Annotated[int | None, typer.Option(help="The port; 0 takes a free one.", min=0, max=65535)] = None,
    context: ContextOption = None,
    planner: PlannerOption = None,
    no_migrate: Annotated[
        bool, typer.Option("--no-migrate", help="Refuse to start on an old schema instead of migrating it.")
    ] = False,
    no_worker: Annotated[
        bool, typer.Option("--no-worker", help="Take alerts in; leave the runs to other processes.")
    ] = False,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Beyond loopback, leave open what no credential is set for.")
    ] = False,
) -> int:
    """Take alerts from Alertmanager, run their runbooks.

    The API answers there, too: GET /openapi.json describes it. SIGTERM and ctrl-C end it: nothing new is taken in,
    steps that are under way finish.
    """
    import asyncio
    from dataclasses import replace

    from sre_agent import agent
    from sre_agent.cli.output import load_settings
    from sre_agent.cli.serving import INTERRUPTED
    from sre_agent.web.access import Access
    from sre_agent.web.certificate import Certificate
    from sre_agent.web.listening import bound, only_loopback

    settings = load_settings(usual_level="INFO")
    settings = replace(settings, planner=planner or settings.planner)
    agent.check_settings(settings)
    agent.require_shared_database(settings)
    address = settings.listen
    address = replace(address, host=host or address.host, port=address.port if port is None else port)
    certificate = Certificate.of(settings)
    with bound(address) as sockets:
        access = Access.of(settings, loopback=only_loopback(sockets), insecure=insecure)
        access.require_some_key()
        serving = _serve(settings, sockets, certificate, access, context, migrating=not no_migrate, works=not no_worker)
        ended_by = asyncio.run(serving)
    return INTERRUPTED if ended_by.name == "SIGINT" else 0


async def _serve(
    settings: "Settings",
    sockets: "Sequence[socket.socket]",
    certificate: "Certificate | None",
    access: "Access",
    context: str | None,
    *,
    migrating: bool,
    works: bool,
) -> "signal.Signals":
    """Serves until a signal comes, and returns it."""
    import asyncio
    import gc
    import sys

    from sre_agent import agent
    from sre_agent.cli.serving import execute_runs, first_signal, missing_for_runs, now, opened_cluster
    from sre_agent.incident import LIVE_SCOPE, Origin
    from sre_agent.intake import Sender
    from sre_agent.reception import Reception
    from sre_agent.run import Mode
    from sre_agent.web.app import make_app
    from sre_agent.web.counting import count_run
    from sre_agent.web.listening import listening, places_of
    from sre_agent.web.site import SITE

    shelf = agent.open_shelf(settings, now)
    async with (
        opened_cluster(context) as opened,
        agent.open_service(
            settings, runbooks=lambda: shelf.current, cluster=opened.cluster, place=opened.place, migrating=migrating
        ) as service,
    ):
        reception = Reception(
            service.store,
            sender=Sender(origin=Origin.LIVE, scope=LIVE_SCOPE, mode=Mode(settings.agent_mode)),
            runbooks=service.runbooks,
            settings=settings,
            clock=now,
        )
        app = make_app(service, reception, access=access, runbooks_fault=lambda: shelf.fault)
        stopping = app[SITE].stopping
        watching, first = asyncio.create_task(shelf.watch()), first_signal(stopping)
        try:
            # What was made to start is never garbage: looking through it would hold a request up for a while.
            gc.freeze()
            sys.setswitchinterval(SWITCH_SECONDS)
            async with listening(app, sockets, certificate):
                missing = [*await missing_for_runs(settings, opened), *access.open_or_shut()]
                _tell(service, places_of(sockets, certificate), missing, works=works)
                if works:
                    await execute_runs(service, stopping, finished=count_run)
                return await first
        finally:
            watching.cancel()


def _tell(service: "Service", places: str, missing: list[str], *, works: bool) -> None:
    from sre_agent.cli.serving import stored_in, tell

    settings = service.settings
    facts = {
        "listening": places,
        "database": stored_in(settings),
        "cluster": service.place,
        "mode": settings.agent_mode,
        "planner": service.minds.planner.name,
        "runbooks": str(len(service.runbooks().by_id)),
        "worker": f"{settings.concurrency} runs at a time" if works else "none here",
    }
    tell("server", facts, missing)
