"""What the API server would refuse in an object that is written: 400 and 422, in kubectl's words.

Called by `snapshot` before it stores anything. Only what a write makes worse counts: a recording that was cut
short by hand (a container without image) must not make every other change to that object fail.
"""

from collections.abc import Iterator
from typing import Any

from sre_agent import quantity
from sre_agent.cluster.port import Refused, Resource
from sre_agent.objects import Object

_SERVER_OWNED = (
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
)
_CUSTOM = {Resource.VERTICAL_POD_AUTOSCALERS, Resource.POD_METRICS}
_SELECTOR_IS_FIXED = {Resource.DEPLOYMENTS, Resource.REPLICA_SETS, Resource.STATEFUL_SETS, Resource.DAEMON_SETS}
_HAS_STATUS = set(Resource) - {Resource.EVENTS, Resource.LIMIT_RANGES}
_LEFT_OUT_WHEN_FALSE = {Resource.NODES: "unschedulable", Resource.DEPLOYMENTS: "paused"}
_POD_MAY_CHANGE = {"activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds"}


def qualified(resource: Resource) -> str:
    """The resource as error messages name it: `pods`, `deployments.apps`."""
    return f"{resource.plural}.{resource.group}" if resource.group else resource.plural


def check_patchable(resource: Resource, subresource: str | None) -> None:
    """Raises Refused for a resource that takes no strategic merge patch, or a subresource that is not served."""
    if resource in _CUSTOM:
        raise Refused(f"{qualified(resource)}: the API server takes no strategic merge patch for a custom resource")
    if subresource not in {None, "status"}:
        raise Refused(f"{qualified(resource)}/{subresource} cannot be patched on a recorded cluster")


def settled(before: Object, after: Object, resource: Resource, subresource: str | None) -> Object:
    """The patched object with what a patch cannot move put back: the server's own metadata, and the status.

    A patch of the main resource leaves the status, one of `status` leaves everything else. A flag that became false
    is left out, as the API's types do.
    """
    after = _without_false_flag(before, after, resource)
    if resource not in _HAS_STATUS:
        return {**after, "metadata": _kept(before["metadata"], after["metadata"])}
    if subresource == "status":
        return _with({**before}, "status", after)
    result = {**after, "metadata": _kept(before["metadata"], after["metadata"])}
    return _with(result, "status", before)


def _without_false_flag(before: Object, after: Object, resource: Resource) -> Object:
    """A recording that was written by hand may say false: there it stays."""
    flag, spec = _LEFT_OUT_WHEN_FALSE.get(resource), after.get("spec")
    if flag is None or not isinstance(spec, dict) or spec.get(flag) is not False or _spec(before).get(flag) is False:
        return after
    return {**after, "spec": {key: value for key, value in spec.items() if key != flag}}


def _with(obj: Object, field: str, source: Object) -> Object:
    obj.pop(field, None)
    if field in source:
        obj[field] = source[field]
    return obj


def _kept(before: Object, after: Object) -> Object:
    metadata = dict(after)
    for field in _SERVER_OWNED:
        _with(metadata, field, before)
    return metadata


def check_update(before: Object, after: Object, resource: Resource) -> None:
    """Raises Refused where the API server would not take `after` in place of `before`."""
    _check_identity(before, after)
    faults = [fault for fault in _faults(after, resource) if fault not in set(_faults(before, resource))]
    if resource in _SELECTOR_IS_FIXED and _spec(before).get("selector") != _spec(after).get("selector"):
        faults.append("spec.selector: Invalid value: field is immutable")
    if resource is Resource.PODS and _fixed_part(before) != _fixed_part(after):
        faults.append(
            "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
            "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations`"
            " (only additions to existing tolerations),`spec.terminationGracePeriodSeconds`"
        )
    _refuse(faults, after, resource)


def check_create(obj: Object, resource: Resource) -> None:
    """Raises Refused where the API server would not take the new object."""
    _refuse(list(_faults(obj, resource)), obj, resource)


def _check_identity(before: Object, after: Object) -> None:
    had, has = before["metadata"], after["metadata"]
    _mapping(after.get("spec"), "spec")
    for field, what in (("name", "name of the object"), ("namespace", "namespace of the provided object")):
        if has.get(field) != had.get(field):
            raise Refused(f"the {what} ({has.get(field)}) does not match {had.get(field)}, the {field} on the URL")
    for field in ("kind", "apiVersion"):
        if after.get(field) != before.get(field):
            raise Refused(f"the {field} of the object cannot change from {before.get(field)} to {after.get(field)}")


