"""Runs of recorded incidents with a planner that asks a model, and the same without one."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import uuid4

from sre_agent.agent import load_runbooks
from sre_agent.alert import Alert, parse
from sre_agent.cluster.recording import Recording, load, newest_time
from sre_agent.cluster.snapshot import SnapshotCluster
from sre_agent.executor import Assignment, run_incident
from sre_agent.incident import Origin
from sre_agent.intake import Sender, receive
from sre_agent.llm.client import OpenAIModel
from sre_agent.llm.prompts import load_prompts
from sre_agent.planner.guided import GuidedPlanner
from sre_agent.planner.port import Planner
from sre_agent.planner.scripted import ScriptedPlanner
from sre_agent.queue import InlineQueue
from sre_agent.resources import data_path
from sre_agent.run import Mode, RunRecord
from sre_agent.runbook import Runbooks
from sre_agent.settings import Settings
from sre_agent.settings import load as load_settings
from sre_agent.store import Store
from sre_agent.views import run_json
from tests.examples import comparable

RUNBOOKS = load_runbooks(load_settings({"HOME": "/"}))


@dataclass(frozen=True, kw_only=True)
class Case:
    """An alert and the recorded cluster that it is about."""

    alert: Alert
    recording: Recording
    now: datetime
    runbooks: Runbooks = RUNBOOKS


@cache
def case_of(example: str) -> Case:
    """An example of one part, as it is."""
    directory = data_path("examples") / example
    path = next(path for name in ("cluster.yaml", "cluster") if (path := directory / name).exists())
    recording = load(path)
    now = recording.recorded_at or newest_time(recording)
    assert now is not None
    alert = parse((directory / "payload.json").read_bytes(), source="test").alerts[0]
    return Case(alert=alert, recording=recording, now=now)


def settings_of(environment: Mapping[str, str], *, timeout: float | None = None, step: float | None = None) -> Settings:
    """Settings with such an environment; times in seconds that no variable can say so short."""
    settings = load_settings({"HOME": "/", **environment})
    if timeout is not None:
        settings = replace(settings, llm_timeout=timedelta(seconds=timeout))
    if step is not None:
        settings = replace(settings, llm_time_per_step=timedelta(seconds=step))
    return replace(settings, drain_timeout=timedelta(0))


@asynccontextmanager
async def guided(settings: Settings, store: Store | None) -> AsyncIterator[GuidedPlanner]:
    """The planner as a process has it."""
    async with aclosing(OpenAIModel(settings, store)) as model:
        yield GuidedPlanner(
            model,
            load_prompts(settings.prompts_dir),
            seconds=settings.llm_time_per_step.total_seconds(),
            hide_emails=settings.hide_emails,
        )


async def run_case(store: Store, case: Case, settings: Settings, planner: Planner | None = None) -> RunRecord:
    """One run, on a cluster of its own: nothing of any other run counts for it."""
    settings, queue, scope = replace(settings, cluster_name=uuid4().hex), InlineQueue(), str(uuid4())
    (admission,) = await receive(
        [case.alert],
        sender=Sender(origin=Origin.REPLAY, scope=scope, mode=Mode.AUTO),
        store=store,
        queue=queue,
        runbooks=case.runbooks,
        settings=settings,
        cluster=None,
        now=case.now,
    )
    run_id, incident_id = queue.take(), admission.incident_id
    assert run_id is not None, admission.reason
    assert incident_id is not None
    return await run_incident(
        Assignment(run_id=run_id, incident_id=incident_id, alert=case.alert, scope=scope, mode=Mode.AUTO),
        store=store,
        cluster=SnapshotCluster(case.recording),
        planner=planner or ScriptedPlanner(),
        runbooks=case.runbooks,
        settings=settings,
        clock=lambda: case.now,
    )


async def run_guided(store: Store, case: Case, settings: Settings) -> RunRecord:
    async with guided(settings, store) as planner:
        return await run_case(store, case, settings, planner)


def decided(record: RunRecord) -> dict[str, Any]:
    """What a run came to, in the words of an example's `expected.yaml`, with the arguments of each step."""
    shown = run_json(record)
    arguments = [(step["step"], step["arguments"]) for step in shown["steps"]]
    decision: dict[str, Any] = json.loads(json.dumps(comparable(shown) | {"arguments": arguments}, default=str))
    return decision
