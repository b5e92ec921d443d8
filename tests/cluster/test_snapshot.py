"""What a snapshot does beyond the contract: recorded logs, versions, memory of writes, and hand-cut recordings."""

import pytest

from sre_agent.cluster import strategic_merge
from sre_agent.cluster.port import Conflict, NotFound, Refused, Resource, TooManyRequests, Write, WriteVerb
from sre_agent.cluster.recording import Recording, from_objects
from sre_agent.cluster.snapshot import SnapshotCluster
from sre_agent.objects import Object
from tests.cluster.contract import NAMESPACE, budget, deletion, deployment, eviction, image_patch, node, patch, pod

LOG = "".join(f"line {number}\n" for number in range(5))


def snapshot(*values: Object) -> SnapshotCluster:
    return SnapshotCluster(from_objects(values))


def versioned(obj: Object, version: str, uid: str = "uid-1") -> Object:
    return {**obj, "metadata": {**obj["metadata"], "resourceVersion": version, "uid": uid}}


@pytest.mark.parametrize(
    ("previous", "tail_lines", "expected"),
    [
        pytest.param(False, 200, LOG, id="all of a short log"),
        pytest.param(False, 2, "line 3\nline 4\n", id="the end"),
        pytest.param(False, 0, "", id="nothing"),
        pytest.param(True, 200, "fatal: out of retries", id="the previous container, without a final newline"),
    ],
)
async def test_recorded_logs_are_read_from_the_end(previous: bool, tail_lines: int, expected: str) -> None:
    logs = {("demo", "a", "app", False): LOG, ("demo", "a", "app", True): "fatal: out of retries"}
    cluster = SnapshotCluster(from_objects([], logs=logs))
    assert await cluster.pod_logs("demo", "a", "app", previous=previous, tail_lines=tail_lines) == expected


@pytest.mark.parametrize(
    ("container", "previous", "words"),
    [
        ("sidecar", False, "no log recorded for container sidecar of pod demo/a"),
        ("app", True, "no previous log recorded for container app of pod demo/a"),
    ],
)
async def test_a_log_that_was_not_recorded_is_not_found(container: str, previous: bool, words: str) -> None:
    cluster = SnapshotCluster(from_objects([pod("a")], logs={("demo", "a", "app", False): LOG}))
    with pytest.raises(NotFound, match=words):
        await cluster.pod_logs("demo", "a", container, previous=previous)


async def test_a_namespace_without_its_object_is_not_found() -> None:
    with pytest.raises(NotFound, match='namespaces "contract" not found'):
        await snapshot(pod("a")).get(Resource.NAMESPACES, None, NAMESPACE)


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        pytest.param({"spec.nodeName": ""}, ["loose"], id="an absent value is an empty text"),
        pytest.param({"status.phase": "Running"}, ["bound", "loose"], id="the phase"),
        pytest.param({"spec.hostNetwork": "true"}, ["bound"], id="a boolean"),
        pytest.param({"spec.nodeName.deeper": "x"}, [], id="a path through a word"),
    ],
)
async def test_any_field_can_select(fields: dict[str, str], names: list[str]) -> None:
    bound = pod("bound", node="worker-1")
    bound["spec"]["hostNetwork"] = True
    found = await snapshot(bound, pod("loose")).list(Resource.PODS, fields=fields)
    assert [obj["metadata"]["name"] for obj in found] == names


async def test_metrics_and_pods_of_one_name_are_kept_apart() -> None:
    metrics = {"apiVersion": "metrics.k8s.io/v1beta1", "kind": "PodMetrics", "metadata": {"name": "a"}}
    cluster = snapshot({**pod("a"), "metadata": {"name": "a"}}, metrics)
    assert (await cluster.get(Resource.PODS, "default", "a"))["kind"] == "Pod"
    assert (await cluster.get(Resource.POD_METRICS, "default", "a"))["kind"] == "PodMetrics"


