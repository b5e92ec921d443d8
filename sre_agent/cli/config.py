"""`sre-agent config` and `sre-agent version`."""

import typer

from sre_agent.cli.options import AsJson

EPILOG = "Example:  AGENT_MODE=auto sre-agent config"


def config(as_json: AsJson = False) -> int:
    """Show the effective settings with their origin; secrets are masked."""
    import textwrap

    from sre_agent.cli.output import load_settings, print_json, width
    from sre_agent.settings import describe

    rows = describe(load_settings())
    if as_json:
        print_json(
            {
                "settings": [
                    {
                        "name": row.name,
                        "value": row.value,
                        "origin": row.origin,
                        "description": row.description,
                    }
                    for row in rows
                ]
            }
        )
        return 0
    for row in rows:
        typer.echo(f"{row.name}={row.value or ''}  ({row.origin})")
        typer.echo(textwrap.fill(row.description, width(), initial_indent="    ", subsequent_indent="    "))
    return 0


def version(as_json: AsJson = False) -> int:
    """Show the version."""
    from sre_agent import __version__
    from sre_agent.cli.output import print_json

    if as_json:
        print_json({"version": __version__})
    else:
        typer.echo(f"sre-agent {__version__}")
    return 0
