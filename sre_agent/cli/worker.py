"""`sre-agent worker`: executes the runs that servers have queued, without listening to anybody."""

from typing import TYPE_CHECKING, Annotated

import typer

from sre_agent.cli.options import ContextOption, PlannerOption

if TYPE_CHECKING:
    import signal

    from sre_agent.settings import Settings

EPILOG = """\b
Examples:
  DATABASE_URL=postgresql://agent@db/sre sre-agent worker
  sre-agent worker --concurrency 8 --context staging"""


def worker(
    concurrency: Annotated[
        int | None, typer.Option(help="Runs at a time; default: SRE_AGENT_CONCURRENCY.", min=1, max=100)
    ] = None,
    context: ContextOption = None,
    planner: PlannerOption = None,
) -> int:
    """Execute queued runs beside the servers.

    As many of these processes as are wanted work on one database. SIGTERM and ctrl-C end it: steps that are under way
    finish, what takes longer is handed back.
    """
    import asyncio
    from dataclasses import replace

    from sre_agent import agent
    from sre_agent.cli.output import load_settings
    from sre_agent.cli.serving import INTERRUPTED

    settings = load_settings(usual_level="INFO")
    settings = replace(settings, planner=planner or settings.planner)
    agent.check_settings(settings)
    agent.require_shared_database(settings)
    settings = replace(settings, concurrency=concurrency or settings.concurrency)
    ended_by = asyncio.run(_work(settings, context))
    return INTERRUPTED if ended_by.name == "SIGINT" else 0


async def _work(settings: "Settings", context: str | None) -> "signal.Signals":
    """Works until a signal comes, and returns it."""
    import asyncio

    from sre_agent import agent
    from sre_agent.cli.serving import execute_runs, first_signal, missing_for_runs, now, opened_cluster, stored_in, tell

    shelf, stopping = agent.open_shelf(settings, now), asyncio.Event()
    async with (
        opened_cluster(context) as opened,
        agent.open_service(
            settings, runbooks=lambda: shelf.current, cluster=opened.cluster, place=opened.place, migrating=False
        ) as service,
    ):
        watching, first = asyncio.create_task(shelf.watch()), first_signal(stopping)
        facts = {
            "database": stored_in(settings),
            "cluster": service.place,
            "planner": service.minds.planner.name,
            "runbooks": str(len(shelf.current.by_id)),
            "worker": f"{settings.concurrency} runs at a time",
        }
        tell("worker", facts, await missing_for_runs(settings, opened))
        try:
            await execute_runs(service, stopping)
            return await first
        finally:
            watching.cancel()
