"""Records what a run reads, knows and decides, and what time it was.

The executor gives the run a recorder's cluster and clock, and asks for the evidence when the run has ended. Redaction
and compression take their time: `evidence` belongs into a thread.
"""

import json
import zlib
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from sre_agent import quantity
from sre_agent.alert.standing import Standing
from sre_agent.cluster.absent import AbsentCluster
from sre_agent.cluster.port import Clock, Cluster
from sre_agent.cluster.recorder import Answer, RecordingCluster
from sre_agent.decision import decision
from sre_agent.kept_evidence.codec import (
    action_json,
    alert_json,
    brakes_json,
    error_json,
    question_json,
    standing_json,
    write_json,
)
from sre_agent.redaction import redact
from sre_agent.run import RunRecord
from sre_agent.settings import SETTINGS, Settings
from sre_agent.store import BrakeState, PastAction
from sre_agent.store.evidence import KeptEvidence, Sealed

FORMAT = 1
"""Grows when a record gets a shape that older programs cannot read."""

_LEAST_SEALED = 256
"""Bytes below which hardly an object can be compressed: more objects than fit by this are not even held."""

_MANY = 100
_COARSER = 1.5
"""What zlib's fastest level may take beyond the usual one."""

NOT_DECIDED_UPON = frozenset(
    {
        "AGENT_MODE",
        "LOG_LEVEL",
        "OPENAI_MODEL",
        "SRE_AGENT_ALERTMANAGER_USER",
        "SRE_AGENT_CONCURRENCY",
        "SRE_AGENT_DATA_DIR",
        "SRE_AGENT_EVIDENCE_BYTES",
        "SRE_AGENT_HIDE_EMAILS",
        "SRE_AGENT_INVESTIGATE",
        "SRE_AGENT_LINKS",
        "SRE_AGENT_LISTEN",
        "SRE_AGENT_LLM_CA",
        "SRE_AGENT_LLM_CALLS_PER_RUN",
        "SRE_AGENT_LLM_COST_PER_DAY",
        "SRE_AGENT_LLM_PRICE_IN",
        "SRE_AGENT_LLM_PRICE_OUT",
        "SRE_AGENT_LLM_REASONING",
        "SRE_AGENT_LLM_TIMEOUT",
        "SRE_AGENT_LLM_TIME_PER_RUN",
        "SRE_AGENT_LLM_TIME_PER_STEP",
        "SRE_AGENT_LLM_TOKENS_PER_DAY",
        "SRE_AGENT_LLM_TOKENS_PER_RUN",
        "SRE_AGENT_PLANNER",
        "SRE_AGENT_PROMPTS_DIR",
        "SRE_AGENT_RUNBOOKS_DIR",
        "SRE_AGENT_TLS_CERT",
        "SRE_AGENT_TLS_KEY",
        "SRE_AGENT_VISITORS",
        "SRE_AGENT_WEBHOOK_USER",
    }
)
"""Settings of the process rather than of a decision; the mode is the run's own. Secret ones are never kept."""


