"""Whether the agent may act right now: each brake with its state, reason and end, and the work under way.

Read by `sre-agent status`, and by whatever else shows it. Reads the database; of the cluster it says what the processes
that act last said of it, and what whoever asked was told of its stop switch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sre_agent.facts import WRITES_WINDOW, limits
from sre_agent.guards.brakes import (
    CALM,
    LEAST_REQUESTS,
    SOON,
    TROUBLE_LOOK,
    drained_until,
    pause_text,
    paused_until,
    too_many_errors,
    writes_counted,
    writes_until,
)
from sre_agent.incident import LIVE_SCOPE
from sre_agent.outside import UNASKED, Outside
from sre_agent.redaction import redact, redact_text
from sre_agent.runbook import Runbooks
from sre_agent.settings import Settings
from sre_agent.store import BrakeState, Store
from sre_agent.store.brake_rows import Episode, Pause, WorkUnderWay
from sre_agent.store.llm_calls import Today
from sre_agent.times import duration_text, moment_text
from sre_agent.tools.registry import actionable
from sre_agent.views import moment_json


@dataclass(frozen=True, kw_only=True, slots=True)
class BrakeStatus:
    """One brake. `on`: it holds changes back now; None where that cannot be known from here.

    `until` is its end, None where nobody knows or it is off.
    """

    name: str
    on: bool | None
    what: str
    until: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelStatus:
    """The language model, and what all processes asked since midnight UTC.

    `name` is None where none is asked; `cost_per_day` None where nothing bounds it.
    """

    name: str | None
    investigates: bool
    today: Today
    tokens_per_day: int
    cost_per_day: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """Everything at one moment. `runbooks_fault` is what is wrong with the user's runbooks as they are now."""

    at: datetime
    mode: str
    cluster: str
    planner: str
    brakes: tuple[BrakeStatus, ...]
    pauses: tuple[Pause, ...]
    work: WorkUnderWay
    llm: ModelStatus
    runbooks_fault: str | None = None

    @property
    def held(self) -> bool:
        """Whether some brake holds back changes everywhere."""
        return any(brake.on for brake in self.brakes)


async def read_status(
    store: Store,
    settings: Settings,
    runbooks: Runbooks,
    *,
    now: datetime,
    fault: str | None = None,
    outside: Outside = UNASKED,
) -> Status:
    """`fault` is why the user's runbooks as they are now are not among `runbooks`. Raises Unreachable."""
    state = await store.brakes.state(
        scope=LIVE_SCOPE, cluster=settings.cluster, limits=limits(settings, actionable(runbooks)), now=now
    )
    episodes = {episode.rule: episode for episode in await store.brakes.episodes(cluster=settings.cluster)}
    look = _Look(state=state, settings=settings, episodes=episodes, outside=outside, now=now)
    return Status(
        at=now,
        mode=settings.agent_mode,
        cluster=settings.cluster,
        planner=settings.planner_name,
        brakes=tuple(brake for said in _BRAKES if (brake := said(look)) is not None),
        pauses=state.pauses,
        work=await store.brakes.work(),
        llm=await _model(store, settings),
        runbooks_fault=fault,
    )


async def _model(store: Store, settings: Settings) -> ModelStatus:
    asked = settings.asks_model
    return ModelStatus(
        name=settings.openai_model if asked else None,
        investigates=asked and settings.investigate,
        today=await store.llm_calls.today(),
        tokens_per_day=settings.llm_tokens_per_day,
        cost_per_day=settings.llm_cost_per_day,
    )


def status_json(status: Status) -> dict[str, Any]:
    """{at, mode, cluster, held, brakes, pauses, queued, running, ...}: what `status --json` prints."""
    work = status.work
    shown: dict[str, Any] = redact(
        {
            "at": moment_json(status.at),
            "mode": status.mode,
            "cluster": status.cluster,
            "planner": status.planner,
            "held": status.held,
            "brakes": [
                {"name": brake.name, "on": brake.on, "what": brake.what, "until": moment_json(brake.until)}
                for brake in status.brakes
            ],
            "pauses": [pause_json(pause) for pause in status.pauses],
            "queued": work.queued,
            "oldest_queued_at": moment_json(work.oldest_queued_at),
            "running": work.running,
            "oldest_running_at": moment_json(work.oldest_started_at),
            "last_alert_at": moment_json(work.last_alert_at),
            "runbooks_fault": status.runbooks_fault,
            "llm": {
                "model": status.llm.name,
                "investigates": status.llm.investigates,
                "calls_today": status.llm.today.calls,
                "tokens_today": status.llm.today.tokens,
                "tokens_per_day": status.llm.tokens_per_day,
                "cost_today": status.llm.today.cost,
                "cost_per_day": status.llm.cost_per_day,
            },
        }
    )
    return shown


