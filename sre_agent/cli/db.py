"""`sre-agent db`: the database's schema."""

from typing import Annotated

import typer

app = typer.Typer(help="Migrate the database and show its state.", no_args_is_help=True, rich_markup_mode=None)


@app.command(epilog="Example:  DATABASE_URL=postgresql://agent@db/sre sre-agent db migrate")
def migrate(as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False) -> int:
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
def status(as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False) -> int:
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
