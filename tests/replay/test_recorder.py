"""What is recorded of a cluster decides like the cluster itself: proven on every example."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from sre_agent import agent
from sre_agent.alert import AlertStatus
from sre_agent.cli.main import run
from sre_agent.cluster.port import Forbidden, NotFound, Refused, Resource, Unavailable
from sre_agent.cluster.record import write
from sre_agent.cluster.recorder import Answer, Look, Question
from sre_agent.cluster.recording import load
from sre_agent.cluster.snapshot import SnapshotCluster
from sre_agent.errors import BadInput
from sre_agent.objects import Object
from sre_agent.parts import Part, load_parts
from sre_agent.recorder import Wanted, alert_with, labels_of_workload, record, unread_in
from sre_agent.resources import data_path
from sre_agent.routing import route
from sre_agent.runbook import UNKNOWN_ID
from sre_agent.settings import Settings
from sre_agent.settings import load as load_settings
from sre_agent.target import Subject
from sre_agent.tools.node_state import CORDONED_BY_US
from sre_agent.tools.registry import subject_of_runbook

EXAMPLES = data_path("examples")
DECIDED = ("alertname", "runbook_id", "target", "status", "action_recommended", "action_error", "planned_writes")
OF_A_STEP = ("step", "status", "reason", "gate")


def settings() -> Settings:
    return load_settings({"SRE_AGENT_DATA_DIR": "unused"})


def wanted_by(part: Part) -> list[Wanted]:
    runbooks = agent.load_runbooks(settings())
    firing = [alert for alert in part.payload.alerts if alert.status is AlertStatus.FIRING]
    books = [route(alert.labels, runbooks).runbook for alert in firing]
    return [
        Wanted(alert=alert, subject=subject_of_runbook(book), runbook=book)
        for alert, book in zip(firing, books, strict=True)
    ]


def decisions(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    run(["replay", *arguments, "--json"])
    numbered = capsys.readouterr().out  # a cordon carries its incident's number, which no two runs share
    runs = json.loads(re.sub(rf'("{CORDONED_BY_US}": )"[0-9]+"', r'\1"N"', numbered))["runs"]
    return [
        {key: one[key] for key in DECIDED} | {"steps": [{key: step[key] for key in OF_A_STEP} for step in one["steps"]]}
        for one in runs
    ]


@pytest.mark.parametrize("example", sorted(path.parent.name for path in EXAMPLES.glob("*/payload.json")))
async def test_a_recording_of_an_example_is_decided_like_the_example(
    example: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    payload = EXAMPLES / example / "payload.json"
    (part,) = load_parts([str(payload)], snapshot=None)
    assert part.cluster is not None
    before = await asyncio.to_thread(decisions, capsys, str(payload.parent))
    try:
        recorded = await record(part.cluster, wanted_by(part), settings=settings(), clock=lambda: part.now)
    except BadInput:
        assert [one["target"] for one in before if one["target"]] == []
        return
    write(recorded.recording, tmp_path, about={})
    assert await asyncio.to_thread(decisions, capsys, str(payload), "--snapshot", str(tmp_path)) == before


class Deaf(SnapshotCluster):
    """A snapshot of which ResourceQuotas and logs may not be read."""

    async def list(self, resource: Resource, *arguments: Any, **selectors: Any) -> list[Object]:
        if resource is Resource.RESOURCE_QUOTAS:
            raise Forbidden("listing resourcequotas in shop: no right to list resourcequotas")
        return await super().list(resource, *arguments, **selectors)

    async def pod_logs(self, *_arguments: Any, **_options: Any) -> str:
        raise Unavailable("reading the log: the node does not answer")


async def test_what_could_not_be_read_is_unknown_in_the_replay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    payload = EXAMPLES / "oom-killed" / "payload.json"
    (part,) = load_parts([str(payload)], snapshot=None)
    cluster = Deaf(load(payload.parent / "cluster.yaml"))
    recorded = await record(cluster, wanted_by(part), settings=settings(), clock=lambda: part.now)
    assert {(each.look, each.resource) for each in recorded.recording.unread} == {
        (Look.LIST, Resource.RESOURCE_QUOTAS),
        (Look.LOG, Resource.PODS),
    }
    write(recorded.recording, tmp_path, about={})
    (decided,) = await asyncio.to_thread(decisions, capsys, str(payload), "--snapshot", str(tmp_path))
    assert decided["action_recommended"] is None
    assert "ResourceQuotas could not be read" in str(decided["steps"])


QUESTION = Question.list(Resource.RESOURCE_QUOTAS, "demo", None, None)
LOG = Question.log("demo", "app", "app", previous=True, lines=200)


@pytest.mark.parametrize(
    ("answer", "unknown"),
    [
        pytest.param(Answer(question=QUESTION), False, id="answered"),
        pytest.param(Answer(question=QUESTION, error=NotFound("x")), False, id="not there"),
        pytest.param(Answer(question=QUESTION, error=Forbidden("x")), True, id="forbidden"),
        pytest.param(Answer(question=QUESTION, error=Unavailable("x")), True, id="no answer"),
        pytest.param(Answer(question=LOG, error=Refused("x")), False, id="a container that has not started"),
        pytest.param(Answer(question=LOG, error=Unavailable("x")), True, id="a log on a dead node"),
    ],
)
def test_only_what_nobody_knows_is_unread(answer: Answer, unknown: bool) -> None:
    assert len(unread_in([answer, answer])) == unknown


def test_a_workload_is_named_by_kind_and_name() -> None:
    assert labels_of_workload("demo", "deployment/app") == {"namespace": "demo", "deployment": "app"}
    assert labels_of_workload("demo", "Job/once") == {"namespace": "demo", "job_name": "once"}


@pytest.mark.parametrize("text", ["app", "Deployment/", "/app", "Secret/app", "CronJob/app"])
def test_anything_else_is_refused_with_what_is_expected(text: str) -> None:
    with pytest.raises(BadInput, match="Deployment/NAME, StatefulSet/NAME"):
        labels_of_workload("demo", text)


async def test_a_target_that_is_not_there_is_said(tmp_path: Path) -> None:
    cluster = SnapshotCluster(load(EXAMPLES / "oom-killed" / "cluster.yaml"))
    book = agent.load_runbooks(settings())[UNKNOWN_ID]
    alert = alert_with({"namespace": "shop", "deployment": "absent"})
    (part,) = load_parts([str(EXAMPLES / "oom-killed" / "payload.json")], snapshot=None)
    wanted = [Wanted(alert=alert, subject=Subject.WORKLOAD, runbook=book)]
    with pytest.raises(BadInput, match="there is no Deployment absent in namespace shop"):
        await record(cluster, wanted, settings=settings(), clock=lambda: part.now)
