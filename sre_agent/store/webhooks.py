"""Whole webhook bodies into the store: every alert of them, and what they hold beside, in one commit.

Called by `reception`. What is slow about a large body, redaction and JSON, is done by `sealed` and `sealed_body`, which
any thread may call; `take_in` only sends it. Protects one rule: a run is queued in the commit that keeps its alert.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from sre_agent.event import Event, Resolved, Suppressed
from sre_agent.store.columns import incident_columns, problem_columns
from sre_agent.store.database import Database
from sre_agent.store.event_json import as_json
from sre_agent.store.rows import Disposition, NewIncident, Problem, Receipt
from sre_agent.store.values import json_text

CONNECT_SECONDS = 3.0
"""How long a body waits for a connection. Alertmanager gives up after the larger of group_interval and 10 s, and until
then sends again what met a 503: soon told, it can come twice in that time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Firing:
    """A firing alert: the incident that it would open, and the event that is appended in any case."""

    new: NewIncident
    received: Event


@dataclass(frozen=True, kw_only=True, slots=True)
class Over:
    """A resolved alert, which closes the incident of its problem."""

    problem: Problem
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Noted:
    """An alert that is only appended to the incident which is open for its problem."""

    problem: Problem
    received: Event


Entry = Firing | Over | Noted


@dataclass(frozen=True, kw_only=True, slots=True)
class SealedBody:
    """One body as it will be kept: JSON without secrets. `entries` has one for each of `alerts`, with commas between.

    Bytes already, because a large one is sent by the event loop, which has no time for more than that.
    """

    body: bytes
    entries: bytes
    alerts: int


def sealed(entry: Entry) -> str:
    """What one alert does, redacted, as JSON text."""
    return json_text(_entry(entry))


def sealed_body(
    entries: Sequence[str], *, payload: dict[str, Any], alerts: Sequence[str], truncated: int
) -> SealedBody:
    """A body and what its alerts do. `payload` is what is kept of it, without secrets already; `alerts` are its alerts.

    Put together from texts: to write a large one as a whole would hold up every other thread.
    """
    kept = f'{json_text(payload)[:-1]}, "alerts": [{",".join(alerts)}]}}'
    body = f'{{"alerts": {len(alerts)}, "truncated": {truncated}, "payload": {kept}}}'
    return SealedBody(body=body.encode(), entries=",".join(entries).encode(), alerts=len(entries))


def _entry(entry: Entry) -> dict[str, Any]:
    match entry:
        case Firing(new=new, received=received):
            suppressed = Suppressed(reason="a run of this incident is active", fingerprint=new.fingerprint)
            return {
                "does": "receive",
                "alert": incident_columns(new),
                "runbook_sha256": new.runbook_sha256,
                "received": as_json([received]),
                "suppressed": as_json([Event(payload=suppressed)]),
            }
        case Over(problem=problem, reason=reason):
            resolved = Resolved(by="alertmanager", reason=reason)
            return {
                "does": "resolve",
                "alert": problem_columns(problem),
                "by": "alertmanager",
                "resolved": as_json([Event(payload=resolved)]),
            }
        case Noted(problem=problem, received=received):
            return {"does": "note", "alert": problem_columns(problem), "received": as_json([received])}


@dataclass(frozen=True, kw_only=True, slots=True)
class Webhooks:
    """Bodies of Alertmanager, taken in whole."""

    database: Database

    async def take_in(
        self, bodies: Sequence[SealedBody], *, now: datetime, cooldown: timedelta
    ) -> list[list[Receipt | int | None]]:
        """Keeps bodies and alerts in one commit, and answers for each alert of each body.

        A receipt for a firing one; for the others the incident that they concern, None where none is open. Raises
        Unreachable, and has then kept nothing.
        """
        rows = await self.database.rows(
            "take_in",
            connect_within=CONNECT_SECONDS,
            bodies=_array([each.body for each in bodies]),
            alerts=_array([each.entries for each in bodies if each.alerts]),
            now=now,
            cooldown=cooldown,
        )
        answers = iter([_answer(row) for row in rows])
        return [[next(answers) for _ in range(each.alerts)] for each in bodies]


def _answer(row: Any) -> Receipt | int | None:
    if row["disposition"] is None:
        incident_id: int | None = row["incident_id"]
        return incident_id
    return Receipt(incident_id=row["incident_id"], disposition=Disposition(row["disposition"]), run_id=row["run_id"])


def _array(parts: Sequence[bytes]) -> Jsonb:
    return Jsonb(b"[%b]" % b",".join(parts), dumps=bytes)
