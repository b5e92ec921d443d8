"""Guard 7: how much at once. Brakes are shared by all processes on one database, each scope by itself.

The same rules are asked once more, in the database, when an intent is committed (`sql/migrations/0013_brakes.sql`).
Each of them passes by itself, so each says when to look again. Failed writes changed nothing and do not count.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from sre_agent.facts import OPEN_MARGIN, WRITES_WINDOW, Facts
from sre_agent.run import Change, Judgement, Tells, refusal
from sre_agent.store import Braked, Pause, RecentWrite
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

_TELLS = {"storm": Tells.ONCE, "writes": Tells.ONCE, "cooldown": Tells.EACH, "daily-cap": Tells.EACH}
"""How the rules that an intent meets are told; the others pass within minutes, or a person wanted them."""


def known(facts: Facts, change: Change) -> Judgement | None:
    """Without knowing what the others do, nothing is done."""
    if facts.brakes is not None:
        return None
    return refusal("brakes", "what brakes rest on could not be read", "the right to read the agent's own tables")


def pause(facts: Facts, change: Change) -> Judgement | None:
    """A person stopped every live change; every reason is told."""
    standing = () if facts.brakes is None else facts.brakes.pauses
    if not standing:
        return None
    ends = [entry.until for entry in standing]
    until = None if None in ends else max(end for end in ends if end is not None)
    return refusal(
        "pause",
        "; ".join(map(pause_text, standing)),
        "sre-agent resume" if until is None else f"sre-agent resume, or waiting until {moment_text(until)}",
        retry_at=until or facts.now + PAUSE_LOOK,
        tells=Tells.NOBODY,
    )


def pause_text(entry: Pause) -> str:
    """`paused by kim since 2026-03-14 03:00:00 UTC: database upgrade`."""
    return f"paused by {entry.by} since {moment_text(entry.since)}" + (f": {entry.reason}" if entry.reason else "")


def storm(facts: Facts, change: Change) -> Judgement | None:
    """More than SRE_AGENT_STORM new incidents within SRE_AGENT_STORM_WINDOW have one cause, and it is not here."""
    until = None if facts.brakes is None else facts.brakes.storm_until
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
    if facts.brakes is None:
        return None
    requests, errors = facts.brakes.traffic.requests, facts.brakes.traffic.errors
    limit = facts.settings.api_errors
    if requests < LEAST_REQUESTS or errors * 100 <= limit * requests:
        return None
    return _troubled(
        facts,
        "api-errors",
        f"{errors} of the agent's last {requests} requests to the API server failed, more than {limit} %",
        f"an API server that answers all but {limit} %",
    )


def _troubled(facts: Facts, rule: str, reason: str, allowed_by: str) -> Judgement:
    look = facts.now + TROUBLE_LOOK
    return refusal(rule, reason, f"{allowed_by}; looking again {moment_text(look)}", retry_at=look, tells=Tells.ONCE)


def writes(facts: Facts, change: Change) -> Judgement | None:
    """At most SRE_AGENT_WRITES_PER_10M writes of all runs within ten minutes; a drain is one."""
    newest: dict[tuple[object, str, str], datetime] = {}
    for write in _within(facts, WRITES_WINDOW):
        newest.setdefault((write.run_id, write.tool, write.target_key), write.intended_at)
    cap, moments = facts.settings.writes_per_10m, sorted(newest.values(), reverse=True)
    if len(moments) < cap:
        return None
    free_at = moments[cap - 1] + WRITES_WINDOW
    return refusal(
        "writes",
        f"{len(moments)} changes were made within {duration_text(WRITES_WINDOW)}; {cap} are allowed",
        f"waiting until {moment_text(free_at)}",
        retry_at=free_at,
        tells=Tells.ONCE,
    )


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
    length = facts.settings.drain_pause
    last = max((w.finished_at or w.intended_at for w in _writes(facts) if w.tool == DRAIN), default=None)
    if change.tool != DRAIN or last is None or facts.now - last >= length:
        return None
    return refusal(
        "drain-pause",
        f"a node was drained {moment_text(last)}, less than {duration_text(length)} ago",
        f"waiting until {moment_text(last + length)}",
        retry_at=last + length,
        tells=Tells.NOBODY,
    )


def refused(braked: Braked, now: datetime) -> Judgement:
    """The judgement about a change that met a brake on its way, after every guard had let it pass."""
    look = braked.retry_at or now + (PAUSE_LOOK if braked.rule == "pause" else SOON)
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
    return (write for write in _within(facts, limit) if write.open)


def _within(facts: Facts, window: timedelta) -> Iterator[RecentWrite]:
    return (write for write in _writes(facts) if facts.now - write.intended_at < window)


def _writes(facts: Facts) -> tuple[RecentWrite, ...]:
    return () if facts.brakes is None else facts.brakes.writes
