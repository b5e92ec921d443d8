"""Where the documents come from: the port behind which the database and a server look the same.

Held by the app. Every document is what the API answers, without secrets and terminal escapes. Every method raises
Unreachable while the other side is away, and BadInput, with what a person should know, where it is refused.
"""

from collections.abc import Callable
from typing import Any, Protocol

from sre_agent.store.book import IncidentFilters

Document = dict[str, Any]

Tell = Callable[[list[Document] | None], None]
"""Is told the changes as they come, as a stream of the API has them; None: read everything anew."""

PAGE = 100
"""How many incidents are read at once."""


class Source(Protocol):
    """Everything that the screens ask."""

    @property
    def place(self) -> str:
        """Where it leads, in words."""
        ...

    async def status(self) -> Document:
        """Mode, cluster, planner, and what holds changes back."""
        ...

    async def page(self, filters: IncidentFilters, cursor: str | None) -> Document:
        """{incidents, next_cursor}: at most PAGE, newest update first, behind a cursor."""
        ...

    async def detail(self, incident_id: int) -> Document:
        """One incident with its events, its newest analysis and similar ones."""
        ...

    async def runbook(self, runbook_id: str) -> Document:
        """One runbook: its alerts, steps and prose."""
        ...

    async def regenerate(self, incident_id: int) -> Document:
        """Writes the analysis anew; the old ones stay."""
        ...

    async def suppress(self, incident_id: int, reason: str | None) -> Document:
        """{incident, changed}: no run until it is resolved."""
        ...

    async def resolve(self, incident_id: int, reason: str | None) -> Document:
        """{incident, changed}: it is over."""
        ...

    async def watch(self, tell: Tell) -> None:
        """Tells every change from now on, None as soon as it listens. Ends by Unreachable, or when it is cancelled."""
        ...
