"""Guard 7: how much at once. Brakes are shared by all processes on one database, each scope by itself.

The same rules are asked once more, in the database, when an intent is committed (`sql/migrations/0013_brakes.sql`).
Each of them passes by itself, so each says when to look again. Failed writes changed nothing and do not count.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from sre_agent.facts import OPEN_MARGIN, WRITES_WINDOW, Facts
from sre_agent.run import Change, Judgement, Tells, refusal
from sre_agent.settings import Settings
from sre_agent.stop_switch import RULE as STOP_SWITCH
from sre_agent.store import Braked, BrakeState, Pause, RecentWrite
from sre_agent.store.brakes import OVER
from sre_agent.times import duration_text, moment_text
from sre_agent.tools.node_state import readiness

DRAIN = "drain_node"
SOON = timedelta(minutes=1)
"""When to look again where another run is at work and nobody knows when it will be done."""
PAUSE_LOOK = timedelta(minutes=30)
"""When to look again during a pause without an end."""
TROUBLE_LOOK = timedelta(minutes=5)
"""When to look again at a cluster in trouble: how long it must be calm."""
CALM = timedelta(minutes=15)
"""A brake of the whole cluster that no run met for so long is told anew: longer than the pause between two looks."""
LEAST_REQUESTS = 20
"""With fewer requests a share says nothing."""

_BY_A_PERSON = frozenset({"pause", STOP_SWITCH})
_TELLS = {"storm": Tells.ONCE, "writes": Tells.ONCE, "cooldown": Tells.EACH, "daily-cap": Tells.EACH}
"""How the rules that an intent meets are told; the others pass within minutes, or a person wanted them."""


def known(facts: Facts, change: Change) -> Judgement | None:
    """Without knowing what the others do, nothing is done."""
    if facts.brakes is not None:
        return None
    return refusal("brakes", "what brakes rest on could not be read", "the right to read the agent's own tables")


def pause(facts: Facts, change: Change) -> Judgement | None:
    """A person stopped every live change; every reason is told."""
    standing = _state(facts).pauses
    if not standing:
        return None
    until = paused_until(standing)
    return refusal(
        "pause",
        "; ".join(map(pause_text, standing)),
        "sre-agent resume" if until is None else f"sre-agent resume, or waiting until {moment_text(until)}",
        retry_at=until or facts.now + PAUSE_LOOK,
        tells=Tells.NOBODY,
    )


def paused_until(standing: Sequence[Pause]) -> datetime | None:
    """When the last of some pauses ends, None where one has no end."""
    ends = [entry.until for entry in standing if entry.until is not None]
    return max(ends) if len(ends) == len(standing) else None


def pause_text(entry: Pause) -> str:
    """`paused by kim since 2026-03-14 03:00:00 UTC: database upgrade`."""
    return f"paused by {entry.by} since {moment_text(entry.since)}" + (f": {entry.reason}" if entry.reason else "")


def storm(facts: Facts, change: Change) -> Judgement | None:
    """More than SRE_AGENT_STORM new incidents within SRE_AGENT_STORM_WINDOW have one cause, and it is not here."""
    until = _state(facts).storm_until
    if until is None or until <= facts.now:
        return None
    window = duration_text(facts.settings.storm_window)
    return refusal(
        "storm",
        f"a storm: more than {facts.settings.storm} incidents that something could be done about began within {window}",
        f"a calm of {window}, on {moment_text(until)} at the earliest; look for the one cause first",
        retry_at=until,
        tells=Tells.ONCE,
    )


def nodes_not_ready(facts: Facts, change: Change) -> Judgement | None:
    """With more than SRE_AGENT_NODES_NOT_READY percent of the nodes not Ready, the control plane is in trouble."""
    if facts.nodes is None:
        return _troubled(facts, "nodes-not-ready", "the nodes of the cluster could not be read", "reading the nodes")
    total, limit = len(facts.nodes), facts.settings.nodes_not_ready
    down = sum(not readiness(node).ready for node in facts.nodes)
    if down * 100 <= limit * total:
        return None
    return _troubled(
        facts,
        "nodes-not-ready",
        f"{down} of {total} nodes are not Ready, more than {limit} %: that is the control plane or the network, "
        "not the nodes",
        f"at most {limit} % of the nodes not Ready",
    )


def api_errors(facts: Facts, change: Change) -> Judgement | None:
    """With more than SRE_AGENT_API_ERRORS percent of the agent's own requests failing, what it sees is not sure."""
    state, limit = _state(facts), facts.settings.api_errors
    if not too_many_errors(state, facts.settings):
        return None
    return _troubled(
        facts,
        "api-errors",
        f"{state.traffic.errors} of the agent's last {state.traffic.requests} requests to the API server failed, "
        f"more than {limit} %",
        f"an API server that answers all but {limit} %",
    )


def too_many_errors(state: BrakeState, settings: Settings) -> bool:
    requests, errors = state.traffic.requests, state.traffic.errors
    return requests >= LEAST_REQUESTS and errors * 100 > settings.api_errors * requests


