"""Events as the store's functions take them: JSON of which no part is a secret."""

from collections.abc import Sequence
from typing import Any

from sre_agent.event import Event
from sre_agent.redaction import redact


def as_json(events: Sequence[Event]) -> list[dict[str, Any]]:
    """What `append_events` appends: an array of {type, payload}."""
    return [{"type": event.type, "payload": payload(event)} for event in events]


def payload(event: Event) -> dict[str, Any]:
    """The payload as it is kept: no secret reaches the database."""
    kept: dict[str, Any] = redact(event.as_json())
    return kept
