"""What is known after an incident, written up by code from facts alone: history, patterns, report, and its checker.

Called by the executor at the end of a run, and on demand. Protects one rule: nothing stands in an analysis that is
not in the database, so that a reader can look every sentence up.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sre_agent.analysis.composer import compose
from sre_agent.analysis.facts import gather
from sre_agent.event import Analysis
from sre_agent.incident import Incident, Origin
from sre_agent.store import Store
from sre_agent.store.book import StateForbids

FOREVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """An analysis as it was stored."""

    incident_id: int
    event_id: int
    markdown: str

    def as_json(self) -> dict[str, Any]:
        """What the API answers to a regeneration: {incident_id, event_id, analysis_markdown}."""
        return {"incident_id": self.incident_id, "event_id": self.event_id, "analysis_markdown": self.markdown}


async def analyse(store: Store, incident: Incident, *, now: datetime, regenerated: bool) -> Written:
    """Composes the analysis of an incident from all that is stored by now, and appends it. Raises Unreachable."""
    # Regenerated, a replay sees all that was played: recorded clocks may be ahead of this one.
    known_at = FOREVER if regenerated and incident.origin is Origin.REPLAY else now
    case = await gather(store, incident, now=known_at)
    markdown = compose(case)
    event_id = await store.history.append_analysis(
        incident.id,
        Analysis(analysis_markdown=markdown, runbook_id=incident.runbook_id, regenerated=regenerated),
        run_id=case.run_id,
        now=now,
    )
    return Written(incident_id=incident.id, event_id=event_id, markdown=markdown)


async def regenerate(store: Store, incident_id: int, *, now: datetime) -> Written:
    """Writes the analysis of a stored incident anew; the old ones stay.

    Raises UnknownIncident with the nearest ids, StateForbids while a run of it is queued or running, Unreachable.
    """
    incident = await store.book.find(incident_id)
    status = await store.history.run_under_way(incident_id)
    if status is not None:
        raise StateForbids(f"the run of incident {incident_id} is {status}: its analysis comes when it ends")
    return await analyse(store, incident, now=now, regenerated=True)