def _troubled(facts: Facts, rule: str, reason: str, allowed_by: str) -> Judgement:
    look = facts.now + TROUBLE_LOOK
    return refusal(rule, reason, f"{allowed_by}; looking again {moment_text(look)}", retry_at=look, tells=Tells.ONCE)


def writes(facts: Facts, change: Change) -> Judgement | None:
    """At most SRE_AGENT_WRITES_PER_10M writes of all runs within ten minutes; a drain is one."""
    free_at = writes_until(_state(facts), facts.settings, facts.now)
    if free_at is None:
        return None
    made, window = len(writes_counted(_state(facts), facts.now)), duration_text(WRITES_WINDOW)
    return refusal(
        "writes",
        f"{made} changes were made within {window}; {facts.settings.writes_per_10m} are allowed",
        f"waiting until {moment_text(free_at)}",
        retry_at=free_at,
        tells=Tells.ONCE,
    )


def writes_counted(state: BrakeState, now: datetime) -> list[datetime]:
    """When the writes that count were made, newest first. What a run does again with one target is one write."""
    newest: dict[tuple[object, str, str], datetime] = {}
    for write in state.writes:
        if now - write.intended_at < WRITES_WINDOW:
            key = (write.run_id, write.tool, write.target_key)
            newest[key] = max(write.intended_at, newest.get(key, write.intended_at))
    return sorted(newest.values(), reverse=True)


def writes_until(state: BrakeState, settings: Settings, now: datetime) -> datetime | None:
    """When another write will be allowed, None where one is."""
    made, cap = writes_counted(state, now), settings.writes_per_10m
    return None if len(made) < cap else made[cap - 1] + WRITES_WINDOW


def target_busy(facts: Facts, change: Change) -> Judgement | None:
    """One writer for each target."""
    return _busy(facts, "target-busy", "this target", [w for w in _open(facts) if w.target_key == change.target.key])


def namespace_busy(facts: Facts, change: Change) -> Judgement | None:
    """One write at once in a namespace. A node has none."""
    space = change.target.namespace
    if space is None:
        return None
    there = [w for w in _open(facts) if w.namespace == space and w.target_key != change.target.key]
    return _busy(facts, "namespace-busy", f"namespace {space}", there)


def one_drain(facts: Facts, change: Change) -> Judgement | None:
    """One drain at a time in the whole cluster."""
    if change.tool != DRAIN:
        return None
    draining = [w for w in _open(facts) if w.tool == DRAIN and w.target_key != change.target.key]
    return _busy(facts, "drain-busy", "another node", draining)


def drain_pause(facts: Facts, change: Change) -> Judgement | None:
    """SRE_AGENT_DRAIN_PAUSE from the end of one drain to the next one."""
    until = drained_until(_state(facts), facts.settings, facts.now)
    if change.tool != DRAIN or until is None:
        return None
    length = facts.settings.drain_pause
    return refusal(
        "drain-pause",
        f"a node was drained {moment_text(until - length)}, less than {duration_text(length)} ago",
        f"waiting until {moment_text(until)}",
        retry_at=until,
        tells=Tells.NOBODY,
    )


def drained_until(state: BrakeState, settings: Settings, now: datetime) -> datetime | None:
    """When the pause after the last drain ends, None where it has."""
    last = max((write.finished_at or write.intended_at for write in state.writes if write.tool == DRAIN), default=None)
    ends = None if last is None else last + settings.drain_pause
    return ends if ends is not None and ends > now else None


def refused(braked: Braked, now: datetime, *, rest: timedelta = timedelta(0)) -> Judgement:
    """The judgement about a change that met a brake on its way, after every guard had let it pass.

    `rest` is how long other guards will let nothing more be done after the part of it that was done.
    """
    if braked.rule == OVER:
        return refusal(OVER, braked.reason, "a new firing notification", settled=True)
    look = braked.retry_at or now + (PAUSE_LOOK if braked.rule in _BY_A_PERSON else SOON)
    look = max(look, now + rest)
    return refusal(
        braked.rule,
        braked.reason,
        f"waiting until {moment_text(look)}",
        retry_at=look,
        tells=_TELLS.get(braked.rule, Tells.NOBODY),
    )


def _busy(facts: Facts, rule: str, where: str, others: list[RecentWrite]) -> Judgement | None:
    if not others:
        return None
    other = others[0]
    look = facts.now + SOON
    return refusal(
        rule,
        f"{where} is being changed by another run ({other.tool} on {other.target_key} "
        f"since {moment_text(other.intended_at)})",
        f"its end; looking again {moment_text(look)}",
        retry_at=look,
        tells=Tells.NOBODY,
    )


def _open(facts: Facts) -> Iterator[RecentWrite]:
    """Writes under way. One without an outcome after so long was cut off, and its process sends nothing more."""
    limit = facts.settings.drain_timeout + OPEN_MARGIN
    return (write for write in _state(facts).writes if write.open and facts.now - write.intended_at < limit)


def _state(facts: Facts) -> BrakeState:
    return facts.brakes or BrakeState()
