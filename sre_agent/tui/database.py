"""The database as a source: what a server would answer, read by the same shapes."""

from collections.abc import Callable
from datetime import datetime

from sre_agent import views
from sre_agent.analysis import Author, regenerate
from sre_agent.errors import BadInput
from sre_agent.redaction import redact
from sre_agent.runbook import Runbooks
from sre_agent.settings import Settings
from sre_agent.status import read_status, status_json
from sre_agent.store import Store
from sre_agent.store.book import IncidentFilters
from sre_agent.tui.source import PAGE, Document, Tell


class DatabaseSource:
    """Reads the store itself, and says a person's word by it. `by` is that person's name."""

    def __init__(
        self,
        store: Store,
        *,
        settings: Settings,
        runbooks: Runbooks,
        fault: str | None,
        place: str,
        by: str,
        clock: Callable[[], datetime],
        author: Author | None = None,
    ) -> None:
        """`fault` is what is wrong with the user's own runbooks, which are then not among `runbooks`.

        `author` writes analyses; None: they are composed.
        """
        self._store = store
        self._settings = settings
        self._runbooks = runbooks
        self._fault = fault
        self._place = place
        self._by = by
        self._clock = clock
        self._author = author

    @property
    def place(self) -> str:
        return self._place

    async def status(self) -> Document:
        found = await read_status(self._store, self._settings, self._runbooks, fault=self._fault, now=self._clock())
        return status_json(found)

    async def page(self, filters: IncidentFilters, cursor: str | None) -> Document:
        page = await self._store.book.page(filters, limit=PAGE, cursor=cursor)
        document: Document = redact(views.page_json(page))
        return document

    async def detail(self, incident_id: int) -> Document:
        document: Document = redact(await views.detail(self._store, incident_id))
        return document

    async def runbook(self, runbook_id: str) -> Document:
        if runbook_id not in self._runbooks:
            raise BadInput(f"there is no runbook {runbook_id} here; known: {', '.join(self._runbooks.by_id)}")
        return views.runbook_json(self._runbooks[runbook_id])

    async def regenerate(self, incident_id: int) -> Document:
        seconds = self._settings.llm_time_per_run.total_seconds()
        written = await regenerate(self._store, incident_id, now=self._clock(), author=self._author, seconds=seconds)
        return written.as_json()

    async def suppress(self, incident_id: int, reason: str | None) -> Document:
        decision = await self._store.book.suppress(incident_id, by=self._by, reason=reason, now=self._clock())
        return views.decision_json(decision)

    async def resolve(self, incident_id: int, reason: str | None) -> Document:
        decision = await self._store.book.resolve(incident_id, by=self._by, reason=reason, now=self._clock())
        return views.decision_json(decision)

    async def watch(self, tell: Tell) -> None:
        changes = self._store.changes
        with changes.listening():
            async with changes.announced() as batches:
                await self._store.mend()
                tell(None)  # what came before somebody listened
                async for event_ids in batches:
                    tell([views.change_json(change) for change in await changes.of_events(event_ids)])
