"""The incident: one occurrence of one problem, from the first firing notification to the resolved one.

Rows are owned by `store`; everybody else holds these frozen copies.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Origin(StrEnum):
    """Where an incident came from. A replay never joins, closes or counts for a live one."""

    LIVE = "live"
    REPLAY = "replay"


LIVE_SCOPE = "live"
"""The scope that all live incidents share; every replay has one of its own."""


class IncidentStatus(StrEnum):
    """open -> resolved (Alertmanager or a person); open -> suppressed (a person) -> resolved. Never back."""

    OPEN = "open"
    SUPPRESSED = "suppressed"
    RESOLVED = "resolved"


@dataclass(frozen=True, kw_only=True, slots=True)
class Incident:
    """One row of `incidents`, with the seed's keys. Times are aware UTC datetimes."""

    id: int
    origin: Origin
    scope: str
    cluster: str
    fingerprint: str
    dedup_key: str
    alertname: str
    namespace: str | None
    pod: str | None
    container: str | None
    node: str | None
    workload: str | None
    severity: str | None
    runbook_id: str | None
    status: IncidentStatus
    agent_mode: str
    summary: str | None
    action_taken: str | None
    action_recommended: str | None
    action_error: str | None
    labels: dict[str, str]
    annotations: dict[str, str]
    suppressed_count: int
    starts_at: datetime | None
    created_at: datetime
    updated_at: datetime
    resolved_at: datetime | None