def pause_json(pause: Pause) -> dict[str, Any]:
    """{id, since, until, by, reason}."""
    return {
        "id": pause.id,
        "since": moment_json(pause.since),
        "until": moment_json(pause.until),
        "by": pause.by,
        "reason": pause.reason,
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class _Look:
    """What the brakes are told from. `episodes` by rule."""

    state: BrakeState
    settings: Settings
    episodes: Mapping[str, Episode]
    outside: Outside
    now: datetime


def _stop(look: _Look) -> BrakeStatus:
    what = "SRE_AGENT_STOP is on here" if look.settings.stop else "SRE_AGENT_STOP is off here"
    return BrakeStatus(name="kill-switch", on=look.settings.stop, what=what)


def _switch(look: _Look) -> BrakeStatus | None:
    """What cannot be read holds back whoever acts; of others nobody knows from here."""
    switch = look.outside.switch
    if switch is None:
        return None
    on = True if switch.thrown or look.outside.acts else None
    reason = switch.reason
    what = f"the ConfigMap {switch.place} does not stop the agent" if reason is None else reason
    return BrakeStatus(
        name="stop-switch", on=False if reason is None else on, what=f"{redact_text(what)} ({look.outside.place})"
    )


def _alertmanager(look: _Look) -> BrakeStatus | None:
    why = look.outside.alertmanager
    if why is None:
        return None
    if not why:
        url = redact_text(str(look.settings.alertmanager_url))
        return BrakeStatus(name="alertmanager", on=False, what=f"Alertmanager answers at {url}")
    what = f"{why}; without its answer nothing is changed"
    return BrakeStatus(name="alertmanager", on=True if look.outside.acts else None, what=what)


def _pause(look: _Look) -> BrakeStatus:
    if not look.state.pauses:
        return BrakeStatus(name="pause", on=False, what="nobody paused the agent")
    said = "; ".join(map(pause_text, look.state.pauses))
    return BrakeStatus(name="pause", on=True, what=said, until=paused_until(look.state.pauses))


def _storm(look: _Look) -> BrakeStatus:
    window, until = duration_text(look.settings.storm_window), look.state.storm_until
    if until is None or until <= look.now:
        what = f"not more than {look.settings.storm} new incidents began within {window}"
        return BrakeStatus(name="storm", on=False, what=what if look.settings.storm_window else "switched off")
    what = f"more than {look.settings.storm} new incidents began within {window}"
    return BrakeStatus(name="storm", on=True, what=what + _told(look, "storm"), until=until)


def _nodes(look: _Look) -> BrakeStatus:
    """Only who looks at the cluster knows: what the last run that met it said."""
    met = look.episodes.get("nodes-not-ready")
    if met is None or met.seen_at <= look.now - TROUBLE_LOOK - SOON:
        what = f"no run met it within {duration_text(TROUBLE_LOOK)}"
        return BrakeStatus(name="nodes-not-ready", on=False, what=what)
    what = f"met {moment_text(met.seen_at)}: more than {look.settings.nodes_not_ready} % of the nodes"
    return BrakeStatus(name="nodes-not-ready", on=True, what=what + _told(look, "nodes-not-ready"))


def _api(look: _Look) -> BrakeStatus:
    requests, errors = look.state.traffic.requests, look.state.traffic.errors
    on = too_many_errors(look.state, look.settings)
    what = f"{errors} of the last {requests} requests failed"
    few = "" if requests >= LEAST_REQUESTS else ", too few to judge by"
    return BrakeStatus(name="api-errors", on=on, what=what + (_told(look, "api-errors") if on else few))


def _writes(look: _Look) -> BrakeStatus:
    until = writes_until(look.state, look.settings, look.now)
    made = len(writes_counted(look.state, look.now))
    what = f"{made} of {look.settings.writes_per_10m} changes within {duration_text(WRITES_WINDOW)}"
    return BrakeStatus(name="writes", on=until is not None, what=what, until=until)


def _drains(look: _Look) -> BrakeStatus:
    until = drained_until(look.state, look.settings, look.now)
    what = f"{duration_text(look.settings.drain_pause)} between drains"
    return BrakeStatus(name="drain-pause", on=until is not None, what=what, until=until)


def _told(look: _Look, rule: str) -> str:
    """Which incident told a person of a brake that is on."""
    episode = look.episodes.get(rule)
    fresh = episode is not None and episode.seen_at > look.now - CALM
    return f"; incident {episode.incident_id} escalated" if episode is not None and fresh else ""


_BRAKES: tuple[Callable[[_Look], BrakeStatus | None], ...] = (
    _stop,
    _switch,
    _pause,
    _storm,
    _nodes,
    _api,
    _writes,
    _drains,
    _alertmanager,
)
"""Each in its place; None from one that is not configured."""
