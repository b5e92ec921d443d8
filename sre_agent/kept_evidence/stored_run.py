"""Reads a stored run's evidence back: the alert, the cluster, the clock, the settings, the past and the decision.

Called by `replay_incident`. A record that cannot be read is said to be so; nothing is guessed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sre_agent.alert import Alert
from sre_agent.alert.standing import Standing
from sre_agent.cluster.absent import AbsentCluster
from sre_agent.cluster.playback import PlaybackCluster
from sre_agent.cluster.port import Cluster
from sre_agent.cluster.recorder import Answer, Rejection
from sre_agent.decision import differences
from sre_agent.errors import BadInput
from sre_agent.kept_evidence.codec import (
    action_of,
    alert_of,
    brakes_of,
    error_of,
    question_of,
    standing_of,
    write_of,
)
from sre_agent.kept_evidence.recorder import FORMAT, NOT_DECIDED_UPON, decided_upon
from sre_agent.run import Mode
from sre_agent.settings import SETTINGS, Settings, load
from sre_agent.store import BrakeState, PastAction
from sre_agent.store.evidence import KeptEvidence


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredRun:
    """One stored run as it can be played again.

    `settings` are today's for everything but decisions, `changed_settings` says (then, today) where those differ.
    `past` is what had been done before, by target key; nothing is known of another target. `braked` is what brakes
    rested on at each judgement of a target, `standing` how the alert stood in Alertmanager; empty and None where that
    was not asked, as earlier versions never did. `decision` is what the run decided (see `decision`). `missing` says
    what was not kept, None where all was; `later_runs` counts runs of the incident after this one, which left no
    evidence.
    """

    incident_id: int
    run_id: UUID
    alert: Alert
    mode: Mode
    cluster: Cluster
    moments: tuple[datetime, ...]
    settings: Settings
    changed_settings: Mapping[str, tuple[str | None, str | None]]
    past: Mapping[str, Sequence[PastAction]]
    standing: Standing | None
    braked: Mapping[str, Sequence[BrakeState]]
    decision: Mapping[str, Any]
    missing: str | None
    later_runs: int

    def clock(self) -> Callable[[], datetime]:
        """A clock that is read as the run's was, and stands at its last moment."""
        coming = list(reversed(self.moments))
        return lambda: coming.pop() if len(coming) > 1 else coming[0]

    def brakes(self) -> Callable[[str], BrakeState]:
        """What brakes rest on, by target key, as the run read it; the last reading stays, none is no brake."""
        coming = {key: list(reversed(states)) for key, states in self.braked.items() if states}

        def next_of(target_key: str) -> BrakeState:
            states = coming.get(target_key, [BrakeState()])
            return states.pop() if len(states) > 1 else states[0]

        return next_of


def read_back(kept: KeptEvidence, today: Settings) -> StoredRun:
    """Raises BadInput for evidence that is damaged, or that this version cannot read."""
    said = f"incident {kept.incident_id} cannot be replayed: its evidence"
    try:
        return _stored_run(kept, today)
    except BadInput as error:
        raise BadInput(f"{said} is of no use: {error}") from error
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise BadInput(f"{said} cannot be read ({type(error).__name__}: {error})") from error


def _stored_run(kept: KeptEvidence, today: Settings) -> StoredRun:
    record = kept.record
    if record.get("format") != FORMAT:
        raise BadInput(
            f"it has the format {record.get('format')}, this version reads {FORMAT}; use the one that kept it"
        )
    then = dict[str, str](record["settings"])
    values = [sealed.open() for sealed in kept.objects]
    differences(record["decision"], record["decision"])  # one that cannot be compared is told here
    return StoredRun(
        incident_id=kept.incident_id,
        run_id=kept.run_id,
        alert=alert_of(record["alert"]),
        mode=Mode(record["decision"]["mode"]),
        cluster=_cluster(record, values),
        moments=_moments(record["moments"]),
        settings=_settings(then, today),
        changed_settings=_changed(then, decided_upon(today)),
        past={key: [action_of(entry) for entry in known] for key, known in record["past"].items()},
        standing=standing_of(record["standing"]) if record.get("standing") else None,
        braked={key: [brakes_of(state) for state in states] for key, states in record.get("brakes", {}).items()},
        decision=record["decision"],
        missing=kept.missing,
        later_runs=kept.later_runs,
    )


def _cluster(record: Mapping[str, Any], values: list[Any]) -> Cluster:
    """What the run read, or its want of a cluster."""
    if record.get("no_cluster") is not None:
        return AbsentCluster(str(record["no_cluster"]))
    return PlaybackCluster(
        [_answer_of(entry, values) for entry in record["answers"]],
        [
            Rejection(write=write_of(entry["write"]), dry_run=entry["dry_run"], error=error_of(entry["error"]))
            for entry in record["rejections"]
        ],
    )


def _moments(texts: Sequence[str]) -> tuple[datetime, ...]:
    if not texts:
        raise ValueError("no moment")
    return tuple(datetime.fromisoformat(text) for text in texts)


def _answer_of(entry: Mapping[str, Any], values: list[Any]) -> Answer:
    question = question_of(entry["question"])
    found = [values[place] for place in entry.get("places", ())]
    text = found[0] if found and isinstance(found[0], str) else None
    return Answer(
        question=question,
        objects=() if text is not None else tuple(found),
        text=text,
        error=error_of(entry["error"]) if "error" in entry else None,
        times=entry.get("times", 1),
        late=entry.get("late", False),
        lost=entry.get("lost", False),
    )


def _settings(then: Mapping[str, str], today: Settings) -> Settings:
    """The settings of then wherever a decision may rest on them, today's for the process and for secrets."""
    past = load({"SRE_AGENT_DATA_DIR": str(today.data_dir), **then})
    ours = [row.name for row in SETTINGS if row.variable in NOT_DECIDED_UPON or row.kind.mask is not None]
    return replace(past, **{name: getattr(today, name) for name in ours})


def _changed(then: Mapping[str, str], today: Mapping[str, str]) -> dict[str, tuple[str | None, str | None]]:
    """(then, today) of each setting that is another one now; None is the default."""
    names = sorted(then.keys() | today.keys())
    return {name: (then.get(name), today.get(name)) for name in names if then.get(name) != today.get(name)}
