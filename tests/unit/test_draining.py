"""The evictions of a drain: every answer of the Eviction API, the wait for pods to go, the deadline."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from sre_agent import draining
from sre_agent.cluster import readback
from sre_agent.cluster.port import (
    ClusterError,
    Conflict,
    Forbidden,
    Leaving,
    NotFound,
    Refused,
    Resource,
    TooManyRequests,
    Unavailable,
    UnknownOutcome,
    Write,
    WriteVerb,
)
from sre_agent.draining import Fate, Leave, Settled, drain
from sre_agent.store import Braked, LostFence
from sre_agent.tools.drain import drain_over

SOON = 0.01
PDB = TooManyRequests(
    "The disruption budget web needs 2 healthy pods and has 2 currently", budget="web", retry_after=SOON
)
BUSY = TooManyRequests("too many requests", retry_after=SOON)


class Kubelet:
    """A cluster with pods on one node. `answers` are given to each pod's evictions in order, then it is accepted."""

    def __init__(self, answers: dict[str, list[ClusterError]], *, stays: frozenset[str] = frozenset()) -> None:
        self.answers = answers
        self.stays = stays
        self.uids = dict.fromkeys(answers, "1")
        self.leaving: set[str] = set()
        self.evictions: list[str] = []
        self.on_list: Callable[[], None] = lambda: None
        self.hangs: set[str] = set()
        self.node: dict[str, Any] = {"spec": {"unschedulable": True}}

    async def write(self, write: Write, *, dry_run: bool = False) -> dict[str, Any]:
        self.evictions.append(write.name)
        if write.name in self.hangs:
            await asyncio.sleep(60)
        if self.answers[write.name]:
            raise self.answers[write.name].pop(0)
        self.leaving.add(write.name)
        return {}

    async def get(self, resource: Resource, namespace: str | None, name: str) -> dict[str, Any]:
        if resource is Resource.NODES:
            return self.node
        if name not in self.uids:
            raise NotFound(name)
        return self._pod(name)

    async def list(self, resource: Resource, namespace: str | None = None, **selectors: Any) -> list[dict[str, Any]]:
        assert selectors == {"fields": {"spec.nodeName": "worker-1"}}
        self.on_list()
        for name in self.leaving - self.stays:
            self.uids.pop(name, None)
        return [self._pod(name) for name in self.uids]

    def _pod(self, name: str) -> dict[str, Any]:
        metadata = {"namespace": "shop", "name": name, "uid": self.uids[name]}
        if name in self.leaving:
            metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        return {"metadata": metadata}


def eviction(name: str) -> Write:
    return Write(
        verb=WriteVerb.CREATE,
        resource=Resource.PODS,
        namespace="shop",
        name=name,
        subresource="eviction",
        body={},
        uid="1",
    )


async def given() -> None:
    """The leave to send, always."""


async def drained(
    kubelet: Kubelet,
    *,
    within: float = 30.0,
    awaited: bool = True,
    told: list[Settled] | None = None,
    leave: Leave = given,
) -> dict[str, Settled]:
    settled: list[Settled] = [] if told is None else told

    async def settle(pod: Settled) -> None:
        settled.append(pod)

    pods = await drain(
        kubelet,
        "worker-1",
        [eviction(name) for name in kubelet.answers],
        within=timedelta(seconds=within),
        over=drain_over,
        awaited=awaited,
        settle=settle,
        leave=leave,
    )
    assert sorted(pod.pod for pod in settled) == sorted(f"shop/{name}" for name in kubelet.answers)
    return {pod.write.name: pod for pod in pods}


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readback, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(draining, "POLL_SECONDS", SOON)
    monkeypatch.setattr(draining, "RETRY_SECONDS", SOON)
    monkeypatch.setattr(draining, "NODE_SECONDS", SOON)


