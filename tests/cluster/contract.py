"""What any cluster behind the port must do. One suite; the snapshot and the live API both run it.

To run it against an implementation, subclass `ClusterContract` in a `test_*.py` and give a fixture
`cluster_factory`: an async function that takes the objects that shall be there and returns the cluster. A live
factory starts from an empty cluster, writes each object's `status` through its subresource, and runs no
controllers (they would overwrite it). The tests read uid and resourceVersion back: a real server sets its own.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from sre_agent.cluster.port import Cluster, Conflict, NotFound, Refused, Resource, TooManyRequests, Write, WriteVerb
from sre_agent.objects import Object

ClusterFactory = Callable[[list[Object]], Awaitable[Cluster]]

NAMESPACE = "contract"
OTHER_NAMESPACE = "contract-other"


def namespaces() -> list[Object]:
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in (NAMESPACE, OTHER_NAMESPACE)
    ]


def pod(
    name: str,
    *,
    namespace: str = NAMESPACE,
    app: str = "web",
    node: str | None = None,
    phase: str = "Running",
    ready: bool = True,
) -> Object:
    spec: Object = {"containers": [{"name": "app", "image": "registry.example/web:1"}]}
    if node:
        spec["nodeName"] = node
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": app}},
        "spec": spec,
        "status": {"phase": phase, "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]},
    }


def deployment(name: str = "web") -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "generation": 1,
            "annotations": {"team": "blue", "note": "old"},
        },
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "containers": [
                        {
                            "name": "app",
                            "image": "registry.example/web:1",
                            "env": [{"name": "MODE", "value": "fast"}, {"name": "LEVEL", "value": "1"}],
                            "resources": {
                                "limits": {"memory": "128Mi", "cpu": "1"},
                                "requests": {"memory": "64Mi"},
                            },
                        },
                        {"name": "proxy", "image": "registry.example/proxy:1"},
                    ]
                },
            },
        },
        "status": {"observedGeneration": 1, "replicas": 2},
    }


def node(name: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"pool": "a"}},
        "spec": {"taints": [{"key": "dedicated", "value": "web", "effect": "NoSchedule"}]},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }


def budget(name: str = "web", *, allowed: int, app: str = "web", **spec: Any) -> Object:
    """A PodDisruptionBudget whose controller has seen it: two pods healthy, of which `allowed` may go."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": NAMESPACE, "generation": 1},
        "spec": {"minAvailable": 2 - allowed, "selector": {"matchLabels": {"app": app}}, **spec},
        "status": {
            "observedGeneration": 1,
            "disruptionsAllowed": allowed,
            "currentHealthy": 2,
            "desiredHealthy": 2 - allowed,
            "expectedPods": 2,
        },
    }


def patch(
    resource: Resource, name: str, body: Object, *, namespace: str | None = NAMESPACE, **preconditions: str | None
) -> Write:
    return Write(verb=WriteVerb.PATCH, resource=resource, namespace=namespace, name=name, body=body, **preconditions)


def image_patch(image: str, *, container: str = "app", **preconditions: str | None) -> Write:
    template = {"spec": {"containers": [{"name": container, "image": image}]}}
    return patch(Resource.DEPLOYMENTS, "web", {"spec": {"template": template}}, **preconditions)


def deletion(name: str, *, uid: str | None = None) -> Write:
    return Write(verb=WriteVerb.DELETE, resource=Resource.PODS, namespace=NAMESPACE, name=name, body={}, uid=uid)


def eviction(name: str, *, uid: str | None = None) -> Write:
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": NAMESPACE},
    }
    return Write(
        verb=WriteVerb.CREATE,
        resource=Resource.PODS,
        namespace=NAMESPACE,
        name=name,
        body=body,
        subresource="eviction",
        uid=uid,
    )


def creation(obj: Object) -> Write:
    metadata = obj["metadata"]
    return Write(
        verb=WriteVerb.CREATE,
        resource=Resource.PODS,
        namespace=metadata["namespace"],
        name=metadata["name"],
        body=obj,
    )


