"""Containers that ended: killed for memory, or crashed.

A kill counts by its reason OOMKilled, whatever the exit code; exit code 137 alone is any SIGKILL and proves nothing.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sre_agent.diagnosis.pod_events import container_of_event
from sre_agent.objects import Object, all_statuses, terminations, time_of, waiting_reason

OOM_KILLED = "OOMKilled"
SIGKILL_EXIT_CODE = 137

_OOM_WORDS = re.compile(r"OOM-?kill|out of memory", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class OomKill:
    """A container that was OOMKilled, as its status says. `finished_at` is None where the status has no time."""

    container: str
    init: bool
    finished_at: datetime | None
    exit_code: int | None

    def __str__(self) -> str:
        what = "init container" if self.init else "container"
        when = f" at {self.finished_at:%Y-%m-%d %H:%M:%S} UTC" if self.finished_at else ""
        return f"{what} {self.container} was OOMKilled{when} (exit code {self.exit_code})"


def oom_kills(pod: Object) -> list[OomKill]:
    """The newest OOM kill of each container, from its state and its last state."""
    found = []
    for status, init in all_statuses(pod):
        ended = next((entry for entry in terminations(status) if entry.get("reason") == OOM_KILLED), None)
        if ended is not None:
            found.append(
                OomKill(
                    container=str(status.get("name")),
                    init=init,
                    finished_at=time_of(ended.get("finishedAt")),
                    exit_code=ended.get("exitCode"),
                )
            )
    return found


def oom_spoken_of(events: Iterable[Object]) -> list[Object]:
    """Events that speak of a kill for memory. A sign, not a proof: they name the pod, seldom the container."""
    return [
        event
        for event in events
        if _OOM_WORDS.search(str(event.get("reason") or "")) or _OOM_WORDS.search(str(event.get("message") or ""))
    ]


def oom_event_notes(pod: Object, events: Iterable[Object]) -> list[str]:
    """Where status and events disagree, or a status only looks like an OOM kill."""
    killed = {kill.container for kill in oom_kills(pod)}
    notes = []
    for event in oom_spoken_of(events):
        about = container_of_event(event)
        if (about not in killed) if about else not killed:
            notes.append(
                f"event {event.get('reason')} speaks of a kill for memory"
                f"{f' of container {about}' if about else ''}, but no status says OOMKilled: not taken as proof"
            )
    for status, _ in all_statuses(pod):
        codes = [entry.get("exitCode") for entry in terminations(status)]
        if status.get("name") not in killed and SIGKILL_EXIT_CODE in codes:
            notes.append(
                f"container {status.get('name')} ended with exit code 137 without reason OOMKilled: "
                "killed, but not proven to be for memory"
            )
    return list(dict.fromkeys(notes))


def ended_badly(termination: Object) -> bool:
    """Whether a container ended with an error or was OOMKilled, the latter whatever its exit code."""
    return termination.get("exitCode") != 0 or termination.get("reason") == OOM_KILLED


def crashes(pod: Object) -> list[str]:
    """The containers that crash now: in CrashLoopBackOff, ended with an error, or not ready after such an end."""
    found = []
    for status, _ in all_statuses(pod):
        crashed = any(map(ended_badly, terminations(status)))
        now_ended = (status.get("state") or {}).get("terminated")
        # an init container that failed at first is ready once it has ended well
        down = not status.get("ready") or (now_ended is not None and ended_badly(now_ended))
        if waiting_reason(status) == "CrashLoopBackOff" or (crashed and down):
            found.append(str(status.get("name")))
    return found
