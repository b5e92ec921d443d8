"""Strategic merge patches: what the API server does with one, and how one is made from two objects.

The snapshot applies them, the tools make them; both read the same table of merge keys, so that a patch which
was computed here means the same to a real API server. Nothing that is passed in is changed.

The table holds the `patchMergeKey` tags of the Kubernetes API types (core/v1, apps/v1, batch/v1, meta/v1). A
list that is not in it is atomic: it is replaced whole (Node taints, tolerations, command, args).
"""

from collections.abc import Callable, Iterable
from typing import Any

from sre_agent.cluster.port import Refused
from sre_agent.objects import Object

MERGE_KEYS = {
    "addresses": "type",
    "allocatedResourcesStatus": "name",
    "conditions": "type",
    "containers": "name",
    "env": "name",
    "ephemeralContainers": "name",
    "hostAliases": "ip",
    "hostIPs": "ip",
    "imagePullSecrets": "name",
    "initContainers": "name",
    "ownerReferences": "uid",
    "podIPs": "ip",
    "ports": "containerPort",
    "resourceClaimStatuses": "name",
    "resourceClaims": "name",
    "schedulingGates": "name",
    "topologySpreadConstraints": "topologyKey",
    "volumeDevices": "devicePath",
    "volumeMounts": "mountPath",
    "volumes": "name",
}
"""Lists of objects whose elements are matched by one key.

The key of container ports is the port alone and that of spread constraints the topology alone: where an
object holds the same key twice, the API server finds the first, and `diff` replaces the whole list.
"""

SET_LISTS = frozenset({"finalizers", "podCIDRs"})
"""Lists of strings that are merged as sets."""

_PATCH = "$patch"
_RETAIN_KEYS = "$retainKeys"
_ORDER = "$setElementOrder/"
_DELETE_FROM = "$deleteFromPrimitiveList/"

_Identity = Callable[[Any], Any]