def containers_of(obj: Object) -> dict[str, Object]:
    return {entry["name"]: entry for entry in obj["spec"]["template"]["spec"]["containers"]}


async def leaves(cluster: Cluster, name: str) -> bool:
    """Whether a pod is gone or going: without a kubelet a bound pod stays, terminating."""
    try:
        found = await cluster.get(Resource.PODS, NAMESPACE, name)
    except NotFound:
        return True
    return "deletionTimestamp" in found["metadata"]


async def names(cluster: Cluster, resource: Resource, namespace: str | None = None, **selectors: Any) -> list[str]:
    return [obj["metadata"]["name"] for obj in await cluster.list(resource, namespace, **selectors)]


class ReadContract:
    """What reads answer."""

    async def test_an_object_is_read_by_kind_namespace_and_name(self, cluster_factory: ClusterFactory) -> None:
        cluster = await cluster_factory([*namespaces(), pod("web-1")])
        found = await cluster.get(Resource.PODS, NAMESPACE, "web-1")
        assert (found["kind"], found["apiVersion"]) == ("Pod", "v1")
        assert found["spec"]["containers"][0]["image"] == "registry.example/web:1"

    async def test_an_absent_object_is_not_found_by_name(self, cluster_factory: ClusterFactory) -> None:
        cluster = await cluster_factory([*namespaces(), pod("web-1", namespace=OTHER_NAMESPACE)])
        with pytest.raises(NotFound, match='pods "web-1" not found'):
            await cluster.get(Resource.PODS, NAMESPACE, "web-1")
        with pytest.raises(NotFound, match=r'deployments\.apps "web" not found'):
            await cluster.get(Resource.DEPLOYMENTS, NAMESPACE, "web")

    async def test_a_cluster_scoped_object_needs_no_namespace(self, cluster_factory: ClusterFactory) -> None:
        cluster = await cluster_factory([node("worker-1")])
        found = await cluster.get(Resource.NODES, None, "worker-1")
        assert found["metadata"]["labels"]["pool"] == "a"

    async def test_a_list_holds_one_namespace_or_all(self, cluster_factory: ClusterFactory) -> None:
        cluster = await cluster_factory(
            [*namespaces(), pod("web-2"), pod("web-1"), pod("web-3", namespace=OTHER_NAMESPACE)]
        )
        assert await names(cluster, Resource.PODS, NAMESPACE) == ["web-1", "web-2"]
        assert sorted(await names(cluster, Resource.PODS)) == ["web-1", "web-2", "web-3"]

    async def test_listed_objects_say_their_kind(self, cluster_factory: ClusterFactory) -> None:
        cluster = await cluster_factory([*namespaces(), pod("web-1")])
        (found,) = await cluster.list(Resource.PODS, NAMESPACE)
        assert (found["kind"], found["apiVersion"]) == ("Pod", "v1")

    async def test_a_list_is_narrowed_by_labels_and_fields(self, cluster_factory: ClusterFactory) -> None:
        cluster = await cluster_factory(
            [
                *namespaces(),
                node("worker-1"),
                node("worker-2"),
                pod("web-1", node="worker-1"),
                pod("web-2", node="worker-2"),
                pod("db-1", node="worker-1", app="db"),
            ]
        )
        assert await names(cluster, Resource.PODS, labels={"app": "web"}) == ["web-1", "web-2"]
        assert await names(cluster, Resource.PODS, fields={"spec.nodeName": "worker-1"}) == ["db-1", "web-1"]
        both = {"labels": {"app": "web"}, "fields": {"spec.nodeName": "worker-1"}}
        assert await names(cluster, Resource.PODS, **both) == ["web-1"]
        assert await names(cluster, Resource.PODS, fields={"metadata.name": "web-2"}) == ["web-2"]

    @pytest.mark.parametrize(
        "resource",
        [
            pytest.param(Resource.JOBS, id="a kind without objects"),
            pytest.param(Resource.VERTICAL_POD_AUTOSCALERS, id="a kind that the cluster does not have"),
            pytest.param(Resource.POD_METRICS, id="metrics that nobody serves"),
        ],
    )
    async def test_nothing_of_a_kind_is_an_empty_list(
        self, cluster_factory: ClusterFactory, resource: Resource
    ) -> None:
        cluster = await cluster_factory([*namespaces(), pod("web-1")])
        assert await cluster.list(resource, NAMESPACE) == []
        assert await cluster.list(resource) == []

    async def test_what_was_read_can_be_changed_without_harm(self, cluster_factory: ClusterFactory) -> None:
        cluster = await cluster_factory([*namespaces(), pod("web-1")])
        for found in (
            await cluster.get(Resource.PODS, NAMESPACE, "web-1"),
            (await cluster.list(Resource.PODS, NAMESPACE))[0],
        ):
            found["spec"]["containers"][0]["image"] = "changed"
            again = await cluster.get(Resource.PODS, NAMESPACE, "web-1")
            assert again["spec"]["containers"][0]["image"] == "registry.example/web:1"

    async def test_the_log_of_an_absent_pod_is_not_found(self, cluster_factory: ClusterFactory) -> None:
        cluster = await cluster_factory(namespaces())
        with pytest.raises(NotFound):
            await cluster.pod_logs(NAMESPACE, "absent", "app")


