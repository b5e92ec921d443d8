"""What a witness remembers of a cluster, and what a cluster made of it answers."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

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
from sre_agent.cluster.recollection import Recollection
from sre_agent.cluster.recording import from_objects
from sre_agent.cluster.snapshot import SnapshotCluster
from sre_agent.cluster.witness import Witness
from sre_agent.objects import Object, name


def pod(pod_name: str, namespace: str = "shop", **metadata: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": pod_name, "namespace": namespace, "uid": pod_name, "resourceVersion": "7", **metadata},
        "spec": {"containers": [{"name": "app", "image": "app:1"}]},
        "status": {"phase": "Running"},
    }


def node(unschedulable: bool | None = None) -> Object:
    spec = {} if unschedulable is None else {"unschedulable": unschedulable}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "resourceVersion": "3"}, "spec": spec}


class Changing(SnapshotCluster):
    """A snapshot in which, before each of its reads, something happens; None: nothing."""

    def __init__(self, objects: Sequence[Object], happens: Sequence[Callable[[SnapshotCluster], None] | None]) -> None:
        super().__init__(from_objects(objects, logs={("shop", "a", "app", True): "one\ntwo\n"}))
        self.happens = list(happens)
        self.reads = 0

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        self._next()
        return await super().get(resource, namespace, name)

    async def list(self, *arguments: Any, **selectors: Any) -> list[Object]:
        self._next()
        return await super().list(*arguments, **selectors)

    def _next(self) -> None:
        self.reads += 1
        happens = self.happens.pop(0) if self.happens else None
        if happens is not None:
            happens(self)


def appears(obj: Object) -> Callable[[SnapshotCluster], None]:
    return lambda cluster: cluster._insert(Resource.PODS, obj, dry_run=False) and None


def goes(pod_name: str) -> Callable[[SnapshotCluster], None]:
    return lambda cluster: cluster._remove(Resource.PODS, pod(pod_name))


def raises(error: ClusterError) -> Callable[[SnapshotCluster], None]:
    def happen(_cluster: SnapshotCluster) -> None:
        raise error

    return happen


def watched(*objects: Object, happens: Sequence[Callable[[SnapshotCluster], None] | None] = ()) -> Witness:
    return Witness(Changing(objects, happens), most=100)


def recalled(witness: Witness) -> Recollection:
    return Recollection(witness.answers, witness.rejections)


CORDON = Write(
    verb=WriteVerb.PATCH, resource=Resource.NODES, namespace=None, name="n1", body={"spec": {"unschedulable": True}}
)
DELETION = Write(verb=WriteVerb.DELETE, resource=Resource.PODS, namespace="shop", name="a", body={})


async def names(cluster: Any, namespace: str | None = "shop", **selectors: Any) -> list[str]:
    return [name(obj) for obj in await cluster.list(Resource.PODS, namespace, **selectors)]


async def test_a_witness_changes_no_answer_and_no_write() -> None:
    witness = watched(pod("a"), node())
    assert await witness.get(Resource.PODS, "shop", "a") == pod("a")
    assert await names(witness) == ["a"]
    assert await witness.pod_logs("shop", "a", "app", previous=True, tail_lines=1) == "two\n"
    with pytest.raises(NotFound):
        await witness.get(Resource.PODS, "shop", "b")
    assert (await witness.write(CORDON))["spec"] == {"unschedulable": True}
    assert witness.recorded
    await witness.close()


async def test_the_same_questions_get_the_same_answers_in_the_same_order() -> None:
    witness = watched(pod("a"), happens=[None, goes("a"), appears(pod("b"))])
    then = [await names(witness), await names(witness), await names(witness)]
    cluster = recalled(witness)
    assert [await names(cluster), await names(cluster), await names(cluster)] == then == [["a"], [], ["b"]]
    assert await names(cluster) == ["b"]


async def test_an_absence_is_an_answer() -> None:
    witness = watched()
    for _ in range(2):
        with pytest.raises(NotFound):
            await witness.get(Resource.PODS, "shop", "a")
    with pytest.raises(NotFound):
        await witness.pod_logs("shop", "a", "other")
    cluster = recalled(witness)
    with pytest.raises(NotFound):
        await cluster.get(Resource.PODS, "shop", "a")
    with pytest.raises(NotFound):
        await cluster.pod_logs("shop", "a", "other")


async def test_a_failure_is_raised_again_and_then_what_came_after_it() -> None:
    witness = watched(pod("a"), happens=[raises(Forbidden("no right to list pods"))])
    with pytest.raises(Forbidden):
        await names(witness)
    await names(witness)
    cluster = recalled(witness)
    with pytest.raises(Forbidden, match="no right to list pods"):
        await names(cluster)
    assert await names(cluster) == ["a"]


UNKNOWN = [
    pytest.param("pods of another namespace", lambda c: c.list(Resource.PODS, "other"), id="another namespace"),
    pytest.param("pods everywhere", lambda c: c.list(Resource.PODS), id="all namespaces"),
    pytest.param("another kind", lambda c: c.list(Resource.JOBS, "shop"), id="another kind"),
    pytest.param("an object of another kind", lambda c: c.get(Resource.NODES, None, "n1"), id="an object"),
    pytest.param("a log", lambda c: c.pod_logs("shop", "a", "app"), id="a log"),
]


@pytest.mark.parametrize(("_what", "ask"), UNKNOWN)
async def test_what_nobody_looked_at_is_unknown_and_not_absent(_what: str, ask: Any) -> None:
    witness = watched(pod("a"), node())
    await names(witness)
    with pytest.raises(Unavailable, match="the evidence that was kept does not say"):
        await ask(recalled(witness))


async def test_a_list_answers_for_each_object_and_for_every_selection_of_it() -> None:
    witness = watched(pod("a", labels={"app": "x"}), pod("b"), pod("c", namespace="other"))
    await witness.list(Resource.PODS)
    cluster = recalled(witness)
    assert name(await cluster.get(Resource.PODS, "other", "c")) == "c"
    with pytest.raises(NotFound):
        await cluster.get(Resource.PODS, "shop", "gone")
    assert await names(cluster, labels={"app": "x"}) == ["a"]
    assert await names(cluster, None, fields={"metadata.name": "b"}) == ["b"]


async def test_a_selection_does_not_answer_for_the_whole() -> None:
    witness = watched(pod("a", labels={"app": "x"}), pod("b"))
    await names(witness, labels={"app": "x"})
    cluster = recalled(witness)
    assert await names(cluster, labels={"app": "x"}) == ["a"]
    with pytest.raises(Unavailable, match="list pods shop"):
        await names(cluster)


async def test_the_runs_own_writes_are_no_evidence() -> None:
    witness = watched(node())
    await witness.get(Resource.NODES, None, "n1")
    await witness.write(CORDON, dry_run=True)
    await witness.write(CORDON)
    assert (await witness.get(Resource.NODES, None, "n1"))["spec"] == {"unschedulable": True}
    cluster = recalled(witness)
    for _ in range(2):
        assert (await cluster.get(Resource.NODES, None, "n1"))["spec"] == {}
    await cluster.write(CORDON, dry_run=True)
    assert (await cluster.get(Resource.NODES, None, "n1"))["spec"] == {}
    await cluster.write(CORDON)
    assert (await cluster.get(Resource.NODES, None, "n1"))["spec"] == {"unschedulable": True}


async def test_what_was_first_looked_at_after_a_write_is_evidence_of_what_was_not_known_before() -> None:
    witness = watched(node(), pod("a"))
    await witness.write(CORDON)
    await witness.get(Resource.PODS, "shop", "a")
    with pytest.raises(NotFound):
        await witness.get(Resource.PODS, "shop", "b")
    assert [answer.late for answer in witness.answers] == [True, True]
    cluster = recalled(witness)
    assert name(await cluster.get(Resource.PODS, "shop", "a")) == "a"
    with pytest.raises(NotFound):
        await cluster.get(Resource.PODS, "shop", "b")


async def test_after_a_write_absence_is_judged_by_what_was_written() -> None:
    witness = watched(pod("a"))
    await names(witness)
    await witness.get(Resource.PODS, "shop", "a")
    cluster = recalled(witness)
    await cluster.write(DELETION)
    assert await names(cluster) == []
    with pytest.raises(NotFound):
        await cluster.get(Resource.PODS, "shop", "a")


async def test_an_object_that_a_later_answer_lacks_is_gone_at_the_end() -> None:
    witness = watched(pod("a"), node(), happens=[None, goes("a")])
    await witness.get(Resource.PODS, "shop", "a")
    await names(witness)
    cluster = recalled(witness)
    assert name(await cluster.get(Resource.PODS, "shop", "a")) == "a"
    with pytest.raises(NotFound):
        await cluster.write(DELETION)


REJECTIONS = [
    pytest.param(Refused("exceeded quota"), id="refused"),
    pytest.param(Forbidden("may not patch nodes"), id="forbidden"),
    pytest.param(UnknownOutcome("connection reset"), id="no answer"),
    pytest.param(TooManyRequests("budget", budget="pdb", retry_after=9.0), id="too many requests"),
]


@pytest.mark.parametrize("error", REJECTIONS)
async def test_a_write_that_was_rejected_is_rejected_again_in_the_same_words(error: ClusterError) -> None:
    class Rejecting(SnapshotCluster):
        async def write(self, write: Write, *, dry_run: bool = False) -> Object:
            if not dry_run:
                raise error
            return await super().write(write, dry_run=dry_run)

    witness = Witness(Rejecting(from_objects([node()])), most=10)
    await witness.get(Resource.NODES, None, "n1")
    await witness.write(CORDON, dry_run=True)
    with pytest.raises(type(error)):
        await witness.write(CORDON)
    cluster = recalled(witness)
    await cluster.write(CORDON, dry_run=True)
    with pytest.raises(type(error), match=str(error)):
        await cluster.write(CORDON)
    other = Write(
        verb=WriteVerb.PATCH,
        resource=Resource.NODES,
        namespace=None,
        name="n1",
        body={"spec": {"unschedulable": False}},
    )
    await cluster.write(other)


async def test_a_conflict_comes_again_from_the_versions_alone() -> None:
    witness = watched(node(), happens=[None, None])
    stale = Write(
        verb=WriteVerb.PATCH,
        resource=Resource.NODES,
        namespace=None,
        name="n1",
        body={"spec": {"unschedulable": True}},
        resource_version="1",
    )
    await witness.get(Resource.NODES, None, "n1")
    with pytest.raises(Conflict):
        await witness.write(stale)
    assert witness.rejections == []
    with pytest.raises(Conflict):
        await recalled(witness).write(stale)


async def test_more_than_a_witness_may_hold_is_lost_and_unknown() -> None:
    witness = Witness(SnapshotCluster(from_objects([pod("a"), pod("b"), node()])), most=1)
    await witness.get(Resource.NODES, None, "n1")
    await names(witness)
    assert [answer.lost for answer in witness.answers] == [False, True]
    cluster = recalled(witness)
    assert name(await cluster.get(Resource.NODES, None, "n1")) == "n1"
    with pytest.raises(Unavailable):
        await names(cluster)


async def test_an_equal_object_is_held_once() -> None:
    witness = watched(pod("a"))
    await names(witness)
    await witness.get(Resource.PODS, "shop", "a")
    assert witness.answers[0].objects[0] is witness.answers[1].objects[0]


async def test_elements_of_a_live_list_are_found_though_they_carry_no_kind() -> None:
    class Bare(SnapshotCluster):
        async def list(self, *arguments: Any, **selectors: Any) -> list[Object]:
            found = await super().list(*arguments, **selectors)
            return [{key: value for key, value in obj.items() if key not in {"kind", "apiVersion"}} for obj in found]

    witness = Witness(Bare(from_objects([pod("a")])), most=10)
    await names(witness)
    assert name(await recalled(witness).get(Resource.PODS, "shop", "a")) == "a"


async def test_nothing_said_to_a_recollection_leaves_it() -> None:
    witness = watched(pod("a"))
    await names(witness)
    cluster = recalled(witness)
    (found,) = await cluster.list(Resource.PODS, "shop")
    found["metadata"]["name"] = "changed"
    await cluster.emit_event({"metadata": {"name": "e", "namespace": "shop"}})
    assert cluster.recorded
    assert await names(cluster) == ["a"]
    await cluster.close()
