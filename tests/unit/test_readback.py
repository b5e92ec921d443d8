"""What reading an object back says of a write whose answer never came."""

from typing import Any

import pytest

from sre_agent.cluster import readback
from sre_agent.cluster.port import ClusterError, NotFound, Resource, Unavailable, Write, WriteVerb
from sre_agent.cluster.readback import Effect, look_up
from sre_agent.objects import Object


class Showing:
    """A cluster that shows one thing after the other; the last one stays."""

    def __init__(self, *shown: Object | ClusterError) -> None:
        self.shown = list(shown)
        self.looks = 0

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        self.looks += 1
        found = self.shown.pop(0) if len(self.shown) > 1 else self.shown[0]
        if isinstance(found, ClusterError):
            raise found
        return found


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readback, "PAUSE_SECONDS", 0.0)


def node(*, uid: str = "u", version: str = "1", going: bool = False, **spec: Any) -> Object:
    metadata = {"name": "n", "uid": uid, "resourceVersion": version}
    return {"metadata": {**metadata, **({"deletionTimestamp": "2026-01-01T00:00:00Z"} if going else {})}, "spec": spec}


def patch(**spec: Any) -> Write:
    return Write(
        verb=WriteVerb.PATCH,
        resource=Resource.NODES,
        namespace=None,
        name="n",
        body={"spec": spec},
        uid="u",
        resource_version="1",
    )


DELETION = Write(verb=WriteVerb.DELETE, resource=Resource.PODS, namespace="d", name="n", body={}, uid="u")
EVICTION = Write(
    verb=WriteVerb.CREATE,
    resource=Resource.PODS,
    namespace="d",
    name="n",
    body={},
    uid="u",
    subresource="eviction",
)
GONE, AWAY = NotFound("gone"), Unavailable("away")
LOOKS = [
    pytest.param(
        patch(unschedulable=True), [node(version="2", unschedulable=True)], Effect.TOOK, id="a patch is there"
    ),
    pytest.param(patch(unschedulable=False), [node(version="2")], Effect.TOOK, id="false reads back as absent"),
    pytest.param(patch(unschedulable=None), [node(version="2")], Effect.TOOK, id="a removed field is absent"),
    pytest.param(patch(unschedulable=False), [node(unschedulable=True)], Effect.UNSEEN, id="false is not there yet"),
    pytest.param(patch(unschedulable=True), [node()], Effect.UNSEEN, id="a patch may still arrive"),
    pytest.param(
        patch(unschedulable=True),
        [node(), AWAY, node(version="2", unschedulable=True)],
        Effect.TOOK,
        id="a patch arrives while we look",
    ),
    pytest.param(patch(unschedulable=True), [node(version="2")], Effect.NEVER, id="somebody else was faster"),
    pytest.param(patch(unschedulable=True), [node(uid="v")], Effect.NEVER, id="another object of that name"),
    pytest.param(patch(unschedulable=True), [GONE], Effect.NEVER, id="a patch of what is gone"),
    pytest.param(patch(unschedulable=True), [AWAY], Effect.UNREAD, id="nobody can look"),
    *(
        pytest.param(write, shown, effect, id=f"{name}: {what}")
        for name, write in (("delete", DELETION), ("evict", EVICTION))
        for what, shown, effect in (
            ("gone", [GONE], Effect.TOOK),
            ("going", [node(going=True)], Effect.TOOK),
            ("replaced", [node(uid="v")], Effect.TOOK),
            ("there", [node()], Effect.UNSEEN),
            ("nobody can look", [AWAY], Effect.UNREAD),
        )
    ),
]


@pytest.mark.parametrize(("write", "shown", "effect"), LOOKS)
async def test_an_unknown_write_is_judged_by_what_is_there(
    write: Write, shown: list[Object | ClusterError], effect: Effect
) -> None:
    cluster = Showing(*shown)
    assert await look_up(cluster, write) is effect
    assert cluster.looks <= readback.LOOKS


FORESEEN: Object = {"metadata": {"name": "n", "uid": "u", "resourceVersion": "1", "generation": 8}, "spec": {}}


@pytest.mark.parametrize(
    ("generation", "effect"),
    [
        pytest.param(7, Effect.NEVER, id="only its status was changed"),
        pytest.param(8, Effect.REPLACED, id="one spec was written: this one, or another that was first"),
        pytest.param(9, Effect.REPLACED, id="two were: this one may have been taken back"),
    ],
)
async def test_a_patch_that_is_not_there_is_denied_only_where_no_spec_was_written(
    generation: int, effect: Effect
) -> None:
    found = node(version="3")
    found["metadata"]["generation"] = generation
    assert await look_up(Showing(found), patch(unschedulable=True), foreseen=FORESEEN) is effect
