"""Alerts as Alertmanager really sends them, parsed once at the edge.

Called by every front end that takes a payload. Protects the rule that one bad alert never loses the others:
what is wrong with one is kept beside them, what is wrong with the whole body is refused and its place named.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, NoReturn

from sre_agent.errors import BadInput

MAX_BYTES = 32 * 2**20
"""The largest body that is read, in bytes."""


class AlertStatus(StrEnum):
    """firing -> resolved, as the alert, its group or its endsAt says."""

    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, kw_only=True, slots=True)
class Alert:
    """One element of a payload's `alerts`. Times are aware UTC, None for the zero year and when absent.

    `index` is the alert's place in its payload (0-based), `fingerprint` the one given, whatever it is, else
    FNV-1a over the labels as Prometheus computes it, in 16 hex digits.
    """

    index: int
    status: AlertStatus
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: datetime | None
    ends_at: datetime | None
    fingerprint: str
    generator_url: str
    group_key: str | None

    @property
    def name(self) -> str:
        """The label `alertname`, or an empty string."""
        return self.labels.get("alertname", "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejected:
    """An alert that could not be read: its place in the payload, the fault's JSON path, and what is wrong."""

    index: int
    path: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Payload:
    """One webhook body. `truncated_alerts` counts what the sender left out of it."""

    alerts: tuple[Alert, ...]
    rejected: tuple[Rejected, ...]
    truncated_alerts: int
    receiver: str
    external_url: str
    group_key: str | None