async def test_new_versions_are_larger_than_every_recorded_one() -> None:
    lease: Object = {"kind": "Lease", "metadata": {"name": "l", "resourceVersion": "900"}}
    opaque = versioned(pod("b"), "opaque")
    cluster = snapshot(versioned(deployment(), "17"), lease, opaque, {"kind": "Other"})
    first = await cluster.write(image_patch("registry.example/web:2"))
    second = await cluster.write(image_patch("registry.example/web:3"))
    assert (first["metadata"]["resourceVersion"], second["metadata"]["resourceVersion"]) == ("901", "902")


async def test_an_object_without_version_gets_one_at_its_first_write() -> None:
    cluster = snapshot(deployment())
    assert "resourceVersion" not in (await cluster.get(Resource.DEPLOYMENTS, NAMESPACE, "web"))["metadata"]
    with pytest.raises(Conflict, match="resourceVersion 5 was expected and is None"):
        await cluster.write(image_patch("registry.example/web:2", resource_version="5"))
    after = await cluster.write(image_patch("registry.example/web:2"))
    assert after["metadata"]["resourceVersion"] == "1"


async def test_the_recording_is_never_changed() -> None:
    recording = from_objects([deployment(), pod("web-1"), budget(allowed=1), node("worker-1")])
    before = [strategic_merge.copy(obj) for obj in recording.objects]
    cluster = SnapshotCluster(recording)
    await cluster.write(image_patch("registry.example/web:2"))
    await cluster.write(eviction("web-1"))
    await cluster.write(patch(Resource.NODES, "worker-1", {"spec": {"unschedulable": True}}, namespace=None))
    assert list(recording.objects) == before
    other = SnapshotCluster(recording)
    assert len(await other.list(Resource.PODS)) == 1


async def test_accepted_writes_are_remembered_in_order() -> None:
    cluster = snapshot(deployment(), pod("web-1"), pod("web-2"), budget(allowed=1))
    writes = [image_patch("registry.example/web:2"), eviction("web-1")]
    await cluster.write(writes[0], dry_run=True)
    for write in writes:
        await cluster.write(write)
    with pytest.raises(TooManyRequests):
        await cluster.write(eviction("web-2"))
    with pytest.raises(NotFound):
        await cluster.write(deletion("absent"))
    await cluster.emit_event({"metadata": {"name": "e", "namespace": NAMESPACE}, "message": "said"})
    assert cluster.accepted_writes == writes
    assert [event["message"] for event in cluster.events_emitted] == ["said"]
    writes[0].body["spec"] = "changed later"
    assert cluster.accepted_writes[0].body["spec"] != "changed later"


@pytest.mark.parametrize(
    "write",
    [
        patch(Resource.DEPLOYMENTS, "web", {"metadata": {"uid": "uid-9", "annotations": {"a": "b"}}}),
        patch(Resource.DEPLOYMENTS, "web", {"metadata": {"resourceVersion": "16", "annotations": {"a": "b"}}}),
    ],
)
async def test_preconditions_in_the_body_count_too(write: Write) -> None:
    cluster = snapshot(versioned(deployment(), "17"))
    with pytest.raises(Conflict):
        await cluster.write(write)


async def test_preconditions_in_the_body_are_no_content() -> None:
    cluster = snapshot(versioned(deployment(), "17"))
    after = await cluster.write(
        patch(Resource.DEPLOYMENTS, "web", {"metadata": {"uid": "uid-1", "resourceVersion": "17"}})
    )
    assert after["metadata"]["resourceVersion"] == "17"


@pytest.mark.parametrize(
    ("holder", "body"),
    [
        pytest.param("delete", {"preconditions": {"uid": "uid-9"}}, id="a delete's uid"),
        pytest.param("delete", {"preconditions": {"resourceVersion": "16"}}, id="a delete's version"),
        pytest.param("evict", {"deleteOptions": {"preconditions": {"uid": "uid-9"}}}, id="an eviction's uid"),
    ],
)
async def test_preconditions_of_delete_options_count(holder: str, body: Object) -> None:
    cluster = snapshot(versioned(pod("web-1"), "17"))
    verb, subresource = (WriteVerb.DELETE, None) if holder == "delete" else (WriteVerb.CREATE, "eviction")
    write = Write(
        verb=verb, resource=Resource.PODS, namespace=NAMESPACE, name="web-1", body=body, subresource=subresource
    )
    with pytest.raises(Conflict):
        await cluster.write(write)


