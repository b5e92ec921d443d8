"""The JSON of an intent: a change as it is committed before it is sent, so that another worker can look it up.

Written by `records`, read back by `resumption`. Its preconditions are part of it: without them nobody could say later
whether a write took effect.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sre_agent.cluster.port import Write
from sre_agent.kept_evidence.codec import write_json as sent_json
from sre_agent.kept_evidence.codec import write_of
from sre_agent.run import Change, FieldChange
from sre_agent.target import Target
from sre_agent.views import write_json


def intent_json(step: str, change: Change) -> dict[str, Any]:
    """{step, writes, undo, sent, ...}: `writes` and `undo` as people see them, `sent` with their preconditions."""
    return {
        "step": step,
        "writes": [write_json(write) for write in change.writes],
        "undo": [write_json(write) for write in change.undo],
        "sent": [_sent(write) for write in change.writes],
        "taken_back": [_sent(write) for write in change.undo],
        "target": asdict(change.target),
        "diff": [asdict(line) for line in change.diff],
        "kubectl": change.kubectl,
        "notes": list(change.notes),
        "leaves": change.leaves,
        "awaited": change.awaited,
    }


def change_of(body: Mapping[str, Any], *, tool: str, action: str, value: str | None, near_limit: bool) -> Change:
    """The change that an intent held. Raises KeyError or TypeError for one that was stored without it."""
    return Change(
        tool=tool,
        action=action,
        target=Target(**body["target"]),
        writes=tuple(write_of(write) for write in body["sent"]),
        undo=tuple(write_of(write) for write in body["taken_back"]),
        diff=tuple(FieldChange(**line) for line in body["diff"]),
        kubectl=body["kubectl"],
        value=value,
        notes=tuple(body["notes"]),
        leaves=body["leaves"],
        awaited=body["awaited"],
        near_limit=near_limit,
    )


def _sent(write: Write) -> dict[str, Any]:
    return {**sent_json(write), "uid": write.uid, "resource_version": write.resource_version}
