"""Containers that wait for an image which cannot be pulled, and why it cannot.

The waiting reason decides; events decide only where the status does not yet say what a container waits for.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sre_agent.diagnosis.image_cause import ImageCause, cause_in, image_in
from sre_agent.diagnosis.pod_events import STARTED_REASONS, container_of_event, last_of, moment_of
from sre_agent.objects import Object, all_statuses, containers, init_containers, waiting_reason

IMAGE_PULL_REASONS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
"""Waiting reasons of a container whose image is not there."""

UNDECIDED_REASONS = frozenset({"", "ContainerCreating", "PodInitializing"})
"""Waiting reasons that do not say yet what the container waits for."""

_CAUSE_OF_REASON = {
    "InvalidImageName": ImageCause.INVALID_NAME,
    "RegistryUnavailable": ImageCause.REGISTRY_ERROR,
    "ErrImageNeverPull": ImageCause.UNKNOWN,
    "ImageInspectError": ImageCause.UNKNOWN,
    "SignatureValidationFailed": ImageCause.UNKNOWN,
}
"""Reasons that are the whole answer, whatever the message says."""

_PULL_EVENTS = frozenset({"Failed", "BackOff", "InspectFailed", "ErrImageNeverPull"})
_SECRET_MISSING = "FailedToRetrieveImagePullSecret"  # noqa: S105 - the name of an event


@dataclass(frozen=True, kw_only=True, slots=True)
class ImagePull:
    """A container that waits for its image. `reasons` say what was seen, disagreements included."""

    container: str
    init: bool
    image: str
    cause: ImageCause
    reasons: tuple[str, ...]


def image_pulls(pod: Object, events: Iterable[Object] | None) -> list[ImagePull]:
    """Every container of the pod whose image cannot be pulled now; `events` are the pod's, None if unread."""
    told = sorted(events or (), key=moment_of, reverse=True)
    statuses = {str(status.get("name")): status for status, _ in all_statuses(pod)}
    specs = [(spec, True) for spec in init_containers(pod)] + [(spec, False) for spec in containers(pod)]
    found = []
    for spec, init in specs:
        name, image = str(spec.get("name")), str(spec.get("image") or "")
        status = statuses.get(name, {})
        failures = [event for event in told if _is_about(event, name, image)]
        seen = _seen(status, failures, started=last_of(told, STARTED_REASONS, name), container=name)
        if seen is None:
            continue
        cause, notes = _cause(status, failures, image)
        if cause is ImageCause.NOT_FOUND and any(event.get("reason") == _SECRET_MISSING for event in told):
            cause = ImageCause.UNAUTHORIZED
            notes.append("an image pull secret could not be read: the registry may hide what it has")
        found.append(ImagePull(container=name, init=init, image=image, cause=cause, reasons=(seen, *notes)))
    return found


def _is_about(event: Object, container: str, image: str) -> bool:
    """Whether a failure is about this container and this very image; an earlier image's does not count."""
    if event.get("reason") not in _PULL_EVENTS or container_of_event(event) not in {None, container}:
        return False
    return image_in(str(event.get("message") or "")) == image


def _seen(status: Object, failures: list[Object], *, started: datetime | None, container: str) -> str | None:
    """What shows that the container waits for its image now, None where it does not."""
    reason = waiting_reason(status) if status.get("state") else ""
    if reason in IMAGE_PULL_REASONS:
        message = _waiting_message(status)
        return f"container {container} waits: {reason}" + (f" ({message})" if message else "")
    if reason not in UNDECIDED_REASONS or not failures:
        return None
    if started is not None and started >= moment_of(failures[0]):
        return None
    return f"container {container}: event {failures[0].get('reason')} ({failures[0].get('message')})"


def _cause(status: Object, failures: list[Object], image: str) -> tuple[ImageCause, list[str]]:
    """The cause, and what else was said. The status is the present; of events, the newest that tells a cause.

    A status that tells a cause, were it an unknown one, is not overruled by what was said before.
    """
    reason = waiting_reason(status) or ""
    if reason in _CAUSE_OF_REASON:
        return _CAUSE_OF_REASON[reason], []
    causes = [(moment_of(event), cause_in(str(event.get("message")), image)) for event in failures]
    told = [(moment, cause) for moment, cause in causes if cause is not None]
    now = cause_in(_waiting_message(status), image)
    if now is None and told:
        newest = {cause for moment, cause in told if moment == told[0][0]}
        if len(newest) > 1:
            disagreement = f"events of one moment disagree on the cause: {', '.join(sorted(newest))}"
            return ImageCause.UNKNOWN, [disagreement]
        now = told[0][1]
    now = now or ImageCause.UNKNOWN
    others = sorted({cause for _, cause in told} - {now})
    notes = [f"earlier events said {', '.join(others)}; the newest evidence says {now}"] if others else []
    return now, notes


def _waiting_message(status: Object) -> str:
    return str(((status.get("state") or {}).get("waiting") or {}).get("message") or "")