async def test_what_the_server_owns_stays_the_servers() -> None:
    cluster = snapshot(versioned(deployment(), "17"))
    owned = {"creationTimestamp": "2031-01-01T00:00:00Z", "generation": 99, "managedFields": []}
    after = await cluster.write(patch(Resource.DEPLOYMENTS, "web", {"metadata": owned}))
    assert after == await snapshot(versioned(deployment(), "17")).get(Resource.DEPLOYMENTS, NAMESPACE, "web")


async def test_a_deployments_annotations_are_a_new_generation_and_a_nodes_are_not() -> None:
    cluster = snapshot(deployment(), node("worker-1"))
    note = {"metadata": {"annotations": {"a": "b"}}}
    changed = await cluster.write(patch(Resource.DEPLOYMENTS, "web", note))
    assert changed["metadata"]["generation"] == 2
    changed = await cluster.write(patch(Resource.NODES, "worker-1", note, namespace=None))
    assert "generation" not in changed["metadata"]


async def test_the_status_subresource_changes_the_status_alone() -> None:
    cluster = snapshot(deployment())
    write = Write(
        verb=WriteVerb.PATCH,
        resource=Resource.DEPLOYMENTS,
        namespace=NAMESPACE,
        name="web",
        body={"status": {"replicas": 9}, "spec": {"replicas": 9}},
        subresource="status",
    )
    after = await cluster.write(write)
    assert (after["status"]["replicas"], after["spec"]["replicas"]) == (9, 2)


async def test_a_fault_that_was_recorded_does_not_stop_other_changes() -> None:
    cut = deployment()
    cut["spec"]["template"]["spec"]["containers"][1] = {"name": "proxy"}
    after = await snapshot(cut).write(image_patch("registry.example/web:2"))
    assert after["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.example/web:2"


def in_container(fields: Object) -> Object:
    return {"spec": {"template": {"spec": {"containers": [{"name": "app", **fields}]}}}}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param({"metadata": None}, "cannot remove the metadata", id="no metadata"),
        pytest.param({"metadata": "x"}, "metadata is not an object", id="metadata that is a word"),
        pytest.param({"metadata": {"namespace": "other"}}, "namespace of the provided object", id="another namespace"),
        pytest.param({"kind": "Pod"}, "kind of the object cannot change", id="another kind"),
        pytest.param({"metadata": {"annotations": {"a": 1}}}, r"annotations\[a\].*must be a string", id="a number"),
        pytest.param({"spec": "x"}, "spec is not an object", id="a spec that is a word"),
        pytest.param({"spec": None}, "spec.selector: Invalid value: field is immutable", id="no spec"),
        pytest.param({"spec": {"template": "x"}}, "spec.template is not an object", id="a template that is a word"),
        pytest.param({"spec": {"template": {"spec": {"containers": None}}}}, "containers: Required value", id="none"),
        pytest.param({"spec": {"template": {"spec": {"containers": "x"}}}}, "is not a list", id="a word"),
        pytest.param(
            {"spec": {"template": {"metadata": {"labels": {"app": "x"}}}}},
            "`selector` does not match template `labels`",
            id="labels that the selector does not select",
        ),
        pytest.param(in_container({"image": None}), r"containers\[0\].image: Required value", id="no image"),
        pytest.param(in_container({"resources": "x"}), "resources is not an object", id="resources that are a word"),
        pytest.param(
            in_container({"resources": {"limits": {"memory": "12zz"}}}), "12zz.* is not a quantity", id="no quantity"
        ),
        pytest.param(
            in_container({"resources": {"limits": {"memory": "-1"}}}), "greater than or equal to 0", id="negative"
        ),
    ],
)
async def test_a_patch_with_a_fault_is_refused(body: Object, words: str) -> None:
    cluster = snapshot(deployment())
    with pytest.raises(Refused, match=words):
        await cluster.write(patch(Resource.DEPLOYMENTS, "web", body))
    assert cluster.accepted_writes == []


