"""The on-call browser as the tests use it: opened on a real database, driven by keys, looked at by its text."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
from textual.pilot import Pilot
from textual.widget import Widget
from textual.widgets import Static

from sre_agent.agent import load_runbooks
from sre_agent.settings import load
from sre_agent.store import Store
from sre_agent.tui.app import OnCall
from sre_agent.tui.database import DatabaseSource
from sre_agent.tui.source import Source
from sre_agent.tui.table import IncidentTable

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
SMALL, LARGE = (80, 24), (160, 50)

Browser = Pilot[Any]

FILL = """
insert into incidents (origin, scope, cluster, fingerprint, dedup_key, alertname, namespace, pod, severity, runbook_id,
                       status, agent_mode, summary, action_taken, labels, annotations, created_at, updated_at,
                       resolved_at, resolved_by)
select 'live', 'live', 'prod', lpad(to_hex(n), 16, '0'), 'KubePodOOMKilled:shop:app-' || n, 'KubePodOOMKilled', 'shop',
       'app-' || n, case when n %% 4 = 0 then 'critical' else 'warning' end, 'RB_OOM',
       case when n %% 3 = 0 then 'resolved' else 'open' end, 'auto', 'was killed',
       case when n %% 2 = 0 then 'patch_memory_limit:shop/app/app:1Gi→2Gi' end,
       '{"alertname": "KubePodOOMKilled", "namespace": "shop", "severity": "warning"}',
       '{"summary": "a container was killed because it used more memory than its limit"}',
       timestamptz '2026-11-23 02:59Z' - n * interval '1 minute',
       timestamptz '2026-11-23 02:59Z' - n * interval '1 minute',
       case when n %% 3 = 0 then timestamptz '2026-11-23 02:59Z' end, case when n %% 3 = 0 then 'alertmanager' end
  from generate_series(1, %s) as n
"""


def fill(database: str, incidents: int) -> None:
    """So many live incidents, one a minute, the first of them the newest."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(FILL, (incidents,))
        connection.execute("analyze incidents")


@asynccontextmanager
async def opened(database: str, *, clock: Callable[[], datetime] | None = None) -> AsyncIterator[DatabaseSource]:
    """The database as a source. What a person says is kept with the time of `clock`, by default the real one."""
    settings = load({"HOME": "/", "CLUSTER_NAME": "prod-eu"})
    async with Store.open(database) as store:
        yield DatabaseSource(
            store,
            settings=settings,
            runbooks=load_runbooks(settings),
            fault=None,
            place="database sre",
            by="ada",
            clock=clock or (lambda: datetime.now(UTC)),
        )


@asynccontextmanager
async def browsing(
    source: Source, *, size: tuple[int, int] = SMALL, incident_id: int | None = None
) -> AsyncIterator[Browser]:
    """The app on a terminal of so many cells, once it hears the changes."""
    app = OnCall(source, clock=lambda: NOW, incident_id=incident_id)
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: app.presence.live or app.presence.away is not None)
        yield pilot


async def until(pilot: Browser, condition: Callable[[], Any], *, seconds: float = 30.0) -> None:
    """Waits until something is true on the screen."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not become true in time:\n{text(pilot)}"
        await asyncio.sleep(0.02)
        await pilot.pause()


async def listed(pilot: Browser, *, least: int = 1) -> IncidentTable:
    """The list, once it has so many rows."""
    table = pilot.app.screen_stack[1].query_one(IncidentTable)
    await until(pilot, lambda: len(table.listing.rows) >= least)
    return table


async def replays(pilot: Browser) -> IncidentTable:
    """The list of replays, which a browser does not begin with."""
    await pilot.press("o")
    return await listed(pilot, least=3)


async def seen(pilot: Browser, words: str, *, seconds: float = 30.0) -> None:
    """Waits until words stand on the screen, whatever its lines are broken at."""
    await until(pilot, lambda: words in text(pilot), seconds=seconds)


def text(pilot: Browser) -> str:
    """What stands on the screen, with single spaces."""
    strips = pilot.app.screen._compositor.render_strips()
    return " ".join(" ".join(strip.text for strip in strips).split())


def said(pilot: Browser, selector: str) -> str:
    """The text of one widget, whether it is in sight or not."""
    widget: Widget = pilot.app.screen.query_one(selector)
    assert isinstance(widget, Static)
    return str(widget.content)


def told(pilot: Browser) -> str:
    """All notifications that stand on the screen."""
    return "\n".join(str(notification.message) for notification in pilot.app._notifications)
