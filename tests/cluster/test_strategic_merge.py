"""Strategic merge patches. The expected results of directives are those of a real API server (1.37)."""

from typing import Any

import pytest
from hypothesis import given

from sre_agent.cluster.port import Refused
from sre_agent.cluster.strategic_merge import MERGE_KEYS, apply, copy, diff
from sre_agent.objects import Object
from tests.cluster.pod_templates import POD_TEMPLATES

ORIGINAL: Object = {
    "metadata": {"finalizers": ["a/x", "b/y", "c/z"], "annotations": {"team": "blue"}},
    "containers": [{"name": "app", "image": "app:1"}, {"name": "proxy", "image": "p:1"}, {"name": "third"}],
    "volumes": [{"name": "v", "emptyDir": {}}, {"name": "w", "hostPath": {"path": "/x"}}],
    "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}},
    "env": [{"name": "MODE", "value": "fast"}, {"name": "LEVEL", "value": "1"}],
    "ports": [{"containerPort": 53, "protocol": "TCP"}, {"containerPort": 53, "protocol": "UDP"}],
    "taints": [{"key": "a", "effect": "NoSchedule"}],
}


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        pytest.param({}, {}, id="an empty patch changes nothing"),
        pytest.param(
            {"containers": [{"name": "proxy", "image": "p:2"}]},
            {"containers": [{"name": "app", "image": "app:1"}, {"name": "proxy", "image": "p:2"}, {"name": "third"}]},
            id="an element is found by its key",
        ),
        pytest.param(
            {"containers": [{"name": "third", "image": "t:2"}, {"name": "app", "image": "app:2"}]},
            {
                "containers": [
                    {"name": "proxy", "image": "p:1"},
                    {"name": "third", "image": "t:2"},
                    {"name": "app", "image": "app:2"},
                ]
            },
            id="the order of the patch wins over the live order",
        ),
        pytest.param(
            {"containers": [{"name": "proxy", "$patch": "delete"}, {"name": "absent", "$patch": "delete"}]},
            {"containers": [{"name": "app", "image": "app:1"}, {"name": "third"}]},
            id="elements are deleted by key",
        ),
        pytest.param(
            {"env": [{"$patch": "replace"}, {"name": "X", "value": "1"}]},
            {"env": [{"name": "X", "value": "1"}]},
            id="a merged list is replaced on demand",
        ),
        pytest.param(
            {"env": [{"name": "X", "value": None, "valueFrom": {"a": None}}]},
            {"env": [{"name": "X", "valueFrom": {}}, *ORIGINAL["env"]]},
            id="a new element comes first and has no nulls",
        ),
        pytest.param(
            {"ports": [{"containerPort": 53, "name": "dns"}]},
            {
                "ports": [
                    {"containerPort": 53, "protocol": "TCP", "name": "dns"},
                    {"containerPort": 53, "protocol": "UDP"},
                ]
            },
            id="of two ports with one number the first is found",
        ),
        pytest.param({"taints": [{"key": "b"}]}, {"taints": [{"key": "b"}]}, id="taints are atomic"),
        pytest.param(
            {"$setElementOrder/containers": [{"name": "third"}, {"name": "app"}]},
            {
                "containers": [
                    {"name": "proxy", "image": "p:1"},
                    {"name": "third"},
                    {"name": "app", "image": "app:1"},
                ]
            },
            id="an order can be set",
        ),
        pytest.param({"$deleteFromPrimitiveList/absent": ["x"]}, {}, id="nothing is removed from nothing"),
        pytest.param({"$setElementOrder/absent": ["x"]}, {}, id="the order of nothing is nothing"),
        pytest.param(
            {"metadata": {"finalizers": ["d/w", "a/x"]}},
            {"metadata": {**ORIGINAL["metadata"], "finalizers": ["d/w", "a/x", "b/y", "c/z"]}},
            id="finalizers are a set",
        ),
        pytest.param(
            {
                "metadata": {
                    "$deleteFromPrimitiveList/finalizers": ["b/y"],
                    "$setElementOrder/finalizers": ["d/w", "c/z", "a/x"],
                    "finalizers": ["d/w"],
                }
            },
            {"metadata": {**ORIGINAL["metadata"], "finalizers": ["d/w", "c/z", "a/x"]}},
            id="finalizers are removed, added and ordered",
        ),
        pytest.param(
            {"volumes": [{"name": "v", "$retainKeys": ["name", "configMap"], "configMap": {"name": "m"}}]},
            {"volumes": [{"name": "v", "configMap": {"name": "m"}}, {"name": "w", "hostPath": {"path": "/x"}}]},
            id="retained keys drop the others",
        ),
        pytest.param(
            {"strategy": {"$patch": "replace", "type": "Recreate"}},
            {"strategy": {"type": "Recreate"}},
            id="an object is replaced on demand",
        ),
        pytest.param({"strategy": {"$patch": "delete"}}, {"strategy": {}}, id="an object is emptied on demand"),
        pytest.param({"new": {"$patch": "replace", "a": 1}}, {"new": {"a": 1}}, id="a directive without an original"),
        pytest.param({"strategy": "text"}, {"strategy": "text"}, id="another type replaces"),
        pytest.param(
            {"new": {"a": None, "b": [{"$patch": "delete"}, {"c": 1}]}},
            {"new": {"b": [{"c": 1}]}},
            id="new content has neither nulls nor directives",
        ),
        pytest.param(
            {"metadata": {"annotations": {"team": None, "absent": None}}},
            {"metadata": {"finalizers": ORIGINAL["metadata"]["finalizers"], "annotations": {}}},
            id="null removes",
        ),
    ],
)
def test_a_patch_does_what_the_api_server_does(patch: Object, expected: Object) -> None:
    before = copy(ORIGINAL)
    assert apply(ORIGINAL, patch) == {**ORIGINAL, **expected}
    assert before == ORIGINAL


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        pytest.param({"containers": [{"image": "x"}]}, "declared merge key: name", id="an element without key"),
        pytest.param({"containers": ["app"]}, "is not an object", id="an element that is a word"),
        pytest.param({"containers": [{"name": "a", "$patch": "merge"}]}, "'merge' in containers", id="merge a list"),
        pytest.param({"strategy": {"$patch": "merge"}}, "unknown patch type 'merge'", id="merge an object"),
        pytest.param({"$other": 1}, r"unknown directive '\$other'", id="a directive nobody knows"),
        pytest.param({"$setElementOrder/env": "x"}, "is not a list", id="an order that is a word"),
        pytest.param({"$deleteFromPrimitiveList/finalizers": "x"}, "is not a list", id="a removal that is a word"),
        pytest.param(
            {"$setElementOrder/env": [{"name": "A"}], "env": [{"name": "B"}]},
            "does not match",
            id="an order that misses an element of the patch",
        ),
        pytest.param(
            {"strategy": {"$retainKeys": ["type"], "rollingUpdate": {}}},
            "must list every field",
            id="a field beside retained keys",
        ),
    ],
)
def test_a_patch_that_the_api_server_would_not_take_is_refused(patch: Object, words: str) -> None:
    with pytest.raises(Refused, match=words):
        apply(ORIGINAL, patch)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param({"a": 1, "b": {"c": [1]}}, {"a": 1, "b": {"c": [1]}}, {}, id="nothing changed"),
        pytest.param({"a": None}, {}, {}, id="null counts as absent"),
        pytest.param({}, {"a": None}, {}, id="null afterwards counts as absent"),
        pytest.param({"a": 1, "b": 2}, {"b": 3}, {"a": None, "b": 3}, id="removed and changed fields"),
        pytest.param(
            {"containers": [{"name": "a", "image": "x:1", "args": ["1"]}, {"name": "b", "image": "y"}]},
            {"containers": [{"name": "a", "image": "x:2", "args": ["1"]}, {"name": "b", "image": "y"}]},
            {"containers": [{"name": "a", "image": "x:2"}]},
            id="only what changed of the container that changed",
        ),
        pytest.param(
            {"containers": [{"name": "a"}, {"name": "b"}]},
            {"containers": [{"name": "b"}, {"name": "c", "image": "z"}]},
            {
                "containers": [{"name": "c", "image": "z"}, {"$patch": "delete", "name": "a"}],
                "$setElementOrder/containers": [{"name": "b"}, {"name": "c"}],
            },
            id="a container in place of another",
        ),
        pytest.param(
            {"initContainers": [{"name": "a"}, {"name": "b"}]},
            {"initContainers": [{"name": "b"}, {"name": "a"}]},
            {"$setElementOrder/initContainers": [{"name": "b"}, {"name": "a"}]},
            id="another order alone",
        ),
        pytest.param(
            {"ports": [{"containerPort": 53, "protocol": "TCP"}]},
            {"ports": [{"containerPort": 53, "protocol": "TCP"}, {"containerPort": 53, "protocol": "UDP"}]},
            {
                "ports": [
                    {"$patch": "replace"},
                    {"containerPort": 53, "protocol": "TCP"},
                    {"containerPort": 53, "protocol": "UDP"},
                ]
            },
            id="a doubled key replaces the list",
        ),
        pytest.param(
            {"finalizers": ["a"]}, {"finalizers": ["a", "b"]}, {"finalizers": ["b"]}, id="a set that only gains"
        ),
        pytest.param(
            {"finalizers": ["a", "b"]},
            {"finalizers": ["a"]},
            {"$deleteFromPrimitiveList/finalizers": ["b"]},
            id="a set that only loses",
        ),
        pytest.param(
            {"env": [{"name": "A"}]},
            {"env": [{"value": "keyless"}]},
            {"env": [{"$patch": "replace"}, {"value": "keyless"}]},
            id="an element without key replaces the list",
        ),
        pytest.param({"args": ["a"]}, {"args": ["b"]}, {"args": ["b"]}, id="atomic lists are replaced"),
        pytest.param(
            {"finalizers": ["a", "b"]},
            {"finalizers": ["b", "c"]},
            {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]},
            id="sets lose and gain",
        ),
        pytest.param({"a": 1}, {"a": True}, {"a": True}, id="another type of the same worth"),
    ],
)
def test_a_diff_holds_only_what_changes(before: Object, after: Object, expected: Object) -> None:
    assert diff(before, after) == expected