class _Fault(Exception):
    """What is wrong, and where: a JSON path or a byte position."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class _Repeated(dict[str, Any]):
    """A JSON object in which `key` stands more than once."""

    key = ""


def parse(body: bytes, *, source: str) -> Payload:
    """Reads a webhook body; `source` (a file, an address) opens every message.

    Raises BadInput where the body as a whole is not a payload, and where it holds alerts of which not one can
    be read. An empty list of alerts is a payload.
    """
    try:
        document, repeated = _decode(body)
        return _payload(document, repeated)
    except _Fault as fault:
        raise BadInput(f"{source}: {fault}") from None


def _decode(body: bytes) -> tuple[Any, bool]:
    """The JSON document, and whether any object in it repeats a key. Integers come as Decimal."""
    if len(body) > MAX_BYTES:
        raise _Fault("body", f"{len(body)} bytes; at most {MAX_BYTES} ({MAX_BYTES >> 20} MiB) are taken")
    bom = 3 if body.startswith(b"\xef\xbb\xbf") else 0
    try:
        text = body[bom:].decode()
    except UnicodeDecodeError as error:
        raise _Fault(f"byte {error.start + bom}", f"not UTF-8 text ({error.reason})") from None
    if not text.strip():
        raise _Fault("body", "empty; send the JSON object of an Alertmanager webhook")
    repeated = False

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal repeated
        found = dict(pairs)
        if len(found) == len(pairs):
            return found
        repeated = True
        return _with_repeated_key(pairs)

    def refuse_constant(name: str) -> NoReturn:
        raise _Fault(_place(text, _constant_at(text), bom), f"{name} is not a JSON value")

    try:
        return (
            json.loads(text, object_pairs_hook=members, parse_int=Decimal, parse_constant=refuse_constant),
            repeated,
        )
    except json.JSONDecodeError as error:
        raise _Fault(_place(text, error.pos, bom), f"not JSON: {error.msg}") from None
    except RecursionError:
        raise _Fault("body", "nested too deeply to be a payload") from None


def _with_repeated_key(pairs: list[tuple[str, Any]]) -> _Repeated:
    found = _Repeated()
    for name, value in pairs:
        if name in found:
            found.key = name
        found[name] = value
    return found


_STRING_OR_CONSTANT = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|(NaN|-?Infinity)', re.DOTALL)


def _constant_at(text: str) -> int:
    """Where the first NaN or Infinity outside a string stands; called when the decoder has met one."""
    return next(match.start(1) for match in _STRING_OR_CONSTANT.finditer(text) if match[1])


def _place(text: str, position: int, bom: int) -> str:
    line = text.count("\n", 0, position) + 1
    column = position - text.rfind("\n", 0, position)
    return f"byte {len(text[:position].encode()) + bom} (line {line}, column {column})"


def _payload(document: Any, repeated: bool) -> Payload:
    if isinstance(document, str):
        raise _Fault("$", "the body is a JSON string; send the object itself")
    if not isinstance(document, dict):
        raise _Fault("$", f"the body is {_kind(document)}; send an object with a list `alerts`")
    if repeated:
        _refuse_repeated_keys(document, "$", without="alerts")
    if "alerts" not in document:
        raise _Fault("$.alerts", "missing; a webhook body of Alertmanager has a list `alerts`")
    entries = document["alerts"]
    if not isinstance(entries, list):
        raise _Fault("$.alerts", f"{_kind(entries)}, but must be a list")
    group_key = _group_key(document.get("groupKey"))
    alerts: list[Alert] = []
    rejected: list[Rejected] = []
    for index, entry in enumerate(entries):
        path = f"$.alerts[{index}]"
        try:
            if repeated:
                _refuse_repeated_keys(entry, path)
            alerts.append(_alert(entry, index, path, document.get("status"), group_key))
        except _Fault as fault:
            rejected.append(Rejected(index=index, path=fault.path, reason=fault.reason))
    if rejected and not alerts:
        first = rejected[0]
        raise _Fault(first.path, f"{first.reason} (alerts that could be read: 0 of {len(rejected)})")
    return Payload(
        alerts=tuple(alerts),
        rejected=tuple(rejected),
        truncated_alerts=_count(document.get("truncatedAlerts")),
        receiver=_text(document.get("receiver")),
        external_url=_text(document.get("externalURL")),
        group_key=group_key,
    )


def _alert(entry: Any, index: int, path: str, group_status: Any, group_key: str | None) -> Alert:
    if not isinstance(entry, dict):
        raise _Fault(path, f"{_kind(entry)}, but an alert is an object")
    if "labels" not in entry:
        raise _Fault(f"{path}.labels", "missing; an alert has an object `labels`")
    labels = _string_map(entry["labels"], f"{path}.labels")
    if group_status is None and "alertname" not in labels and _of_another_schema(entry):
        raise _Fault(path, "neither a status nor an alertname; this is not an alert of Alertmanager")
    starts_at = _time(entry.get("startsAt"), f"{path}.startsAt")
    ends_at = _time(entry.get("endsAt"), f"{path}.endsAt")
    annotations = entry.get("annotations")
    return Alert(
        index=index,
        status=_status(entry.get("status"), path, group_status, starts_at, ends_at),
        labels=labels,
        annotations={} if annotations is None else _string_map(annotations, f"{path}.annotations"),
        starts_at=starts_at,
        ends_at=ends_at,
        fingerprint=_text(entry.get("fingerprint")).strip() or fingerprint(labels),
        generator_url=_text(entry.get("generatorURL")),
        group_key=group_key,
    )


_SHARED_KEYS = frozenset({"labels", "annotations"})
_OWN_KEYS = frozenset({"status", "startsAt", "endsAt", "generatorURL", "fingerprint"})


def _of_another_schema(entry: Mapping[str, Any]) -> bool:
    """Whether an alert has keys of its own, but none of Alertmanager's. Labels alone are still an alert."""
    keys = entry.keys() - _SHARED_KEYS
    return bool(keys) and not keys & _OWN_KEYS


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _status(
    given: Any, path: str, group_status: Any, starts_at: datetime | None, ends_at: datetime | None
) -> AlertStatus:
    """The alert's own status, else the group's, else what endsAt says.

    By endsAt an alert is resolved when it ends after it started. The zero year (None by now) and the Unix
    epoch are how senders write "has not ended"; an end before the start says nothing: the alert is firing.
    The clock is not asked: an end in the future is an end, because taking no action is the safer mistake.
    """
    for status, where in ((given, f"{path}.status"), (group_status, "$.status")):
        if status is None:
            continue
        try:
            return AlertStatus(status)
        except ValueError:
            raise _Fault(where, f"{_shown(status)} is neither firing nor resolved") from None
    ended = ends_at is not None and ends_at != _EPOCH and (starts_at is None or ends_at > starts_at)
    return AlertStatus.RESOLVED if ended else AlertStatus.FIRING


