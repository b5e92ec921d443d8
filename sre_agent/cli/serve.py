"""`sre-agent serve`: the server with its worker, from the first line it prints to the last run it lets finish."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import asyncio
    import signal
    import socket
    import ssl
    from collections.abc import Sequence
    from datetime import datetime

    from sre_agent.agent import Service
    from sre_agent.cluster.port import Cluster
    from sre_agent.settings import Settings
    from sre_agent.web.access import Access

EPILOG = """\b
Examples:
  sre-agent serve
  sre-agent serve --port 9000 --context staging
  SRE_AGENT_WEBHOOK_TOKEN=... SRE_AGENT_API_TOKEN=... sre-agent serve --host 0.0.0.0"""
INTERRUPTED = 130
CONCURRENCY = 4
"""Runs at a time in this process."""
NO_CLUSTER = "none"
WORKER_SECONDS = 24.0
"""How long the worker may take to let go of its runs: with what closing takes, less than the 30 s of a pod."""


def serve(
    host: Annotated[str | None, typer.Option(help="Listen there; default: SRE_AGENT_LISTEN.", metavar="HOST")] = None,
    port: Annotated[int | None, typer.Option(help="The port; 0 takes a free one.", min=0, max=65535)] = None,
    context: Annotated[str | None, typer.Option(help="The kubeconfig's context.", metavar="NAME")] = None,
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
    """Take alerts from Alertmanager, run their runbooks, answer the API.

    SIGTERM and ctrl-C end it: nothing new is taken in, steps that are under way finish.
    """
    import asyncio
    from dataclasses import replace

    from sre_agent import agent
    from sre_agent.cli.output import load_settings
    from sre_agent.web.access import Access
    from sre_agent.web.listening import bound, only_loopback, tls_of

    settings = load_settings(usual_level="INFO")
    agent.check_settings(settings)
    agent.require_shared_database(settings)
    address = settings.listen
    address = replace(address, host=host or address.host, port=address.port if port is None else port)
    tls = tls_of(settings)
    with bound(address) as sockets:
        access = Access.of(settings, loopback=only_loopback(sockets), insecure=insecure)
        access.require_some_key()
        serving = _serve(settings, sockets, tls, access, context, migrating=not no_migrate, works=not no_worker)
        ended_by = asyncio.run(serving)
    return INTERRUPTED if ended_by.name == "SIGINT" else 0


async def _serve(
    settings: "Settings",
    sockets: "Sequence[socket.socket]",
    tls: "ssl.SSLContext | None",
    access: "Access",
    context: str | None,
    *,
    migrating: bool,
    works: bool,
) -> "signal.Signals":
    """Serves until a signal comes, and returns it."""
    import asyncio

    from sre_agent import agent
    from sre_agent.incident import Origin
    from sre_agent.intake import Sender
    from sre_agent.reception import Reception
    from sre_agent.run import Mode
    from sre_agent.web.app import make_app
    from sre_agent.web.listening import listening
    from sre_agent.web.site import SITE

    shelf = agent.open_shelf(settings, _now)
    async with (
        _cluster(context) as (cluster, place),
        agent.open_service(
            settings, runbooks=lambda: shelf.current, cluster=cluster, place=place, migrating=migrating
        ) as service,
    ):
        reception = Reception(
            service.store,
            sender=Sender(origin=Origin.LIVE, scope="live", mode=Mode(settings.agent_mode)),
            runbooks=service.runbooks,
            settings=settings,
            clock=_now,
        )
        app = make_app(service, reception, access=access, runbooks_fault=lambda: shelf.fault)
        stopping = app[SITE].stopping
        watching, first = asyncio.create_task(shelf.watch()), _first_signal(stopping)
        try:
            async with listening(app, sockets, tls):
                _tell(service, sockets, access, secure=tls is not None, works=works)
                if works:
                    await _work(service, stopping)
                return await first
        finally:
            watching.cancel()


def _first_signal(stopping: "asyncio.Event") -> "asyncio.Future[signal.Signals]":
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


async def _work(service: "Service", stopping: "asyncio.Event") -> None:
    """Executes runs until the server stops, and lets go of them within WORKER_SECONDS."""
    import asyncio

    from sre_agent.recovery import resolve_recovered
    from sre_agent.web.counting import count_run
    from sre_agent.worker import RunWorker

    async def close_recovered() -> None:
        await resolve_recovered(service.store, service.cluster, settings=service.settings, now=_now())

    worker = RunWorker(service, concurrency=CONCURRENCY, finished=count_run, upkeep=close_recovered)
    working, told = asyncio.create_task(worker.work(stopping)), asyncio.create_task(stopping.wait())
    await asyncio.wait({working, told}, return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    try:
        async with asyncio.timeout(WORKER_SECONDS):
            await working
    except TimeoutError:
        _say("server.runs_left", seconds=WORKER_SECONDS)


@asynccontextmanager
async def _cluster(context: str | None) -> AsyncIterator[tuple["Cluster", str]]:
    """The cluster that is configured, and where it is. Without one the server takes alerts all the same."""
    from sre_agent import agent

    if not agent.cluster_configured(context):
        from sre_agent.cluster.absent import WHERE_FROM, AbsentCluster

        yield AbsentCluster(WHERE_FROM), NO_CLUSTER
        return
    async with agent.open_live_cluster(context) as cluster:
        yield cluster, f"context {cluster.context} at {cluster.server}"


def _tell(
    service: "Service", sockets: "Sequence[socket.socket]", access: "Access", *, secure: bool, works: bool
) -> None:
    """What somebody who starts it wants to know: to a person as lines, to a machine as one event."""
    import sys

    from sre_agent import __version__
    from sre_agent.cli.output import say
    from sre_agent.store.connection import place
    from sre_agent.web.listening import place_of

    scheme = "https" if secure else "http"
    settings = service.settings
    stored = settings.database_url and place(settings.database_url)
    facts = {
        "listening": ", ".join(f"{scheme}://{place_of(listener)}" for listener in sockets),
        "database": stored or f"embedded, in {settings.data_dir}",
        "cluster": service.place,
        "mode": settings.agent_mode,
        "planner": "scripted",
        "runbooks": str(len(service.runbooks().by_id)),
        "worker": f"{CONCURRENCY} runs at a time" if works else "none here",
    }
    missing = [*_missing(service), *access.open_or_shut()]
    if not sys.stderr.isatty():
        _say("server.started", version=__version__, **facts, missing=missing)
        return
    say(f"sre-agent {__version__}")
    for name, value in facts.items():
        say(f"{name:<10} {value}")
    for number, what in enumerate(missing):
        say(f"{'' if number else 'missing':<10} {what}")
    say("ctrl-C ends it")


def _missing(service: "Service") -> list[str]:
    """What would make it do more."""
    settings = service.settings
    missing = []
    if service.place == NO_CLUSTER:
        missing.append("without a cluster every run ends with advice to a person: give --context, or a kubeconfig")
    if settings.openai_api_key is None:
        missing.append("without OPENAI_API_KEY the planner is the scripted one, and analyses are composed")
    if settings.cluster_name is None:
        missing.append("without CLUSTER_NAME nothing is changed for alerts with a label `cluster`")
    return missing


def _now() -> "datetime":
    from datetime import UTC, datetime

    return datetime.now(UTC)


def _say(event: str, **fields: object) -> None:
    from sre_agent.log import get_logger

    get_logger(__name__).event(event, **fields)
