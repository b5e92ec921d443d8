"""What is known after an incident, written up from facts alone: history, patterns, report, and its checker.

Called by the executor at the end of a run, and on demand. Protects one rule: nothing stands in an analysis that is
not in the database, so that a reader can look every sentence up, whoever wrote it.
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sre_agent.analysis.author import COMPOSED, Author, ComposedAuthor, Draft, composed
from sre_agent.analysis.facts import CaseFacts, gather
from sre_agent.event import Analysis
from sre_agent.incident import Incident, Origin
from sre_agent.llm.port import Allowance
from sre_agent.store import Store
from sre_agent.store.book import StateForbids

__all__ = ["COMPOSED", "Author", "ComposedAuthor", "Draft", "Written", "analyse", "regenerate"]

FOREVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """An analysis as it was stored."""

    incident_id: int
    event_id: int
    draft: Draft

    @property
    def markdown(self) -> str:
        return self.draft.markdown

    def as_json(self) -> dict[str, Any]:
        """What the API and `analyze --json` answer to a regeneration; the rest stands in the event."""
        draft = self.draft
        return {
            "incident_id": self.incident_id,
            "event_id": self.event_id,
            "analysis_markdown": draft.markdown,
            "planner": draft.planner,
            "model": draft.model,
            "sections": dict(draft.sections),
            "why": draft.why,
        }


async def analyse(
    store: Store, incident: Incident, *, now: datetime, author: Author | None = None, allowance: Allowance | None = None
) -> Written:
    """Writes up a run that has ended from all that is stored by now, and appends it. Raises Unreachable.

    Whoever ends the process while a model writes gets the composed analysis: the run will not be looked at again.
    """
    case = await gather(store, incident, now=now)
    try:
        draft = await _written(author, case, allowance)
    except asyncio.CancelledError:
        cut_short = composed(case, why="the process was told to end while the model wrote")
        await asyncio.shield(_append(store, case, cut_short, now=now, regenerated=False))
        raise
    return await _append(store, case, draft, now=now, regenerated=False)


async def regenerate(
    store: Store, incident_id: int, *, now: datetime, author: Author | None = None, seconds: float = 0.0
) -> Written:
    """Writes the analysis of a stored incident anew; the old ones stay. A model may be asked for so many seconds.

    No connection is held while it writes. Raises UnknownIncident with the nearest ids, StateForbids while a run of the
    incident is queued or running or where one ended meanwhile, Unreachable.
    """
    incident = await store.book.find(incident_id)
    await _refuse_during_run(store, incident_id)
    # Regenerated, a replay sees all that was played: recorded clocks may be ahead of this one.
    known_at = FOREVER if incident.origin is Origin.REPLAY else now
    case = await gather(store, incident, now=known_at)
    draft = await _written(author, case, Allowance.begin(uuid4(), incident_id, seconds=seconds))
    if draft.model is not None:
        await _refuse_if_outdated(store, case)
    return await _append(store, case, draft, now=now, regenerated=True)


async def _written(author: Author | None, case: CaseFacts, allowance: Allowance | None) -> Draft:
    if author is None or allowance is None:
        return composed(case)
    return await author.write(case, allowance)


async def _refuse_during_run(store: Store, incident_id: int) -> None:
    status = await store.history.run_under_way(incident_id)
    if status is not None:
        raise StateForbids(f"the run of incident {incident_id} is {status}: its analysis comes when it ends")


async def _refuse_if_outdated(store: Store, case: CaseFacts) -> None:
    """A model takes its time: an analysis must not hide that of a run which came meanwhile, and saw more."""
    await _refuse_during_run(store, case.incident.id)
    newest = next((event.run_id for event in reversed(await store.events(case.incident.id)) if event.run_id), None)
    if newest != case.run_id:
        raise StateForbids(f"another run of incident {case.incident.id} ended while this was written: ask again")


async def _append(store: Store, case: CaseFacts, draft: Draft, *, now: datetime, regenerated: bool) -> Written:
    incident = case.incident
    event_id = await store.history.append_analysis(
        incident.id,
        Analysis(
            analysis_markdown=draft.markdown,
            runbook_id=incident.runbook_id,
            regenerated=regenerated,
            sections=dict(draft.sections),
            planner=draft.planner,
            model=draft.model,
            why=draft.why,
            faults=list(draft.faults),
            llm_trace=[] if draft.trace is None else [draft.trace],
        ),
        run_id=case.run_id,
        now=now,
    )
    return Written(incident_id=incident.id, event_id=event_id, draft=draft)