_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
"""NUL and lone surrogates: JSON can spell them, UTF-8 and PostgreSQL cannot hold them."""


def _string_map(value: Any, path: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise _Fault(path, f"{_kind(value)}, but must be an object of strings")
    for name, text in value.items():
        if not isinstance(text, str):
            raise _Fault(_member(path, name), f"{_kind(text)}, but must be a string")
        if _UNSTORABLE.search(name) or _UNSTORABLE.search(text):
            raise _Fault(_member(path, name), "holds a NUL or half a surrogate pair, which is no text")
    return value


def _refuse_repeated_keys(value: Any, path: str, *, without: str | None = None) -> None:
    """Raises for a repeated key anywhere in `value`, but for the member `without` of the outermost object."""
    pending = [(path, value)]
    while pending:
        at, value = pending.pop()
        if isinstance(value, _Repeated):
            raise _Fault(at, f"the key {_shown(value.key)} stands there twice")
        if isinstance(value, dict):
            skipped = without if at == path else None
            pending += [(_member(at, key), held) for key, held in value.items() if key != skipped]
        elif isinstance(value, list):
            pending += [(f"{at}[{place}]", held) for place, held in enumerate(value)]


_RFC3339 = re.compile(
    r"(?P<year>[0-9]{4})(?P<rest>-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2})"
    r"(?:\.(?P<fraction>[0-9]{1,9}))?(?P<zone>Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])",
    re.IGNORECASE,
)


def parse_time(text: str) -> datetime | None:
    """An RFC 3339 time as aware UTC, cut to microseconds; None for the zero year, which means "not set".

    The zero time moved to a zone west of UTC falls into the year 0000 and means the same.
    Raises ValueError for any other text and for a time that UTC's years 1 to 9999 do not hold.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f"{_shown(text)} is not an RFC 3339 time such as 2024-01-15T10:30:00Z")
    zero = match["year"] in {"0000", "0001"}
    fraction = (match["fraction"] or "")[:6].ljust(6, "0")
    zone = match["zone"].upper().replace("Z", "+00:00")
    year = "2000" if zero else match["year"]
    try:
        moment = datetime.fromisoformat(f"{year}{match['rest']}.{fraction}{zone}")
        return None if zero else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{_shown(text)} is out of range") from None


def _time(value: Any, path: str) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise _Fault(path, f"{_kind(value)}, but must be an RFC 3339 time")
    try:
        return parse_time(value)
    except ValueError as error:
        raise _Fault(path, str(error)) from None


_FNV_OFFSET = 0xCBF29CE484222325
_FNV_PRIME = 0x100000001B3


def fingerprint(labels: Mapping[str, str]) -> str:
    """FNV-1a (64 bit) over the labels as Prometheus computes it, as 16 hex digits.

    Each name, sorted, and each value is followed by a byte 0xFF, which UTF-8 never holds.
    """
    digest = _FNV_OFFSET
    for name in sorted(labels):
        for byte in b"%b\xff%b\xff" % (name.encode(), labels[name].encode()):
            digest = (digest ^ byte) * _FNV_PRIME & 0xFFFFFFFFFFFFFFFF
    return f"{digest:016x}"


def _group_key(value: Any) -> str | None:
    """The group key as text; some senders give a number."""
    if isinstance(value, Decimal | float):
        return str(value)
    return _text(value) or None


def _count(value: Any) -> int:
    return int(value) if isinstance(value, Decimal) and 0 <= value < 2**63 else 0


def _text(value: Any) -> str:
    """A string that can be stored, an empty one for anything else: none of these fields decides a thing."""
    return _UNSTORABLE.sub("\ufffd", value) if isinstance(value, str) else ""


def _member(path: str, key: str) -> str:
    return f"{path}.{key}" if key.isidentifier() and key.isascii() else f"{path}[{_shown(key)}]"


def _shown(value: Any) -> str:
    """A value as JSON in pure ASCII, cut where it is long: safe to print on a terminal."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else f"{text[:80]}…"


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case str():
            return "a string"
        case list():
            return "a list"
        case dict():
            return "an object"
        case _:
            return "a number"
