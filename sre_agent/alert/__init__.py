"""Alerts as Alertmanager really sends them, parsed once at the edge.

Called by every front end that takes a payload. Protects the rule that one bad alert never loses the others:
what is wrong with one is kept beside them, what is wrong with the whole body is refused and its place named.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sre_agent.alert.decode import MAX_BYTES, Fault, decode, kind_of, member, refuse_repeated_keys, shown
from sre_agent.errors import BadInput
from sre_agent.times import parse_moment

__all__ = [
    "MAX_BYTES",
    "MOST_ALERTS",
    "MOST_TEXT",
    "Alert",
    "AlertStatus",
    "BadPayload",
    "Payload",
    "Rejected",
    "fingerprint",
    "parse",
]


MOST_ALERTS = 50_000
"""The most alerts of one body: several times what a storm has, and what can be stored within a webhook's patience."""


LONGEST_TEXT = 2**16
"""The most characters of a text. Looking for secrets in a longer one would hold up everybody else."""

MOST_TEXT = 2**19
"""The most characters of an alert's labels and annotations together: every list of incidents reads them."""


class BadPayload(BadInput):
    """The body is no payload. `path` is the JSON path (or the byte) of the fault, `reason` what is wrong there."""

    def __init__(self, source: str, fault: Fault) -> None:
        super().__init__(f"{source}: {fault}")
        self.path = fault.path
        self.reason = fault.reason


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


def parse(body: bytes, *, source: str) -> Payload:
    """Reads a webhook body; `source` (a file, an address) opens every message.

    Raises BadPayload where the body as a whole is not a payload, and where it holds alerts of which not one can
    be read. An empty list of alerts is a payload.
    """
    try:
        document, repeated = decode(body)
        return _payload(document, repeated)
    except Fault as fault:
        raise BadPayload(source, fault) from None


def _payload(document: Any, repeated: bool) -> Payload:
    if isinstance(document, str):
        raise Fault("$", "the body is a JSON string; send the object itself")
    if not isinstance(document, dict):
        raise Fault("$", f"the body is {kind_of(document)}; send an object with a list `alerts`")
    if repeated:
        refuse_repeated_keys(document, "$", without="alerts")
    if "alerts" not in document:
        raise Fault("$.alerts", "missing; a webhook body of Alertmanager has a list `alerts`")
    entries = document["alerts"]
    if not isinstance(entries, list):
        raise Fault("$.alerts", f"{kind_of(entries)}, but must be a list")
    if len(entries) > MOST_ALERTS:
        raise Fault(
            "$.alerts", f"{len(entries)} alerts; at most {MOST_ALERTS} are taken, so set max_alerts in the receiver"
        )
    group_key = _group_key(document.get("groupKey"))
    alerts: list[Alert] = []
    rejected: list[Rejected] = []
    for index, entry in enumerate(entries):
        path = f"$.alerts[{index}]"
        try:
            if repeated:
                refuse_repeated_keys(entry, path)
            alerts.append(_alert(entry, index, path, document.get("status"), group_key))
        except Fault as fault:
            rejected.append(Rejected(index=index, path=fault.path, reason=fault.reason))
    if rejected and not alerts:
        first = rejected[0]
        raise Fault(first.path, f"{first.reason} (alerts that could be read: 0 of {len(rejected)})")
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
        raise Fault(path, f"{kind_of(entry)}, but an alert is an object")
    if "labels" not in entry:
        raise Fault(f"{path}.labels", "missing; an alert has an object `labels`")
    labels = _string_map(entry["labels"], f"{path}.labels")
    if group_status is None and "alertname" not in labels and _of_another_schema(entry):
        raise Fault(path, "neither a status nor an alertname; this is not an alert of Alertmanager")
    starts_at = _time(entry.get("startsAt"), f"{path}.startsAt")
    ends_at = _time(entry.get("endsAt"), f"{path}.endsAt")
    annotations = {} if entry.get("annotations") is None else _string_map(entry["annotations"], f"{path}.annotations")
    held = sum(len(name) + len(text) for texts in (labels, annotations) for name, text in texts.items())
    if held > MOST_TEXT:
        raise Fault(path, f"{held} characters in labels and annotations; at most {MOST_TEXT} are taken")
    return Alert(
        index=index,
        status=_status(entry.get("status"), path, group_status, starts_at, ends_at),
        labels=labels,
        annotations=annotations,
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
            raise Fault(where, f"{shown(status)} is neither firing nor resolved") from None
    ended = ends_at is not None and ends_at != _EPOCH and (starts_at is None or ends_at > starts_at)
    return AlertStatus.RESOLVED if ended else AlertStatus.FIRING


_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
"""NUL and lone surrogates: JSON can spell them, UTF-8 and PostgreSQL cannot hold them."""


def _unstorable(text: str) -> bool:
    """Plain ASCII, however long, is seen through without the expression, which would hold up every other thread."""
    return "\x00" in text if text.isascii() else _UNSTORABLE.search(text) is not None


def _string_map(value: Any, path: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise Fault(path, f"{kind_of(value)}, but must be an object of strings")
    for name, text in value.items():
        if not isinstance(text, str):
            raise Fault(member(path, name), f"{kind_of(text)}, but must be a string")
        if len(name) > LONGEST_TEXT or len(text) > LONGEST_TEXT:
            raise Fault(member(path, name), f"{max(len(name), len(text))} characters; at most {LONGEST_TEXT} are taken")
        if _unstorable(name) or _unstorable(text):
            raise Fault(member(path, name), "holds a NUL or half a surrogate pair, which is no text")
    return value


def _time(value: Any, path: str) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise Fault(path, f"{kind_of(value)}, but must be an RFC 3339 time")
    try:
        return parse_moment(value)
    except ValueError as error:
        raise Fault(path, str(error)) from None


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
    if isinstance(value, Decimal | float | int) and not isinstance(value, bool):
        return str(value)
    return _text(value) or None


def _count(value: Any) -> int:
    number = isinstance(value, Decimal | int) and not isinstance(value, bool)
    return int(value) if number and 0 <= value < 2**63 else 0


def _text(value: Any) -> str:
    """A string that can be stored, cut at LONGEST_TEXT; an empty one for anything else: none of these decides."""
    return _UNSTORABLE.sub("\ufffd", value[:LONGEST_TEXT]) if isinstance(value, str) else ""
