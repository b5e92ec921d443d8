"""Brakes and pauses, shared by all processes on one database: what guards judge by, and a person's stop and go.

Read by `facts`; asked by `leave` between an intent and each request that changes the cluster; written by whoever
pauses. Protects the rule that nothing is sent while a pause stands, nor by a process that lost its run.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sre_agent.cluster.port import Traffic
from sre_agent.errors import BadInput
from sre_agent.redaction import redact_text
from sre_agent.store.brake_rows import Braked, BrakeState, Episode, Limits, Pause, WorkUnderWay
from sre_agent.store.columns import name_column
from sre_agent.store.database import Database
from sre_agent.store.rows import ActiveRun, LostFence
from sre_agent.store.values import indexed

OVER = "resolved"
"""The rule by which nothing is sent any more for an incident that is over, or that a person muted."""

TRAFFIC_WINDOW = timedelta(minutes=5)
"""How long what a process said of the API server counts."""


class Brakes:
    """The brakes of all scopes and clusters. Every method raises Unreachable when the server is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def state(self, *, scope: str, cluster: str, limits: Limits, now: datetime) -> BrakeState:
        """What the brakes of one scope rest on. Pauses, storms and traffic are of live runs alone."""
        rows = await self._database.rows(
            "brake_state",
            scope=indexed(scope),
            cluster=name_column(cluster),
            limits=limits.as_json(),
            traffic_window=TRAFFIC_WINDOW,
            now=now,
        )
        return BrakeState.from_row(rows[0])

    async def report_traffic(self, traffic: Traffic, *, cluster: str, now: datetime) -> None:
        """Says how the API server answered one process within its last minutes."""
        await self._database.rows(
            "report_traffic",
            source=traffic.source,
            cluster=name_column(cluster),
            requests=traffic.requests,
            errors=traffic.errors,
            now=now,
        )

    async def require_leave(
        self, run: ActiveRun, action_id: int, *, scope: str, within: timedelta, now: datetime
    ) -> None:
        """Returns where a request of this intent may leave now.

        Raises LostFence where somebody else took the run up; Braked where a pause stands, and where the intent was
        committed longer ago than `within` or has an outcome already.
        """
        (row,) = await self._database.rows(
            "may_send",
            run_id=run.id,
            attempt=run.attempt,
            action_id=action_id,
            scope=indexed(scope),
            within=within,
            now=now,
        )
        if not row["held"]:
            raise LostFence(f"run {run.id} was taken over or has ended (attempt {run.attempt} no longer holds it)")
        if not row["current"]:
            raise Braked("late", "it could not be sent in time after it was decided; others may be at work since")
        if row["over"]:
            raise Braked(OVER, "the alert was resolved, or a person closed or muted the incident, before it was sent")
        if row["pause_id"] is not None:
            raise Braked("pause", "paused before it was sent", row["until"])

    async def tell(
        self, rule: str, run: ActiveRun, *, scope: str, cluster: str, calm: timedelta, now: datetime
    ) -> int | None:
        """None where this run is to tell a person of a brake that it met, else the incident that did.

        The first run tells; a brake that no run met for `calm` begins anew. Asked again, a run gets the same answer.
        """
        (row,) = await self._database.rows(
            "tell_brake",
            rule=rule,
            run_id=run.id,
            incident_id=run.incident_id,
            scope=indexed(scope),
            cluster=name_column(cluster),
            calm=calm,
            now=now,
        )
        return None if row["tells"] else int(row["incident_id"])

    async def pause(self, *, by: str, reason: str | None, until: datetime | None, now: datetime) -> Pause:
        """Stops every live change of every process on this database. Pauses add up; `resume` ends all.

        Raises BadInput for an end that is over already.
        """
        if until is not None and until <= now:
            raise BadInput(f"a pause until {until.isoformat()} would be over already; give a later end, or none")
        kept = None if reason is None else redact_text(reason)
        (row,) = await self._database.rows("pause", by=name_column(by), reason=kept, until=until, now=now)
        return Pause.from_row(row)

    async def resume(self, *, by: str, now: datetime) -> Sequence[Pause]:
        """Ends every pause that stands, and returns them; empty where there was none.

        What was put off because of them is due now, not when their end or the next look would have come.
        """
        return [Pause.from_row(row) for row in await self._database.rows("resume", by=name_column(by), now=now)]

    async def episodes(self, *, cluster: str) -> Sequence[Episode]:
        """The last time that live runs met each brake of the whole cluster."""
        rows = await self._database.rows("brake_episodes", cluster=name_column(cluster))
        return [Episode.from_row(row) for row in rows]

    async def work(self) -> WorkUnderWay:
        """The live runs that wait or run."""
        (row,) = await self._database.rows("work_under_way")
        newest = await self._database.rows("last_alert_at")
        return WorkUnderWay(**row, last_alert_at=newest[0]["received_at"] if newest else None)
