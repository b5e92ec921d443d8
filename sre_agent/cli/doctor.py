"""`sre-agent doctor`: what works, what is missing, what to do."""

from typing import TYPE_CHECKING

import typer

from sre_agent.cli.options import AsJson, ContextOption

if TYPE_CHECKING:
    from sre_agent.doctor import Finding
    from sre_agent.settings import Settings

EPILOG = """\b
Examples:
  sre-agent doctor
  sre-agent doctor --context staging
  sre-agent doctor --json | jq '.checks[] | select(.state != "ok")'"""

MISSING = 3
"""The exit code where something needed is not there."""


def doctor(
    context: ContextOption = None,
    as_json: AsJson = False,
) -> int:
    """Check runbooks, database, schema, clocks, cluster, own rights, Alertmanager and LLM; one line each.

    ✓ is as it should be, ! works but not all of it, ✗ is needed and missing: then the exit code is 3. Nothing is
    changed.
    """
    import asyncio

    from sre_agent.cli.output import load_settings, print_json

    found = asyncio.run(_examined(load_settings(), context, told=not as_json))
    failed = any(finding.state == "failed" for finding in found)
    if as_json:
        checks = [
            {"check": each.check, "state": each.state.value, "what": each.what, "instead": each.instead}
            for each in found
        ]
        print_json({"ok": not failed, "checks": checks})
    return MISSING if failed else 0


async def _examined(settings: "Settings", context: str | None, *, told: bool) -> "list[Finding]":
    """All findings, told one by one as they come."""
    from sre_agent.doctor import examine

    found = []
    async for finding in examine(settings, context=context):
        found.append(finding)
        if told:
            typer.echo(_line(finding))
    return found


def _line(finding: "Finding") -> str:
    mark = {"ok": "✓", "warning": "!", "failed": "✗"}[finding.state.value]
    instead = f" → {finding.instead}" if finding.instead else ""
    return f"{mark} {finding.check:14}  {finding.what}{instead}"