def creating(body: Object, *, subresource: str | None = None, resource: Resource = Resource.PODS) -> Write:
    return Write(
        verb=WriteVerb.CREATE,
        resource=resource,
        namespace=NAMESPACE,
        name="new",
        body=body,
        subresource=subresource,
    )


@pytest.mark.parametrize(
    ("write", "words"),
    [
        pytest.param(
            patch(Resource.VERTICAL_POD_AUTOSCALERS, "v", {}), "strategic merge patch for a custom resource", id="VPA"
        ),
        pytest.param(
            Write(
                verb=WriteVerb.PATCH,
                resource=Resource.DEPLOYMENTS,
                namespace=NAMESPACE,
                name="web",
                body={},
                subresource="scale",
            ),
            r"deployments\.apps/scale cannot be patched",
            id="a subresource that is not served",
        ),
        pytest.param(
            Write(
                verb=WriteVerb.DELETE,
                resource=Resource.PODS,
                namespace=NAMESPACE,
                name="web-1",
                body={},
                subresource="eviction",
            ),
            "pods/eviction cannot be deleted",
            id="delete of a subresource",
        ),
        pytest.param(creating({}, subresource="binding"), "pods/binding cannot be created", id="another subresource"),
        pytest.param(
            creating({}, subresource="eviction", resource=Resource.DEPLOYMENTS), "only pods", id="eviction of others"
        ),
        pytest.param(creating({"metadata": {"name": "x"}}), "do not match contract/new", id="another name"),
        pytest.param(creating({"kind": "Node"}), "v1 Node is no pods", id="another kind"),
        pytest.param(creating({"spec": {}}), "containers: Required value", id="a pod without containers"),
        pytest.param(
            creating({"spec": {"containers": [{"name": "a", "image": "x"}, {"name": "a", "image": "x"}]}}),
            'Duplicate value: "a"',
            id="two containers of one name",
        ),
        pytest.param(
            creating({"spec": {"containers": ["x"]}}), r"containers\[0\]: Invalid value", id="a container as a word"
        ),
    ],
)
async def test_a_request_that_the_api_would_not_take_is_refused(write: Write, words: str) -> None:
    with pytest.raises(Refused, match=words):
        await snapshot(deployment(), pod("web-1")).write(write)


async def test_an_eviction_of_another_name_is_refused() -> None:
    write = eviction("web-1")
    write.body["metadata"]["name"] = "web-2"
    with pytest.raises(Refused, match="name in URL does not match"):
        await snapshot(pod("web-1"), pod("web-2")).write(write)


async def test_a_created_workload_starts_at_its_first_generation() -> None:
    body = deployment("new")
    body["metadata"]["generation"] = 7
    cluster = snapshot()
    await cluster.write(creating(body, resource=Resource.DEPLOYMENTS), dry_run=True)
    created = await cluster.write(creating(body, resource=Resource.DEPLOYMENTS))
    assert created["metadata"]["generation"] == 1
    assert created == await cluster.get(Resource.DEPLOYMENTS, NAMESPACE, "new")


async def test_a_ready_pod_that_goes_is_no_longer_healthy() -> None:
    cluster = snapshot(pod("web-1"), pod("web-2", ready=False), budget(allowed=1))
    await cluster.write(eviction("web-2"))
    left = await cluster.get(Resource.POD_DISRUPTION_BUDGETS, NAMESPACE, "web")
    assert (left["status"]["disruptionsAllowed"], left["status"]["currentHealthy"]) == (1, 2)
    await cluster.write(eviction("web-1"))
    left = await cluster.get(Resource.POD_DISRUPTION_BUDGETS, NAMESPACE, "web")
    assert (left["status"]["disruptionsAllowed"], left["status"]["currentHealthy"]) == (0, 1)


