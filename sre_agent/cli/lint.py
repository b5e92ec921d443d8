"""`sre-agent lint`: proves runbooks before anything runs."""

from pathlib import Path
from typing import Annotated

import typer

from sre_agent.cli.options import AsJson

EPILOG = """\b
Examples:
  sre-agent lint                  the shipped runbooks
  sre-agent lint my-runbooks/     a directory, linted as a set"""


def lint(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Runbook files or directories.", metavar="[PATH...]")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Check runbooks; prints FILE:LINE:COLUMN: what is wrong; what would be right."""
    from sre_agent.cli.output import print_json, say
    from sre_agent.lint import lint_paths
    from sre_agent.resources import data_path
    from sre_agent.tools.registry import TOOLS

    faults = lint_paths(paths or [data_path("runbooks")], tools=TOOLS)
    if as_json:
        print_json(
            {
                "faults": [
                    {
                        "path": str(fault.path),
                        "line": fault.line,
                        "column": fault.column,
                        "what": fault.what,
                        "instead": fault.instead,
                    }
                    for fault in faults
                ]
            }
        )
    else:
        for fault in faults:
            typer.echo(str(fault))
        say(f"{len(faults)} fault{'' if len(faults) == 1 else 's'}" if faults else "no faults")
    return 1 if faults else 0
