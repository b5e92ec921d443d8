"""What went wrong, said by what to do next. Every front end turns these into its own exit code or status.

An expected failure inside a run (a guard that says no, a pod that is gone) is a value, never one of these.
"""


class SreAgentError(Exception):
    """The work failed; the message says what, where and what to do. Exit code 1."""

    exit_code = 1


class BadInput(SreAgentError):
    """Mend what was given (a file, an option, a setting) and call again. Exit code 2."""

    exit_code = 2


class Unreachable(SreAgentError):
    """Something needed (database, cluster) cannot be reached; the message says what was tried. Exit code 3."""

    exit_code = 3
