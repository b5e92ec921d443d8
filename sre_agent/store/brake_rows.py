"""The values of brakes: limits that go into the database, and the pauses, writes and states that come out of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Self
from uuid import UUID

from sre_agent.cluster.port import Traffic
from sre_agent.errors import SreAgentError
from sre_agent.store.rows import Row

NO_TRAFFIC = Traffic(requests=0, errors=0)


class Braked(SreAgentError):
    """A brake came on between the judgement and the intent or the request: nothing was sent; judge again later.

    `rule` is that of the guard that judges by the same brake. `retry_at` is None where nobody knows the end.
    """

    def __init__(self, rule: str, reason: str, retry_at: datetime | None = None) -> None:
        super().__init__(reason)
        self.rule = rule
        self.reason = reason
        self.retry_at = retry_at


_MEANWHILE = {
    "pause": "the agent was paused while this was judged",
    "storm": "a storm of alerts began while this was judged",
    "writes": "other runs used up the allowed writes while this was judged",
    "target-busy": "another run began to change the same target while this was judged",
    "namespace-busy": "another run began to change the same namespace while this was judged",
    "drain-busy": "another run began to drain a node while this was judged",
    "drain-pause": "another run drained a node while this was judged",
    "cooldown": "another run did the same to this target while this was judged",
    "daily-cap": "another run used up what is allowed for this target while this was judged",
}


def braked_meanwhile(rule: str, retry_at: datetime | None) -> Braked:
    """What the transaction of an intent found, in words."""
    return Braked(rule, _MEANWHILE[rule], retry_at)


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How much may be changed; the type `brake_limits` of the database. A duration of 0 is off.

    `writes` are allowed within `writes_window`; `storm` new incidents of `actionable` runbooks within `storm_window`;
    `open_for` is how long an intent without an outcome holds its target and namespace.
    """

    cooldown: timedelta
    action_window: timedelta
    actions_per_day: int
    writes: int
    writes_window: timedelta
    drain_pause: timedelta
    storm: int
    storm_window: timedelta
    actionable: tuple[str, ...]
    open_for: timedelta

    def as_json(self) -> dict[str, Any]:
        """As the database reads it: intervals in seconds."""
        return {name: _limit_json(getattr(self, name)) for name in self.__dataclass_fields__}


def _limit_json(value: Any) -> Any:
    if isinstance(value, timedelta):
        return f"{value.total_seconds():.6f} seconds"
    return list(value) if isinstance(value, tuple) else value


@dataclass(frozen=True, kw_only=True, slots=True)
class Pause:
    """A person's stop. `until` is None where it lasts until somebody resumes."""

    id: int
    since: datetime
    until: datetime | None
    by: str
    reason: str | None

    @classmethod
    def from_row(cls, row: Row) -> Self:
        return cls(id=row["id"], since=row["since"], until=row["until"], by=row["paused_by"], reason=row["reason"])

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        return cls.from_row({**row, "since": _moment(row["since"]), "until": _moment(row["until"])})


@dataclass(frozen=True, kw_only=True, slots=True)
class RecentWrite:
    """A write of some run of the scope, as brakes count it. `status` as in PastAction, never `failed`."""

    run_id: UUID
    tool: str
    target_key: str
    status: str
    intended_at: datetime
    finished_at: datetime | None

    @property
    def namespace(self) -> str:
        """Empty for a node."""
        return self.target_key.split("/")[1]

    @property
    def open(self) -> bool:
        """Whether nobody has said yet what became of it."""
        return self.finished_at is None

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        return cls(
            run_id=UUID(row["run_id"]),
            tool=row["tool"],
            target_key=row["target_key"],
            status=row["status"],
            intended_at=datetime.fromisoformat(row["intended_at"]),
            finished_at=_moment(row["finished_at"]),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class BrakeState:
    """What the brakes of one scope and cluster rest on, at one moment.

    `writes` as far back as any brake looks; `storm_until` is when a storm of alerts will have been calm
    long enough, None without one; `traffic` is that of all processes together within their last minutes.
    """

    pauses: tuple[Pause, ...] = ()
    writes: tuple[RecentWrite, ...] = ()
    storm_until: datetime | None = None
    traffic: Traffic = field(default=NO_TRAFFIC)

    def apart_from(self, run_id: UUID, target_key: str) -> Self:
        """As the run itself sees it that is about to change a target: what it left when it was cut off is its own."""
        mine = [write for write in self.writes if write.open and write.run_id == run_id]
        others = [write for write in self.writes if write not in mine]
        elsewhere = [replace(write, finished_at=write.intended_at) for write in mine if write.target_key != target_key]
        return replace(self, writes=(*others, *elsewhere))

    @classmethod
    def from_row(cls, row: Row) -> Self:
        return cls(
            pauses=tuple(Pause.from_json(entry) for entry in row["pauses"]),
            writes=tuple(RecentWrite.from_json(entry) for entry in row["writes"]),
            storm_until=row["storm_until"],
            traffic=Traffic(requests=row["requests"], errors=row["errors"]),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Episode:
    """A brake of the whole cluster that runs have met. One incident told a person of it, the others were put off."""

    rule: str
    incident_id: int
    began_at: datetime
    seen_at: datetime

    @classmethod
    def from_row(cls, row: Row) -> Self:
        return cls(**{name: row[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkUnderWay:
    """How many live runs wait and run, and since when the oldest of each. `last_alert_at`: of any live alert."""

    queued: int
    oldest_queued_at: datetime | None
    running: int
    oldest_started_at: datetime | None
    last_alert_at: datetime | None


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
