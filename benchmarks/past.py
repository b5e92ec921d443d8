"""A past of any length for the benchmarks, by COPY: incidents with a run, perhaps an action, and five chained events.

Called by `million.py`. Every row is made from its number alone, so each call makes the same past. It ends at END and
spans three years; the busiest of 20,000 workloads has one incident in 140, the median incident's
workload one in 20,000.
"""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg

END = datetime(2026, 11, 23, tzinfo=UTC)
SPAN = timedelta(days=3 * 365)
OPEN = 300
"""So many of the newest incidents are open."""
NODES, NAMESPACES, WORKLOADS = 500, 120, 20_000
ACTED, REPLAYED = 0.4, 0.02
AT_ONCE = 20_000
ALERTS = {
    "KubePodOOMKilled": ("RB_OOM", "warning", 30),
    "KubePodCrashLoopBackOff": ("RB_CRASHLOOP", "warning", 30),
    "KubePodImagePullBackOff": ("RB_IMAGEPULL", "warning", 20),
    "KubePodMemoryNearLimit": ("RB_OOM", "warning", 14),
    "KubeNodeNotReady": ("RB_NODE_NOTREADY", "critical", 4),
    "KubeNodeUnschedulable": ("RB_NODE_UNSCHEDULABLE", "warning", 2),
}
TABLES = {
    "incidents": """id, origin, scope, cluster, fingerprint, dedup_key, alertname, namespace, pod, container, node,
        workload, severity, runbook_id, status, agent_mode, summary, action_taken, labels, annotations, starts_at,
        latest_starts_at, created_at, updated_at, resolved_at, resolved_by, last_seq, last_hash""",
    "runs": "id, incident_id, runbook_id, runbook_sha256, mode, status, attempt, queued_at, started_at, finished_at",
    "actions": """incident_id, run_id, attempt, scope, cluster, tool, action, target_key, value, body, near_limit,
        status, intended_at, finished_at""",
    "incident_events": "id, incident_id, run_id, seq, ts, event_type, payload, prev_hash, hash",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Happening:
    """One incident, decided by its number."""

    number: int
    alertname: str
    namespace: str | None
    pod: str | None
    node: str
    workload: str | None
    acted: bool
    replayed: bool
    resolved: bool
    created: datetime
    updated: datetime

    @property
    def runbook(self) -> str:
        return ALERTS[self.alertname][0]

    @property
    def run_id(self) -> UUID:
        return UUID(int=(self.number << 64) | 4)

    @property
    def scope(self) -> str:
        return f"replay-{self.number}" if self.replayed else "live"

    @property
    def action(self) -> str:
        if self.workload is None:
            return f"cordon_node:{self.node}"
        return f"patch_memory_limit:{self.namespace}/{self.workload.partition('/')[2]}/app:256Mi→512Mi"


def fill(conninfo: str, incidents: int) -> None:
    """Fills an empty database, past its triggers. Indexes are made afterwards, as after a restore."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("set session_replication_role = replica; set maintenance_work_mem = '512MB'")
        indexes = connection.execute(
            "select indexrelid::regclass::text, pg_get_indexdef(indexrelid) from pg_index"
            " where indrelid in ('incidents'::regclass, 'actions'::regclass) and not indisprimary"
            " and not exists (select from pg_constraint where conindid = indexrelid)"
        ).fetchall()
        for name, _ in indexes:
            connection.execute(f"drop index {name}")
        for first in range(1, incidents + 1, AT_ONCE):
            made: dict[str, list[str]] = {name: [] for name in TABLES}
            for number in range(first, min(first + AT_ONCE, incidents + 1)):
                write(happening(number, incidents), made)
            for name, columns in TABLES.items():
                with connection.cursor().copy(f"copy {name} ({columns}) from stdin") as copy:
                    copy.write("".join(made[name]))
        connection.execute("insert into incident_ledger (incident_id) select id from incidents")
        connection.execute(
            "insert into alert_counts select origin, cluster, alertname, count(*), min(created_at), max(created_at)"
            " from incidents group by 1, 2, 3"
        )
        for table in ("incidents", "incident_events"):
            connection.execute(f"select setval('{table}_id_seq', (select max(id) from {table}))")
        for _, definition in indexes:
            connection.execute(definition)
        connection.execute("vacuum (analyze)")


def happening(number: int, incidents: int) -> Happening:
    dice = random.Random(number)
    alertname = dice.choices(list(ALERTS), [weight for _, _, weight in ALERTS.values()])[0]
    created = END - SPAN * ((incidents - number + 1) / incidents)
    service = int(WORKLOADS * dice.random() ** 2)
    about_node = alertname.startswith("KubeNode")
    return Happening(
        number=number,
        alertname=alertname,
        namespace=None if about_node else f"team-{service % NAMESPACES}",
        pod=None if about_node else f"service-{service}-{dice.getrandbits(36):x}-{dice.getrandbits(20):05x}",
        node=f"worker-{dice.randrange(NODES)}",
        workload=None if about_node else f"Deployment/service-{service}",
        acted=dice.random() < ACTED,
        replayed=dice.random() < REPLAYED,
        resolved=number <= incidents - OPEN,
        created=created,
        updated=created + timedelta(minutes=dice.randrange(2, 600)),
    )


def write(it: Happening, made: dict[str, list[str]]) -> None:
    """The rows of one incident as lines of COPY."""
    said, ended = it.alertname, it.updated
    head, seq = None, 0
    for seq, (event_type, run_id, payload) in enumerate(events(it), start=1):
        ts = it.created + timedelta(seconds=seq)
        values = [it.number, seq, run_id, ts, event_type, payload, head]
        hashed = event_hash(*values)
        made["incident_events"].append(
            line(it.number * 5 + seq, it.number, run_id, seq, ts, event_type, payload, bytea(head), bytea(hashed))
        )
        head = hashed
    made["incidents"].append(
        line(
            *(it.number, "replay" if it.replayed else "live", it.scope, "prod", f"{it.number:016x}"),
            *(f"{said}:{it.number}", said, it.namespace, it.pod, it.pod and "app", it.node, it.workload),
            *(ALERTS[said][1], it.runbook, "resolved" if it.resolved else "open", "auto"),
            f"{it.runbook}: done {it.action}" if it.acted else f"{it.runbook}: nothing done; the symptom is gone",
            *(it.action if it.acted else None, f'{{"alertname": "{said}"}}', "{}", it.created, it.created),
            *(it.created, ended, ended if it.resolved else None, "alertmanager" if it.resolved else None),
            *(seq, bytea(head)),
        )
    )
    made["runs"].append(
        line(it.run_id, it.number, it.runbook, "0" * 64, "auto", "succeeded", 1, it.created, it.created, ended)
    )
    if it.acted:
        tool, value = ("cordon_node", None) if it.workload is None else ("increase_memory_limit", "512Mi")
        made["actions"].append(
            line(
                *(it.number, it.run_id, 1, it.scope, "prod", tool, it.action, it.workload or f"Node/{it.node}", value),
                *('{"undo": [], "writes": []}', "f", "done", it.created, ended),
            )
        )


def events(it: Happening) -> Iterator[tuple[str, UUID | None, str]]:
    """(type, run, payload as jsonb prints it) of each event, in order."""
    yield (
        "webhook_received",
        None,
        f'{{"labels": {{"alertname": "{it.alertname}"}}, "cluster": "prod", "startsAt": null, "annotations": {{}}, '
        f'"fingerprint": "{it.number:016x}"}}',
    )
    yield (
        "step",
        it.run_id,
        '{"gate": null, "step": "check_oom", "tool": "check_oom", "reason": null, "result": {"reasons": ["OOMKilled"], '
        '"container": "app", "oom_detected": true}, '
        f'"status": "done", "arguments": {{"pod": "{it.pod}"}}, "judgements": []}}',
    )
    yield "outcome", it.run_id, f'{{"detail": null, "writes": [], "outcome": "done", "action_id": {it.number}}}'
    yield (
        "final",
        it.run_id,
        '{"state": {"rb_steps": [], "llm_trace": [], "action_error": null, "action_taken": null, '
        f'"action_recommended": null}}, "runbook_id": "{it.runbook}"}}',
    )
    written = "word " * 80
    yield (
        "analysis",
        it.run_id,
        f'{{"runbook_id": "{it.runbook}", "regenerated": false, "analysis_markdown": "{written}"}}',
    )


def event_hash(
    incident: int, seq: int, run_id: UUID | None, ts: datetime, event_type: str, payload: str, before: str | None
) -> str:
    """The hash that migration 0003 defines."""
    run, previous = quoted(run_id), quoted(before)
    text = f'[{incident}, {seq}, {run}, "{ts:%Y-%m-%dT%H:%M:%S.%fZ}", "{event_type}", {payload}, {previous}]'
    return hashlib.sha256(text.encode()).hexdigest()


def quoted(value: Any) -> str:
    return "null" if value is None else f'"{value}"'


def bytea(digits: str | None) -> str | None:
    """As COPY reads it, which takes a backslash for itself."""
    return None if digits is None else f"\\\\x{digits}"


def line(*values: Any) -> str:
    return "\t".join("\\N" if value is None else str(value) for value in values) + "\n"