class RunRecorder:
    """Stands beside one run from its start to its end."""

    def __init__(self, run_id: UUID, *, cluster: Cluster, clock: Clock, limit: int) -> None:
        """`limit` is the most bytes that the objects may have, compressed."""
        self.cluster = RecordingCluster(cluster, most=limit // _LEAST_SEALED)
        self._looked_for = cluster.looked_for if isinstance(cluster, AbsentCluster) else None
        self._run_id = run_id
        self._clock = clock
        self._limit = limit
        self._moments: list[datetime] = []
        self._past: dict[str, dict[int, PastAction]] = {}
        self._standing: Standing | None = None
        self._brakes: dict[str, list[BrakeState]] = {}

    def clock(self) -> datetime:
        """The run's clock; each reading is recorded."""
        moment = self._clock()
        self._moments.append(moment)
        return moment

    def past(self, target_key: str, actions: Sequence[PastAction]) -> None:
        """Records what had been done to a target before; what the run does itself is no past of it."""
        known = self._past.setdefault(target_key, {})
        for action in actions:
            if action.run_id != self._run_id or action.intended_at < self._moments[0]:
                known[action.id] = action

    def stood(self, standing: Standing | None) -> None:
        """Records how the alert stood in Alertmanager at the last judgement; None where nobody asked."""
        self._standing = standing

    def brakes(self, target_key: str, state: BrakeState | None, *, again: bool = False) -> None:
        """Records what brakes rested on when a change of a target was judged; `again`: instead of the last time."""
        states = self._brakes.setdefault(target_key, [])
        if again and states:
            states.pop()
        if state is not None:
            states.append(state)

    def evidence(self, run: RunRecord, *, runbook_sha256: str, settings: Settings) -> KeptEvidence:
        """The finished run's evidence, redacted and within the limit."""
        shelf = _Shelf(self._limit)
        answers = [shelf.put(answer) for answer in self.cluster.answers]
        record: dict[str, Any] = {
            "format": FORMAT,
            "alert": alert_json(run.alert),
            "moments": [moment.isoformat() for moment in self._moments],
            "settings": decided_upon(settings),
            "past": {key: [action_json(action) for action in known.values()] for key, known in self._past.items()},
            "standing": None if self._standing is None else standing_json(self._standing),
            "no_cluster": self._looked_for,
            "brakes": {key: [brakes_json(state) for state in states] for key, states in self._brakes.items()},
            "answers": answers,
            "rejections": [
                {"write": write_json(entry.write), "dry_run": entry.dry_run, "error": error_json(entry.error)}
                for entry in self.cluster.rejections
            ],
        }
        return KeptEvidence(
            incident_id=run.incident_id or 0,
            run_id=self._run_id,
            kept_at=self._moments[-1],
            record={**redact(record), "decision": decision(run, runbook_sha256=runbook_sha256)},
            objects=tuple(shelf.objects),
            missing=shelf.missing(len(answers)),
        )


@lru_cache(maxsize=8)
def decided_upon(settings: Settings) -> dict[str, str]:
    """The settings that a decision may rest on, where they are not the defaults, as text by variable."""
    kept = {}
    for row in SETTINGS:
        value = getattr(settings, row.name)
        usual = row.unset if row.default is None else row.kind.parse(row.default)
        if row.kind.mask is None and row.variable not in NOT_DECIDED_UPON and value != usual:
            kept[row.variable] = row.kind.write(value)
    return kept


class _Shelf:
    """The objects that fit, in the order of reading, each once."""

    def __init__(self, limit: int) -> None:
        self.objects: list[Sealed] = []
        self._room = limit
        self._limit = limit
        self._places: dict[bytes, int] = {}
        self._sealed: dict[int, Sealed] = {}
        self._lost = 0

    def put(self, answer: Answer) -> dict[str, Any]:
        """The answer as JSON that names its objects by their places; only its question where they do not all fit."""
        shown: dict[str, Any] = {"question": question_json(answer.question)}
        if answer.times > 1:
            shown["times"] = answer.times
        if answer.late:
            shown["late"] = True
        if answer.error is not None:
            return shown | {"error": error_json(answer.error)}
        values = answer.objects if answer.text is None else (answer.text,)
        places = self._places_of(values) if not answer.lost and self._may_fit(values) else None
        if places is None:
            self._lost += 1
            return shown | {"lost": True}
        return shown | {"places": places}

    def missing(self, answers: int) -> str | None:
        """What is not kept, in words."""
        if not self._lost:
            return None
        return (
            f"{self._lost} of {answers} answers of the cluster are not kept: with them it would be more than "
            f"SRE_AGENT_EVIDENCE_BYTES={quantity.format_bytes(self._limit)}"
        )

    def _may_fit(self, values: Sequence[Any]) -> bool:
        """A quick look at many objects, before all of them are redacted for nothing."""
        if len(values) < _MANY:
            return True
        new = (value for value in values if id(value) not in self._sealed)
        return sum(len(zlib.compress(json.dumps(value).encode(), 1)) for value in new) < self._room * _COARSER

    def _places_of(self, values: Sequence[Any]) -> list[int] | None:
        """Where the values stand, None (and nothing put) where they do not all fit."""
        room, new, digests = self._room, dict[bytes, Sealed](), []
        for value in values:
            # The recording cluster holds equal objects once, and as long as this lasts.
            sealed = self._sealed.get(id(value))
            if sealed is None:
                sealed = self._sealed[id(value)] = _sealed(json.dumps(value))
            if sealed.sha256 not in self._places and sealed.sha256 not in new:
                new[sealed.sha256] = sealed
                room -= len(sealed.body)
                if room < 0:
                    return None
            digests.append(sealed.sha256)
        for digest, sealed in new.items():
            self._places[digest] = len(self.objects)
            self.objects.append(sealed)
        self._room = room
        return [self._places[digest] for digest in digests]


@lru_cache(maxsize=1024)
def _sealed(text: str) -> Sealed:
    """Seals a JSON value. Remembered, since runs read the same objects again and again, and redaction is slow."""
    return Sealed.of(redact(json.loads(text)))
