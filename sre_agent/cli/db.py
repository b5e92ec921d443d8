"""`sre-agent db`: the database's schema, the proof of its chains, and the way in which old incidents go."""

from typing import TYPE_CHECKING, Annotated

import typer

from sre_agent.cli.options import AsJson

if TYPE_CHECKING:
    from datetime import datetime

    from sre_agent.settings import Settings
    from sre_agent.store.audit import BrokenRow, Proved, PruneReport

MOST_BROKEN = 20
"""How many broken incidents are named to a person; --json has all."""

app = typer.Typer(
    help="Migrate the database, show its state, prove its chains, prune it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command(epilog="Example:  DATABASE_URL=postgresql://agent@db/sre sre-agent db migrate")
def migrate(as_json: AsJson = False) -> int:
    """Apply the migrations that are missing, in order, to DATABASE_URL or the embedded database."""
    import asyncio

    from sre_agent import agent
    from sre_agent.cli.output import load_settings, print_json
    from sre_agent.store.migrations import migrate as apply

    with agent.database(load_settings()) as conninfo:
        applied = asyncio.run(apply(conninfo))
    if as_json:
        print_json({"applied": applied})
    else:
        for name in applied:
            typer.echo(f"applied {name}")
        typer.echo("the schema is current")
    return 0


@app.command(epilog="Example:  sre-agent db status --json")
def status(as_json: AsJson = False) -> int:
    """Show every migration: applied, pending, skipped or changed."""
    import asyncio

    from sre_agent import agent
    from sre_agent.cli.output import load_settings, print_json
    from sre_agent.store.migrations import status as read

    with agent.database(load_settings()) as conninfo:
        rows = asyncio.run(read(conninfo))
    if as_json:
        print_json(
            {
                "migrations": [
                    {
                        "name": row.name,
                        "state": str(row.state),
                        "reason": row.reason,
                        "applied_at": row.applied_at and row.applied_at.isoformat(),
                    }
                    for row in rows
                ]
            }
        )
    else:
        for row in rows:
            when = f"  {row.applied_at:%Y-%m-%d %H:%M}" if row.applied_at else ""
            typer.echo(f"{row.state!s:8} {row.name}{when}{f'  {row.reason}' if row.reason else ''}")
    return 0


@app.command(name="verify-audit", epilog="Example:  sre-agent db verify-audit && echo unchanged")
def verify_audit(as_json: AsJson = False) -> int:
    """Recompute the chain of every incident; exit 1 naming the first broken row of each broken one."""
    import asyncio

    from sre_agent.cli.output import print_json

    broken, proved = asyncio.run(_verify())
    if as_json:
        print_json(
            {
                "incidents": proved.incidents,
                "events": proved.events,
                "checkpoints": proved.checkpoints,
                "broken": [
                    {"incident_id": row.incident_id, "seq": row.seq, "event_id": row.event_id, "what": row.what}
                    for row in broken
                ],
            }
        )
        return 1 if broken else 0
    for row in broken[:MOST_BROKEN]:
        typer.echo(f"broken: {_place(row)}: {row.what}")
    if len(broken) > MOST_BROKEN:
        typer.echo(f"broken: {len(broken) - MOST_BROKEN} incidents more; --json names all")
    typer.echo(
        f"{'broken' if broken else 'whole'}: {_count(proved.incidents, 'incident')}, {_count(proved.events, 'event')}, "
        f"{_count(proved.checkpoints, 'checkpoint')} of pruned incidents"
    )
    return 1 if broken else 0


@app.command(epilog="Example:  sre-agent db prune --before 2026-01-01")
def prune(
    before: Annotated[
        str, typer.Option(help="Resolved before a date, a date and time, or so long ago: 90d.", metavar="WHEN")
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> int:
    """Remove whole resolved incidents with all that belongs to them, and older webhook bodies; checkpoints stay."""
    import asyncio
    from dataclasses import asdict
    from datetime import UTC, datetime

    from sre_agent import agent
    from sre_agent.cli.moments import parse_moment
    from sre_agent.cli.output import load_settings, print_json, say

    limit = parse_moment(before, option="--before", now=datetime.now(UTC))
    settings = load_settings()
    with agent.database(settings):  # stays up while the person thinks
        found = asyncio.run(_prunable(settings, limit))
        if found and not yes and not _agreed(found, limit):
            say("nothing was removed")
            return 1
        removed = asyncio.run(_prune(settings, limit, found)) if found else found
    if as_json:
        print_json({"before": limit.isoformat(), "removed": asdict(removed)})
    else:
        typer.echo(f"removed {_size(removed)}" if removed else "nothing to remove")
    return 0


async def _verify() -> "tuple[list[BrokenRow], Proved]":
    from sre_agent import agent
    from sre_agent.cli.output import load_settings, say
    from sre_agent.store.audit import RANGE, Proved

    told = Proved()

    def progress(proved: Proved) -> None:
        nonlocal told
        if proved.incidents > told.incidents >= RANGE:
            say(f"{proved.incidents} incidents …")
        told = proved

    async with agent.open_store(load_settings()) as store:
        return await store.audit.verify(progress=progress), told


async def _prunable(settings: "Settings", before: "datetime") -> "PruneReport":
    from sre_agent import agent

    async with agent.open_store(settings) as store:
        return await store.audit.prunable(before)


async def _prune(settings: "Settings", before: "datetime", found: "PruneReport") -> "PruneReport":
    """Removes, and says how far it is of what was found."""
    from datetime import UTC, datetime

    from sre_agent import agent
    from sre_agent.cli.output import say

    async with agent.open_store(settings) as store:
        return await store.audit.prune(
            before, now=datetime.now(UTC), progress=lambda report: say(f"{report.incidents} of {found.incidents} …")
        )


def _agreed(found: "PruneReport", before: "datetime") -> bool:
    """Asks on a terminal. Raises BadInput where nobody can be asked."""
    import sys

    from sre_agent.cli.output import ask
    from sre_agent.errors import BadInput

    what = f"remove {_size(found)}, resolved before {before:%Y-%m-%d %H:%M} UTC, for good"
    if not sys.stdin.isatty():
        raise BadInput(f"this would {what}; nobody can be asked here: add --yes")
    return ask(what[0].upper() + what[1:] + "?")


def _place(row: "BrokenRow") -> str:
    number = "" if row.seq is None else f", event seq {row.seq}"
    return f"incident {row.incident_id}{number}" + ("" if row.event_id is None else f" [event {row.event_id}]")


def _size(report: "PruneReport") -> str:
    bodies = f" and {_count(report.webhooks, 'webhook')}" if report.webhooks else ""
    return f"{_count(report.incidents, 'incident')} with {_count(report.events, 'event')}{bodies}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
