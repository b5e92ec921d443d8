"""How commands print: data to stdout, everything else to stderr, colour on terminals only."""

import codecs
import json
import os
import shutil
import signal
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from sre_agent.settings import Settings

WIDEST = 100
QUIET = "WARNING"
"""The log level of a command that tells its own story, unless LOG_LEVEL says otherwise."""


def print_json(document: Any) -> None:
    """One JSON document on stdout, in pure ASCII where the locale is not UTF-8."""
    plain = codecs.lookup(sys.stdout.encoding).name != "utf-8"
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=plain) + "\n")


def say(text: str) -> None:
    """One line for the person, on stderr."""
    sys.stderr.write(text + "\n")


def ask(question: str) -> bool:
    """A yes or no from stdin; no answer is a no. Raises KeyboardInterrupt at ctrl-C, inside an event loop too.

    An event loop's own handler would only note it, and wait for the answer.
    """
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        sys.stderr.write(f"{question} [y/N] ")
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower() in {"y", "yes"}
    finally:
        signal.signal(signal.SIGINT, handler)


def width() -> int:
    """The columns to fill: the terminal's, at most WIDEST; 80 where there is no terminal."""
    return min(shutil.get_terminal_size((80, 24)).columns, WIDEST)


def console() -> "Console":
    """stdout with colour where it is a terminal; NO_COLOR is honoured."""
    from rich.console import Console

    return Console(width=width(), highlight=False, soft_wrap=True, no_color="NO_COLOR" in os.environ)


def load_settings(*, usual_level: str = QUIET) -> "Settings":
    """The settings of this environment, with warnings for unknown names. Raises BadInput with every bad value.

    `usual_level`: what is logged from, unless LOG_LEVEL says otherwise.
    """
    from sre_agent import log
    from sre_agent.settings import load

    settings = load(os.environ)
    for variable in settings.unknown:
        hint = f"; did you mean {variable.nearest}?" if variable.nearest else ""
        say(f"sre-agent: warning: {variable.name} is no setting of this version{hint}")
    level = settings.log_level if "LOG_LEVEL" in settings.from_environment else usual_level
    log.configure(level, json_lines=not sys.stderr.isatty(), stream=sys.stderr)
    return settings