def test_a_diff_does_not_share_with_what_it_compared() -> None:
    after: Object = {"containers": [{"name": "a", "args": ["x"]}]}
    patch = diff({"containers": []}, after)
    patch["containers"][0]["args"].append("y")
    assert after == {"containers": [{"name": "a", "args": ["x"]}]}


def without_order_of_doubled_keys(value: Any) -> Any:
    """Ports may share a number; a server puts such a list into an order of its own."""
    if isinstance(value, dict):
        return {
            key: sorted(entry, key=lambda port: (port["containerPort"], port["protocol"]))
            if key == "ports"
            else without_order_of_doubled_keys(entry)
            for key, entry in value.items()
        }
    return [without_order_of_doubled_keys(entry) for entry in value] if isinstance(value, list) else value


@given(POD_TEMPLATES, POD_TEMPLATES)
def test_applying_a_diff_gives_the_other_template(before: Object, after: Object) -> None:
    patched = apply(before, diff(before, after))
    assert without_order_of_doubled_keys(patched) == without_order_of_doubled_keys(after)


@given(POD_TEMPLATES)
def test_a_template_does_not_differ_from_itself(template: Object) -> None:
    assert diff(template, copy(template)) == {}


@given(POD_TEMPLATES, POD_TEMPLATES)
def test_a_diff_names_every_element_of_a_merged_list(before: Object, after: Object) -> None:
    for container in diff(before, after).get("spec", {}).get("containers", []):
        assert MERGE_KEYS["containers"] in container
