"""What the past of an incident comes out of the store as: past incidents, and the facts that patterns are made of.

Made by `history`. Every number is counted over all matches, and every entry carries the id of the event that proves
it (None where that event is not there any more). Times are aware UTC datetimes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Self

from sre_agent.store.rows import Row


@dataclass(frozen=True, kw_only=True, slots=True)
class Windows:
    """How long after one thing another still counts as belonging to it."""

    deploy: timedelta = timedelta(hours=1)
    """From a change of the pod template to the alert."""
    recurrence: timedelta = timedelta(hours=24)
    """From an action to the same alert again: it did not help."""
    flapping: timedelta = timedelta(hours=24)
    """Before this incident, for counting how often the alert came and went."""
    neighbours: timedelta = timedelta(hours=24)
    """Before and after this incident, for other workloads on its node."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """What a run saw around its target; `incidents` keeps it (0009_history.sql says what each column means)."""

    node: str | None = None
    template_changed_at: datetime | None = None
    found_field: str | None = None
    found_value: str | None = None
    found_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PastIncident:
    """An incident that shares alert name, pod, workload or node with another one, as lists show it."""

    id: int
    alertname: str
    namespace: str | None
    pod: str | None
    node: str | None
    workload: str | None
    severity: str | None
    status: str
    runbook_id: str | None
    action_taken: str | None
    action_recommended: str | None
    action_error: str | None
    created_at: datetime

    @classmethod
    def from_row(cls, row: Row) -> Self:
        return cls(**{field.name: row[field.name] for field in fields(cls)})


class _Fact:
    """Reads itself from the JSON object that a query made of it."""

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        return cls(**_values(cls, found))


@dataclass(frozen=True, kw_only=True)
class Occurrence(_Fact):
    """One incident of the same alert on the same subject, with the event that opened it."""

    incident_id: int
    at: datetime
    event_id: int | None


@dataclass(frozen=True, kw_only=True)
class Recent(_Fact):
    """The matches within the flapping window that ends with this incident, each begun after all before had ended."""

    times: int
    first_at: datetime
    event_id: int | None


@dataclass(frozen=True, kw_only=True)
class NodeCount(_Fact):
    """The node where most matches were, out of those whose node is known.

    `anew` of the `times` began after all matches before had ended: three pods at once are not the node three times.
    """

    node: str
    times: int
    anew: int
    known: int
    first_event_id: int | None
    last_event_id: int | None


@dataclass(frozen=True, kw_only=True)
class HourCount(_Fact):
    """The two hours (UTC, from `hour` on) in which most matches began, and on how many days."""

    hour: int
    times: int
    days: int
    event_id: int | None


@dataclass(frozen=True, kw_only=True)
class WeekdayCount(_Fact):
    """The day of the week (UTC, 1 is Monday) on which most matches began, and in how many weeks."""

    weekday: int
    times: int
    weeks: int
    event_id: int | None


@dataclass(frozen=True, kw_only=True)
class Raise(_Fact):
    """One memory limit that the agent raised on this subject."""

    incident_id: int
    action: str
    value: str
    at: datetime
    event_id: int | None


@dataclass(frozen=True, kw_only=True)
class FoundLimit(_Fact):
    """The memory limit that a run found in a container (`field` as action strings begin), before it did anything."""

    field: str
    value: str
    at: datetime
    event_id: int | None


@dataclass(frozen=True, kw_only=True)
class Tried(_Fact):
    """What the agent did with one tool in matches, where it is known by now whether the alert came back in time.

    It came back when a match began after the action and after all matches before it had ended.
    """

    tool: str
    times: int
    recurred: int
    first_at: datetime
    last_at: datetime
    first_event_id: int | None
    last_event_id: int | None


@dataclass(frozen=True, kw_only=True)
class Undone(_Fact):
    """The newest of `times` cases in which a later run found what had stood there before the agent's change."""

    times: int
    action: str
    value: str
    at: datetime
    event_id: int | None
    found_value: str
    found_at: datetime
    found_event_id: int | None


