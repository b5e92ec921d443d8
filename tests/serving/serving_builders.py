"""Webhook bodies, a reception and a service on a recorded cluster, for the tests of what serves."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sre_agent.agent import Minds, Service, load_runbooks
from sre_agent.alert import Payload, parse
from sre_agent.cluster.recording import load as load_recording
from sre_agent.cluster.snapshot import SnapshotCluster
from sre_agent.incident import Origin
from sre_agent.intake import Sender
from sre_agent.planner.scripted import ScriptedPlanner
from sre_agent.reception import Reception
from sre_agent.resources import data_path
from sre_agent.run import Mode
from sre_agent.settings import load as load_settings
from sre_agent.store import Store

SETTINGS = load_settings({"SRE_AGENT_EVIDENCE_BYTES": "0"})
RUNBOOKS = load_runbooks(SETTINGS)
EXAMPLE = data_path("examples") / "oom-killed"
STARTS_AT = "2026-11-28T10:00:00Z"


def now() -> datetime:
    return datetime.now(UTC)


def alert(pod: str = "app-1", *, status: str = "firing", starts_at: str = STARTS_AT, **labels: str) -> dict[str, Any]:
    """One alert as Alertmanager sends it."""
    named = {"alertname": "KubePodOOMKilled", "namespace": "demo", "pod": pod, "container": "app"}
    return {"status": status, "labels": named | labels, "annotations": {"summary": "killed"}, "startsAt": starts_at}


def node_alert(*, status: str = "firing") -> dict[str, Any]:
    return {"status": status, "labels": {"alertname": "KubeNodeNotReady", "node": "n1"}, "startsAt": STARTS_AT}


def body(alerts: Sequence[dict[str, Any]], **rest: Any) -> Payload:
    """A webhook body, parsed."""
    text = json.dumps({"version": "4", "receiver": "agent", "groupKey": "{}", "alerts": list(alerts)} | rest)
    return parse(text.encode(), source="the test")


def reception(store: Store, *, mode: Mode = Mode.RECOMMEND) -> Reception:
    return Reception(
        store,
        sender=Sender(origin=Origin.LIVE, scope="live", mode=mode),
        runbooks=lambda: RUNBOOKS,
        settings=SETTINGS,
        clock=now,
    )


def service(store: Store, database: str) -> Service:
    """A service whose cluster is the recording of examples/oom-killed."""
    return Service(
        store=store,
        minds=Minds(planner=ScriptedPlanner()),
        runbooks=lambda: RUNBOOKS,
        cluster=SnapshotCluster(load_recording(EXAMPLE / "cluster.yaml")),
        place="a recording",
        settings=SETTINGS,
        database=database,
    )
