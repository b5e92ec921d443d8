"""Whatever becomes of the author of an analysis, an incident whose run has ended has one."""

import asyncio
from datetime import timedelta

import pytest

from sre_agent.afterwards import write_up
from sre_agent.analysis import ComposedAuthor, Draft, analyse
from sre_agent.analysis.facts import CaseFacts
from sre_agent.llm.port import Allowance
from sre_agent.store import EventRow, Store
from sre_agent.store.history_rows import Surroundings
from tests.store.store_builders import NOW, finish, started


class Hanging:
    """Never ends."""

    name = "hanging"

    def __init__(self) -> None:
        self.begun = asyncio.Event()

    async def write(self, case: CaseFacts, allowance: Allowance) -> Draft:
        self.begun.set()
        await asyncio.sleep(3600)
        raise AssertionError


class Broken:
    """Has a fault that nobody foresaw."""

    name = "broken"

    async def write(self, case: CaseFacts, allowance: Allowance) -> Draft:
        raise ZeroDivisionError


async def ended_incident(store: Store) -> tuple[int, Allowance]:
    active = await started(store)
    await finish(store, active)
    return active.incident_id, Allowance.begin(active.id, active.incident_id, seconds=60)


async def only_analysis(store: Store, incident_id: int) -> EventRow:
    (analysis,) = await store.history.analyses(incident_id)
    return analysis


async def test_a_process_that_is_told_to_end_leaves_the_composed_analysis(store: Store) -> None:
    incident_id, allowance = await ended_incident(store)
    author = Hanging()
    writing = asyncio.create_task(
        analyse(store, await store.book.find(incident_id), now=NOW, author=author, allowance=allowance)
    )
    await author.begun.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    analysis = await only_analysis(store, incident_id)
    assert analysis.payload["planner"] == "composed"
    assert "told to end" in analysis.payload["why"]
    assert analysis.payload["analysis_markdown"].startswith("## Summary\n")


async def test_an_author_that_breaks_is_replaced(store: Store) -> None:
    incident_id, allowance = await ended_incident(store)
    text = await write_up(store, incident_id, Surroundings(), now=NOW, author=Broken(), allowance=allowance)
    analysis = await only_analysis(store, incident_id)
    assert analysis.payload["analysis_markdown"] == text
    assert analysis.payload["planner"] == "composed"


async def test_the_composer_needs_nobody(store: Store) -> None:
    incident_id, allowance = await ended_incident(store)
    incident = await store.book.find(incident_id)
    written = await analyse(store, incident, now=NOW, author=ComposedAuthor(), allowance=allowance)
    assert (written.draft.model, written.draft.why, written.draft.planner) == (None, None, "composed")
    later = await analyse(store, incident, now=NOW + timedelta(minutes=1))
    assert later.markdown == written.markdown
