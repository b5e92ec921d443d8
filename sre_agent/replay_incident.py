"""A stored incident once more: on the evidence that its run kept, with today's runbooks, and what is different.

Called by `sre-agent replay --incident`. It is a replay like any other: its own scope, no live incident joined, closed
or counted, nothing sent to any cluster. Settings, clock and past actions are those of the run, so that what differs
comes from the runbooks, the mode asked for, or the program.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

from sre_agent.agent import Agent, open_agent
from sre_agent.alert import Payload
from sre_agent.decision import Difference, decision, differences
from sre_agent.errors import BadInput
from sre_agent.incident import Origin
from sre_agent.kept_evidence import StoredRun, read_back
from sre_agent.parts import Part
from sre_agent.replay import for_recordings, play
from sre_agent.run import Mode, RunRecord, Skipped
from sre_agent.runbook import Runbooks
from sre_agent.settings import Settings
from sre_agent.store.evidence import KeptEvidence


@dataclass(frozen=True, kw_only=True, slots=True)
class Replayed:
    """The stored run, the new one (or why there is none), and in what the second decided otherwise."""

    stored: StoredRun
    result: RunRecord | Skipped
    differences: Sequence[Difference]


async def replay_incident(incident_id: int, *, settings: Settings, runbooks: Runbooks, mode: Mode | None) -> Replayed:
    """Plays the incident's last run that left evidence; `mode` None is the mode of that run.

    Raises BadInput where there is no such incident or no evidence of it, Unreachable where the store is away.
    """
    async with open_agent(settings, runbooks=runbooks) as agent:
        incident = await agent.store.book.find(incident_id)
        today = settings if incident.origin is Origin.LIVE else for_recordings(settings)
        stored = read_back(await _evidence(agent, incident_id), today)
        part = part_of(stored)
        scope, chosen = str(uuid4()), mode or stored.mode
        (result,) = [result async for result in play(part, agent, stored.cluster, scope, chosen)]
    return Replayed(stored=stored, result=result, differences=_differences(stored, result, runbooks))


async def _evidence(agent: Agent, incident_id: int) -> KeptEvidence:
    """Raises BadInput: nothing kept, in words."""
    kept = await agent.store.evidence.newest(incident_id)
    if kept is not None:
        return kept
    runs = await agent.store.evidence.runs_by_status(incident_id)
    states = ", ".join(f"{count} {status}" for status, count in runs.items()) or "no run"
    raise BadInput(
        f"incident {incident_id} ({states}) has no evidence to replay: it is kept when a run ends, unless "
        "SRE_AGENT_EVIDENCE_BYTES is 0 or the run was made by an earlier version, until it is pruned"
    )


def part_of(stored: StoredRun) -> Part:
    """The stored run as something that can be played."""
    payload = Payload(
        alerts=(stored.alert,),
        rejected=(),
        truncated_alerts=0,
        receiver="",
        external_url="",
        group_key=stored.alert.group_key,
    )
    return Part(
        source=f"incident {stored.incident_id}",
        group="",
        payload=payload,
        cluster=stored.cluster,
        now=stored.moments[0],
        clock=stored.clock(),
        settings=stored.settings,
        past=stored.past,
        standing=stored.standing,
        brakes=stored.brakes(),
    )


def _differences(stored: StoredRun, result: RunRecord | Skipped, runbooks: Runbooks) -> list[Difference]:
    if isinstance(result, Skipped):
        return [Difference(what="run", before=stored.decision.get("status"), now=f"none: {result.reason}")]
    now = decision(result, runbook_sha256=runbooks[result.runbook_id].sha256)
    return differences(stored.decision, now)
