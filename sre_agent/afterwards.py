"""What follows a run that has ended: its incident is written up, and what the run read is kept.

Called by the executor. Protects one rule: the run stands as it was stored, whatever goes wrong here.
"""

import asyncio
from dataclasses import replace
from datetime import datetime

from sre_agent.analysis import Author, analyse
from sre_agent.border import Border
from sre_agent.kept_evidence import RunRecorder
from sre_agent.llm.port import Allowance
from sre_agent.log import get_logger
from sre_agent.run import RunRecord
from sre_agent.settings import Settings
from sre_agent.store import Store
from sre_agent.store.history_rows import Surroundings

log = get_logger(__name__)


async def write_up(
    store: Store,
    incident_id: int,
    around: Surroundings,
    *,
    now: datetime,
    author: Author | None = None,
    allowance: Allowance | None = None,
) -> str | None:
    """Notes what the run saw around its target, and writes up all that is known now. None where that failed.

    Without an author it is composed, and so it is where one fails; `allowance` is what the run may still ask a model.
    """
    try:
        incident = await store.history.note(incident_id, around)
        written = await analyse(store, incident, now=now, author=author, allowance=allowance)
    except Exception:  # a border: whatever is wrong with the analysis, nothing is wrong with the run
        log.exception("analysis.not_written", incident_id=incident_id)
        return None if author is None else await write_up(store, incident_id, around, now=now)
    return written.markdown


async def keep_evidence(
    store: Store, record: RunRecord, recorder: RunRecorder, *, runbook_sha256: str, settings: Settings
) -> RunRecord:
    """Keeps what the run read, so that it can be replayed; the record says so where some of it was too much."""
    if not settings.evidence_bytes:
        return record
    missing: tuple[str, ...] = ()
    with Border("evidence.not_kept", run_id=record.run_id, incident_id=record.incident_id):
        kept = await asyncio.to_thread(recorder.evidence, record, runbook_sha256=runbook_sha256, settings=settings)
        await store.evidence.keep(kept)
        missing = () if kept.missing is None else (f"the evidence is incomplete: {kept.missing}",)
    return replace(record, notes=(*record.notes, *missing))
