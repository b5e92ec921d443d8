"""Runs for an alert that no runbook covers, on a recorded cluster, with a model behind real HTTP."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

from sre_agent.agent import load_runbooks
from sre_agent.alert import Alert, parse
from sre_agent.cluster.port import Cluster, Write
from sre_agent.cluster.recording import load
from sre_agent.cluster.snapshot import SnapshotCluster
from sre_agent.executor import Assignment, run_incident
from sre_agent.incident import Origin
from sre_agent.intake import Sender, receive
from sre_agent.investigation import Investigator
from sre_agent.llm.client import OpenAIModel
from sre_agent.llm.prompts import load_prompts
from sre_agent.objects import Object
from sre_agent.planner.scripted import ScriptedPlanner
from sre_agent.queue import InlineQueue
from sre_agent.resources import data_path
from sre_agent.run import Mode, RunRecord, StepRecord
from sre_agent.settings import Settings
from sre_agent.settings import load as load_settings
from sre_agent.store import Store
from tests.executor.evidence_builders import Ticking
from tests.model_server import ModelServer

EXAMPLE = data_path("examples") / "crash-bad-release"
RUNBOOKS = load_runbooks(load_settings({}))
POD = "payments-api-5n6jv7fnbf-cpk6n"


class Watched(SnapshotCluster):
    """The recorded cluster; remembers every write that anybody tried, dry runs too."""

    def __init__(self) -> None:
        super().__init__(load(EXAMPLE / "cluster"))
        self.tried: list[Write] = []

    async def write(self, write: Write, *, dry_run: bool = False) -> Object:
        self.tried.append(write)
        return await super().write(write, dry_run=dry_run)


def unknown_alert(**labels: str | None) -> Alert:
    """The example's alert under a name that no runbook has; a label that is None is left out."""
    alert = parse((EXAMPLE / "payload.json").read_bytes(), source="test").alerts[0]
    changed = {**alert.labels, "alertname": "PaymentsApiErrors", "runbook_id": None, **labels}
    return replace(alert, labels={name: value for name, value in changed.items() if value is not None})


def settings_for(model: ModelServer, **environment: str) -> Settings:
    return load_settings({"HOME": "/", "SRE_AGENT_INVESTIGATE": "on", **model.environment, **environment})


async def queued(store: Store, alert: Alert, settings: Settings) -> Assignment:
    queue, scope = InlineQueue(), str(uuid4())
    (admission,) = await receive(
        [alert],
        sender=Sender(origin=Origin.REPLAY, scope=scope, mode=Mode.AUTO),
        store=store,
        queue=queue,
        runbooks=RUNBOOKS,
        settings=settings,
        cluster=None,
        now=alert.starts_at,
    )
    run_id = queue.take()
    assert run_id is not None
    assert admission.incident_id is not None
    return Assignment(run_id=run_id, incident_id=admission.incident_id, alert=alert, scope=scope, mode=Mode.AUTO)


@asynccontextmanager
async def investigator_of(store: Store, settings: Settings) -> AsyncIterator[Investigator]:
    async with aclosing(OpenAIModel(settings, store)) as model:
        yield Investigator(model, load_prompts(), seconds=10, hide_emails=False)


async def investigated(
    store: Store,
    model: ModelServer,
    *,
    cluster: Cluster | None = None,
    alert: Alert | None = None,
    assignment: Assignment | None = None,
    **environment: str,
) -> RunRecord:
    """One run in mode auto, with an investigation."""
    alert, settings = alert or unknown_alert(), settings_for(model, **environment)
    assignment = assignment or await queued(store, alert, settings)
    async with investigator_of(store, settings) as investigator:
        return await run_incident(
            assignment,
            store=store,
            cluster=cluster or Watched(),
            planner=ScriptedPlanner(),
            runbooks=RUNBOOKS,
            settings=settings,
            clock=Ticking(alert.starts_at),
            investigator=investigator,
        )


def reads(run: RunRecord) -> list[str]:
    """The tools of the steps that were made, in order, without the conclusion."""
    return [step.tool for step in run.steps if step.tool != "conclude"]


def conclusion(run: RunRecord) -> StepRecord:
    assert run.steps[-1].tool == "conclude"
    return run.steps[-1]


def trace_text(step: StepRecord) -> str:
    """Everything that the trace of a step says."""
    return json.dumps(step.llm)


def dropped(run: RunRecord) -> list[dict[str, Any]]:
    return list((conclusion(run).llm or {})["dropped"])


def found(run: RunRecord) -> dict[str, Any]:
    return conclusion(run).result or {}
