"""What goes into the store and what comes out of it, as frozen values. `from_row` is the border.

Times are aware UTC datetimes on both sides.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from sre_agent.errors import SreAgentError
from sre_agent.event import EventType
from sre_agent.incident import Incident, IncidentStatus, Origin

Row = Mapping[str, Any]
"""One row of a result, by column name."""


class LostFence(SreAgentError):
    """Somebody else took the run up, or it has ended: stop, write nothing more to the cluster."""


class Disposition(StrEnum):
    """What became of a firing alert. Only opened and requeued queue a run."""

    OPENED = "opened"
    """The first of its problem: a new incident."""
    JOINED = "joined"
    """The incident is open, its last run too recent for another one."""
    REQUEUED = "requeued"
    """The incident is open and the cool-down over: a new run looks whether the symptom is still there."""
    SUPPRESSED = "suppressed"
    """A run of the incident is active."""
    MUTED = "muted"
    """A person suppressed the incident: no runs until it is resolved."""
    CLOSED_BY_PERSON = "closed_by_person"
    """A person resolved the incident, and this firing is not a later one: noted there, not reopened."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """What an incident is about: one of them is open for each origin, cluster and dedup_key.

    `scope` is `live`, or names the replay command. `cluster` is the one that the alert speaks of.
    """

    origin: Origin
    scope: str
    cluster: str
    dedup_key: str


@dataclass(frozen=True, kw_only=True, slots=True)
class NewIncident:
    """The incident that a firing alert would open. `mode` and `runbook_sha256` are those of the run to be queued."""

    problem: Problem
    fingerprint: str
    alertname: str
    namespace: str | None
    pod: str | None
    container: str | None
    node: str | None
    workload: str | None
    severity: str | None
    runbook_id: str
    mode: str
    runbook_sha256: str
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """What became of one firing alert. `run_id` is the run that was queued for it, None where none was."""

    incident_id: int
    disposition: Disposition
    run_id: UUID | None

    @classmethod
    def from_row(cls, row: Row) -> Self:
        return cls(
            incident_id=row["incident_id"],
            disposition=Disposition(row["disposition"]),
            run_id=row["run_id"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ActiveRun:
    """A run that this worker holds. `attempt` is the fence: it grows when another worker takes the run up.

    `deaths` counts the workers that held the run and neither ended it nor handed it back.
    """

    id: UUID
    incident_id: int
    attempt: int
    deaths: int = 0

    @classmethod
    def from_row(cls, row: Row) -> Self:
        return cls(**_columns(cls, row))


@dataclass(frozen=True, kw_only=True, slots=True)
class NewAction:
    """An intent to change the cluster. `body` holds `writes` and `undo` as JSON, complete.

    `near_limit` marks a change for an alert about usage near the limit, which may happen once in seven days.
    `evictions` are the pods of a drain, {namespace, name, uid}: each is an intent of its own.
    """

    tool: str
    action: str
    target_key: str
    value: str | None
    body: dict[str, Any]
    near_limit: bool
    evictions: tuple[Mapping[str, str | None], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class PastAction:
    """One intent of the past. `status` is a `run.Outcome`, or `intended` where the run was cut off before one."""

    id: int
    incident_id: int
    run_id: UUID
    tool: str
    action: str
    target_key: str
    value: str | None
    near_limit: bool
    status: str
    intended_at: datetime
    finished_at: datetime | None

    @classmethod
    def from_row(cls, row: Row) -> Self:
        return cls(**_columns(cls, row))


@dataclass(frozen=True, kw_only=True, slots=True)
class EventRow:
    """One event as it is stored. `hash` and `prev_hash` are 64 hexadecimal digits; the first event has no previous.

    The migration that makes `incident_events` defines what is hashed.
    """

    id: int
    seq: int
    ts: datetime
    event_type: EventType
    payload: dict[str, Any]
    prev_hash: str | None
    hash: str
    run_id: UUID | None

    @classmethod
    def from_row(cls, row: Row) -> Self:
        return cls(**{**_columns(cls, row), "event_type": EventType(row["event_type"])})


def incident_from_row(row: Row) -> Incident:
    """The incident that a row holds."""
    columns = _columns(Incident, row)
    return Incident(**{**columns, "origin": Origin(row["origin"]), "status": IncidentStatus(row["status"])})


def _columns(cls: type[Any], row: Row) -> dict[str, Any]:
    return {field.name: row[field.name] for field in fields(cls)}
