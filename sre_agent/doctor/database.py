"""The database: is it there, is its schema current, does its clock agree."""

import asyncio
from contextlib import ExitStack
from datetime import UTC, datetime

from sre_agent import agent
from sre_agent.doctor.finding import Finding, compared
from sre_agent.errors import SreAgentError
from sre_agent.settings import Settings
from sre_agent.store.connection import place, server_time
from sre_agent.store.migrations import MigrationState, status


async def check_database(settings: Settings) -> list[Finding]:
    """Up to three findings; the first one that fails is the last."""
    embedded = settings.database_url is None
    with ExitStack() as stack:
        try:
            conninfo = await asyncio.to_thread(stack.enter_context, agent.database(settings))
            before = datetime.now(UTC)
            theirs = await server_time(conninfo)
            after = datetime.now(UTC)
            found = Finding.ok("database", f"embedded, in {settings.data_dir}" if embedded else place(conninfo))
        except SreAgentError as error:
            return [Finding.failed("database", str(error))]
        return [found, await _schema(conninfo, embedded=embedded), compared("database clock", theirs, before, after)]


async def _schema(conninfo: str, *, embedded: bool) -> Finding:
    try:
        states = await status(conninfo)
    except SreAgentError as error:
        return Finding.failed("schema", str(error))
    changed = [each.name for each in states if each.state is MigrationState.CHANGED]
    pending = [each.name for each in states if each.state is MigrationState.PENDING]
    skipped = [f"{each.name} skipped: {each.reason}" for each in states if each.state is MigrationState.SKIPPED]
    if changed:
        what = f"made by other files than these: {', '.join(changed)}"
        return Finding.failed("schema", what, "install the version that made it; `sre-agent db status` shows each file")
    if pending and embedded:
        return Finding.ok("schema", f"{len(pending)} migrations to apply; the next command does it")
    if pending:
        return Finding.failed("schema", f"not applied: {', '.join(pending)}", "run `sre-agent db migrate`")
    return Finding.ok("schema", "; ".join(["current", *skipped]))