class PatchContract:
    """What a patch changes, and when it is refused."""

    async def test_a_container_is_patched_by_its_name(self, cluster_factory: ClusterFactory) -> None:
        cluster = await cluster_factory([*namespaces(), deployment()])
        before = await cluster.get(Resource.DEPLOYMENTS, NAMESPACE, "web")
        answer = await cluster.write(image_patch("registry.example/web:2"))
        after = await cluster.get(Resource.DEPLOYMENTS, NAMESPACE, "web")
        assert containers_of(after)["app"]["image"] == "registry.example/web:2"
        assert containers_of(after)["app"]["env"] == containers_of(before)["app"]["env"]
        assert containers_of(after)["proxy"] == containers_of(before)["proxy"]
        assert answer["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]
        assert answer["spec"] == after["spec"]

    async def test_a_new_spec_is_a_new_generation_and_version(self, cluster_factory: ClusterFactory) -> None:
        cluster = await cluster_factory([*namespaces(), deployment()])
        before = await cluster.get(Resource.DEPLOYMENTS, NAMESPACE, "web")
        after = await cluster.write(image_patch("registry.example/web:2"))
        assert after["metadata"]["generation"] == before["metadata"]["generation"] + 1
        assert after["metadata"]["resourceVersion"] != before["metadata"].get("resourceVersion")
        assert after["status"]["observedGeneration"] == before["status"]["observedGeneration"]

    async def test_a_patch_that_changes_nothing_keeps_the_version(self, cluster_factory: ClusterFactory) -> None:
        cluster = await cluster_factory([*namespaces(), deployment()])
        before = await cluster.write(image_patch("registry.example/web:2"))
        after = await cluster.write(image_patch("registry.example/web:2"))
        assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
        assert after["metadata"]["generation"] == before["metadata"]["generation"]

    async def test_null_removes_a_field_and_leaves_its_neighbours(self, cluster_factory: ClusterFactory) -> None:
        cluster = await cluster_factory([*namespaces(), deployment()])
        body = {"metadata": {"annotations": {"note": None, "new": "yes"}}}
        after = await cluster.write(patch(Resource.DEPLOYMENTS, "web", body))
        assert after["metadata"]["annotations"] == {"team": "blue", "new": "yes"}

    async def test_a_limit_is_patched_beside_the_others(self, cluster_factory: ClusterFactory) -> None:
        cluster = await cluster_factory([*namespaces(), deployment()])
        resources = {"limits": {"memory": "256Mi"}}
        template = {"spec": {"containers": [{"name": "app", "resources": resources}]}}
        after = await cluster.write(patch(Resource.DEPLOYMENTS, "web", {"spec": {"template": template}}))
        assert containers_of(after)["app"]["resources"] == {
            "limits": {"memory": "256Mi", "cpu": "1"},
            "requests": {"memory": "64Mi"},
        }

    async def test_a_node_is_cordoned_and_keeps_its_taints(self, cluster_factory: ClusterFactory) -> None:
        cluster = await cluster_factory([node("worker-1")])
        body = {"spec": {"unschedulable": True}, "metadata": {"annotations": {"sre-agent/cordoned": "7"}}}
        await cluster.write(patch(Resource.NODES, "worker-1", body, namespace=None))
        after = await cluster.get(Resource.NODES, None, "worker-1")
        assert after["spec"]["unschedulable"] is True
        assert {"key": "dedicated", "value": "web", "effect": "NoSchedule"} in after["spec"]["taints"]
        assert after["metadata"]["annotations"]["sre-agent/cordoned"] == "7"

    async def test_a_flag_that_is_set_to_false_is_left_out(self, cluster_factory: ClusterFactory) -> None:
        cluster = await cluster_factory([*namespaces(), deployment(), node("worker-1")])
        for flag in (True, False):
            cordon = patch(Resource.NODES, "worker-1", {"spec": {"unschedulable": flag}}, namespace=None)
            assert ("unschedulable" in (await cluster.write(cordon))["spec"]) is flag
            pause = patch(Resource.DEPLOYMENTS, "web", {"spec": {"paused": flag}})
            assert ("paused" in (await cluster.write(pause))["spec"]) is flag

    async def test_false_where_no_flag_is_changes_nothing(self, cluster_factory: ClusterFactory) -> None:
        cluster = await cluster_factory([*namespaces(), deployment()])
        before = await cluster.get(Resource.DEPLOYMENTS, NAMESPACE, "web")
        after = await cluster.write(patch(Resource.DEPLOYMENTS, "web", {"spec": {"paused": False}}))
        assert after["metadata"].get("resourceVersion") == before["metadata"].get("resourceVersion")
        assert after["metadata"]["generation"] == before["metadata"]["generation"]
        assert after["spec"] == before["spec"]

    async def test_preconditions_that_hold_let_a_patch_through(self, cluster_factory: ClusterFactory) -> None:
        cluster = await cluster_factory([*namespaces(), deployment()])
        seen = await cluster.write(image_patch("registry.example/web:2"))
        after = await cluster.write(
            image_patch(
                "registry.example/web:3",
                uid=seen["metadata"].get("uid"),
                resource_version=seen["metadata"]["resourceVersion"],
            )
        )
        assert containers_of(after)["app"]["image"] == "registry.example/web:3"

    @pytest.mark.parametrize("precondition", ["uid", "resource_version"])
    async def test_a_precondition_that_fails_is_a_conflict(
        self, cluster_factory: ClusterFactory, precondition: str
    ) -> None:
        cluster = await cluster_factory([*namespaces(), deployment()])
        seen = await cluster.write(image_patch("registry.example/web:2"))
        await cluster.write(image_patch("registry.example/web:3"))
        stale = {
            "uid": "0e8b8f4e-0000-4000-8000-000000000000",
            "resource_version": seen["metadata"]["resourceVersion"],
        }
        with pytest.raises(Conflict, match='"web"'):
            await cluster.write(image_patch("registry.example/web:4", **{precondition: stale[precondition]}))
        after = await cluster.get(Resource.DEPLOYMENTS, NAMESPACE, "web")
        assert containers_of(after)["app"]["image"] == "registry.example/web:3"

    async def test_a_dry_run_answers_and_leaves_no_trace(self, cluster_factory: ClusterFactory) -> None:
        cluster = await cluster_factory([*namespaces(), deployment()])
        before = await cluster.get(Resource.DEPLOYMENTS, NAMESPACE, "web")
        answer = await cluster.write(image_patch("registry.example/web:2"), dry_run=True)
        assert containers_of(answer)["app"]["image"] == "registry.example/web:2"
        assert await cluster.get(Resource.DEPLOYMENTS, NAMESPACE, "web") == before

    async def test_a_patch_of_an_absent_object_is_not_found(self, cluster_factory: ClusterFactory) -> None:
        cluster = await cluster_factory(namespaces())
        with pytest.raises(NotFound, match=r'deployments\.apps "web" not found'):
            await cluster.write(image_patch("registry.example/web:2"))

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            pytest.param(
                {"spec": {"template": {"spec": {"containers": [{"name": "new"}]}}}},
                r'Deployment\.apps "web" is invalid.*image: Required value',
                id="a container that is not there and has no image",
            ),
            pytest.param(
                {
                    "spec": {
                        "template": {
                            "spec": {"containers": [{"name": "app", "resources": {"requests": {"memory": "129Mi"}}}]}
                        }
                    }
                },
                r"Invalid value.*must be less than or equal to memory limit",
                id="a request above the limit",
            ),
            pytest.param(
                {
                    "spec": {
                        "template": {
                            "spec": {"containers": [{"name": "app", "resources": {"limits": {"memory": "32Mi"}}}]}
                        }
                    }
                },
                r"Invalid value.*must be less than or equal to memory limit",
                id="a limit below the request",
            ),
            pytest.param(
                {"spec": {"selector": {"matchLabels": {"extra": "label"}}}},
                r"field is immutable|does not match template",
                id="another selector",
            ),
            pytest.param({"metadata": {"name": "other"}}, "does not match", id="another name"),
            pytest.param({"spec": {"template": {"spec": {"containers": [{"image": "x"}]}}}}, "name", id="no key"),
        ],
    )
    async def test_an_invalid_patch_is_refused_and_changes_nothing(
        self, cluster_factory: ClusterFactory, body: Object, words: str
    ) -> None:
        cluster = await cluster_factory([*namespaces(), deployment()])
        before = await cluster.get(Resource.DEPLOYMENTS, NAMESPACE, "web")
        with pytest.raises(Refused, match=words):
            await cluster.write(patch(Resource.DEPLOYMENTS, "web", body))
        assert await cluster.get(Resource.DEPLOYMENTS, NAMESPACE, "web") == before

    async def test_the_status_is_out_of_reach_of_a_patch(self, cluster_factory: ClusterFactory) -> None:
        cluster = await cluster_factory([*namespaces(), deployment()])
        after = await cluster.write(patch(Resource.DEPLOYMENTS, "web", {"status": {"replicas": 9}}))
        assert after["status"]["replicas"] == 2

    async def test_a_running_pod_keeps_its_command(self, cluster_factory: ClusterFactory) -> None:
        cluster = await cluster_factory([*namespaces(), pod("web-1")])
        body = {"spec": {"containers": [{"name": "app", "command": ["sleep"]}]}}
        with pytest.raises(Refused, match="pod updates may not change fields"):
            await cluster.write(patch(Resource.PODS, "web-1", body))


