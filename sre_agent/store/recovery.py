"""Incidents of nodes whose alert is over: they wait until somebody sees the node Ready.

Called by `recovery`. Protects one rule: of several that see it, one closes the incident, and none where the alert
fires again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from sre_agent.event import Event, Resolved
from sre_agent.store.columns import name_column
from sre_agent.store.database import Database
from sre_agent.store.event_json import as_json
from sre_agent.store.rows import Row


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitingNode:
    """An incident that waits for its node. `over_seq` is the event that called the alert over."""

    incident_id: int
    node: str
    over_seq: int

    @classmethod
    def from_row(cls, row: Row) -> Self:
        return cls(**row)


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitingNodes:
    """The live incidents that wait. Every method raises Unreachable when the server is away."""

    database: Database

    async def all(self, *, cluster: str | None) -> Sequence[WaitingNode]:
        """At most a thousand, oldest first; of one cluster, None: of all."""
        rows = await self.database.rows("waiting_nodes", cluster=name_column(cluster))
        return [WaitingNode.from_row(row) for row in rows]

    async def close(self, waiting: WaitingNode, *, reason: str, now: datetime) -> bool:
        """Closes it. False where somebody else did, or a notification came since it was listed: nothing was written."""
        resolved = as_json([Event(payload=Resolved(by="alertmanager", reason=reason))])
        rows = await self.database.rows(
            "close_over",
            incident_id=waiting.incident_id,
            over_seq=waiting.over_seq,
            resolved=resolved,
            now=now,
        )
        return bool(rows[0]["closed"])
