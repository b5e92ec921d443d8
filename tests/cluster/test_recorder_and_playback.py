"""What a recorder keeps of a cluster, and what a cluster made of it answers."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from sre_agent.cluster.playback import PlaybackCluster
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
from sre_agent.cluster.recorder import RecordingCluster
from sre_agent.cluster.recording import from_objects
from sre_agent.cluster.snapshot import SnapshotCluster
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


def recorded(*objects: Object, happens: Sequence[Callable[[SnapshotCluster], None] | None] = ()) -> RecordingCluster:
    return RecordingCluster(Changing(objects, happens), most=100)


def played(recorder: RecordingCluster) -> PlaybackCluster:
    return PlaybackCluster(recorder.answers, recorder.rejections)


CORDON = Write(
    verb=WriteVerb.PATCH, resource=Resource.NODES, namespace=None, name="n1", body={"spec": {"unschedulable": True}}
)
DELETION = Write(verb=WriteVerb.DELETE, resource=Resource.PODS, namespace="shop", name="a", body={})


async def names(cluster: Any, namespace: str | None = "shop", **selectors: Any) -> list[str]:
    return [name(obj) for obj in await cluster.list(Resource.PODS, namespace, **selectors)]


async def test_a_recorder_changes_no_answer_and_no_write() -> None:
    recorder = recorded(pod("a"), node())
    assert await recorder.get(Resource.PODS, "shop", "a") == pod("a")
    assert await names(recorder) == ["a"]
    assert await recorder.pod_logs("shop", "a", "app", previous=True, tail_lines=1) == "two\n"
    with pytest.raises(NotFound):
        await recorder.get(Resource.PODS, "shop", "b")
    assert (await recorder.write(CORDON))["spec"] == {"unschedulable": True}
    assert recorder.recorded
    await recorder.close()


async def test_the_same_questions_get_the_same_answers_in_the_same_order() -> None:
    recorder = recorded(pod("a"), happens=[None, goes("a"), appears(pod("b"))])
    then = [await names(recorder), await names(recorder), await names(recorder)]
    cluster = played(recorder)
    assert [await names(cluster), await names(cluster), await names(cluster)] == then == [["a"], [], ["b"]]
    assert await names(cluster) == ["b"]


async def test_a_repeated_answer_is_kept_once_and_given_as_often() -> None:
    recorder = recorded(pod("a"), happens=[None, None, goes("a"), raises(Forbidden("no")), raises(Forbidden("no"))])
    for _ in range(3):
        await names(recorder)
    for _ in range(2):
        with pytest.raises(Forbidden):
            await names(recorder)
    assert [answer.times for answer in recorder.answers] == [2, 1, 2]
    cluster = played(recorder)
    assert [await names(cluster), await names(cluster), await names(cluster)] == [["a"], ["a"], []]
    for _ in range(3):
        with pytest.raises(Forbidden, match="no"):
            await names(cluster)


async def test_an_error_in_other_words_is_another_answer() -> None:
    recorder = recorded(happens=[raises(Forbidden("no")), raises(Forbidden("never")), raises(Conflict("never"))])
    for error in (Forbidden, Forbidden, Conflict):
        with pytest.raises(error):
            await names(recorder)
    assert [answer.times for answer in recorder.answers] == [1, 1, 1]


async def test_more_lines_of_a_log_than_were_read_are_unknown() -> None:
    recorder = recorded(pod("a"))
    await recorder.pod_logs("shop", "a", "app", previous=True, tail_lines=1)
    cluster = played(recorder)
    assert await cluster.pod_logs("shop", "a", "app", previous=True, tail_lines=1) == "two\n"
    with pytest.raises(Unavailable, match="log pods shop/a"):
        await cluster.pod_logs("shop", "a", "app", previous=True, tail_lines=2)
    await recorder.pod_logs("shop", "a", "app", previous=True, tail_lines=9)
    cluster = played(recorder)
    for lines, text in ((9, "one\ntwo\n"), (5, "one\ntwo\n"), (1, "two\n")):
        assert await cluster.pod_logs("shop", "a", "app", previous=True, tail_lines=lines) == text


async def test_an_absence_is_an_answer() -> None:
    recorder = recorded()
    for _ in range(2):
        with pytest.raises(NotFound):
            await recorder.get(Resource.PODS, "shop", "a")
    with pytest.raises(NotFound):
        await recorder.pod_logs("shop", "a", "other")
    cluster = played(recorder)
    with pytest.raises(NotFound):
        await cluster.get(Resource.PODS, "shop", "a")
    with pytest.raises(NotFound):
        await cluster.pod_logs("shop", "a", "other")


async def test_a_failure_is_raised_again_and_then_what_came_after_it() -> None:
    recorder = recorded(pod("a"), happens=[raises(Forbidden("no right to list pods"))])
    with pytest.raises(Forbidden):
        await names(recorder)
    await names(recorder)
    cluster = played(recorder)
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
    recorder = recorded(pod("a"), node())
    await names(recorder)
    with pytest.raises(Unavailable, match="the evidence that was kept does not say"):
        await ask(played(recorder))


async def test_a_list_answers_for_each_object_and_for_every_selection_of_it() -> None:
    recorder = recorded(pod("a", labels={"app": "x"}), pod("b"), pod("c", namespace="other"))
    await recorder.list(Resource.PODS)
    cluster = played(recorder)
    assert name(await cluster.get(Resource.PODS, "other", "c")) == "c"
    with pytest.raises(NotFound):
        await cluster.get(Resource.PODS, "shop", "gone")
    assert await names(cluster, labels={"app": "x"}) == ["a"]
    assert await names(cluster, None, fields={"metadata.name": "b"}) == ["b"]


async def test_a_selection_does_not_answer_for_the_whole() -> None:
    recorder = recorded(pod("a", labels={"app": "x"}), pod("b"))
    await names(recorder, labels={"app": "x"})
    cluster = played(recorder)
    assert await names(cluster, labels={"app": "x"}) == ["a"]
    with pytest.raises(Unavailable, match="list pods shop"):
        await names(cluster)


async def test_the_runs_own_writes_are_no_evidence() -> None:
    recorder = recorded(node())
    await recorder.get(Resource.NODES, None, "n1")
    await recorder.write(CORDON, dry_run=True)
    await recorder.write(CORDON)
    assert (await recorder.get(Resource.NODES, None, "n1"))["spec"] == {"unschedulable": True}
    cluster = played(recorder)
    for _ in range(2):
        assert (await cluster.get(Resource.NODES, None, "n1"))["spec"] == {}
    await cluster.write(CORDON, dry_run=True)
    assert (await cluster.get(Resource.NODES, None, "n1"))["spec"] == {}
    await cluster.write(CORDON)
    assert (await cluster.get(Resource.NODES, None, "n1"))["spec"] == {"unschedulable": True}


async def test_what_was_first_looked_at_after_a_write_is_evidence_of_what_was_not_known_before() -> None:
    recorder = recorded(node(), pod("a"))
    await recorder.write(CORDON)
    await recorder.get(Resource.PODS, "shop", "a")
    with pytest.raises(NotFound):
        await recorder.get(Resource.PODS, "shop", "b")
    assert [answer.late for answer in recorder.answers] == [True, True]
    cluster = played(recorder)
    assert name(await cluster.get(Resource.PODS, "shop", "a")) == "a"
    with pytest.raises(NotFound):
        await cluster.get(Resource.PODS, "shop", "b")


async def test_after_a_write_absence_is_judged_by_what_was_written() -> None:
    recorder = recorded(pod("a"))
    await names(recorder)
    await recorder.get(Resource.PODS, "shop", "a")
    cluster = played(recorder)
    await cluster.write(DELETION)
    assert await names(cluster) == []
    with pytest.raises(NotFound):
        await cluster.get(Resource.PODS, "shop", "a")


async def test_an_object_that_a_later_answer_lacks_is_gone_at_the_end() -> None:
    recorder = recorded(pod("a"), node(), happens=[None, goes("a")])
    await recorder.get(Resource.PODS, "shop", "a")
    await names(recorder)
    cluster = played(recorder)
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

    recorder = RecordingCluster(Rejecting(from_objects([node()])), most=10)
    await recorder.get(Resource.NODES, None, "n1")
    await recorder.write(CORDON, dry_run=True)
    with pytest.raises(type(error)):
        await recorder.write(CORDON)
    cluster = played(recorder)
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
    recorder = recorded(node(), happens=[None, None])
    stale = Write(
        verb=WriteVerb.PATCH,
        resource=Resource.NODES,
        namespace=None,
        name="n1",
        body={"spec": {"unschedulable": True}},
        resource_version="1",
    )
    await recorder.get(Resource.NODES, None, "n1")
    with pytest.raises(Conflict):
        await recorder.write(stale)
    assert recorder.rejections == []
    with pytest.raises(Conflict):
        await played(recorder).write(stale)


async def test_more_than_a_recorder_may_hold_is_lost_and_unknown() -> None:
    recorder = RecordingCluster(SnapshotCluster(from_objects([pod("a"), pod("b"), node()])), most=1)
    await recorder.get(Resource.NODES, None, "n1")
    await names(recorder)
    assert [answer.lost for answer in recorder.answers] == [False, True]
    cluster = played(recorder)
    assert name(await cluster.get(Resource.NODES, None, "n1")) == "n1"
    with pytest.raises(Unavailable):
        await names(cluster)


async def test_an_equal_object_is_held_once() -> None:
    recorder = recorded(pod("a"))
    await names(recorder)
    await recorder.get(Resource.PODS, "shop", "a")
    assert recorder.answers[0].objects[0] is recorder.answers[1].objects[0]


async def test_elements_of_a_live_list_are_found_though_they_carry_no_kind() -> None:
    class Bare(SnapshotCluster):
        async def list(self, *arguments: Any, **selectors: Any) -> list[Object]:
            found = await super().list(*arguments, **selectors)
            return [{key: value for key, value in obj.items() if key not in {"kind", "apiVersion"}} for obj in found]

    recorder = RecordingCluster(Bare(from_objects([pod("a")])), most=10)
    await names(recorder)
    assert name(await played(recorder).get(Resource.PODS, "shop", "a")) == "a"


async def test_nothing_said_to_a_playback_leaves_it() -> None:
    recorder = recorded(pod("a"))
    await names(recorder)
    cluster = played(recorder)
    (found,) = await cluster.list(Resource.PODS, "shop")
    found["metadata"]["name"] = "changed"
    await cluster.emit_event({"metadata": {"name": "e", "namespace": "shop"}})
    assert cluster.recorded
    assert await names(cluster) == ["a"]
    await cluster.close()