@dataclass(frozen=True, kw_only=True)
class Deploy(_Fact):
    """A match that began shortly after somebody else had changed the pod template."""

    at: datetime
    changed_at: datetime
    event_id: int | None


@dataclass(frozen=True, kw_only=True)
class Deploys:
    """How many of the matches with a known template change began shortly after it, after how many changes in all."""

    known: int
    times: int
    changes: int
    newest: tuple[Deploy, ...]
    """The newest three."""


@dataclass(frozen=True, kw_only=True)
class Recommended(_Fact):
    """The matches in which something was recommended and nothing done."""

    times: int
    first_at: datetime
    event_id: int | None


@dataclass(frozen=True, kw_only=True)
class Neighbour(_Fact):
    """A workload with an incident on the same node at about the same time, this incident's own first."""

    namespace: str
    workload: str
    at: datetime
    event_id: int | None


@dataclass(frozen=True, kw_only=True)
class AlertTotal(_Fact):
    """How many live incidents the alert name opened in this cluster. `oldest_kept` is later where some were pruned."""

    incidents: int
    first_at: datetime
    oldest_kept: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class PatternFacts:
    """The past of one incident, this one included. None stands for nothing to count.

    `raises` and `limits` are the newest twelve, oldest first; `neighbours` at most five of `neighbour_workloads`.
    """

    windows: Windows
    occurrences: int
    first: Occurrence
    last: Occurrence
    recent: Recent | None
    node: NodeCount | None
    hours: HourCount | None
    weekday: WeekdayCount | None
    raises: tuple[Raise, ...]
    limits: tuple[FoundLimit, ...]
    tried: tuple[Tried, ...]
    undone: Undone | None
    deploys: Deploys
    recommended: Recommended | None
    neighbour_workloads: int
    neighbours: tuple[Neighbour, ...]
    alert_total: AlertTotal | None
    template_changed_at: datetime | None

    @classmethod
    def from_row(cls, row: Row, windows: Windows) -> Self:
        deploys, neighbours = row["deploys"], row["neighbours"]
        recommended = row["recommended"]
        return cls(
            windows=windows,
            occurrences=row["occurrences"],
            first=Occurrence.from_json(row["first"]),
            last=Occurrence.from_json(row["last"]),
            recent=Recent.from_json(row["recent"]) if row["recent"]["times"] else None,
            node=NodeCount.from_json(row["node"]) if row["node"] else None,
            hours=HourCount.from_json(row["hours"]) if row["hours"] else None,
            weekday=WeekdayCount.from_json(row["weekday"]) if row["weekday"] else None,
            raises=tuple(map(Raise.from_json, row["raises"])),
            limits=tuple(map(FoundLimit.from_json, row["limits"])),
            tried=tuple(map(Tried.from_json, row["tried"])),
            undone=Undone.from_json(row["undone"]) if row["undone"] else None,
            deploys=Deploys(**{**deploys, "newest": tuple(map(Deploy.from_json, deploys["newest"]))}),
            recommended=Recommended.from_json(recommended) if recommended["times"] else None,
            neighbour_workloads=neighbours["workloads"],
            neighbours=tuple(map(Neighbour.from_json, neighbours["newest"])),
            alert_total=AlertTotal.from_json(row["alert_total"]) if row["alert_total"] else None,
            template_changed_at=row["template_changed_at"],
        )


def _values(cls: type[Any], found: Mapping[str, Any]) -> dict[str, Any]:
    return {field.name: _value(field.name, found[field.name]) for field in fields(cls)}


def _value(name: str, value: Any) -> Any:
    """JSON has no times: those are the columns that are called after a moment."""
    is_moment = name == "at" or name.endswith("_at") or name == "oldest_kept"
    return datetime.fromisoformat(value) if is_moment and value is not None else value
