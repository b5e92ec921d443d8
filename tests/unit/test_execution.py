"""Sending a judged change: one request per write, and an outcome for every answer."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from sre_agent.cluster import readback
from sre_agent.cluster.port import (
    ClusterError,
    Conflict,
    Forbidden,
    NotFound,
    Refused,
    Resource,
    TooManyRequests,
    Unavailable,
    UnknownOutcome,
    Write,
    WriteVerb,
)
from sre_agent.draining import Leave, Settled
from sre_agent.execution import Execution, event_about, execute, outcome_of
from sre_agent.run import Change, Outcome
from sre_agent.store import Braked, LostFence
from tests.unit.guard_cases import NOW, change, node_change


class Answering:
    """A cluster that answers each request with the next answer; an exception is raised."""

    recorded = False

    def __init__(self, answers: Sequence[Exception | None]) -> None:
        self.answers = list(answers)
        self.requests: list[tuple[str, bool]] = []

    async def get(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any]:
        raise Unavailable("nobody can look")

    async def write(self, write: Write, *, dry_run: bool = False) -> dict[str, Any]:
        self.requests.append((write.name, dry_run))
        answer = self.answers.pop(0)
        if answer is not None:
            raise answer
        return {}


def evictions(*names: str) -> Change:
    writes = tuple(
        Write(
            verb=WriteVerb.CREATE, resource=Resource.PODS, namespace="shop", name=name, subresource="eviction", body={}
        )
        for name in names
    )
    return _drain(writes)


def _drain(writes: tuple[Write, ...]) -> Change:
    made = node_change("drain_node", writes=writes)
    return Change(
        tool=made.tool,
        action=f"drain_node:worker-1:evicted={len(writes)},left=2",
        target=made.target,
        writes=writes,
        diff=(),
        kubectl=made.kubectl,
        leaves=2,
    )


async def given() -> None:
    """The leave to send, always."""


async def executed(cluster: Answering, made: Change, *, leave: Leave = given) -> tuple[Execution, dict[str, Outcome]]:
    """Without patience, as on a recording; and what was settled about each pod."""
    settled: dict[str, Outcome] = {}

    async def settle(pod: Settled) -> None:
        settled[pod.write.name] = outcome_of(pod)

    return await execute(cluster, made, patience=timedelta(0), settle=settle, leave=leave), settled


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readback, "PAUSE_SECONDS", 0.0)


POD_DELETION = Write(verb=WriteVerb.DELETE, resource=Resource.PODS, namespace="shop", name="cart-1", body={})

PATCHES = [
    pytest.param([None, None], Outcome.DONE, False, 1, id="dry run and write accepted"),
    pytest.param([Refused("quota")], Outcome.FAILED, False, 0, id="the dry run is refused"),
    pytest.param([Conflict("rv")], Outcome.FAILED, True, 0, id="somebody was faster, seen by the dry run"),
    pytest.param([None, Conflict("rv")], Outcome.FAILED, True, 0, id="somebody was faster, seen by the write"),
    pytest.param([None, Forbidden("no right")], Outcome.FAILED, False, 0, id="no right"),
    pytest.param([None, UnknownOutcome("reset")], Outcome.UNKNOWN, False, 0, id="no answer came"),
    pytest.param([UnknownOutcome("reset")], Outcome.FAILED, False, 0, id="no answer to the dry run, nothing was sent"),
]


@pytest.mark.parametrize(("answers", "outcome", "conflict", "accepted"), PATCHES)
async def test_a_patch_is_sent_once_and_its_answer_is_kept(
    answers: list[ClusterError | None], outcome: Outcome, conflict: bool, accepted: int
) -> None:
    cluster = Answering(answers)
    execution, _ = await executed(cluster, change())
    assert (execution.outcome, execution.conflict, len(execution.writes)) == (outcome, conflict, accepted)
    assert [dry for _, dry in cluster.requests] == [True, False][: len(answers)]
    assert (execution.detail is None) is (outcome is Outcome.DONE)


async def paused() -> None:
    raise Braked("pause", "paused before it was sent")


async def test_a_patch_that_may_not_leave_is_not_sent() -> None:
    cluster = Answering([None])
    execution, _ = await executed(cluster, change(), leave=paused)
    assert cluster.requests == [("cart", True)]
    assert (execution.outcome, execution.writes, execution.detail) == (Outcome.FAILED, (), "paused before it was sent")
    assert execution.held is not None


async def test_a_patch_whose_run_was_lost_ends_everything() -> None:
    async def lost() -> None:
        raise LostFence("taken over")

    cluster = Answering([None])
    with pytest.raises(LostFence):
        await executed(cluster, change(), leave=lost)
    assert [dry for _, dry in cluster.requests] == [True]


async def test_a_drain_that_may_not_leave_lists_its_pods() -> None:
    cluster = Answering([])
    execution, settled = await executed(cluster, evictions("cart-1", "cart-2"), leave=paused)
    assert cluster.requests == []
    assert (execution.outcome, execution.action) == (Outcome.FAILED, "drain_node:worker-1:evicted=0,left=4")
    assert execution.detail == "shop/cart-1: paused before it was sent; shop/cart-2: paused before it was sent"
    assert execution.held is not None
    assert settled == {"cart-1": Outcome.FAILED, "cart-2": Outcome.FAILED}


EVICTIONS = [
    pytest.param([None, None], Outcome.DONE, "evicted=2,left=2", id="both went"),
    pytest.param([None, TooManyRequests("PDB cart")], Outcome.DONE, "evicted=1,left=3", id="a budget kept one"),
    pytest.param([TooManyRequests("PDB"), Refused("x")], Outcome.FAILED, "evicted=0,left=4", id="none went"),
    pytest.param([NotFound("gone"), None], Outcome.DONE, "evicted=1,left=2", id="one was gone already"),
    pytest.param([Conflict("uid"), None], Outcome.DONE, "evicted=1,left=3", id="one was changed meanwhile"),
    pytest.param([None, UnknownOutcome("reset")], Outcome.UNKNOWN, "evicted=1,left=3", id="no answer for one"),
    pytest.param([NotFound("gone"), NotFound("gone")], Outcome.DONE, "evicted=0,left=2", id="both were gone already"),
]


@pytest.mark.parametrize(("answers", "outcome", "counts"), EVICTIONS)
async def test_each_pod_is_evicted_once_and_counted_as_it_went(
    answers: list[ClusterError | None], outcome: Outcome, counts: str
) -> None:
    cluster = Answering(answers)
    execution, settled = await executed(cluster, evictions("cart-1", "cart-2"))
    assert list(settled) == ["cart-1", "cart-2"]
    assert (execution.outcome, execution.action) == (outcome, f"drain_node:worker-1:{counts}")
    assert cluster.requests == [("cart-1", False), ("cart-2", False)]


@pytest.mark.parametrize(
    ("made", "api_version", "kind", "namespace"),
    [
        pytest.param(change(), "apps/v1", "Deployment", "shop", id="a Deployment, in its namespace"),
        pytest.param(change(writes=(POD_DELETION,)), "apps/v1", "Deployment", "shop", id="the Deployment of a pod"),
        pytest.param(evictions("cart-1"), "v1", "Node", "default", id="a node, in default"),
    ],
)
async def test_the_event_names_the_object_and_the_incident(
    made: Change, api_version: str, kind: str, namespace: str
) -> None:
    execution, _ = await executed(Answering([None, None]), made)
    event = event_about(made, execution, 42, NOW)
    assert (event["involvedObject"]["apiVersion"], event["involvedObject"]["kind"]) == (api_version, kind)
    assert event["metadata"]["namespace"] == namespace
    assert event["message"] == f"{execution.action} (incident 42)"
