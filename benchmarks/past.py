"""A past of any length for the benchmarks, by COPY: incidents with a run, perhaps an action, and five chained events.

Called by `million.py`. Every row is made from its number alone, so each call makes the same past. It ends at END and
spans three years. Some subjects are far busier than others: of 20,000 workloads the busiest has one incident in 150
and the median incident's one in 11,000; of 500 nodes the busiest has one in 370 as the subject of the alert, one
in 24 as the place of a pod; alerts about neither share one problem. Of 100,000 incidents one is another cluster's.
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
ACTED, REPLAYED, ELSEWHERE = 0.4, 0.02, 0.000_01
DEPLOYED = 0.1
"""So many incidents began within the hour after a change of the pod template."""
LIMITS = ("128Mi", "256Mi", "512Mi")
AT_ONCE = 20_000
ALERTS = {
    "KubePodOOMKilled": ("RB_OOM", "warning", 30),
    "KubePodCrashLoopBackOff": ("RB_CRASHLOOP", "warning", 30),
    "KubePodImagePullBackOff": ("RB_IMAGEPULL", "warning", 20),
    "KubePodMemoryNearLimit": ("RB_OOM", "warning", 14),
    "KubeNodeNotReady": ("RB_NODE_NOTREADY", "critical", 4),
    "KubeNodeUnschedulable": ("RB_NODE_UNSCHEDULABLE", "warning", 2),
    "KubeSchedulerDown": ("RB_UNKNOWN", "critical", 0.4),
}
TABLES = {
    "incidents": """id, origin, scope, cluster, fingerprint, dedup_key, alertname, namespace, pod, container, node,
        workload, severity, runbook_id, status, agent_mode, summary, action_taken, labels, annotations, starts_at,
        latest_starts_at, created_at, updated_at, resolved_at, resolved_by, last_seq, last_hash, template_changed_at,
        found_field, found_value, found_at, acted""",
    "runs": "id, incident_id, runbook_id, runbook_sha256, mode, status, attempt, queued_at, started_at, finished_at",
    "actions": """id, incident_id, run_id, attempt, scope, cluster, tool, action, target_key, value, body, near_limit,
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
    node: str | None
    workload: str | None
    cluster: str
    acted: bool
    replayed: bool
    resolved: bool
    created: datetime
    updated: datetime
    template_changed: datetime | None
    found_limit: str | None

    @property
    def dedup_key(self) -> str:
        about = f"{self.namespace}:{self.pod}:app" if self.pod else self.node or "0f3c"
        return f"{self.alertname}:{about}"

    @property
    def limited(self) -> str:
        """The field that a run about memory looks at, as action strings begin."""
        assert self.workload
        return f"patch_memory_limit:{self.namespace}/{self.workload.partition('/')[2]}/app"

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
        return f"cordon_node:{self.node}" if self.workload is None else f"{self.limited}:256Mi→512Mi"


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
        for table in ("incidents", "incident_events", "actions"):
            connection.execute(f"select setval('{table}_id_seq', (select max(id) from {table}))")
        for _, definition in indexes:
            connection.execute(definition)
        connection.execute("vacuum (analyze)")


def happening(number: int, incidents: int) -> Happening:
    dice = random.Random(number)
    alertname = dice.choices(list(ALERTS), [weight for _, _, weight in ALERTS.values()])[0]
    created = END - SPAN * ((incidents - number + 1) / incidents)
    service = int(WORKLOADS * dice.random() ** 2)
    about_pod, about_node = alertname.startswith("KubePod"), alertname.startswith("KubeNode")
    deployed = dice.random() < DEPLOYED
    changed = created - timedelta(minutes=dice.randrange(1, 60) if deployed else dice.randrange(61, 40_000))
    return Happening(
        number=number,
        alertname=alertname,
        namespace=f"team-{service % NAMESPACES}" if about_pod else None,
        pod=f"service-{service}-{dice.getrandbits(36):x}-{dice.getrandbits(20):05x}" if about_pod else None,
        node=f"worker-{int(NODES * dice.random() ** 2)}" if about_pod or about_node else None,
        workload=f"Deployment/service-{service}" if about_pod else None,
        cluster="lab" if dice.random() < ELSEWHERE else "prod",
        acted=dice.random() < ACTED and (about_pod or about_node),
        replayed=dice.random() < REPLAYED,
        resolved=number <= incidents - OPEN or not about_pod,
        created=created,
        updated=created + timedelta(minutes=dice.randrange(2, 600)),
        template_changed=changed if about_pod else None,
        found_limit=dice.choice(LIMITS) if about_pod and ALERTS[alertname][0] == "RB_OOM" else None,
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
            *(it.number, "replay" if it.replayed else "live", it.scope, it.cluster, f"{it.number:016x}"),
            *(it.dedup_key, said, it.namespace, it.pod, it.pod and "app", it.node, it.workload),
            *(ALERTS[said][1], it.runbook, "resolved" if it.resolved else "open", "auto"),
            f"{it.runbook}: done {it.action}" if it.acted else f"{it.runbook}: nothing done; the symptom is gone",
            *(it.action if it.acted else None, f'{{"alertname": "{said}"}}', "{}", it.created, it.created),
            *(it.created, ended, ended if it.resolved else None, "alertmanager" if it.resolved else None),
            *(seq, bytea(head), it.template_changed),
            *((it.limited, it.found_limit, it.created) if it.found_limit else (None, None, None)),
            it.acted,
        )
    )
    made["runs"].append(
        line(it.run_id, it.number, it.runbook, "0" * 64, "auto", "succeeded", 1, it.created, it.created, ended)
    )
    if it.acted:
        tool, value = ("cordon_node", None) if it.workload is None else ("increase_memory_limit", "512Mi")
        made["actions"].append(
            line(
                *(it.number, it.number, it.run_id, 1, it.scope, it.cluster),
                *(tool, it.action, it.workload or f"Node/{it.node}", value),
                *('{"undo": [], "writes": []}', "f", "done", it.created, ended),
            )
        )


def events(it: Happening) -> Iterator[tuple[str, UUID | None, str]]:
    """(type, run, payload as jsonb prints it) of each event, in order."""
    yield (
        "webhook_received",
        None,
        f'{{"labels": {{"alertname": "{it.alertname}"}}, "cluster": "{it.cluster}", "startsAt": null, '
        f'"annotations": {{}}, "fingerprint": "{it.number:016x}"}}',
    )
    yield (
        "step",
        it.run_id,
        '{"gate": null, "step": "check_oom", "tool": "check_oom", "reason": null, "result": {"reasons": ["OOMKilled"], '
        '"container": "app", "oom_detected": true}, '
        f'"status": "done", "arguments": {{"pod": "{it.pod}"}}, "judgements": []}}',
    )
    if it.acted:
        yield "outcome", it.run_id, f'{{"detail": null, "writes": [], "outcome": "done", "action_id": {it.number}}}'
    else:
        yield "escalated", it.run_id, '{"reason": "a person looks at it"}'
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
