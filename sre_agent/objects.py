"""Questions about plain Kubernetes JSON that more than one room asks. Pure; an absent field is an answer."""

import contextlib
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from sre_agent.times import parse_moment

Object = dict[str, Any]
"""A Kubernetes object as `kubectl get -o json` prints it."""

NAMESPACE_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""What a namespace may be called, to be matched in full."""


def name(obj: Object) -> str:
    return str(obj.get("metadata", {}).get("name", ""))


def namespace(obj: Object) -> str:
    """The namespace, or an empty string for a cluster-scoped object."""
    return str(obj.get("metadata", {}).get("namespace") or "")


def uid(obj: Object) -> str | None:
    found: str | None = obj.get("metadata", {}).get("uid")
    return found


def resource_version(obj: Object) -> str | None:
    found: str | None = obj.get("metadata", {}).get("resourceVersion")
    return found


def generation(obj: Object) -> int | None:
    """How often the spec was written, None where the kind does not count it (nodes)."""
    found: int | None = obj.get("metadata", {}).get("generation")
    return found


def labels(obj: Object) -> dict[str, str]:
    return obj.get("metadata", {}).get("labels") or {}


def annotations(obj: Object) -> dict[str, str]:
    return obj.get("metadata", {}).get("annotations") or {}


OPT_OUT = "sre-agent/ignore"
"""The label or annotation by which an object, a pod or a namespace is left alone."""


def opted_out(obj: Object) -> bool:
    """Whether the object carries `sre-agent/ignore=true` as a label or an annotation."""
    return any(str(held.get(OPT_OUT)).lower() == "true" for held in (labels(obj), annotations(obj)))


def terminating(obj: Object) -> bool:
    return bool(obj.get("metadata", {}).get("deletionTimestamp"))


def time_of(text: str | None) -> datetime | None:
    """A time as aware UTC with microseconds, None for absent or unreadable text and the zero year.

    RFC 3339 as the API prints it; in a recording that somebody wrote, a space for the T and a missing zone (UTC).
    """
    if not text:
        return None
    written = text.replace(" ", "T", 1)
    for candidate in (written, f"{written}Z"):
        with contextlib.suppress(ValueError):
            return parse_moment(candidate)
    return None


def created_at(obj: Object) -> datetime | None:
    return time_of(obj.get("metadata", {}).get("creationTimestamp"))


def controller_of(obj: Object) -> dict[str, Any] | None:
    """The owner reference with `controller: true`, or None."""
    for reference in obj.get("metadata", {}).get("ownerReferences") or ():
        if reference.get("controller"):
            return dict(reference)
    return None


def controlled_by(obj: Object, owner_uid: str | None) -> bool:
    """Whether the controller of `obj` is the object of that uid; names do not count, they come back."""
    owner = controller_of(obj)
    return owner is not None and owner_uid is not None and owner.get("uid") == owner_uid


def owners_of_spec_field(obj: Object, field: str) -> list[Object]:
    """The managedFields entries that own `spec.FIELD`: who last set it, and when; empty where none is recorded."""
    return [
        entry
        for entry in obj.get("metadata", {}).get("managedFields") or ()
        if f"f:{field}" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
    ]


def condition(obj: Object, kind: str) -> dict[str, Any] | None:
    """The status condition of that type, or None."""
    for entry in obj.get("status", {}).get("conditions") or ():
        if entry.get("type") == kind:
            return dict(entry)
    return None


def condition_status(obj: Object, kind: str) -> str | None:
    """`True`, `False`, `Unknown` as text, or None where the condition is absent."""
    entry = condition(obj, kind)
    return None if entry is None else entry.get("status")


def pod_phase(pod: Object) -> str:
    return str(pod.get("status", {}).get("phase") or "")


def pod_finished(pod: Object) -> bool:
    return pod_phase(pod) in {"Succeeded", "Failed"}


def pod_ready(pod: Object) -> bool:
    """The pod's Ready condition; without conditions, whether every container status says ready."""
    ready = condition_status(pod, "Ready")
    if ready is not None:
        return ready == "True"
    statuses = pod.get("status", {}).get("containerStatuses") or ()
    return bool(statuses) and all(status.get("ready") for status in statuses)