def copy(value: Any) -> Any:
    """A deep copy of JSON; several times faster than `copy.deepcopy`."""
    if isinstance(value, dict):
        return {key: copy(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [copy(entry) for entry in value]
    return value


def apply(original: Object, patch: Object) -> Object:
    """The object after the patch, as the API server computes it.

    Elements of the lists in MERGE_KEYS are matched by their key, null removes a field; `$patch: delete|replace`,
    `$setElementOrder/…`, `$deleteFromPrimitiveList/…` and `$retainKeys` are followed. Raises Refused for a
    patch that the API server would not take (an element without its key, an unknown directive).
    """
    return _merged(copy(original), patch)


def _merged(original: Object, patch: Object) -> Object:
    """Merges into `original`, which belongs to the caller's copy."""
    if _PATCH in patch:
        return _directed(patch)
    if _RETAIN_KEYS in patch:
        _retain(original, patch)
    for key, value in patch.items():
        if key.startswith(_DELETE_FROM):
            _delete_from_set(original, key.removeprefix(_DELETE_FROM), value)
        elif key.startswith(_ORDER):
            continue
        elif key.startswith("$") and key != _RETAIN_KEYS:
            raise Refused(f"unknown directive {key!r} in the patch")
        elif value is None:
            original.pop(key, None)
        elif key != _RETAIN_KEYS:
            original[key] = _merged_field(key, original.get(key), value)
    for key, order in patch.items():
        if key.startswith(_ORDER):
            _set_order(original, patch, key.removeprefix(_ORDER), order)
    return original


def _directed(patch: Object) -> Object:
    match patch[_PATCH]:
        case "replace":
            return dict(_cleaned({key: value for key, value in patch.items() if key != _PATCH}))
        case "delete":
            return {}
        case other:
            raise Refused(f"unknown patch type {other!r}: $patch of an object is delete or replace")


def _merged_field(key: str, had: Any, wanted: Any) -> Any:
    if isinstance(had, dict) and isinstance(wanted, dict):
        return _merged(had, wanted)
    if isinstance(had, list) and isinstance(wanted, list):
        if key in MERGE_KEYS:
            return _merged_list(key, had, wanted)
        if key in SET_LISTS:
            return _ordered([*had, *(entry for entry in wanted if entry not in had)], wanted, had, _itself)
    elif isinstance(wanted, dict) and _PATCH in wanted:
        return _directed(wanted)
    return _cleaned(wanted)


def _merged_list(key: str, had: list[Any], wanted: list[Any]) -> list[Any]:
    identity = _identity_of(key, had, wanted)
    content = [entry for entry in wanted if _PATCH not in entry]
    directives = [(entry[_PATCH], entry) for entry in wanted if _PATCH in entry]
    if unknown := [kind for kind, _ in directives if kind not in {"delete", "replace"}]:
        raise Refused(f"unknown patch type {unknown[0]!r} in {key}: $patch of an element is delete or replace")
    if any(kind == "replace" for kind, _ in directives):
        return _ordered(_cleaned(content), [], [identity(entry) for entry in content], identity)
    deleted = [identity(entry) for _, entry in directives]
    merged = [entry for entry in had if identity(entry) not in deleted]
    kept = list(merged)
    for entry in content:
        place = next((i for i, present in enumerate(merged) if identity(present) == identity(entry)), None)
        if place is None:
            merged.append(_cleaned(entry))
        else:
            merged[place] = _merged(merged[place], entry)
    return _ordered(merged, [identity(entry) for entry in content], [identity(entry) for entry in kept], identity)


def _identity_of(key: str, *lists: list[Any]) -> _Identity:
    """How elements of this list are told apart; refuses elements that cannot be."""
    merge_key = MERGE_KEYS[key]
    for entry in (entry for entries in lists for entry in entries):
        if not isinstance(entry, dict):
            raise Refused(f"invalid element in {key}: {entry!r} is not an object")
        if merge_key not in entry and entry.get(_PATCH) != "replace":
            raise Refused(f"element of {key} does not contain declared merge key: {merge_key}")
    return lambda entry: entry.get(merge_key)


def _itself(entry: Any) -> Any:
    return entry


def _ordered(entries: list[Any], wanted: list[Any], live: list[Any], identity: _Identity) -> list[Any]:
    """The API server's order: what the patch names in its order, the others where the live order had them."""
    named = sorted((e for e in entries if identity(e) in wanted), key=lambda e: wanted.index(identity(e)))
    others = sorted((e for e in entries if identity(e) not in wanted), key=lambda e: live.index(identity(e)))
    result: list[Any] = []
    while named and others:
        mine, theirs = identity(named[0]), identity(others[0])
        before = mine in live and theirs in live and live.index(theirs) < live.index(mine)
        result.append((others if before else named).pop(0))
    return [*result, *named, *others]


def _set_order(original: Object, patch: Object, key: str, order: Any) -> None:
    if not isinstance(order, list):
        raise Refused(f"{_ORDER}{key} is not a list")
    if not isinstance(original.get(key), list):
        return
    identity = _identity_of(key, original[key], order) if key in MERGE_KEYS else _itself
    wanted = [identity(entry) for entry in order]
    content = [identity(entry) for entry in patch.get(key) or () if not _is_directive(entry)]
    if wanted and content != [entry for entry in wanted if entry in content]:
        raise Refused(f"the order in the patch of {key} does not match {_ORDER}{key}")
    live = [identity(entry) for entry in original[key]]
    original[key] = _ordered(original[key], wanted, live, identity)


def _is_directive(entry: Any) -> bool:
    return isinstance(entry, dict) and _PATCH in entry


def _delete_from_set(original: Object, key: str, gone: Any) -> None:
    if not isinstance(gone, list):
        raise Refused(f"{_DELETE_FROM}{key} is not a list")
    if isinstance(original.get(key), list):
        original[key] = [entry for entry in original[key] if entry not in gone]


def _retain(original: Object, patch: Object) -> None:
    retained = patch[_RETAIN_KEYS]
    given = {key for key, value in patch.items() if value is not None and not key.startswith("$")}
    if not isinstance(retained, list) or not given <= set(retained):
        raise Refused(f"{_RETAIN_KEYS} must list every field that stands beside it: {', '.join(sorted(given))}")
    for key in [key for key in original if key not in retained]:
        del original[key]


def _cleaned(value: Any) -> Any:
    """A copy of new content, without nulls and directives: they have nothing to act upon."""
    if isinstance(value, dict):
        return {
            key: _cleaned(entry)
            for key, entry in value.items()
            if entry is not None and not key.startswith("$") and not _is_directive(entry)
        }
    if isinstance(value, list):
        return [_cleaned(entry) for entry in value if not _is_directive(entry)]
    return value


def diff(before: Object, after: Object) -> Object:
    """The strategic merge patch that turns `before` into `after`: only what changes, {} where nothing does.

    Works on whole objects, pod templates and pod specs. Changed containers carry their name and what differs,
    removed elements `$patch: delete`, removed fields null; where the order would come out otherwise, it is set
    by `$setElementOrder`. A null field counts as absent. A list with missing or doubled keys is replaced whole.
    """
    patch: Object = {}
    for key, had in before.items():
        if had is not None and after.get(key) is None:
            patch[key] = None
    for key, wanted in after.items():
        if wanted is not None:
            patch.update(_field_diff(key, before.get(key), wanted))
    return patch


def _field_diff(key: str, had: Any, wanted: Any) -> Object:
    """What the patch holds for one field that is there afterwards; {} where it stays."""
    if isinstance(had, dict) and isinstance(wanted, dict):
        changes = diff(had, wanted)
        return {key: changes} if changes else {}
    if isinstance(had, list) and isinstance(wanted, list):
        if had == wanted:
            return {}
        if key in MERGE_KEYS:
            return _list_diff(key, had, wanted)
        if key in SET_LISTS:
            return _set_diff(key, had, wanted)
    if type(had) is type(wanted) and had == wanted:
        return {}
    return {key: _cleaned(wanted)}


def _list_diff(key: str, had: list[Any], wanted: list[Any]) -> Object:
    merge_key = MERGE_KEYS[key]
    if not (_keys_are_unique(had, merge_key) and _keys_are_unique(wanted, merge_key)):
        return {key: [{_PATCH: "replace"}, *_cleaned(wanted)]}
    present = {entry[merge_key]: entry for entry in had}
    content: list[Object] = []
    for entry in wanted:
        identity = entry[merge_key]
        if identity not in present:
            content.append(_cleaned(entry))
        elif changes := diff(present[identity], entry):
            content.append({merge_key: identity, **changes})
    names = [entry[merge_key] for entry in wanted]
    gone = [{_PATCH: "delete", merge_key: identity} for identity in present if identity not in names]
    patch: Object = {key: [*content, *gone]} if content or gone else {}
    result = apply({key: had}, patch)[key]
    if [entry[merge_key] for entry in result] != names:
        patch[_ORDER + key] = [{merge_key: identity} for identity in names]
    return patch


def _set_diff(key: str, had: list[Any], wanted: list[Any]) -> Object:
    patch: Object = {}
    if gone := _missing(had, wanted):
        patch[_DELETE_FROM + key] = gone
    if new := _missing(wanted, had):
        patch[key] = new
    return patch


def _missing(entries: Iterable[Any], other: list[Any]) -> list[Any]:
    return [entry for entry in entries if entry not in other]


def _keys_are_unique(entries: list[Any], merge_key: str) -> bool:
    if not all(isinstance(entry, dict) and entry.get(merge_key) is not None for entry in entries):
        return False
    return len({entry[merge_key] for entry in entries}) == len(entries)
