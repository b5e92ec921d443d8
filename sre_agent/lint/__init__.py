"""Runbooks proven against the tools: the only loader of runbooks. `loader` is the front door.

Called by `sre-agent lint` and by whatever runs a runbook. Importing it reads nothing.
"""

from sre_agent.lint.fault import Fault
from sre_agent.lint.front_matter import MAX_BYTES
from sre_agent.lint.loader import lint_paths, load, runbook_files

__all__ = ["MAX_BYTES", "Fault", "lint_paths", "load", "runbook_files"]