def pod_template(controller: Object) -> Object:
    """`spec.template` of a workload, {} where it has none."""
    return controller.get("spec", {}).get("template") or {}


def containers(spec_holder: Object) -> list[Object]:
    """The main containers of a pod or a pod template."""
    return spec_holder.get("spec", {}).get("containers") or []


def init_containers(spec_holder: Object) -> list[Object]:
    return spec_holder.get("spec", {}).get("initContainers") or []


def container(spec_holder: Object, wanted: str | None) -> Object | None:
    """The main container of that name in a pod or a pod template."""
    return next((entry for entry in containers(spec_holder) if entry.get("name") == wanted), None)


def container_statuses(pod: Object) -> list[Object]:
    return pod.get("status", {}).get("containerStatuses") or []


def container_status(pod: Object, wanted: str | None) -> Object:
    """The status of the main container of that name, {} where it has none."""
    return next((status for status in container_statuses(pod) if status.get("name") == wanted), {})


def init_container_statuses(pod: Object) -> list[Object]:
    return pod.get("status", {}).get("initContainerStatuses") or []


def all_statuses(pod: Object) -> Iterator[tuple[Object, bool]]:
    """Every container status of a pod with whether it is an init container's."""
    for status in init_container_statuses(pod):
        yield status, True
    for status in container_statuses(pod):
        yield status, False


def waiting_reason(status: Object) -> str | None:
    """Why a container waits (`ImagePullBackOff`), None when it does not wait."""
    waiting = (status.get("state") or {}).get("waiting")
    return None if waiting is None else str(waiting.get("reason") or "")


def terminations(status: Object) -> list[Object]:
    """What `state.terminated` and `lastState.terminated` hold, newest first."""
    found = [(status.get(field) or {}).get("terminated") for field in ("state", "lastState")]
    return [entry for entry in found if entry]


def matches(selector: Object | None, of_labels: dict[str, str]) -> bool:
    """Whether a LabelSelector (matchLabels, matchExpressions) selects these labels; an empty one selects all."""
    if selector is None:
        return False
    if any(of_labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_expression_holds(entry, of_labels) for entry in selector.get("matchExpressions") or ())


def _expression_holds(expression: Object, of_labels: dict[str, str]) -> bool:
    key, values = expression.get("key", ""), expression.get("values") or ()
    match expression.get("operator"):
        case "In":
            return of_labels.get(key) in values
        case "NotIn":
            return of_labels.get(key) not in values
        case "Exists":
            return key in of_labels
        case "DoesNotExist":
            return key not in of_labels
        case _:
            return False


def node_schedulable(node: Object) -> bool:
    return not node.get("spec", {}).get("unschedulable")


def revision(controller: Object) -> int:
    """`deployment.kubernetes.io/revision` of a Deployment or ReplicaSet, 0 where absent."""
    text = annotations(controller).get("deployment.kubernetes.io/revision", "")
    return int(text) if text.isdigit() else 0


def newest_revision_first(replica_sets: Iterable[Object]) -> list[Object]:
    """ReplicaSets of one Deployment by revision, then by creation; the newest is the template's."""
    never = datetime.min.replace(tzinfo=UTC)
    return sorted(replica_sets, key=lambda entry: (revision(entry), created_at(entry) or never), reverse=True)


def restarts(pod: Object) -> int:
    """How often the containers of a pod were restarted, init containers included."""
    return sum(int(status.get("restartCount") or 0) for status, _ in all_statuses(pod))


def event_time(event: Object) -> datetime | None:
    """When a Kubernetes Event last happened: series, lastTimestamp, eventTime, firstTimestamp, creation."""
    series = event.get("series") or {}
    for text in (
        series.get("lastObservedTime"),
        event.get("lastTimestamp"),
        event.get("eventTime"),
        event.get("firstTimestamp"),
    ):
        if moment := time_of(text):
            return moment
    return created_at(event)
