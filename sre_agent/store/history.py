"""The past of an incident: similar incidents, the facts that patterns are made of, and its analyses.

Used by `analysis`, which writes them up, and by the views. Protects two rules: a replay never counts for a live
incident, and every number is counted by the database over all matches, never over the newest fifty.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from uuid import UUID

from sre_agent.event import Analysis, Event
from sre_agent.incident import Incident
from sre_agent.redaction import redact
from sre_agent.store.database import Database
from sre_agent.store.history_rows import PastIncident, PatternFacts, Surroundings, Windows
from sre_agent.store.rows import EventRow, incident_from_row
from sre_agent.store.values import indexed

SIMILAR = 50
"""How many similar incidents are shown, newest first."""

_WINDOWS = Windows()


class History:
    """Questions about the past, each of them one statement. Every method raises Unreachable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def similar(self, incident: Incident, *, limit: int = SIMILAR) -> list[PastIncident]:
        """Incidents of the same origin and cluster that share alert name, pod, workload or node, newest first."""
        rows = await self._database.rows(
            "similar",
            incident_id=incident.id,
            origin=incident.origin,
            cluster=incident.cluster,
            alertname=incident.alertname,
            namespace=incident.namespace,
            pod=incident.pod,
            workload=incident.workload,
            node=incident.node,
            limit=limit,
        )
        return [PastIncident.from_row(row) for row in rows]

    async def facts(self, incident: Incident, *, as_of: datetime, windows: Windows = _WINDOWS) -> PatternFacts:
        """What all incidents with the same alert name and subject say together, as it is known at `as_of`.

        The subject is the workload or the pod, the node for an incident about a node, else the dedup_key.
        """
        about_node = incident.pod is None and incident.workload is None
        rows = await self._database.rows(
            "pattern_facts",
            incident_id=incident.id,
            origin=incident.origin,
            cluster=incident.cluster,
            scope=incident.scope,
            alertname=incident.alertname,
            namespace=incident.namespace,
            pod=incident.pod,
            workload=incident.workload,
            node=incident.node,
            node_subject=incident.node if about_node else None,
            key_subject=incident.dedup_key if about_node and incident.node is None else None,
            at=incident.created_at,
            as_of=as_of,
            deploy_window=windows.deploy,
            recurrence_window=windows.recurrence,
            flapping_window=windows.flapping,
            neighbour_window=windows.neighbours,
        )
        return PatternFacts.from_row(rows[0], windows)

    async def analyses(self, incident_id: int) -> list[EventRow]:
        """The `analysis` events of an incident, newest first."""
        return [EventRow.from_row(row) for row in await self._database.rows("analyses", incident_id=incident_id)]

    async def note(self, incident_id: int, seen: Surroundings) -> Incident:
        """Keeps what a run saw around its target, and returns the incident as it stands then."""
        columns = redact(asdict(seen))
        columns["node"] = None if seen.node is None else indexed(seen.node)
        rows = await self._database.rows("note_surroundings", incident_id=incident_id, **columns)
        return incident_from_row(rows[0])

    async def append_analysis(self, incident_id: int, analysis: Analysis, *, run_id: UUID | None, now: datetime) -> int:
        """Appends one analysis and returns its event's id. Earlier ones stay."""
        rows = await self._database.rows(
            "append_analysis",
            incident_id=incident_id,
            run_id=run_id,
            payload=redact(Event(payload=analysis).as_json()),
            now=now,
        )
        event_id: int = rows[0]["id"]
        return event_id

    async def run_under_way(self, incident_id: int) -> str | None:
        """The status of a run that has not ended yet and waits for nobody: queued or running; None without one."""
        rows = await self._database.rows("run_under_way", incident_id=incident_id)
        return None if not rows else str(rows[0]["status"])

    async def looks_again_at(self, incident_id: int) -> datetime | None:
        """When another run follows the newest one by itself; None where none does."""
        rows = await self._database.rows("looks_again_at", incident_id=incident_id)
        return None if not rows else rows[0]["retry_at"]

    async def incidents_since(self, since: datetime) -> Sequence[int]:
        """The ids of all incidents that changed since then, oldest first."""
        return [row["id"] for row in await self._database.rows("incidents_since", since=since)]
