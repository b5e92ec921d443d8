"""What works, what is missing, and what to do: the checks behind `sre-agent doctor`.

Called by the command and the status page; a live run asks for the clock before it acts. Protects three rules: a check
changes nothing that it looks at, no check outlives its time, and whatever it finds, a secret is not part of it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from sre_agent import agent
from sre_agent.doctor.alertmanager import check_alertmanager
from sre_agent.doctor.cluster import check_cluster
from sre_agent.doctor.database import check_database
from sre_agent.doctor.finding import Finding, State
from sre_agent.doctor.llm import check_llm
from sre_agent.errors import SreAgentError
from sre_agent.runbook import Runbooks
from sre_agent.settings import Settings

__all__ = ["Finding", "State", "examine"]

CHECK_SECONDS = 60.0
"""The longest that one group of checks may take; each call within has a shorter limit of its own."""


async def examine(
    settings: Settings,
    *,
    context: str | None = None,
    seconds: float = CHECK_SECONDS,
    asks_model: bool = True,
) -> AsyncIterator[Finding]:
    """Every finding as soon as it is there: runbooks, database, schema, clocks, cluster, own rights, Alertmanager, LLM.

    Without `asks_model`, which costs tokens, it is only told what is set up. Raises nothing.
    """
    runbooks, finding = _check_runbooks(settings)
    yield finding
    for group, check in (
        ("database", lambda: check_database(settings)),
        ("cluster", lambda: check_cluster(settings, runbooks, context)),
        ("alertmanager", lambda: check_alertmanager(settings)),
        ("LLM", lambda: check_llm(settings, asks=asks_model)),
    ):
        for finding in await _within(group, check, seconds):
            yield finding


def _check_runbooks(settings: Settings) -> tuple[Runbooks | None, Finding]:
    """The runbooks that a run would use; None where there is a fault in one."""
    try:
        runbooks = agent.load_runbooks(settings)
        agent.check_settings(settings)
    except SreAgentError as error:
        faults = str(error).splitlines()
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        return None, Finding.failed("runbooks", faults[0] + more, "mend it; `sre-agent lint` shows every fault")
    own = "" if settings.runbooks_dir is None else f", with your own from {settings.runbooks_dir}"
    return runbooks, Finding.ok("runbooks", f"{len(runbooks.by_id)} without a fault{own}")


async def _within(group: str, check: Callable[[], Awaitable[list[Finding]]], seconds: float) -> list[Finding]:
    try:
        async with asyncio.timeout(seconds):
            return await check()
    except TimeoutError:
        return [Finding.failed(group, f"no answer within {seconds:g} s", "look at the network and at its server")]