ANSWERS = [
    pytest.param([], Fate.GONE, 1, True, id="200"),
    pytest.param([NotFound("gone")], Fate.GONE, 1, False, id="404: it went by itself"),
    pytest.param([PDB, PDB], Fate.GONE, 3, True, id="429 of a budget, until it has room"),
    pytest.param([BUSY], Fate.GONE, 2, True, id="429 of a busy API server"),
    pytest.param([Leaving("being terminated")], Fate.GONE, 2, True, id="403: the namespace is leaving"),
    pytest.param([Forbidden("no right")], Fate.STAYS, 1, False, id="403: no right"),
    pytest.param([Conflict("changed")], Fate.GONE, 2, True, id="409: somebody changed the pod"),
    pytest.param([Refused("more than one PodDisruptionBudget")], Fate.STAYS, 1, False, id="500: two budgets"),
    pytest.param([Unavailable("cannot be reached")], Fate.GONE, 2, True, id="nothing was sent"),
    pytest.param([UnknownOutcome("reset")], Fate.UNKNOWN, 1, False, id="no answer, and the pod is as it was"),
]


@pytest.mark.parametrize(("answers", "fate", "tries", "accepted"), ANSWERS)
async def test_each_answer_of_the_eviction_api_has_its_end(
    answers: list[ClusterError], fate: Fate, tries: int, accepted: bool
) -> None:
    kubelet = Kubelet({"a": list(answers), "other": []})
    pods = await drained(kubelet)
    assert (pods["a"].fate, pods["a"].accepted) == (fate, accepted)
    assert kubelet.evictions.count("a") == tries
    assert pods["other"].fate is Fate.GONE


async def test_an_eviction_without_an_answer_that_took_effect_is_not_sent_again() -> None:
    kubelet = Kubelet({"a": [UnknownOutcome("reset")]})
    kubelet.leaving.add("a")
    pods = await drained(kubelet)
    assert (pods["a"].fate, pods["a"].accepted, kubelet.evictions) == (Fate.GONE, True, ["a"])


@pytest.mark.parametrize("answer", [pytest.param(PDB, id="429"), pytest.param(Conflict("uid"), id="409")])
async def test_a_pod_whose_name_is_another_pods_now_is_not_asked_again(answer: ClusterError) -> None:
    kubelet = Kubelet({"a": [answer]})
    kubelet.uids["a"] = "2"
    pods = await drained(kubelet)
    assert (pods["a"].fate, kubelet.evictions) == (Fate.GONE, ["a"])


async def test_a_pod_of_the_same_name_and_another_uid_is_another_pod() -> None:
    kubelet = Kubelet({"a": []}, stays=frozenset({"a"}))

    def recreate() -> None:
        kubelet.uids["a"] = "2"

    kubelet.on_list = recreate
    assert (await drained(kubelet))["a"].fate is Fate.GONE


async def test_what_a_budget_keeps_until_the_deadline_stays_with_its_words() -> None:
    kubelet = Kubelet({"a": [PDB] * 100_000, "b": []})
    pods = await drained(kubelet, within=0.2)
    assert (pods["a"].fate, pods["b"].fate) == (Fate.STAYS, Fate.GONE)
    assert pods["a"].reason == "until the deadline: The disruption budget web needs 2 healthy pods and has 2 currently"


READY_AGAIN = {"spec": {"unschedulable": True}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}


@pytest.mark.parametrize(
    ("node", "why"),
    [
        pytest.param({"spec": {}}, "the node was uncordoned meanwhile", id="somebody uncordoned it"),
        pytest.param(READY_AGAIN, "the node is Ready again", id="it came back"),
    ],
)
async def test_what_had_to_wait_stays_on_a_node_that_needs_no_drain_any_more(node: dict[str, Any], why: str) -> None:
    kubelet = Kubelet({"a": [PDB] * 3, "b": []})

    def changed() -> None:
        kubelet.node = node

    kubelet.on_list = changed
    pods = await drained(kubelet)
    assert (pods["a"].fate, pods["b"].fate) == (Fate.STAYS, Fate.GONE)
    assert pods["a"].reason == f"{why}; before, {PDB}"
    assert "a" in kubelet.uids


