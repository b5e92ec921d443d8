"""What the list and the detail have in common: they hear of changes, and a worker that fails ends nothing else."""

from abc import abstractmethod

from textual.screen import Screen
from textual.worker import Worker, WorkerState

from sre_agent.errors import SreAgentError
from sre_agent.log import get_logger
from sre_agent.tui.messages import Failed
from sre_agent.tui.source import Document

log = get_logger(__name__)


class IncidentScreen(Screen[None]):
    """A screen of documents that change while it is looked at."""

    @abstractmethod
    def changed(self, changes: list[Document] | None) -> None:
        """Incidents changed; None: read everything anew."""

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if (failed := crashed(event)) is not None:
            self.post_message(failed)


def crashed(event: Worker.StateChanged) -> Failed | None:
    """The message about a worker that met an error which nobody expected; None for every other state."""
    if event.state is not WorkerState.ERROR:
        return None
    name, error = event.worker.name, event.worker.error
    log.error("tui.worker_crashed", worker=name, error=repr(error))
    return Failed(SreAgentError(f"{name.strip('_')} failed: {type(error).__name__}: {error}"[:300]))
