"""`sre-agent analyze`: writes analyses anew, with all that was learned since."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sre_agent.cli.options import LARGEST_ID, AsJson, AuthorOption

if TYPE_CHECKING:
    from datetime import datetime

    from sre_agent.analysis import Author, Written
    from sre_agent.settings import Settings
    from sre_agent.store import Store

EPILOG = """\b
Examples:
  sre-agent analyze --id 42
  sre-agent analyze --id 42 --planner composed
  sre-agent analyze --id 42 --wait --json
  sre-agent analyze --all --since 7d"""
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
    planner: AuthorOption = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for a run that still goes on.")] = False,
    as_json: AsJson = False,
) -> int:
    """Write the analysis of an incident anew and print it.

    The old analyses stay; the new one is marked as regenerated. An incident whose run still goes on is refused.

    Where a model is set up it writes, and every sentence of it is checked against what is stored; what cannot be proven
    is composed. The last line, on stderr, says who wrote what.
    """
    import asyncio
    from dataclasses import replace

    from sre_agent import agent
    from sre_agent.cli.output import load_settings
    from sre_agent.errors import BadInput

    if every == (incident_id is not None):
        raise BadInput("say which incidents: --id N for one, or --all (with --since 7d for the newest)")
    if since is not None and not every:
        raise BadInput("--since goes with --all; --id names one incident")
    settings = load_settings()
    if planner is not None:
        settings = replace(settings, planner="llm" if planner == "llm" else "scripted")
    agent.check_settings(settings)
    if every:
        return asyncio.run(_all(since, wait, as_json, settings))
    return asyncio.run(_one(incident_id or 0, wait, as_json, settings))


async def _one(incident_id: int, wait: bool, as_json: bool, settings: "Settings") -> int:
    from sre_agent import agent
    from sre_agent.cli.output import print_json, say

    async with agent.open_desk(settings) as (store, author):
        written = await _regenerate(store, author, incident_id, wait, settings)
    if as_json:
        print_json(written.as_json())
    else:
        typer.echo(written.markdown, nl=False)
        say(f"sre-agent: {_by_whom(written)}")
    return 0


async def _all(since: str | None, wait: bool, as_json: bool, settings: "Settings") -> int:
    """Every incident of its own: one that cannot be analysed now is named and does not stop the others."""
    from datetime import UTC, datetime

    from sre_agent import agent
    from sre_agent.cli.moments import parse_moment
    from sre_agent.cli.output import print_json, say
    from sre_agent.store.book import StateForbids

    earliest = datetime.min.replace(tzinfo=UTC)
    moment = earliest if since is None else parse_moment(since, option="--since", now=datetime.now(UTC))
    analyses: list[dict[str, Any]] = []
    skipped: list[dict[str, Any]] = []
    async with agent.open_desk(settings) as (store, author):
        for incident_id in await store.history.incidents_since(moment):
            try:
                written = await _regenerate(store, author, incident_id, wait, settings)
            except StateForbids as error:
                skipped.append({"incident_id": incident_id, "reason": str(error)})
                say(f"sre-agent: {error}")
                continue
            analyses.append(written.as_json())
            if not as_json:
                typer.echo(f"incident {incident_id}: analysed again, event {written.event_id}; {_by_whom(written)}")
    if as_json:
        print_json({"analyses": analyses, "skipped": skipped})
    elif not analyses and not skipped:
        say("no incident changed since then" if since else "no incident is stored yet")
    return 0


async def _regenerate(
    store: "Store", author: "Author", incident_id: int, wait: bool, settings: "Settings"
) -> "Written":
    import asyncio

    from sre_agent.analysis import regenerate
    from sre_agent.cli.output import say

    told = False
    while wait and (status := await store.history.run_under_way(incident_id)) is not None:
        if not told:
            say(f"waiting for the run of incident {incident_id}, which is {status}")
            told = True
        await asyncio.sleep(WAIT_SECONDS)
    seconds = settings.llm_time_per_run.total_seconds()
    return await regenerate(store, incident_id, now=_now(), author=author, seconds=seconds)


def _now() -> "datetime":
    from datetime import UTC, datetime

    return datetime.now(UTC)


def _by_whom(written: "Written") -> str:
    """Who wrote the analysis, and why not the model, where one was asked."""
    from sre_agent.analysis import COMPOSED

    draft = written.draft
    if draft.model is None:
        return "composed"
    by_model = [title for title, author in draft.sections.items() if author != COMPOSED]
    told = f"{len(by_model)} of {len(draft.sections)} sections were written by {draft.model}"
    others = [title for title in draft.sections if title not in by_model]
    if not others:
        return told
    return f"{told}, composed: {', '.join(others) if by_model else 'all'} ({draft.why})"
