"""What Events of a pod say: which container they are about, and whether its sandbox could be made."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from sre_agent.objects import Object, event_time

SANDBOX_REASONS = frozenset({"FailedCreatePodSandBox", "FailedPodSandBoxStatus"})
STARTED_REASONS = frozenset({"Pulled", "Created", "Started"})

_FIELD_PATH = re.compile(r"spec\.(?:initC|c)ontainers\{(?P<name>[^}]+)\}")


def container_of_event(event: Object) -> str | None:
    """The container that an Event is about (`spec.containers{app}`), None where it is about the whole pod."""
    match = _FIELD_PATH.fullmatch(str((event.get("involvedObject") or {}).get("fieldPath") or ""))
    return match["name"] if match else None


def moment_of(event: Object) -> datetime:
    """When an Event last happened; an undated one counts as the oldest."""
    return event_time(event) or datetime.min.replace(tzinfo=UTC)


def last_of(events: Iterable[Object], reasons: frozenset[str], container: str | None = None) -> datetime | None:
    """When one of these reasons was last told, of one container where that is named."""
    moments = [
        moment_of(event)
        for event in events
        if event.get("reason") in reasons and container in {None, container_of_event(event)}
    ]
    return max(moments, default=None)


def sandbox_failed(events: Iterable[Object]) -> bool:
    """Whether the pod's sandbox (network, volumes of the runtime) failed and nothing was started since."""
    told = list(events)
    failed, started = last_of(told, SANDBOX_REASONS), last_of(told, STARTED_REASONS)
    return failed is not None and (started is None or started < failed)