class DeleteContract:
    """What a delete and a create do."""

    async def test_a_pod_is_deleted_by_name_and_uid(self, cluster_factory: ClusterFactory) -> None:
        cluster = await cluster_factory([*namespaces(), pod("web-1"), pod("web-2")])
        seen = await cluster.get(Resource.PODS, NAMESPACE, "web-1")
        await cluster.write(deletion("web-1", uid=seen["metadata"].get("uid")))
        assert await leaves(cluster, "web-1")
        assert not await leaves(cluster, "web-2")

    async def test_another_pod_of_the_same_name_is_not_deleted(self, cluster_factory: ClusterFactory) -> None:
        cluster = await cluster_factory([*namespaces(), pod("web-1")])
        with pytest.raises(Conflict, match="UID in"):
            await cluster.write(deletion("web-1", uid="0e8b8f4e-0000-4000-8000-000000000000"))
        assert not await leaves(cluster, "web-1")

    async def test_an_absent_pod_is_not_found(self, cluster_factory: ClusterFactory) -> None:
        cluster = await cluster_factory(namespaces())
        with pytest.raises(NotFound, match='pods "web-1" not found'):
            await cluster.write(deletion("web-1"))

    async def test_a_dry_run_deletes_nothing(self, cluster_factory: ClusterFactory) -> None:
        cluster = await cluster_factory([*namespaces(), pod("web-1")])
        await cluster.write(deletion("web-1"), dry_run=True)
        assert not await leaves(cluster, "web-1")

    async def test_a_created_object_is_there_and_cannot_be_created_again(self, cluster_factory: ClusterFactory) -> None:
        cluster = await cluster_factory(namespaces())
        answer = await cluster.write(creation(pod("web-1")))
        found = await cluster.get(Resource.PODS, NAMESPACE, "web-1")
        assert found["metadata"]["uid"] == answer["metadata"]["uid"]
        with pytest.raises(Conflict, match='pods "web-1" already exists'):
            await cluster.write(creation(pod("web-1")))


