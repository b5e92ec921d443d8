"""What screens and workers tell each other."""

from textual.message import Message

from sre_agent.errors import SreAgentError
from sre_agent.tui.source import Document


class Changed(Message):
    """Incidents changed; None: nobody knows what, so everything is read anew."""

    def __init__(self, changes: list[Document] | None) -> None:
        super().__init__()
        self.changes = changes


class Away(Message):
    """The database or the server cannot be reached; `refuses`: it is there, and lets nobody in."""

    def __init__(self, reason: str, *, refuses: bool = False) -> None:
        super().__init__()
        self.reason = reason
        self.refuses = refuses


class StatusRead(Message):
    """How the agent stands."""

    def __init__(self, status: Document) -> None:
        super().__init__()
        self.status = status


class Failed(Message):
    """Something that was asked for did not come."""

    def __init__(self, error: SreAgentError) -> None:
        super().__init__()
        self.error = error


class Done(Message):
    """What a person asked for is done, or `error` says why not."""

    def __init__(self, said: str, error: SreAgentError | None = None) -> None:
        super().__init__()
        self.said = said
        self.error = error


class IncidentWanted(Message):
    """Somebody wants to see an incident."""

    def __init__(self, incident_id: int) -> None:
        super().__init__()
        self.incident_id = incident_id
