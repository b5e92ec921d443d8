"""Random histories whose truth is known: made from a seed, played through the real store, summed up independently.

The sums here are naive on purpose: they go over a list of what was played, and share nothing with the package.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from sre_agent.event import Event, Final, FinalState, IntentRecorded, OutcomeRecorded, StepTaken, WebhookReceived
from sre_agent.incident import Incident, Origin
from sre_agent.run import Outcome, RunStatus
from sre_agent.store import NewAction, NewIncident, Problem, Store
from sre_agent.store.history_rows import Surroundings
from tests.store.store_builders import UNLIMITED

LIMITS = ("128Mi", "256Mi", "512Mi", "1Gi", "2Gi", "4Gi")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@dataclass(kw_only=True)
class Played:
    """One incident as it was played; `id` and `opening` are what the store gave it."""

    alertname: str
    at: datetime
    node: str | None
    workload: str | None
    pod: str | None
    deployed_at: datetime | None = None
    found: str | None = None
    raised: tuple[str, str] | None = None
    tool: str | None = None
    recommended: bool = False
    id: int = 0
    events: tuple[int, ...] = ()

    @property
    def acted_at(self) -> datetime:
        return self.at + MINUTE


@dataclass(kw_only=True)
class History:
    """Incidents on one subject, oldest first; `others` are incidents that must not be counted as occurrences."""

    number: int
    namespace: str
    incidents: list[Played] = field(default_factory=list)
    others: list[Played] = field(default_factory=list)

    @property
    def cluster(self) -> str:
        """Its own, so that the totals of an alert name are known, too."""
        return f"prod-{self.number}"

    @property
    def last(self) -> Played:
        return self.incidents[-1]


def make(seed: int) -> History:
    """A history of one to nine occurrences, with all that may happen between them."""
    random = Random(seed)
    history = History(number=seed, namespace=f"team-{seed}")
    about = random.choice(["workload", "workload", "workload", "node"])
    alertname = "KubeNodeNotReady" if about == "node" else random.choice(["KubePodOOMKilled", "KubePodCrashLooping"])
    nodes = [f"worker-{seed}-{n}" for n in range(random.choice([1, 1, 3]))]
    style = random.choice(["raise", "raise", "delete", "recommend", "mixed"])
    deploys = random.choice(["none", "short", "mixed"])
    undoes = random.random() < 0.3
    limit = random.choice(LIMITS[:2])
    moment = datetime(2026, random.randint(1, 6), random.randint(1, 28), random.randrange(24), 17, tzinfo=UTC)
    rhythm = random.choice(["burst", "days", "daily", "weekly", "any"])
    for _ in range(random.randint(1, 9)):
        found = limit
        played = Played(
            alertname=alertname,
            at=moment,
            node=random.choice(nodes) if about == "workload" else nodes[0],
            workload="Deployment/app" if about == "workload" else None,
            pod=f"app-{seed}-{random.randrange(16**6):06x}" if about == "workload" else None,
        )
        if about == "workload":
            played.found = found
            played.deployed_at = _deployed(random, deploys, moment)
            limit = _act(random, played, style, limit)
            if undoes and played.raised and random.random() < 0.6:
                limit = random.choice([found, "700Mi"])
        elif random.random() < 0.6:
            played.tool = "cordon_node"
        history.incidents.append(played)
        moment += _gap(random, rhythm)
    _add_others(random, history, about)
    return history


def _act(random: Random, played: Played, style: str, limit: str) -> str:
    """What the agent did; returns the limit afterwards."""
    chosen = random.choice(["raise", "delete", "recommend", "nothing"]) if style == "mixed" else style
    if chosen == "raise" and limit in LIMITS[:-1]:
        after = LIMITS[LIMITS.index(limit) + 1]
        played.raised, played.tool = (limit, after), "increase_memory_limit"
        return after
    if chosen == "delete":
        played.tool = "delete_pod"
    played.recommended = chosen == "recommend"
    if played.recommended and limit in LIMITS[:-1] and random.random() < 0.7:
        return LIMITS[LIMITS.index(limit) + 1]  # a person followed the recommendation
    return limit


def _deployed(random: Random, deploys: str, moment: datetime) -> datetime | None:
    chosen = random.choice(["none", "short", "long"]) if deploys == "mixed" else deploys
    if chosen == "none":
        return None
    return moment - (random.randint(7, 59) * MINUTE if chosen == "short" else random.randint(62, 4000) * MINUTE)


def _gap(random: Random, rhythm: str) -> timedelta:
    chosen = random.choice(["burst", "days", "daily", "weekly"]) if rhythm == "any" else rhythm
    return {
        "burst": random.randint(40, 300) * MINUTE,
        "days": random.randint(1200, 9000) * MINUTE,
        "daily": DAY + random.randint(-20, 20) * MINUTE,
        "weekly": 7 * DAY + random.randint(-300, 300) * MINUTE,
    }[chosen]


def _add_others(random: Random, history: History, about: str) -> None:
    """Neighbours on the node, near and far in time, and the same alert on another workload of the namespace."""
    last = history.last
    for number in range(random.randint(0, 6)):
        at = last.at - random.choice([random.randint(1, 1400) * MINUTE, random.randint(1500, 9000) * MINUTE])
        other = Played(
            alertname="KubePodCrashLooping",
            at=at,
            node=random.choice([last.node, f"worker-{history.number}-x"]),
            workload=f"Deployment/other-{number}",
            pod=f"other-{history.number}-{number}",
        )
        history.others.append(other)
    if about == "workload" and random.random() < 0.5:
        history.others.append(
            Played(alertname=last.alertname, at=last.at - HOUR, node=None, workload="Deployment/app-2", pod="app-2-x")
        )


async def play(store: Store, history: History) -> Incident:
    """Stores a history, each incident resolved before the next, and returns the last one of its subject."""
    for played in sorted([*history.others, *history.incidents], key=lambda played: played.at):
        await _play(store, history, played)
    await _read_events(store, [*history.others, *history.incidents])
    found = await store.incident(history.last.id)
    assert found is not None
    return found


async def _read_events(store: Store, incidents: list[Played]) -> None:
    """The ids of all their events, in one question."""
    by_id = {played.id: played for played in incidents}
    async with store.database.pool.connection() as connection:
        found = await connection.execute(
            "select incident_id, array_agg(id order by id) as ids from incident_events"
            " where incident_id = any(%s) group by incident_id",
            (list(by_id),),
        )
        for row in await found.fetchall():
            by_id[row["incident_id"]].events = tuple(row["ids"])


async def _play(store: Store, history: History, played: Played) -> None:
    problem = Problem(
        origin=Origin.LIVE,
        scope="live",
        cluster=history.cluster,
        dedup_key=f"{played.alertname}:{history.number}:{played.pod or played.node}",
    )
    receipt = await store.receive(
        NewIncident(
            problem=problem,
            fingerprint=f"{history.number:016x}",
            alertname=played.alertname,
            namespace=history.namespace if played.pod else None,
            pod=played.pod,
            container="app" if played.pod else None,
            node=None if played.pod else played.node,
            workload=None,
            severity="warning",
            runbook_id="RB_OOM",
            mode="auto",
            runbook_sha256="0" * 64,
            labels={"alertname": played.alertname},
            annotations={"summary": "Container was OOMKilled."},
            starts_at=played.at - 2 * MINUTE,
        ),
        Event(payload=_webhook(history, played)),
        now=played.at,
        cooldown=30 * MINUTE,
    )
    assert receipt.run_id is not None
    played.id = receipt.incident_id
    run = await store.start_run(receipt.run_id, now=played.at)
    action = _action(history, played)
    if played.tool and action:
        action_id = await store.record_intent(
            run,
            NewAction(
                tool=played.tool,
                action=action,
                target_key=f"Deployment/{history.namespace}/app",
                value=played.raised[1] if played.raised else None,
                body={},
                near_limit=False,
            ),
            [_intent(played, action)],
            scope="live",
            cluster=history.cluster,
            limits=UNLIMITED,
            now=played.acted_at,
        )
        done = OutcomeRecorded(action_id=action_id, outcome="done", detail=None, writes=[])
        await store.record_outcome(run, action_id, Outcome.DONE, None, [Event(payload=done)], now=played.acted_at)
    advice = f"delete_pod:{history.namespace}/{played.pod}" if played.recommended else None
    await store.finish_run(
        run,
        status=RunStatus.SUCCEEDED,
        action_taken=action,
        action_recommended=advice,
        action_error=None,
        summary=None,
        workload=played.workload,
        node=None,
        retry_at=None,
        events=[_step(played, action or advice), _final(action, advice)],
        now=played.acted_at,
    )
    await store.history.note(
        played.id,
        Surroundings(
            node=played.node,
            template_changed_at=played.deployed_at,
            found_field=f"patch_memory_limit:{history.namespace}/app/app" if played.found else None,
            found_value=played.found,
            found_at=played.at if played.found else None,
        ),
    )
    if played is not history.last:
        await store.resolve(problem, now=played.at + 20 * MINUTE, by="alertmanager", reason="over")


def _action(history: History, played: Played) -> str | None:
    if played.raised:
        return f"patch_memory_limit:{history.namespace}/app/app:{'→'.join(played.raised)}"
    if played.tool == "delete_pod":
        return f"delete_pod:{history.namespace}/{played.pod}"
    return f"cordon_node:{played.node}" if played.tool else None


def _webhook(history: History, played: Played) -> WebhookReceived:
    return WebhookReceived(
        labels={"alertname": played.alertname},
        annotations={"summary": "Container was OOMKilled."},
        cluster=history.cluster,
        startsAt=None,
        fingerprint="0",
    )


def _intent(played: Played, action: str) -> Event:
    value = played.raised[1] if played.raised else None
    return Event(
        payload=IntentRecorded(
            action_id=0, tool=str(played.tool), action=action, target="", value=value, writes=[], undo=[]
        )
    )


def _step(played: Played, action: str | None) -> Event:
    result: dict[str, Any] = {"limit_before": played.found, "reasons": ["container app was OOMKilled"]}
    if action:
        result |= {"action": action, "diff": [], "notes": [], "kubectl": "kubectl get pods"}
    return Event(
        payload=StepTaken(
            step="increase_memory_limit",
            tool="increase_memory_limit",
            status="proposed" if played.recommended else "done" if action else "refused",
            reason=None if action else "the limit is at the cap",
            gate=None,
            arguments=None,
            result=result if played.pod else None,
            judgements=[],
        )
    )


def _final(action: str | None, advice: str | None) -> Event:
    state = FinalState(action_taken=action, action_recommended=advice, action_error=None, rb_steps=[], llm_trace=[])
    return Event(payload=Final(runbook_id="RB_OOM", state=state))