async def test_a_drain_that_is_cancelled_settles_every_pod_first() -> None:
    kubelet = Kubelet({"blocked": [PDB] * 100_000, "sent": [], "gone": []})
    kubelet.hangs.add("sent")
    ends: dict[str, Settled] = {}
    one_settled = asyncio.Event()

    async def settle(pod: Settled) -> None:
        ends[pod.write.name] = pod
        one_settled.set()

    evictions = [eviction(name) for name in kubelet.answers]
    within = timedelta(minutes=1)
    under_way = asyncio.create_task(
        drain(
            kubelet,
            "worker-1",
            evictions,
            within=within,
            over=drain_over,
            awaited=True,
            settle=settle,
            leave=given,
        )
    )
    await one_settled.wait()
    kubelet.leaving.add("sent")
    under_way.cancel()
    with pytest.raises(asyncio.CancelledError):
        await under_way
    assert {name: pod.fate for name, pod in ends.items()} == {
        "gone": Fate.EVICTED,
        "sent": Fate.EVICTED,
        "blocked": Fate.STAYS,
    }
    assert ends["blocked"].reason == f"until the interruption: {PDB}"


async def test_pods_that_do_not_end_are_told_at_the_deadline() -> None:
    pods = await drained(Kubelet({"a": []}, stays=frozenset({"a"})), within=0.2)
    assert (pods["a"].fate, pods["a"].accepted) == (Fate.EVICTED, True)


async def test_the_deadline_cuts_a_call_off_and_looks_it_up() -> None:
    kubelet = Kubelet({"a": []})
    kubelet.hangs.add("a")
    pods = await drained(kubelet, within=0.1)
    assert pods["a"].fate is Fate.UNKNOWN
    assert "the deadline came before the answer" in pods["a"].reason


async def test_nobody_waits_where_the_kubelet_cannot_answer() -> None:
    kubelet = Kubelet({"a": []}, stays=frozenset({"a"}))
    pods = await drained(kubelet, awaited=False)
    assert (pods["a"].fate, pods["a"].accepted) == (Fate.EVICTED, True)


async def test_without_patience_each_eviction_is_sent_once_in_order() -> None:
    kubelet = Kubelet({"a": [PDB], "b": []})
    pods = await drained(kubelet, within=0)
    assert kubelet.evictions == ["a", "b"]
    assert (pods["a"].fate, pods["a"].reason, pods["b"].accepted) == (Fate.STAYS, str(PDB), True)


async def test_at_most_ten_evictions_are_on_their_way() -> None:
    most = 0

    class Slow(Kubelet):
        async def write(self, write: Write, *, dry_run: bool = False) -> dict[str, Any]:
            nonlocal most
            self.flying = getattr(self, "flying", 0) + 1
            most = max(most, self.flying)
            await asyncio.sleep(0)
            self.flying -= 1
            return await super().write(write)

    await drained(Slow({f"pod-{number}": [] for number in range(30)}))
    assert most == draining.AT_ONCE


async def test_what_keeps_a_record_may_stop_the_drain() -> None:
    async def lost(_pod: Settled) -> None:
        raise LookupError("the run belongs to another worker")

    kubelet = Kubelet({"a": [], "b": [PDB] * 100_000})
    with pytest.raises(LookupError, match="another worker"):
        await drain(
            kubelet,
            "worker-1",
            map(eviction, ("a", "b")),
            within=timedelta(minutes=1),
            over=drain_over,
            awaited=True,
            settle=lost,
            leave=given,
        )


async def test_a_pause_in_the_middle_leaves_what_is_not_evicted_and_asks_no_more() -> None:
    kubelet = Kubelet({"a": [], "b": [PDB] * 100_000, "c": [PDB] * 100_000})

    async def leave() -> None:
        if "a" not in kubelet.uids:
            raise Braked("pause", "paused before it was sent")

    found = await drained(kubelet, leave=leave)
    assert {name: pod.fate for name, pod in found.items()} == {"a": Fate.GONE, "b": Fate.STAYS, "c": Fate.STAYS}
    assert {found[name].reason for name in "bc"} == {"paused before it was sent"}
    assert all(found[name].held for name in "bc")


async def test_a_run_that_was_lost_in_the_middle_evicts_no_more() -> None:
    kubelet = Kubelet({"a": [], "b": [PDB] * 100_000})
    asked: list[int] = []

    async def leave() -> None:
        if "a" not in kubelet.uids:
            asked.append(len(kubelet.evictions))
            raise LostFence("taken over")

    with pytest.raises(LostFence):
        await drained(kubelet, leave=leave)
    assert asked == [len(kubelet.evictions)]
