"""Takes queued runs and executes them, beside as many other workers as there are, in this process and elsewhere.

Called by `serve` and `worker`. Protects two rules: whatever dies, a run is taken up again, by one worker at a time: a
worker that lost a run (its attempt is not the newest any more) writes nothing for it. And a run that breaks off each
time is given up, whatever it is that breaks.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sre_agent.agent import Service
from sre_agent.alert import Alert, AlertStatus
from sre_agent.border import Border
from sre_agent.errors import SreAgentError, Unreachable
from sre_agent.executor import DEATHS, Assignment, run_incident
from sre_agent.jobs import SILENCE, JobWorker
from sre_agent.log import get_logger
from sre_agent.run import Mode, RunRecord
from sre_agent.store import LostFence
from sre_agent.store.run_queue import QueuedRun

ROUND_SECONDS = 5.0
"""How often a worker looks for what others left behind and for what has become due."""

LOST_AFTER = timedelta(minutes=15)
"""How long nobody may have touched a live run that no job stands for: a command line may be at work on it."""

GRACE_SECONDS = 20.0
"""How long a worker that is told to stop waits for the runs that are under way."""

PAUSE_SECONDS = 1.0

log = get_logger(__name__)


class BrokeOff(SreAgentError):
    """A run did not come to its end, for a reason that nobody foresaw: it is taken up again later."""


class RunWorker:
    """One worker of this process. `finished` is told each run that ended here; `upkeep` is called once a minute."""

    def __init__(
        self,
        service: Service,
        *,
        concurrency: int,
        finished: Callable[[RunRecord], None] | None = None,
        upkeep: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._service = service
        self._concurrency = concurrency
        self._finished = finished
        self._upkeep = upkeep or _nothing

    async def work(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set. A database that goes away is waited for."""
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                await self._until(stopping)
                await asyncio.wait({stopping}, timeout=PAUSE_SECONDS)
        finally:
            stopping.cancel()

    async def _until(self, stopping: "asyncio.Task[Any]") -> None:
        """One life of the worker: until it is told to stop, or the database goes away under it."""
        jobs = JobWorker(
            self._service.database,
            concurrency=self._concurrency,
            grace=GRACE_SECONDS,
            execute=self._execute,
            upkeep=self._upkeep,
        )
        working = asyncio.create_task(jobs.work())
        rounds = asyncio.create_task(self._rounds(jobs))
        await asyncio.wait({working, rounds, stopping}, return_when=asyncio.FIRST_COMPLETED)
        jobs.stop()
        working.cancel()
        while not rounds.done():  # again, because one cancellation may be lost
            rounds.cancel()
            await asyncio.wait({rounds}, timeout=PAUSE_SECONDS)
        await asyncio.wait({working})
        for task in (rounds, working):
            try:
                task.result()
            except asyncio.CancelledError:
                pass
            except Unreachable as error:
                log.warning("worker.database_away", error=str(error))
            except Exception:  # the worker's border: whatever ended this life, the next one begins
                log.exception("worker.broke_off")

    async def _rounds(self, jobs: JobWorker) -> None:
        """What a worker does for all: frees what died with others, queues what is due and what was lost."""
        queue = self._service.store.queue
        while True:
            freed = await queue.take_back(own=jobs.number, held=jobs.held, silence=SILENCE)
            due = await queue.queue_due(now=_now())
            lost = await queue.queue_lost(patience=LOST_AFTER)
            if freed or due or lost:
                log.event("worker.took_back", freed=freed, due=due, lost=lost)
            await asyncio.sleep(ROUND_SECONDS)

    async def _execute(self, run_id: UUID) -> None:
        service = self._service
        queued = await service.store.queue.queued(run_id)
        if queued is None:
            return
        if queued.over and not queued.begun:
            await service.store.queue.cancel(run_id, now=_now())
            return
        lost = contextlib.suppress(LostFence)  # it has ended, or somebody else has it
        with lost, Border("run.broke_off", passing=(LostFence, Unreachable), run_id=str(run_id)) as border:
            record = await run_incident(
                _assignment(queued, Mode(service.settings.agent_mode)),
                store=service.store,
                cluster=service.cluster,
                planner=service.minds.planner,
                runbooks=service.runbooks(),
                settings=service.settings,
                clock=_now,
                investigator=service.minds.investigator,
                author=service.minds.author,
            )
            if self._finished is not None:
                self._finished(record)
        if border.error is not None:
            await self._give_up_or_again(queued, border.error)

    async def _give_up_or_again(self, queued: QueuedRun, error: str) -> None:
        """What the executor could not end counts as a death. After the last one even the end that says so broke off."""
        why = f"the run broke off {DEATHS} times and could not be ended: {error}; it is not tried again"
        if not await self._service.store.queue.park(queued, deaths=DEATHS, error=error, why=why, now=_now()):
            raise BrokeOff(error)
        log.event("run.parked", run_id=str(queued.run_id), incident_id=queued.incident_id)


def _assignment(queued: QueuedRun, most: Mode) -> Assignment:
    """The run, with the alert as its incident keeps it. It may have waited since AGENT_MODE was lowered to `most`."""
    alert = Alert(
        index=0,
        status=AlertStatus.RESOLVED if queued.over else AlertStatus.FIRING,
        labels=dict(queued.labels),
        annotations=dict(queued.annotations),
        starts_at=queued.starts_at,
        ends_at=None,
        fingerprint=queued.fingerprint,
        generator_url="",
        group_key=None,
    )
    return Assignment(
        run_id=queued.run_id,
        incident_id=queued.incident_id,
        alert=alert,
        scope=queued.scope,
        mode=queued.mode if most is Mode.AUTO else most,
        returns=True,
    )


async def _nothing() -> None:
    """No upkeep."""


def _now() -> datetime:
    return datetime.now(UTC)
