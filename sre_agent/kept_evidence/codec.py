"""The JSON of a record of evidence: alerts, past actions, questions, errors and writes, both ways.

Used by `recorder` and `stored_run`. Reading back trusts nothing: a shape that is not ours is a ValueError, KeyError,
TypeError or AttributeError, which `stored_run` turns into words.
"""

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sre_agent.alert import Alert, AlertStatus
from sre_agent.alert.standing import AlertState, Standing
from sre_agent.cluster.port import (
    ClusterError,
    Conflict,
    Forbidden,
    NotFound,
    Refused,
    Resource,
    TooManyRequests,
    Traffic,
    Unavailable,
    UnknownOutcome,
    Write,
    WriteVerb,
)
from sre_agent.cluster.recorder import Look, Question
from sre_agent.store import BrakeState, PastAction, Pause, RecentWrite

_ERRORS = {error.__name__: error for error in (NotFound, Forbidden, Conflict, Refused, Unavailable, UnknownOutcome)}
_RESOURCES = {f"{resource.plural}.{resource.group}".rstrip("."): resource for resource in Resource}
"""By the name that RBAC gives them."""


def alert_json(alert: Alert) -> dict[str, Any]:
    return _members(alert) | {
        "status": alert.status.value,
        "starts_at": _moment_json(alert.starts_at),
        "ends_at": _moment_json(alert.ends_at),
    }


def alert_of(kept: Mapping[str, Any]) -> Alert:
    times = {key: _moment_of(kept[key]) for key in ("starts_at", "ends_at")}
    return Alert(**{**kept, **times, "status": AlertStatus(kept["status"])})


def standing_json(standing: Standing) -> dict[str, Any]:
    return {"state": standing.state.value, "detail": standing.detail}


def standing_of(kept: Mapping[str, Any]) -> Standing:
    return Standing(state=AlertState(kept["state"]), detail=kept["detail"])


def action_json(action: PastAction) -> dict[str, Any]:
    return _members(action) | {
        "run_id": str(action.run_id),
        "intended_at": _moment_json(action.intended_at),
        "finished_at": _moment_json(action.finished_at),
    }


def brakes_json(state: BrakeState) -> dict[str, Any]:
    return {
        "pauses": [
            _members(entry) | {"since": _moment_json(entry.since), "until": _moment_json(entry.until)}
            for entry in state.pauses
        ],
        "writes": [
            _members(entry)
            | {
                "run_id": str(entry.run_id),
                "intended_at": _moment_json(entry.intended_at),
                "finished_at": _moment_json(entry.finished_at),
            }
            for entry in state.writes
        ],
        "storm_until": _moment_json(state.storm_until),
        "requests": state.traffic.requests,
        "errors": state.traffic.errors,
    }


def brakes_of(kept: Mapping[str, Any]) -> BrakeState:
    pauses = (
        {**entry, "since": datetime.fromisoformat(entry["since"]), "until": _moment_of(entry["until"])}
        for entry in kept["pauses"]
    )
    return BrakeState(
        pauses=tuple(Pause(**entry) for entry in pauses),
        writes=tuple(RecentWrite.from_json(entry) for entry in kept["writes"]),
        storm_until=_moment_of(kept["storm_until"]),
        traffic=Traffic(requests=kept["requests"], errors=kept["errors"]),
    )


def action_of(kept: Mapping[str, Any]) -> PastAction:
    intended = datetime.fromisoformat(kept["intended_at"])
    finished = _moment_of(kept["finished_at"])
    return PastAction(**{**kept, "run_id": UUID(kept["run_id"]), "intended_at": intended, "finished_at": finished})


def question_json(question: Question) -> dict[str, Any]:
    """Without what is empty. Selectors are mappings, so that redaction sees their names as it does an object's."""
    shown = {
        "look": question.look.value,
        "resource": _resource_json(question.resource),
        "namespace": question.namespace,
        "name": question.name,
        "labels": dict(question.labels),
        "fields": dict(question.fields),
        "container": question.container,
        "previous": question.previous,
        "lines": question.lines,
    }
    return {key: value for key, value in shown.items() if value}


def question_of(kept: Mapping[str, Any]) -> Question:
    return Question(
        look=Look(kept["look"]),
        resource=_RESOURCES[kept["resource"]],
        namespace=kept.get("namespace"),
        name=kept.get("name"),
        labels=tuple(sorted(kept.get("labels", {}).items())),
        fields=tuple(sorted(kept.get("fields", {}).items())),
        container=kept.get("container"),
        previous=kept.get("previous", False),
        lines=kept.get("lines", 0),
    )


def error_json(error: ClusterError) -> dict[str, Any]:
    shown: dict[str, Any] = {"type": type(error).__name__, "message": str(error)}
    if isinstance(error, TooManyRequests):
        shown |= {"budget": error.budget, "retry_after": error.retry_after}
    return shown


def error_of(kept: Mapping[str, Any]) -> ClusterError:
    """The error; one of a class that is not known here any more is Unavailable, since it was no answer."""
    if kept["type"] == TooManyRequests.__name__:
        return TooManyRequests(kept["message"], budget=kept["budget"], retry_after=kept["retry_after"])
    return _ERRORS.get(kept["type"], Unavailable)(kept["message"])


def write_json(write: Write) -> dict[str, Any]:
    """The request without its preconditions: versions are another matter in a replay."""
    return {
        "verb": write.verb.value,
        "resource": _resource_json(write.resource),
        "namespace": write.namespace,
        "name": write.name,
        "body": write.body,
        "subresource": write.subresource,
    }


def write_of(kept: Mapping[str, Any]) -> Write:
    return Write(**{**kept, "verb": WriteVerb(kept["verb"]), "resource": _RESOURCES[kept["resource"]]})


def _members(value: Alert | PastAction | Pause | RecentWrite) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _resource_json(resource: Resource) -> str:
    return f"{resource.plural}.{resource.group}".rstrip(".")


def _moment_json(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _moment_of(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
