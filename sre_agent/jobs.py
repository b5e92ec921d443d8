"""Queued runs of a server as jobs of Procrastinate, in the schema `jobs` of the store's database.

Called by the worker. A job is made by the commit that queues its run (`take_in`); it only says that the run is due,
`runs` says what is true. Protects one rule: a job that did not come to its end waits again.
"""

from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from procrastinate import App, BaseRetryStrategy, JobContext, PsycopgConnector, RetryDecision
from procrastinate.exceptions import ConnectorException, JobAborted
from procrastinate.jobs import DeleteJobCondition, Job, Status
from procrastinate.manager import JobManager
from procrastinate.worker import Worker

from sre_agent.errors import Unreachable
from sre_agent.log import get_logger
from sre_agent.store.connection import enter_jobs, open_jobs_pool, place
from sre_agent.store.queries import query

QUEUE = "runs"
RUN = "run"
UPKEEP = "upkeep"
EVERY_MINUTE = "* * * * *"

POLL_SECONDS = 0.5
"""How often a worker looks although nothing was announced: an announcement may be lost."""

HEARTBEAT_SECONDS = 10.0
SILENCE = timedelta(seconds=30)
"""A worker that was silent for so long is taken for dead, and its jobs are free."""

AGAIN_SECONDS = 1
"""How long a job waits that did not come to its end."""
LONGEST_SECONDS = 60
"""As long as it waits at most where it breaks off each time, twice as long after each."""
DOUBLINGS = 6

CONNECTIONS = 4

log = get_logger(__name__)


class JobWorker:
    """One worker of the queue: takes jobs, at most `concurrency` at once, and gives each run to `execute`.

    `execute` returns when the run needs this job no more; what it raises makes the job wait again. `upkeep` is called
    once a minute by one of all workers.
    """

    def __init__(
        self,
        conninfo: str,
        *,
        concurrency: int,
        grace: float,
        execute: Callable[[UUID], Awaitable[None]],
        upkeep: Callable[[], Awaitable[None]],
    ) -> None:
        self._conninfo = conninfo
        self._place = place(conninfo)
        self._execute = execute
        self._upkeep = upkeep
        self._held: set[int] = set()
        self._stopped = False
        connector = PsycopgConnector(configure=enter_jobs)
        self._app = App(connector=connector)
        self._app.job_manager = OwnJobs(connector)
        # A run says itself how often it may be taken up, so its job waits again without end.
        self._app.task(name=RUN, queue=QUEUE, pass_context=True, retry=Again())(self._run)
        # Without any periodic task the worker would not notice that one of its helpers has died.
        look_after = self._app.task(name=UPKEEP, queue=QUEUE, pass_context=True)(self._look_after)
        self._app.periodic(cron=EVERY_MINUTE)(look_after)
        self._worker = Worker(
            app=self._app,
            queues=[QUEUE],
            name="runs",
            concurrency=concurrency,
            install_signal_handlers=False,
            fetch_job_polling_interval=POLL_SECONDS,
            update_heartbeat_interval=HEARTBEAT_SECONDS,
            stalled_worker_timeout=SILENCE.total_seconds(),
            shutdown_graceful_timeout=grace,
            delete_jobs=DeleteJobCondition.ALWAYS,
        )

    @property
    def number(self) -> int | None:
        """The worker's row, None before it is at work."""
        return self._worker.worker_id

    @property
    def held(self) -> frozenset[int]:
        """The jobs that it is at work on."""
        return frozenset(self._held)

    async def work(self) -> None:
        """Works until it is cancelled; then it waits for what is under way, and hands back what takes too long.

        Returns when the database went away under it. Raises Unreachable where it is away from the start.
        """
        run: Callable[[], Awaitable[None]] = self._worker.run
        try:
            async with open_jobs_pool(self._conninfo, max_size=CONNECTIONS) as pool, self._app.open_async(pool):
                if not self._stopped:
                    await run()
        except ConnectorException as error:
            raise Unreachable(f"the queue of runs ({self._place}): {error.__cause__ or error}") from error

    def stop(self) -> None:
        """Ends `work` where its cancellation is lost: `wait_for` drops one that meets the end of what it waits for."""
        self._stopped = True
        stop: Callable[[], None] = self._worker.stop
        stop()

    async def _run(self, context: JobContext, *, run_id: str) -> None:
        with self._holding(context):
            await self._execute(UUID(run_id))

    async def _look_after(self, context: JobContext, timestamp: int) -> None:
        log.debug("jobs.upkeep", minute=timestamp)
        with self._holding(context):
            await self._upkeep()

    @contextmanager
    def _holding(self, context: JobContext) -> Iterator[None]:
        job = context.job.id or 0
        self._held.add(job)
        try:
            yield
        finally:
            self._held.discard(job)


class Again(BaseRetryStrategy):
    """A job that did not come to its end waits again, without end."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision:
        return RetryDecision(retry_in={"seconds": seconds_until_again(exception, attempts=job.attempts)})


def seconds_until_again(error: BaseException, *, attempts: int) -> int:
    """Soon where the database was away or the worker was told to stop; else later each time.

    `attempts` is how often the job had been taken up before.
    """
    if isinstance(error, Unreachable | JobAborted | CancelledError):
        return AGAIN_SECONDS
    return min(AGAIN_SECONDS << min(attempts, DOUBLINGS), LONGEST_SECONDS)


class OwnJobs(JobManager):
    """Acknowledges a job only while it is its worker's: one that was taken back meanwhile is somebody else's by now.

    What could not be acknowledged is found by whoever takes back jobs.
    """

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:
        """The job has come to its end."""
        await self._acknowledge("finish_own_job", job, status=status.value, delete_job=delete_job)

    async def retry_job(
        self,
        job: Job,
        retry_at: datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        lock: str | None = None,
    ) -> None:
        """The job waits again."""
        again = retry_at or datetime.now(UTC)
        await self._acknowledge("retry_own_job", job, retry_at=again, priority=priority, queue=queue, lock=lock)

    async def _acknowledge(self, name: str, job: Job, **values: Any) -> None:
        try:
            own = await self.connector.execute_query_all_async(
                query(name).decode(), job_id=job.id, worker_id=job.worker_id, **values
            )
        except ConnectorException as error:
            log.warning("job.not_acknowledged", job=job.id, error=str(error.__cause__ or error))
        else:
            if not own:
                log.warning("job.was_taken_back", job=job.id)