def with_status(**fields: object) -> Object:
    base = budget(allowed=1)
    return {**base, "status": {**base["status"], **fields}}


@pytest.mark.parametrize(
    ("guard", "error", "words"),
    [
        pytest.param(with_status(observedGeneration=0), TooManyRequests, "still being processed", id="not observed"),
        pytest.param(with_status(disruptionsAllowed=-1), Refused, "is negative", id="a negative count"),
        pytest.param(
            with_status(disruptedPods={f"p{n}": "t" for n in range(2001)}), Refused, "map too big", id="too many going"
        ),
        pytest.param(
            with_status(disruptionsAllowed=0, currentHealthy=1),
            TooManyRequests,
            "budget web needs 1 healthy pods and has 1 currently",
            id="just enough healthy",
        ),
        pytest.param(
            with_status(disruptionsAllowed=0),
            TooManyRequests,
            "budget web does not allow evicting pods currently$",
            id="none allowed though enough are healthy",
        ),
        pytest.param(
            with_status(
                disruptionsAllowed=0,
                conditions=[
                    {"type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods", "message": "few"}
                ],
            ),
            TooManyRequests,
            r"currently \(InsufficientPods\): few",
            id="a condition says why",
        ),
        pytest.param(
            with_status(
                disruptionsAllowed=0,
                conditions=[
                    {"type": "DisruptionAllowed", "status": "False", "reason": "SyncFailed", "message": "no scale"}
                ],
            ),
            TooManyRequests,
            "because it failed sync: no scale",
            id="the controller failed",
        ),
        pytest.param(
            {key: value for key, value in budget(allowed=1).items() if key != "status"},
            TooManyRequests,
            "still being processed",
            id="a budget without status allows nothing",
        ),
    ],
)
async def test_a_budget_that_allows_nothing_says_why(guard: Object, error: type[Exception], words: str) -> None:
    cluster = snapshot(pod("web-1"), guard)
    with pytest.raises(error, match=words):
        await cluster.write(eviction("web-1"))
    assert len(await cluster.list(Resource.PODS)) == 1


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"selector": {}}, id="an empty selector selects all"),
        pytest.param(
            {"selector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}},
            id="an expression",
        ),
    ],
)
async def test_a_budgets_selector_is_a_label_selector(change: Object) -> None:
    guard = budget(allowed=0)
    guard["spec"] = {**guard["spec"], **change}
    with pytest.raises(TooManyRequests):
        await snapshot(pod("web-1"), guard).write(eviction("web-1"))


async def test_a_budget_without_selector_or_of_another_namespace_guards_nothing() -> None:
    bare = budget("bare", allowed=0)
    del bare["spec"]["selector"]
    elsewhere = budget(allowed=0)
    elsewhere["metadata"]["namespace"] = "other"
    cluster = snapshot(pod("web-1"), bare, elsewhere)
    await cluster.write(eviction("web-1"))
    assert await cluster.list(Resource.PODS) == []


async def test_a_terminating_pod_needs_no_budget() -> None:
    going = pod("web-1")
    going["metadata"]["deletionTimestamp"] = "2025-01-31T12:00:00Z"
    cluster = snapshot(going, budget(allowed=0))
    await cluster.write(eviction("web-1"))
    assert await cluster.list(Resource.PODS) == []


async def test_an_event_without_a_name_is_refused() -> None:
    with pytest.raises(Refused, match=r"metadata\.name"):
        await snapshot().emit_event({"metadata": {"namespace": NAMESPACE}, "message": "x"})


async def test_kinds_that_nobody_reads_do_not_disturb() -> None:
    cluster = SnapshotCluster(Recording(objects=({"kind": "Lease"}, {"kind": "Lease", "metadata": None})))
    assert await cluster.list(Resource.PODS) == []
