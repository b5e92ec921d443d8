"""Making room for a test and taking away what it made, on a cluster whose controllers may not run."""

import time
from collections.abc import Iterator
from http.client import CONFLICT, NOT_FOUND

from tests.control_plane.api import CLUSTERS_OWN, Api, ApiError, Object

RIGHTS = (("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"), ("rbac.authorization.k8s.io/v1", "ClusterRole"))
CLUSTER_SCOPED = (*RIGHTS, ("v1", "Node"))
DEFINITIONS = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")
BOOTSTRAPPED = "kubernetes.io/bootstrapping"
PATIENCE = 120.0


def empty(api: Api) -> None:
    """Everything but what the API server made itself. For a control plane of one's own without controllers."""
    for kind in CLUSTER_SCOPED:
        for obj in api.find(*kind):
            if not _is_bootstrapped(obj):
                api.delete(obj, grace=0)
    names = [space["metadata"]["name"] for space in api.find("v1", "Namespace")]
    for name in [*(name for name in names if name not in CLUSTERS_OWN), "default"]:
        if name in CLUSTERS_OWN:
            _empty_namespace(api, name)
        else:
            delete_namespace(api, name)
    _undefine(api)


def make_namespace(api: Api, name: str) -> None:
    """A namespace that pods can be created in: its service account is there."""
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    until = time.monotonic() + PATIENCE
    while api.code("GET", f"/api/v1/namespaces/{name}/serviceaccounts/default") == NOT_FOUND:
        if time.monotonic() > until:
            raise ApiError(408, f"namespace {name} has no service account after {PATIENCE:.0f} s")
        time.sleep(0.02)


def tidy(api: Api) -> None:
    """Rights that a test gave and events about nodes. For a control plane of one's own with controllers."""
    for kind in RIGHTS:
        for obj in api.find(*kind):
            if not _is_bootstrapped(obj):
                api.delete(obj)
    api.request("DELETE", "/api/v1/namespaces/default/events")


def delete_namespace(api: Api, name: str) -> None:
    """Delete a namespace and all it holds at once. For a control plane of one's own, with or without controllers.

    The namespace controller would do it too, but waits for seconds, and for the pods of a dead node for ever.
    """
    path = f"/api/v1/namespaces/{name}"
    while api.code("DELETE", path) != NOT_FOUND:
        _empty_namespace(api, name)
        _finish_namespace(api, path)


def leave_namespace(api: Api, name: str) -> None:
    """Delete a namespace as anybody does, and return when it is gone. For somebody else's cluster."""
    path = f"/api/v1/namespaces/{name}"
    until = time.monotonic() + PATIENCE
    while api.code("DELETE", path) != NOT_FOUND:
        if time.monotonic() > until:
            raise ApiError(408, f"namespace {name} is still there after {PATIENCE:.0f} s")
        time.sleep(0.5)


def _undefine(api: Api) -> None:
    """Delete every custom kind, and return when the API server has none of them any more."""
    defined = api.find(*DEFINITIONS)
    for definition in defined:
        api.delete(definition)
    groups = {definition["spec"]["group"] for definition in defined}
    until = time.monotonic() + PATIENCE
    while served := groups & {group["name"] for group in api.request("GET", "/apis")["groups"]}:
        if time.monotonic() > until:
            raise ApiError(408, f"{', '.join(sorted(served))} is still served after {PATIENCE:.0f} s")
        time.sleep(0.05)


def _is_bootstrapped(obj: Object) -> bool:
    return BOOTSTRAPPED in obj["metadata"].get("labels", {})


def _empty_namespace(api: Api, namespace: str) -> None:
    for prefix, resource in _namespaced_resources(api):
        path = f"{prefix}/namespaces/{namespace}/{resource['name']}"
        for item in api.request("GET", path)["items"]:
            metadata = item["metadata"]
            if "finalizers" in metadata:
                patch = {"metadata": {"finalizers": None}}
                api.request("PATCH", f"{path}/{metadata['name']}", patch, kind="application/merge-patch+json")
            api.code("DELETE", f"{path}/{metadata['name']}", {"gracePeriodSeconds": 0})


def _finish_namespace(api: Api, path: str) -> None:
    """What the namespace controller does last. It may do so at the same time: then there is nothing left to do."""
    try:
        space = api.request("GET", path)
        space["spec"]["finalizers"] = []
        api.request("PUT", f"{path}/finalize", space)
    except ApiError as error:
        if error.code not in (NOT_FOUND, CONFLICT):
            raise


def _namespaced_resources(api: Api) -> Iterator[tuple[str, Object]]:
    """(path prefix, API resource) of every kind that lives in namespaces and can be deleted."""
    for prefix, resources in api.everything().items():
        for resource in resources:
            if resource["namespaced"] and {"list", "delete"} <= set(resource["verbs"]):
                yield prefix, resource
