"""What is asked of an API server: one segment stays one segment, and preconditions stand where they count."""

from typing import Any

import pytest

from sre_agent.cluster.live.requests import field_selector, label_selector, of_write, path
from sre_agent.cluster.port import NotFound, Resource, Write, WriteVerb


@pytest.mark.parametrize(
    ("resource", "namespace", "name", "expected"),
    [
        pytest.param(Resource.PODS, "demo", "a", "/api/v1/namespaces/demo/pods/a", id="core"),
        pytest.param(Resource.DEPLOYMENTS, "demo", None, "/apis/apps/v1/namespaces/demo/deployments", id="a group"),
        pytest.param(Resource.PODS, None, None, "/api/v1/pods", id="all namespaces"),
        pytest.param(Resource.NODES, "ignored", "n", "/api/v1/nodes/n", id="no namespace"),
        pytest.param(Resource.PODS, "demo", "a?b#c d", "/api/v1/namespaces/demo/pods/a%3Fb%23c%20d", id="quoted"),
    ],
)
def test_a_path_names_one_thing(resource: Resource, namespace: str | None, name: str | None, expected: str) -> None:
    assert path(resource, namespace, name) == expected


@pytest.mark.parametrize("odd", ["", ".", "..", "a/b", "../../nodes", "%2e%2e", "a%2Fb"])
def test_what_no_object_is_called_is_not_found_and_never_another_path(odd: str) -> None:
    with pytest.raises(NotFound, match="that is no name"):
        path(Resource.PODS, "demo", odd)
    with pytest.raises(NotFound, match="that is no name"):
        path(Resource.PODS, odd, "web")


def test_selectors_keep_their_values_whole() -> None:
    assert label_selector({"app": "web", "tier": ""}) == "app=web,tier="
    assert field_selector({"spec.nodeName": "a,b=c\\d", "x": "y"}) == "spec.nodeName=a\\,b\\=c\\\\d,x=y"


def write(verb: WriteVerb, *, body: dict[str, Any] | None = None, subresource: str | None = None) -> Write:
    return Write(
        verb=verb,
        resource=Resource.PODS,
        namespace="demo",
        name="web",
        body=body or {},
        subresource=subresource,
        uid="u",
        resource_version="7",
    )


HELD = {"uid": "u", "resourceVersion": "7"}


def test_a_patch_holds_its_preconditions_in_the_metadata() -> None:
    request = of_write(write(WriteVerb.PATCH, body={"metadata": {"labels": {"a": "b"}}}), dry_run=False)
    assert (request.method, request.content_type) == ("PATCH", "application/strategic-merge-patch+json")
    assert request.query == {"fieldManager": "sre-agent"}
    assert request.body == {"metadata": {"labels": {"a": "b"}, **HELD}}


def test_a_delete_holds_its_preconditions_and_its_dry_run_in_the_options() -> None:
    request = of_write(write(WriteVerb.DELETE), dry_run=True)
    assert request.body == {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": HELD, "dryRun": ["All"]}


def test_an_eviction_keeps_the_options_that_it_has() -> None:
    given = {"kind": "Eviction", "deleteOptions": {"gracePeriodSeconds": 5}}
    request = of_write(write(WriteVerb.CREATE, body=given, subresource="eviction"), dry_run=False)
    assert request.path == "/api/v1/namespaces/demo/pods/web/eviction"
    assert request.body == {"kind": "Eviction", "deleteOptions": {"gracePeriodSeconds": 5, "preconditions": HELD}}
    assert given["deleteOptions"] == {"gracePeriodSeconds": 5}


@pytest.mark.parametrize("verb", WriteVerb)
@pytest.mark.parametrize("subresource", [None, "eviction"])
def test_a_dry_run_never_counts_as_a_change(verb: WriteVerb, subresource: str | None) -> None:
    asked = write(verb, subresource=subresource)
    assert of_write(asked, dry_run=False).changes
    dry = of_write(asked, dry_run=True)
    assert not dry.changes
    assert dry.query.get("dryRun") == "All" or (dry.body or {}).get("dryRun") == ["All"]
