"""The door of the process: `sre-agent` and `python -m sre_agent`.

It imports nothing before it can be interrupted, so that ctrl-C ends quietly from the first moment on.
"""

import sys

INTERRUPTED = 130


def main() -> None:
    """Runs the command line and exits with its code."""
    try:
        from sre_agent.cli.main import main as command_line

        sys.exit(command_line())
    except KeyboardInterrupt:
        sys.stderr.write("sre-agent: interrupted\n")
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