class EvictionContract:
    """What the eviction API allows."""

    @pytest.mark.parametrize(
        ("evicted", "budgets"),
        [
            pytest.param(pod("web-1"), [], id="no budget"),
            pytest.param(pod("web-1"), [budget(allowed=0, app="db")], id="a budget for others"),
            pytest.param(pod("web-1"), [budget(allowed=1)], id="a budget with room"),
            pytest.param(pod("web-1", phase="Pending"), [budget(allowed=0)], id="pending: budgets do not count"),
            pytest.param(pod("web-1", phase="Failed"), [budget(allowed=0)], id="failed: budgets do not count"),
            pytest.param(
                pod("web-1", phase="Pending"),
                [budget("one", allowed=0), budget("two", allowed=0)],
                id="pending: two budgets do not count either",
            ),
            pytest.param(pod("web-1", ready=False), [budget(allowed=0)], id="unready, and enough others healthy"),
            pytest.param(
                pod("web-1", ready=False),
                [
                    budget(allowed=0, unhealthyPodEvictionPolicy="AlwaysAllow")
                    | {"status": {"observedGeneration": 1, "currentHealthy": 0, "desiredHealthy": 2}}
                ],
                id="unready, and the budget always allows",
            ),
        ],
    )
    async def test_a_pod_is_evicted(
        self, cluster_factory: ClusterFactory, evicted: Object, budgets: list[Object]
    ) -> None:
        cluster = await cluster_factory([*namespaces(), evicted, *budgets])
        seen = await cluster.get(Resource.PODS, NAMESPACE, "web-1")
        await cluster.write(eviction("web-1", uid=seen["metadata"].get("uid")))
        assert await leaves(cluster, "web-1")

    @pytest.mark.parametrize(
        ("budgets", "words"),
        [
            pytest.param(
                [budget(allowed=0)], "needs 2 healthy pods and has 2 currently", id="nothing may be disrupted"
            ),
            pytest.param(
                [budget(allowed=1) | {"status": {}}],
                "still being processed",
                id="nobody has looked at the budget yet",
            ),
        ],
    )
    async def test_a_budget_that_forbids_it_is_named(
        self, cluster_factory: ClusterFactory, budgets: list[Object], words: str
    ) -> None:
        cluster = await cluster_factory([*namespaces(), pod("web-1"), *budgets])
        with pytest.raises(TooManyRequests, match=words) as refusal:
            await cluster.write(eviction("web-1"))
        assert refusal.value.budget == "web"
        assert not await leaves(cluster, "web-1")

    async def test_an_unready_pod_stays_while_too_few_are_healthy(self, cluster_factory: ClusterFactory) -> None:
        short = budget(allowed=0) | {
            "status": {"observedGeneration": 1, "disruptionsAllowed": 0, "currentHealthy": 1, "desiredHealthy": 2}
        }
        cluster = await cluster_factory([*namespaces(), pod("web-1", ready=False), short])
        with pytest.raises(TooManyRequests, match="needs 2 healthy pods and has 1 currently"):
            await cluster.write(eviction("web-1"))

    async def test_an_eviction_uses_the_budget_up(self, cluster_factory: ClusterFactory) -> None:
        cluster = await cluster_factory([*namespaces(), pod("web-1"), pod("web-2"), budget(allowed=1)])
        await cluster.write(eviction("web-1"))
        left = await cluster.get(Resource.POD_DISRUPTION_BUDGETS, NAMESPACE, "web")
        assert left["status"]["disruptionsAllowed"] == 0
        with pytest.raises(TooManyRequests) as refusal:
            await cluster.write(eviction("web-2"))
        assert refusal.value.budget == "web"
        assert not await leaves(cluster, "web-2")

    async def test_two_budgets_over_one_pod_are_refused(self, cluster_factory: ClusterFactory) -> None:
        cluster = await cluster_factory(
            [*namespaces(), pod("web-1"), budget("one", allowed=1), budget("two", allowed=1)]
        )
        with pytest.raises(Refused, match="more than one PodDisruptionBudget"):
            await cluster.write(eviction("web-1"))
        assert not await leaves(cluster, "web-1")

    async def test_another_pod_of_the_same_name_is_not_evicted(self, cluster_factory: ClusterFactory) -> None:
        cluster = await cluster_factory([*namespaces(), pod("web-1")])
        with pytest.raises(Conflict):
            await cluster.write(eviction("web-1", uid="0e8b8f4e-0000-4000-8000-000000000000"))
        assert not await leaves(cluster, "web-1")

    async def test_an_absent_pod_cannot_be_evicted(self, cluster_factory: ClusterFactory) -> None:
        cluster = await cluster_factory(namespaces())
        with pytest.raises(NotFound, match='pods "web-1" not found'):
            await cluster.write(eviction("web-1"))

    async def test_a_dry_run_evicts_nothing_and_leaves_the_budget(self, cluster_factory: ClusterFactory) -> None:
        cluster = await cluster_factory([*namespaces(), pod("web-1"), budget(allowed=1)])
        await cluster.write(eviction("web-1"), dry_run=True)
        assert not await leaves(cluster, "web-1")
        left = await cluster.get(Resource.POD_DISRUPTION_BUDGETS, NAMESPACE, "web")
        assert left["status"]["disruptionsAllowed"] == 1

    async def test_a_dry_run_of_a_forbidden_eviction_is_forbidden_too(self, cluster_factory: ClusterFactory) -> None:
        cluster = await cluster_factory([*namespaces(), pod("web-1"), budget(allowed=0)])
        with pytest.raises(TooManyRequests):
            await cluster.write(eviction("web-1"), dry_run=True)


class EventContract:
    """What becomes of an Event that the agent emits."""

    async def test_an_emitted_event_is_found_beside_its_object(self, cluster_factory: ClusterFactory) -> None:
        cluster = await cluster_factory([*namespaces(), pod("web-1"), pod("web-2")])
        await cluster.emit_event(
            {
                "metadata": {"generateName": "web-1.", "namespace": NAMESPACE},
                "involvedObject": {"kind": "Pod", "namespace": NAMESPACE, "name": "web-1"},
                "type": "Normal",
                "reason": "SreAgent",
                "message": "deleted for its controller to recreate",
            }
        )
        about = {"involvedObject.kind": "Pod", "involvedObject.name": "web-1"}
        (found,) = await cluster.list(Resource.EVENTS, NAMESPACE, fields=about)
        assert found["message"] == "deleted for its controller to recreate"
        others = {"involvedObject.name": "web-2"}
        assert await cluster.list(Resource.EVENTS, NAMESPACE, fields=others) == []


class ClusterContract(ReadContract, PatchContract, DeleteContract, EvictionContract, EventContract):
    """All of it."""
