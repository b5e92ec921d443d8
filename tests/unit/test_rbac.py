"""The manifests in k8s/ give the agent what somebody names, and nothing else."""

import re
from collections import Counter

import pytest

from tests.rbac import (
    K8S,
    POD_DELETER,
    READER,
    STOP_SWITCH,
    WRITER,
    Right,
    declared,
    manifests,
    rights_of,
    roles,
    table,
)

READS = {"get", "list", "watch"}

SPECIFIED_READS = table(
    [
        ("get list watch", "pods events nodes"),
        ("get list watch", "deployments.apps replicasets.apps"),
    ]
)
SPECIFIED_WRITES = table(
    [
        ("patch update", "nodes"),
        ("create", "pods/eviction"),
        ("patch update", "deployments.apps"),
    ]
)
SPECIFIED_IN_DEMO = table([("delete", "pods")])
"""The specification's own table; `watch` and `update` stand there although no tool asks for them yet."""

EVENTS = Right("create", "events")
OWN_RIGHTS = Right("create", "selfsubjectaccessreviews.authorization.k8s.io")
STOP = Right("get", "configmaps")


def granted(*names: str) -> set[Right]:
    return {right for name in names for right in rights_of(roles()[name])}


def test_every_right_that_a_tool_declares_is_granted() -> None:
    assert declared() - granted(READER, STOP_SWITCH, WRITER, POD_DELETER) == set()


def test_nothing_is_granted_that_neither_a_tool_nor_the_specification_names() -> None:
    named = declared() | SPECIFIED_READS | SPECIFIED_WRITES | SPECIFIED_IN_DEMO | {OWN_RIGHTS}
    assert granted(*roles()) - named == set()


def test_the_writer_is_the_specifications_table_and_events() -> None:
    assert granted(WRITER) == SPECIFIED_WRITES | {EVENTS}


def test_the_reader_writes_nothing_but_the_question_what_it_may() -> None:
    assert {right for right in granted(READER) if right.verb not in READS} == {OWN_RIGHTS}
    assert granted(READER) >= SPECIFIED_READS


def test_pods_are_deleted_in_the_demo_namespace_alone() -> None:
    role = roles()[POD_DELETER]
    assert (role["kind"], role["metadata"]["namespace"]) == ("Role", "demo")
    assert granted(POD_DELETER) == SPECIFIED_IN_DEMO
    assert SPECIFIED_IN_DEMO.isdisjoint(granted(READER, WRITER))


def test_one_config_map_is_read_by_its_name_in_the_agents_own_namespace() -> None:
    role = roles()[STOP_SWITCH]
    (rule,) = role["rules"]
    assert (role["kind"], role["metadata"]["namespace"]) == ("Role", "agentic")
    assert rule["resourceNames"] == ["sre-agent-stop"]
    assert granted(STOP_SWITCH) == {STOP}


def test_no_right_stands_twice_and_none_is_a_wildcard() -> None:
    counted = Counter(right for role in roles().values() for right in rights_of(role))
    assert [str(right) for right, times in counted.items() if times > 1] == []
    assert [str(right) for right in counted if "*" in f"{right}"] == []


@pytest.mark.parametrize("forbidden", ["secrets", "pods/exec", "pods/attach", "serviceaccounts", "clusterroles"])
def test_what_would_open_everything_is_not_granted(forbidden: str) -> None:
    assert forbidden not in {right.resource.partition(".")[0] for right in granted(*roles())}


def test_the_page_on_permissions_lists_exactly_what_is_granted() -> None:
    lines = (K8S.parent / "docs" / "permissions.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    listed = [(verbs.replace(",", ""), re.sub("[`,]", "", resources)) for resources, verbs, *_ in rows]
    assert table(listed) == granted(*roles())


def bindings(*files: str) -> dict[str, str]:
    """The role of each binding by its name."""
    return {
        obj["metadata"]["name"]: obj["roleRef"]["name"] for obj in manifests(*files) if obj["kind"].endswith("Binding")
    }


def test_the_base_binds_the_reader_and_the_overlay_the_writer() -> None:
    assert set(bindings("base/rbac.yaml").values()) == {READER, STOP_SWITCH}
    assert set(bindings("overlays/auto/writer.yaml").values()) == {WRITER, POD_DELETER}


def test_each_binding_names_a_role_that_is_there_and_the_agents_account() -> None:
    files = ("base/rbac.yaml", "overlays/auto/writer.yaml")
    (account,) = [obj for obj in manifests("base/rbac.yaml") if obj["kind"] == "ServiceAccount"]
    for obj in manifests(*files):
        if not obj["kind"].endswith("Binding"):
            continue
        role = roles()[obj["roleRef"]["name"]]
        assert role["kind"] == obj["roleRef"]["kind"]
        assert role["metadata"].get("namespace") == obj["metadata"].get("namespace")
        assert obj["subjects"] == [{"kind": "ServiceAccount", **account["metadata"]}]


@pytest.mark.parametrize("directory", ["base", "overlays/auto"])
def test_a_kustomization_lists_every_manifest_of_its_directory(directory: str) -> None:
    (kustomization,) = manifests(f"{directory}/kustomization.yaml")
    files = {path.name for path in (K8S / directory).glob("*.yaml")} - {"kustomization.yaml"}
    assert {name for name in kustomization["resources"] if not name.startswith("..")} == files
