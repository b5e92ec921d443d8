"""The entry point of `sre-agent`: its commands, and one place that turns errors into exit codes.

Exit codes: 0 done, 1 a run failed, the linter found an error or the audit a broken chain, 2 bad usage or input,
3 something needed cannot be reached or written, 130 interrupted, 141 whoever read the output has closed it
(`sre-agent … | head -1`), as a shell says of any command that a closed pipe ends.
"""

import sys
from typing import Any

import typer

from sre_agent.cli import (
    analyze,
    brakes,
    config,
    db,
    doctor,
    incidents,
    lint,
    replay,
    serve,
    show,
    snapshot,
    tui,
    worker,
)
from sre_agent.cli.output import say
from sre_agent.cli.streams import CannotWrite, ReaderGone, give_up, taken_over
from sre_agent.errors import SreAgentError

INTERRUPTED = 130
READER_GONE = 141

app = typer.Typer(
    name="sre-agent",
    help="An SRE agent for Kubernetes: takes an Alertmanager alert, walks its runbook, recommends or makes the "
    "change, and keeps every step.",
    epilog="Start with:  sre-agent replay examples/oom-killed",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
app.command(epilog=serve.EPILOG)(serve.serve)
app.command(epilog=worker.EPILOG)(worker.worker)
app.command(epilog=replay.EPILOG)(replay.replay)
app.command(epilog=snapshot.EPILOG)(snapshot.snapshot)
app.command(epilog=analyze.EPILOG)(analyze.analyze)
app.command(epilog=lint.EPILOG)(lint.lint)
app.command(epilog=incidents.EPILOG)(incidents.incidents)
app.command(epilog=show.EPILOG)(show.show)
app.command(epilog=tui.EPILOG)(tui.tui)
app.command(epilog=incidents.DECISION_EPILOG.format("suppress"))(incidents.suppress)
app.command(epilog=incidents.DECISION_EPILOG.format("resolve"))(incidents.resolve)
app.command(epilog=brakes.STATUS_EPILOG)(brakes.status)
app.command(epilog=brakes.PAUSE_EPILOG)(brakes.pause)
app.command(epilog=brakes.RESUME_EPILOG)(brakes.resume)
app.add_typer(db.app, name="db")
app.command(epilog=doctor.EPILOG)(doctor.doctor)
app.command(epilog=config.EPILOG)(config.config)
app.command()(config.version)


def main() -> int:
    """Runs the command line of this process and returns its exit code. Errors go to stderr, one sentence each."""
    sys.stdout, sys.stderr = taken_over(sys.stdout), taken_over(sys.stderr)
    try:
        return run(sys.argv[1:])
    except ReaderGone:
        return READER_GONE
    except CannotWrite as error:
        return error.exit_code
    finally:
        give_up()


def run(arguments: list[str]) -> int:
    """Runs one command and returns its exit code."""
    try:
        result: Any = app(arguments, prog_name="sre-agent", standalone_mode=False)
        sys.stdout.flush()
    except typer.TyperException as error:
        say(f"sre-agent: {error.format_message()} Try `sre-agent --help`, or `sre-agent COMMAND --help`.")
        return error.exit_code
    except SreAgentError as error:
        say(f"sre-agent: {error}")
        return error.exit_code
    if result == INTERRUPTED:
        say("sre-agent: interrupted")
    return result if isinstance(result, int) else 0
