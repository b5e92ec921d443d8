"""Every recorded incident of `examples/` is decided on a real API server as on its recording, in both modes.

The agent has the rights of k8s/ and no others. What it wrote is read from the API server's audit log.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from sre_agent.agent import Agent, Minds, load_runbooks
from sre_agent.cluster.live import open_cluster
from sre_agent.cluster.port import Cluster, Resource
from sre_agent.objects import annotations, name, namespace
from sre_agent.parts import Part, load_parts
from sre_agent.planner.scripted import ScriptedPlanner
from sre_agent.replay import play
from sre_agent.run import Mode, RunRecord
from sre_agent.settings import load
from sre_agent.store import Store
from sre_agent.views import run_json, skipped_json
from tests.conftest import copy_of
from tests.control_plane.audit import Request
from tests.control_plane.kubelet import wait_for
from tests.control_plane.plane import ControlPlane
from tests.control_plane.upkeep import empty
from tests.examples import EXAMPLES, comparable, without_number
from tests.live.recorded_kubelet import RecordedKubelet
from tests.live.recorded_stage import RecordedStage
from tests.rbac import READER, STOP_SWITCH, WRITER, roles

RBAC = "rbac.authorization.k8s.io"
USERS = {Mode.RECOMMEND: "reader", Mode.AUTO: "writer"}
"""Who the agent is: users without any right but what is bound to them here."""
BOUND = {READER: USERS.values(), STOP_SWITCH: USERS.values(), WRITER: [USERS[Mode.AUTO]]}
DIFFERS = ("run_id", "notes")
"""What a run on a recording says otherwise: its own id, and that nothing in it can heal."""
LATEST_KNOWN = (
    (Mode.RECOMMEND, "list", "nodes"),
    (Mode.AUTO, "patch", "nodes"),
    *((mode, "get", "configmaps/sre-agent-stop", "--namespace", "agentic") for mode in Mode),
)
"""A right of each binding: when these are known to the API server, all are."""
PRECONDITIONS = ("uid", "resourceVersion")
SCOPE = "examples"
SETTINGS = load({})

Json = dict[str, Any]


@pytest.fixture(scope="module")
def stage(running_bare_plane: ControlPlane) -> Iterator[RecordedStage]:
    """The control plane without controllers, the kinds of add-ons, and the roles of k8s/ bound."""
    plane = running_bare_plane
    empty(plane.api)
    plane.define_custom_resources()
    plane.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SETTINGS.agent_namespace}})
    for bound, users in BOUND.items():
        role = roles()[bound]
        binding = {
            "apiVersion": f"{RBAC}/v1",
            "kind": f"{role['kind']}Binding",
            "metadata": role["metadata"],
            "roleRef": {"apiGroup": RBAC, "kind": role["kind"], "name": bound},
            "subjects": [plane.subject(user) for user in users],
        }
        plane.api.create_all([role, binding])
    wait_for("the roles are known", lambda: all(may(plane, *right) for right in LATEST_KNOWN))
    with RecordedKubelet(plane) as kubelet:
        opened = RecordedStage(plane, kubelet)
        yield opened
        opened.clear()
    empty(plane.api)


def may(plane: ControlPlane, mode: Mode, *right: str) -> bool:
    return plane.run_kubectl("auth", "can-i", *right, user=USERS[mode]).stdout.strip() == "yes"


@dataclass(frozen=True, kw_only=True)
class Played:
    """What became of an example.

    Each run and each alert without one, what each run asked of the API server that may change it, and the objects that
    a change could have touched, after each part.
    """

    runs: list[Json] = field(default_factory=list)
    skipped: list[Json] = field(default_factory=list)
    asked: list[list[Request]] = field(default_factory=list)
    left: list[Json] = field(default_factory=list)


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
async def test_the_incident_is_decided_as_on_its_recording(
    stage: RecordedStage,
    postgres: str,
    migrated_template: str,
    example: Path,
    mode: Mode,
    monkeypatch: pytest.MonkeyPatch,
    tally: Callable[[str], None],
) -> None:
    tally("examples, each in both modes, decided on the API server as on their recordings")
    expected = yaml.safe_load((example / "expected.yaml").read_text())[mode]
    monkeypatch.setenv("KUBECONFIG", str(stage.plane.kubeconfig(USERS[mode])))
    async with opened_agent(postgres, migrated_template) as agent:
        recorded = await played_on_recordings(example, mode, agent)
    async with opened_agent(postgres, migrated_template) as agent:
        live = await played_on_stage(example, mode, agent, stage)

    assert [comparable(run) for run in live.runs] == expected["runs"]
    assert [told(run) for run in live.runs] == [told(run) for run in recorded.runs]
    assert live.skipped == recorded.skipped
    assert live.left == recorded.left
    for run, wanted, asked in zip(live.runs, expected["runs"], live.asked, strict=True):
        check_requests(run, wanted["writes"], asked)


def check_requests(run: Json, writes: list[Json], asked: list[Request]) -> None:
    """The API server took exactly these writes, each patch after one dry run, and one Event for each action."""
    accepted = [request for request in asked if request.code < 300 and not request.dry_run]
    changes = [written(request) for request in accepted if request.resource != "events"]
    assert in_order(without_number(changes, run["incident_id"])) == in_order(writes)
    dry = [request for request in asked if request.dry_run]
    assert [request.verb for request in dry] == [change["verb"] for change in changes if change["verb"] == "patch"]
    events = [request for request in accepted if request.resource == "events"]
    actions = [action for action in (run["action_taken"] or "").split("; ") if action]
    assert [event.body["message"].rpartition(" (")[0] for event in events if event.body] == actions
    assert len(asked) == len(dry) + len(changes) + len(events), "nothing was refused"


def written(request: Request) -> Json:
    """A request in the words of expected.yaml: its body without preconditions and what the server filled in."""
    body = {key: value for key, value in (request.body or {}).items() if key != "deleteOptions"}
    metadata = {key: value for key, value in body.pop("metadata", {}).items() if key not in PRECONDITIONS and value}
    return {
        "verb": request.verb,
        "resource": request.resource,
        "subresource": request.subresource,
        "namespace": request.namespace,
        "name": request.name,
        "body": body | ({"metadata": metadata} if metadata else {}),
    }


def in_order(writes: list[Json]) -> list[Json]:
    """Evictions are sent several at once and arrive in any order."""
    return sorted(writes, key=lambda write: (write["subresource"] or "", write["namespace"] or "", write["name"]))


def told(run: Json) -> Json:
    return {key: value for key, value in run.items() if key not in DIFFERS}


@asynccontextmanager
async def opened_agent(postgres: str, template: str) -> AsyncIterator[Agent]:
    """An agent on a database of its own, so that incidents and events have the same numbers each time."""
    with contextmanager(copy_of)(postgres, template) as conninfo:
        async with Store.open(conninfo) as store:
            yield Agent(
                store=store, minds=Minds(planner=ScriptedPlanner()), runbooks=load_runbooks(SETTINGS), settings=SETTINGS
            )


async def played_on_recordings(example: Path, mode: Mode, agent: Agent) -> Played:
    done = Played()
    for part in load_parts([str(example)], snapshot=None):
        assert part.cluster is not None
        async for run in played(part, agent, part.cluster, mode, done):
            done.runs.append(run)
        done.left.append(await changeable(part.cluster))
    return done


async def played_on_stage(example: Path, mode: Mode, agent: Agent, stage: RecordedStage) -> Played:
    """Each part on the same cluster, after its recording has taken the place of the one before."""
    done, shown, plane = Played(), None, stage.plane
    began = plane.audit_mark()
    async with open_cluster() as cluster:
        for part in load_parts([str(example)], snapshot=None):
            assert part.cluster is not None
            if part.cluster is not shown:
                shown = part.cluster
                await stage.show(shown)
            mark = plane.audit_mark()
            async for run in played(part, agent, cluster, mode, done):
                done.runs.append(run)
                done.asked.append(plane.audit(USERS[mode], since=mark, writes=True))
                mark = plane.audit_mark()
            done.left.append(await changeable(cluster))
    everything = plane.audit(USERS[mode], since=began, writes=True)
    assert everything == [request for asked in done.asked for request in asked], "only a run writes"
    return done


async def changeable(cluster: Cluster) -> Json:
    """What the agent may patch, without what every server says in its own way."""
    objects = [obj for resource in (Resource.DEPLOYMENTS, Resource.NODES) for obj in await cluster.list(resource)]
    return {
        f"{obj['kind']} {namespace(obj)}/{name(obj)}": {
            "annotations": annotations(obj),
            "generation": obj["metadata"].get("generation"),
            "spec": obj["spec"],
        }
        for obj in objects
    }


async def played(part: Part, agent: Agent, cluster: Cluster, mode: Mode, done: Played) -> AsyncIterator[Json]:
    async for result in play(part, agent, cluster, SCOPE, mode):
        if isinstance(result, RunRecord):
            yield run_json(result)
        else:
            done.skipped.append(skipped_json(result))