def _refuse(faults: list[str], obj: Object, resource: Resource) -> None:
    if faults:
        kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
        shown = faults[0] if len(faults) == 1 else f"[{', '.join(faults)}]"
        raise Refused(f'{kind} "{obj["metadata"].get("name")}" is invalid: {shown}')


def _spec(obj: Object) -> Object:
    return obj.get("spec") or {}


def _mapping(value: Any, path: str) -> Object:
    """An object inside an object, {} where it is absent. Raises Refused for anything else, as decoding does."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Refused(f"{path} is not an object")
    return value


def _faults(obj: Object, resource: Resource) -> Iterator[str]:
    """What is invalid in the metadata, the pod or the pod template of an object, as `path: fault`."""
    for field in ("labels", "annotations"):
        for key, value in _mapping(obj["metadata"].get(field), f"metadata.{field}").items():
            if not isinstance(value, str):
                yield f"metadata.{field}[{key}]: Invalid value: {value}: must be a string"
    if resource is Resource.PODS:
        yield from _pod_faults(_spec(obj), "spec")
    elif "template" in _spec(obj):
        template = _mapping(_spec(obj)["template"], "spec.template")
        yield from _pod_faults(_mapping(template.get("spec"), "spec.template.spec"), "spec.template.spec")
        yield from _selector_faults(_spec(obj).get("selector"), template)


def _selector_faults(selector: Any, template: Object) -> Iterator[str]:
    wanted = selector.get("matchLabels") if isinstance(selector, dict) else None
    metadata = _mapping(template.get("metadata"), "spec.template.metadata")
    labels = _mapping(metadata.get("labels"), "spec.template.metadata.labels")
    if any(labels.get(key) != value for key, value in (wanted or {}).items()):
        yield f"spec.template.metadata.labels: Invalid value: {labels}: `selector` does not match template `labels`"


def _pod_faults(pod_spec: Object, path: str) -> Iterator[str]:
    if not pod_spec.get("containers"):
        yield f"{path}.containers: Required value"
    for field in ("initContainers", "containers"):
        entries = pod_spec.get(field) or []
        if not isinstance(entries, list):
            raise Refused(f"{path}.{field} is not a list")
        names: set[Any] = set()
        for number, container in enumerate(entries):
            place = f"{path}.{field}[{number}]"
            if not isinstance(container, dict):
                yield f"{place}: Invalid value: not an object"
                continue
            yield from (f"{place}.{key}: Required value" for key in ("name", "image") if not container.get(key))
            if container.get("name") in names:
                yield f'{place}.name: Duplicate value: "{container.get("name")}"'
            names.add(container.get("name"))
            resources = _mapping(container.get("resources"), f"{place}.resources")
            yield from _resource_faults(resources, f"{place}.resources")


def _resource_faults(resources: Object, path: str) -> Iterator[str]:
    limits = _mapping(resources.get("limits"), f"{path}.limits")
    requests = _mapping(resources.get("requests"), f"{path}.requests")
    for field, amounts in (("limits", limits), ("requests", requests)):
        for name, amount in amounts.items():
            try:
                value = quantity.parse(amount)
            except quantity.QuantityError as error:
                yield f"{path}.{field}[{name}]: Invalid value: {error}"
                continue
            if value < 0:
                yield f'{path}.{field}[{name}]: Invalid value: "{amount}": must be greater than or equal to 0'
    for name in requests.keys() & limits.keys():
        if _exceeds(requests[name], limits[name]):
            yield (
                f'{path}.requests: Invalid value: "{requests[name]}": '
                f"must be less than or equal to {name} limit of {limits[name]}"
            )


def _exceeds(request: Any, limit: Any) -> bool:
    try:
        return quantity.parse(request) > quantity.parse(limit)
    except quantity.QuantityError:
        return False


def _fixed_part(pod: Object) -> Object:
    """A pod's spec without what an update may change."""
    fixed = {key: value for key, value in _spec(pod).items() if key not in _POD_MAY_CHANGE}
    for field in ("containers", "initContainers"):
        if isinstance(fixed.get(field), list):
            fixed[field] = [
                {key: value for key, value in entry.items() if key != "image"} if isinstance(entry, dict) else entry
                for entry in fixed[field]
            ]
    return fixed
