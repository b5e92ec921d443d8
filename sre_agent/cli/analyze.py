"""`sre-agent analyze`: writes analyses anew, with all that was learned since."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from datetime import datetime

    from sre_agent.analysis import Written
    from sre_agent.store import Store

EPILOG = """\b
Examples:
  sre-agent analyze --id 42
  sre-agent analyze --id 42 --wait --json
  sre-agent analyze --all --since 7d"""
LARGEST_ID = 2**63 - 1
WAIT_SECONDS = 0.5
"""How long until a run that goes on is looked at again."""


def analyze(
    incident_id: Annotated[
        int | None, typer.Option("--id", help="The incident.", metavar="ID", min=1, max=LARGEST_ID)
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All incidents, live ones and replays.")] = False,
    since: Annotated[
        str | None,
        typer.Option(help="With --all: updated since a date, a date and time, or 7d.", metavar="WHEN"),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for a run that still goes on.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> int:
    """Write the analysis of an incident anew and print it.

    The old analyses stay; the new one is marked as regenerated. An incident whose run still goes on is refused.
    """
    import asyncio

    from sre_agent.errors import BadInput

    if every == (incident_id is not None):
        raise BadInput("say which incidents: --id N for one, or --all (with --since 7d for the newest)")
    if since is not None and not every:
        raise BadInput("--since goes with --all; --id names one incident")
    if every:
        return asyncio.run(_all(since, wait, as_json))
    return asyncio.run(_one(incident_id or 0, wait, as_json))


async def _one(incident_id: int, wait: bool, as_json: bool) -> int:
    from sre_agent import agent
    from sre_agent.cli.output import load_settings, print_json

    async with agent.open_store(load_settings()) as store:
        written = await _regenerate(store, incident_id, wait)
    if as_json:
        print_json(written.as_json())
    else:
        typer.echo(written.markdown, nl=False)
    return 0


async def _all(since: str | None, wait: bool, as_json: bool) -> int:
    """Every incident of its own: one that cannot be analysed now is named and does not stop the others."""
    from datetime import UTC, datetime

    from sre_agent import agent
    from sre_agent.cli.moments import parse_moment
    from sre_agent.cli.output import load_settings, print_json, say
    from sre_agent.store.book import StateForbids

    earliest = datetime.min.replace(tzinfo=UTC)
    moment = earliest if since is None else parse_moment(since, option="--since", now=datetime.now(UTC))
    analyses: list[dict[str, Any]] = []
    skipped: list[dict[str, Any]] = []
    async with agent.open_store(load_settings()) as store:
        for incident_id in await store.history.incidents_since(moment):
            try:
                written = await _regenerate(store, incident_id, wait)
            except StateForbids as error:
                skipped.append({"incident_id": incident_id, "reason": str(error)})
                say(f"sre-agent: {error}")
                continue
            analyses.append(written.as_json())
            if not as_json:
                typer.echo(f"incident {incident_id}: analysed again, event {written.event_id}")
    if as_json:
        print_json({"analyses": analyses, "skipped": skipped})
    elif not analyses and not skipped:
        say("no incident changed since then" if since else "no incident is stored yet")
    return 0


async def _regenerate(store: "Store", incident_id: int, wait: bool) -> "Written":
    import asyncio

    from sre_agent.analysis import regenerate
    from sre_agent.cli.output import say

    told = False
    while wait and (status := await store.history.run_under_way(incident_id)) is not None:
        if not told:
            say(f"waiting for the run of incident {incident_id}, which is {status}")
            told = True
        await asyncio.sleep(WAIT_SECONDS)
    return await regenerate(store, incident_id, now=_now())


def _now() -> "datetime":
    from datetime import UTC, datetime

    return datetime.now(UTC)
