"""Reading recordings: every form that kubectl prints, and every fault with its place."""

import json
import os
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from sre_agent.cluster import recording
from sre_agent.cluster.normal_form import resource_of
from sre_agent.cluster.port import Resource
from sre_agent.cluster.recording import from_objects, load, newest_time
from sre_agent.errors import BadInput
from sre_agent.objects import Object

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: %s, namespace: demo}\n"
CORPUS = os.environ.get("SRE_AGENT_TEST_CORPUS")


def written(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def names_in(path: Path) -> list[str]:
    return [obj["metadata"]["name"] for obj in load(path).objects]


@pytest.mark.parametrize(
    ("file", "text", "names"),
    [
        pytest.param("c.yaml", POD % "a", ["a"], id="one YAML object"),
        pytest.param(
            "c.yaml", f"---\n{POD % 'a'}---\n---\n# nothing\n---\n{POD % 'b'}...\n", ["a", "b"], id="documents"
        ),
        pytest.param(
            "c.yaml",
            "apiVersion: v1\nkind: List\nmetadata: {resourceVersion: ''}\nitems:\n"
            "- {apiVersion: v1, kind: Pod, metadata: {name: a}}\n- {apiVersion: v1, kind: Node, metadata: {name: n}}\n",
            ["a", "n"],
            id="a List",
        ),
        pytest.param(
            "c.json",
            '{"kind": "PodList", "apiVersion": "v1", "items": [{"metadata": {"name": "a"}}]}',
            ["a"],
            id="typed list",
        ),
        pytest.param(
            "c.json", '{"kind": "List", "apiVersion": "v1", "items": []}', [], id="an empty list is an answer"
        ),
        pytest.param("c.json", '{"kind": "PodList", "apiVersion": "v1", "items": null}', [], id="items null"),
        pytest.param(
            "c.json",
            '{"kind":"Pod","metadata":{"name":"a"}}\n{"kind":"Pod","metadata":{"name":"b"}}\n',
            ["a", "b"],
            id="JSON documents in a row",
        ),
        pytest.param(
            "c.yaml", '{"kind": "Pod",\n\t"metadata": {"name": "a"}}', ["a"], id="JSON with tabs in a .yaml file"
        ),
        pytest.param("c.yaml", "{kind: Pod, metadata: {name: a}}", ["a"], id="YAML that begins like JSON"),
        pytest.param("c.yaml", b"\xef\xbb\xbfkind: Pod\nmetadata: {name: a}\n", ["a"], id="a byte order mark"),
        pytest.param("c.yaml", "kind: Pod\nmetadata: {name: a}\n".encode("utf-16"), ["a"], id="UTF-16"),
        pytest.param("dump", POD % "a", ["a"], id="a file without suffix"),
        pytest.param("c.yaml", "kind: Lease\nmetadata: {name: l}\n", ["l"], id="a kind that nobody reads is kept"),
        pytest.param("c.yaml", f"{POD % 'a'}---\n{POD % 'a'}", ["a"], id="the same object twice"),
    ],
)
def test_every_form_that_kubectl_prints_is_read(tmp_path: Path, file: str, text: str | bytes, names: list[str]) -> None:
    assert names_in(written(tmp_path, {file: text}) / file) == names


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        pytest.param("c.yaml", "a: [1\nb: 2\n", r"c\.yaml:2:\d+: not YAML: ", id="broken YAML"),
        pytest.param("c.yaml", "kind: Pod\n\tname: x\n", r"c\.yaml:2:1: not YAML: ", id="a tab"),
        pytest.param("c.yaml", "a: \x07\n", r"c\.yaml: not YAML: .*control characters", id="a control character"),
        pytest.param("c.json", '{"kind": "Pod",\n "metadata": }', r"c\.json:2:14: not JSON: ", id="broken JSON"),
        pytest.param("c.json", '{"kind": NaN}', r"NaN is no JSON value", id="NaN"),
        pytest.param("c.json", "[" * 100_000, r"not JSON that can be read", id="JSON nested without end"),
        pytest.param(
            "c.yaml", "[" * 5_000, r"c\.yaml:1:\d+: nested more than 200 levels", id="YAML nested without end"
        ),
        pytest.param("c.yaml", "a: *x\n", r"c\.yaml:1:4: the alias \*x has no anchor", id="an alias of nothing"),
        pytest.param("c.yaml", "a: &x [*x]\n", r"the alias \*x holds itself", id="an alias of itself"),
        pytest.param(
            "c.yaml",
            "a: &a [1,2,3,4,5,6,7,8,9]\n"
            + "".join(f"{k}: &{k} [{','.join([f'*{p}'] * 9)}]\n" for p, k in zip("abcdefg", "bcdefgh", strict=True)),
            r"aliases expand to far more",
            id="aliases that explode",
        ),
        pytest.param("c.yaml", "<<: {a: 1}\n", r"c\.yaml:1:1: merge keys", id="a merge key"),
        pytest.param("c.yaml", "a: 1\na: 2\n", r"c\.yaml:2:1: the key 'a' stands twice, with", id="a key twice"),
        pytest.param("c.yaml", "? [a]\n: b\n", r"a key must be a plain word", id="a list as key"),
        pytest.param("c.yaml", "a: !!python/object:os.system x\n", r"the tag .* is not read", id="a foreign tag"),
        pytest.param("c.yaml", "", r"holds no Kubernetes objects; expected what `kubectl get", id="an empty file"),
        pytest.param("c.yaml", "receiver: x\nalerts: []\n", r"c\.yaml:1: no Kubernetes object; expected", id="no kind"),
        pytest.param("c.yaml", "- kind: Pod\n", r"c\.yaml:1: no Kubernetes object", id="a bare list"),
        pytest.param(
            "c.yaml", f"{POD % 'a'}---\nno: kind\n", r"c\.yaml:5: no Kubernetes object", id="in the second document"
        ),
        pytest.param("c.yaml", "kind: List\nitems: {a: b}\n", r"items of List is not a list", id="items that are none"),
        pytest.param(
            "c.yaml",
            "kind: List\nitems: [x]\n",
            r"c\.yaml:1 items\[0\]: no Kubernetes object",
            id="an item that is a word",
        ),
        pytest.param(
            "c.yaml", "kind: List\nitems: [{metadata: {name: a}}]\n", r"items\[0\]: no Kub", id="an item without kind"
        ),
        pytest.param("c.yaml", "kind: Pod\nmetadata: {}\n", r"the Pod has no metadata\.name", id="no name"),
        pytest.param(
            "c.yaml", "kind: Pod\nmetadata: x\n", r"the Pod has no metadata\.name", id="metadata that is a word"
        ),
        pytest.param(
            "c.yaml", f"{POD % 'a'}spec: x\n", r"spec of the Pod a is not an object", id="a spec that is a word"
        ),
        pytest.param(
            "c.yaml",
            f"{POD % 'a'}spec: {{containers: [x]}}\n",
            r"spec\.containers of the Pod a is not a list of",
            id="containers that are words",
        ),
        pytest.param(
            "c.yaml",
            f"{POD % 'a'}status: {{conditions: {{}}}}\n",
            r"status\.conditions of the Pod a",
            id="conditions that are no list",
        ),
        pytest.param("c.yaml", b"kind: \xff\xfe\n", r"c\.yaml: not UTF-8 text, at byte 6", id="not UTF-8"),
        pytest.param(
            "c.yaml",
            f"{POD % 'a'}---\n{POD % 'a'}spec: {{nodeName: n}}\n",
            r"c\.yaml:5: Pod demo/a differs from the one at .*c\.yaml:1",
            id="two that differ",
        ),
        pytest.param(
            "c.yaml",
            "kind: Node\nmetadata: {name: n}\n---\nkind: Node\nmetadata: {name: n, uid: u}\n",
            r"Node n differs",
            id="two nodes that differ",
        ),
    ],
)
def test_a_fault_is_said_with_its_place(tmp_path: Path, file: str, text: str | bytes, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        load(written(tmp_path, {file: text}) / file)


def test_a_missing_path_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"absent\.yaml: cannot be read: No such file"):
        load(tmp_path / "absent.yaml")


def test_a_recording_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "MAX_BYTES", 100)
    written(tmp_path, {"a.yaml": POD % "a", "b.yaml": POD % "b"})
    with pytest.raises(BadInput, match=r"b\.yaml: the recording is larger than"):
        load(tmp_path)


def test_a_directory_is_read_whole(tmp_path: Path) -> None:
    written(
        tmp_path,
        {
            "pods.yaml": POD % "a",
            "deep/er/nodes.json": '{"kind": "Node", "metadata": {"name": "n"}}',
            "README.md": "# not: yaml: at all",
            "notes.txt": "[",
            "payload.json": "{}",
            "expected.yaml": "[",
            ".hidden.yaml": "[",
            ".git/config.yaml": "[",
            "meta.yaml": "recorded_at: 2025-01-31T12:00:00+01:00\nby: somebody\n",
            "logs/demo/a/app.log": "one\ntwo\n",
            "logs/demo/a/app.previous.log": b"caf\xe9\n",
            "logs/demo/a/strange.yaml": "[",
            "logs/stray.log": "x",
        },
    )
    loaded = load(tmp_path)
    assert sorted(obj["metadata"]["name"] for obj in loaded.objects) == ["a", "n"]
    assert loaded.recorded_at == datetime(2025, 1, 31, 11, tzinfo=UTC)
    assert loaded.logs == {
        ("demo", "a", "app", False): "one\ntwo\n",
        ("demo", "a", "app", True): "caf�\n",
    }


@pytest.mark.parametrize(
    ("files", "words"),
    [
        pytest.param({"README.md": "x"}, r"no \.yaml, \.yml or \.json file with Kubernetes objects", id="no manifests"),
        pytest.param(
            {"a.yaml": POD % "a", "b.yaml": "x: 1\n"}, r"b\.yaml:1: no Kubernetes object", id="a foreign file"
        ),
        pytest.param(
            {"a.yaml": POD % "a", "b.yaml": POD % "a" + "spec: {}\n"},
            r"b\.yaml:1: Pod demo/a differs .*a\.yaml:1",
            id="two files that differ",
        ),
        pytest.param(
            {"a.yaml": POD % "a", "meta.yaml": "recorded_at: soon\n"}, r"meta\.yaml:1: recorded_at 'soon'", id="no time"
        ),
        pytest.param(
            {"a.yaml": POD % "a", "meta.yaml": "recorded_at: 20250131\n"},
            r"recorded_at 20250131 is no time",
            id="a number",
        ),
        pytest.param(
            {"a.yaml": POD % "a", "meta.yaml": "[]\n"}, r"meta\.yaml:1: expected `recorded_at", id="meta that is a list"
        ),
    ],
)
def test_a_fault_in_a_directory_is_said_with_its_place(
    tmp_path: Path, files: dict[str, str | bytes], words: str
) -> None:
    with pytest.raises(BadInput, match=words):
        load(written(tmp_path, files))


@pytest.mark.parametrize("meta", ["", "by: me\n", "---\n"])
def test_a_meta_file_need_not_say_when(tmp_path: Path, meta: str) -> None:
    assert load(written(tmp_path, {"a.yaml": POD % "a", "meta.yaml": meta})).recorded_at is None


@pytest.mark.parametrize(
    ("written_as", "value"),
    [
        pytest.param("on", "on", id="a word of YAML 1.1"),
        pytest.param("true", "true", id="a boolean"),
        pytest.param("1_000", "1_000", id="digits with an underscore"),
        pytest.param("1.10", "1.10", id="a number with a final zero"),
        pytest.param("0123", "0123", id="a leading zero"),
        pytest.param("22:30", "22:30", id="minutes"),
        pytest.param("2025-01-31", "2025-01-31", id="a date"),
        pytest.param("", "", id="nothing"),
        pytest.param('"7"', "7", id="a quoted number"),
        pytest.param("!!str 7", "7", id="a tagged number"),
        pytest.param("|\n      two\n      lines", "two\nlines", id="a block"),
    ],
)
def test_labels_stay_as_they_were_written(tmp_path: Path, written_as: str, value: str) -> None:
    text = f"kind: Pod\nmetadata:\n  name: a\n  labels:\n    x: {written_as}\n  annotations: {{y: 1}}\n"
    (obj,) = load(written(tmp_path, {"c.yaml": text}) / "c.yaml").objects
    assert obj["metadata"]["labels"]["x"].rstrip("\n") == value
    assert obj["metadata"]["annotations"] == {"y": "1"}


@pytest.mark.parametrize(
    ("written_as", "value"),
    [
        ("3", 3),
        ("-3", -3),
        ("0.5", 0.5),
        ("0644", 0o644),
        ("0o17", 15),
        ("0x1f", 31),
        ("1e3", 1000.0),
        ("1e999", "1e999"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        (".", "."),
        ("on", "on"),
        ("Yes", "Yes"),
        ("TRUE", True),
        ("false", False),
        ("~", None),
        ("2025-01-31T12:00:00Z", "2025-01-31T12:00:00Z"),
        ("=", "="),
        ("!!int 7", 7),
    ],
)
def test_other_words_mean_what_kubectl_means(tmp_path: Path, written_as: str, value: object) -> None:
    text = f"kind: Lease\nmetadata: {{name: a}}\nspec:\n  field: {written_as}\n"
    (obj,) = load(written(tmp_path, {"c.yaml": text}) / "c.yaml").objects
    assert obj["spec"]["field"] == value
    assert type(obj["spec"]["field"]) is type(value)


def test_quantities_stay_as_they_were_written(tmp_path: Path) -> None:
    text = f"{POD % 'a'}spec:\n  containers: [{{name: c, resources: {{limits: {{cpu: 0.10, memory: 1e3}}}}}}]\n"
    (obj,) = load(written(tmp_path, {"c.yaml": text}) / "c.yaml").objects
    assert obj["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "0.10", "memory": "1e3"}


def test_an_alias_is_a_copy(tmp_path: Path) -> None:
    text = f"{POD % 'a'}spec:\n  first: &x {{key: [1]}}\n  second: *x\n  &k third: &y word\n  fourth: [*y, *k]\n"
    (obj,) = load(written(tmp_path, {"c.yaml": text}) / "c.yaml").objects
    assert obj["spec"]["second"] == {"key": [1]}
    assert obj["spec"]["second"] is not obj["spec"]["first"]
    assert obj["spec"]["fourth"] == ["word", "third"]


def test_an_event_of_the_newer_api_has_the_core_shape(tmp_path: Path) -> None:
    newer: Object = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "e", "namespace": "demo"},
        "regarding": {"kind": "Pod", "name": "a", "uid": "u"},
        "note": "Back-off pulling image",
        "reason": "BackOff",
        "type": "Warning",
        "eventTime": None,
        "deprecatedFirstTimestamp": "2025-01-31T11:00:00Z",
        "deprecatedLastTimestamp": "2025-01-31T12:00:00Z",
        "deprecatedCount": 7,
        "deprecatedSource": {"component": "kubelet"},
        "reportingController": "kubelet",
    }
    (event,) = from_objects([newer]).objects
    assert event == {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "e", "namespace": "demo"},
        "involvedObject": {"kind": "Pod", "name": "a", "uid": "u"},
        "message": "Back-off pulling image",
        "reason": "BackOff",
        "type": "Warning",
        "firstTimestamp": "2025-01-31T11:00:00Z",
        "lastTimestamp": "2025-01-31T12:00:00Z",
        "count": 7,
        "source": {"component": "kubelet"},
        "reportingComponent": "kubelet",
    }


@pytest.mark.parametrize(
    ("kind", "api_version", "resource"),
    [
        pytest.param("Pod", "v1", Resource.PODS, id="core"),
        pytest.param("Pod", None, Resource.PODS, id="no apiVersion"),
        pytest.param("Deployment", "apps/v1beta2", Resource.DEPLOYMENTS, id="an older version"),
        pytest.param("Deployment", "extensions/v1beta1", Resource.DEPLOYMENTS, id="an older group"),
        pytest.param("Event", "events.k8s.io/v1", Resource.EVENTS, id="the newer event API"),
        pytest.param("PodMetrics", "metrics.k8s.io/v1beta1", Resource.POD_METRICS, id="metrics"),
        pytest.param("Job", "batch.volcano.sh/v1alpha1", None, id="another project's Job"),
        pytest.param("Pod", "example.com/v1", None, id="another project's Pod"),
        pytest.param("Lease", "coordination.k8s.io/v1", None, id="a kind nobody reads"),
    ],
)
def test_a_kind_is_known_by_name_and_group(kind: str, api_version: str | None, resource: Resource | None) -> None:
    obj: Object = {"kind": kind} | ({"apiVersion": api_version} if api_version else {})
    assert resource_of(obj) is resource


def test_what_the_api_would_have_filled_in_is_filled_in() -> None:
    bare: Object = {
        "kind": "Pod",
        "metadata": {"name": 7, "labels": {"a": True, "b": None, "c": 1}, "resourceVersion": 5},
    }
    (pod,) = from_objects([bare]).objects
    assert pod["metadata"] == {
        "name": "7",
        "namespace": "default",
        "labels": {"a": "true", "b": "", "c": "1"},
        "resourceVersion": "5",
    }


def kind_of(kind: str, **parts: Any) -> Object:
    return {"kind": kind, "metadata": {"name": "a"}, **parts}


@pytest.mark.parametrize(
    ("written_as", "field", "held"),
    [
        *(
            pytest.param(kind_of(kind, **{field: None}), field, None, id=f"{field} of a {kind}")
            for kind, field in (
                ("Deployment", "status"),
                ("Pod", "status"),
                ("Node", "status"),
                ("Pod", "spec"),
                ("ResourceQuota", "spec"),
                ("LimitRange", "spec"),
            )
        ),
        pytest.param(kind_of("Deployment", spec={"replicas": None}), "spec", {}, id="replicas"),
        pytest.param(
            kind_of("Deployment", spec={"strategy": {"rollingUpdate": {"maxSurge": None}}}),
            "spec",
            {"strategy": {"rollingUpdate": {}}},
            id="maxSurge",
        ),
        pytest.param(
            kind_of("Deployment", spec={"template": {"metadata": {"creationTimestamp": None}}}),
            "spec",
            {"template": {"metadata": {}}},
            id="what kubectl prints in a template",
        ),
        pytest.param(kind_of("Pod", spec={"dnsConfig": {"a": None}}), "spec", {"dnsConfig": {}}, id="unknown field"),
        pytest.param(
            kind_of("Pod", spec={"nodeSelector": {"zone": None}}), "spec", {"nodeSelector": {"zone": ""}}, id="label"
        ),
        pytest.param(
            kind_of("Pod", spec={"containers": [{"name": "c", "resources": {"limits": {"cpu": None}}}]}),
            "spec",
            {"containers": [{"name": "c", "resources": {"limits": {}}}]},
            id="quantity",
        ),
        pytest.param(
            kind_of("Event", involvedObject=None, regarding={"name": "p"}),
            "involvedObject",
            {"name": "p"},
            id="an Event's field, beside its newer name",
        ),
    ],
)
def test_a_null_is_absent_as_for_the_api_server(written_as: Object, field: str, held: Any) -> None:
    (obj,) = from_objects([written_as]).objects
    assert obj.get(field) == held


@pytest.mark.parametrize(
    ("written_as", "words"),
    [
        pytest.param(
            kind_of("LimitRange", spec={"limits": [None]}),
            "spec.limits of the LimitRange a is not a list of objects",
            id="null among limits",
        ),
        pytest.param(
            kind_of("ResourceQuota", spec={"scopeSelector": {"matchExpressions": [None]}}),
            "spec.scopeSelector.matchExpressions of the ResourceQuota a is not a list of objects",
            id="null among scopes",
        ),
        pytest.param(
            kind_of("PodDisruptionBudget", spec={"selector": {"matchExpressions": [{"values": [None]}]}}),
            "spec.selector.matchExpressions[0].values of the PodDisruptionBudget a is not a list of text",
            id="null among values",
        ),
        pytest.param(
            {"kind": "Deployment", "metadata": {"name": "a", "generation": "4"}},
            "metadata.generation of the Deployment a is not a whole number",
            id="generation as text",
        ),
        pytest.param(
            kind_of("Deployment", spec={"replicas": True}), "spec.replicas of the Deployment a is not", id="a boolean"
        ),
        pytest.param(kind_of("Deployment", spec={"replicas": 2**63}), "is not a whole number", id="beyond 64 bits"),
        pytest.param(
            kind_of("Deployment", spec={"strategy": {"rollingUpdate": {"maxSurge": "some"}}}),
            "maxSurge of the Deployment a is not a whole number or a percentage such as 25%",
            id="maxSurge",
        ),
        pytest.param(
            kind_of("Node", spec={"unschedulable": "false"}), "unschedulable of the Node a is not true or", id="a flag"
        ),
        pytest.param(
            kind_of("Node", status={"conditions": [{"type": "Ready", "status": True}]}),
            "status.conditions[0].status of the Node a is not text",
            id="True without quotes",
        ),
        pytest.param(
            kind_of("Node", status={"allocatable": 3}), "allocatable of the Node a is not an object", id="map"
        ),
        pytest.param(
            kind_of("Node", status={"allocatable": {"memory": ["1Gi"]}}),
            "status.allocatable.memory of the Node a is not a quantity",
            id="a list for a quantity",
        ),
        pytest.param(
            {"kind": "Node", "metadata": {"name": "a", "labels": {"x": {}}}}, "metadata.labels.x of", id="label value"
        ),
        pytest.param(
            kind_of("Deployment", spec={"template": {"spec": {"containers": [{"name": None}]}}}),
            "spec.template.spec.containers of the Deployment a is not a list of objects that each have a name",
            id="container without name",
        ),
        pytest.param(
            kind_of("Node", spec={"taints": {"key": "x"}}), "spec.taints of the Node a is not a list", id="no list"
        ),
    ],
)
def test_what_has_another_type_is_refused_with_its_place(written_as: Object, words: str) -> None:
    with pytest.raises(BadInput, match=rf"^objects\[0\]: .*{re.escape(words)}"):
        from_objects([written_as])


def test_amounts_and_numbers_for_names_are_kept_for_whoever_reads_them() -> None:
    uids = [{"kind": "ReplicaSet", "uid": 7, "controller": True}]
    pod = kind_of("Pod", spec={"overhead": {"memory": 5, "cpu": "lots"}})
    pod["metadata"]["ownerReferences"] = uids
    (obj,) = from_objects([pod]).objects
    assert obj["spec"]["overhead"] == {"memory": 5, "cpu": "lots"}
    assert obj["metadata"]["ownerReferences"][0]["uid"] == "7"


OLD, NEW, FUTURE = "2025-01-31T11:00:00Z", "2025-01-31T12:00:00.123456789Z", "2031-01-01T00:00:00Z"
NEWEST = datetime(2025, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"status": {"conditions": [{"lastTransitionTime": NEW}]}}, id="a condition"),
        pytest.param(
            {"status": {"containerStatuses": [{"lastState": {"terminated": {"finishedAt": NEW}}}]}}, id="a container"
        ),
        pytest.param({"spec": {"taints": [{"timeAdded": NEW}]}}, id="a taint"),
        pytest.param({"series": {"lastObservedTime": NEW}}, id="a series of events"),
        pytest.param({"eventTime": NEW}, id="an event"),
        pytest.param({"timestamp": NEW}, id="metrics"),
        pytest.param({"status": {"lastTransitionTime": NEW, "text": FUTURE}}, id="text is not looked at"),
        pytest.param({"lastTimestamp": NEW, "message": FUTURE, "reason": FUTURE}, id="a message is not looked at"),
        pytest.param({"lastTimestamp": NEW, "data": {"startTime": FUTURE}}, id="data is not looked at"),
        pytest.param({"lastTimestamp": NEW, "spec": {"startTime": FUTURE}}, id="a plan is not looked at"),
        pytest.param(
            {"lastTimestamp": NEW, "eventTime": None, "startTime": "soon", "timestamp": 3}, id="what is no time"
        ),
        pytest.param(
            {"lastTimestamp": NEW, "status": {"startTime": {"startTime": OLD}}}, id="an object where a time is meant"
        ),
    ],
)
def test_the_newest_time_is_what_the_cluster_wrote(fields: Object) -> None:
    metadata = {
        "name": "x",
        "creationTimestamp": OLD,
        "deletionTimestamp": FUTURE,
        "labels": {"startTime": FUTURE},
        "annotations": {"lastTransitionTime": FUTURE, "creationTimestamp": FUTURE},
    }
    assert newest_time(from_objects([{"kind": "Lease", "metadata": metadata, **fields}])) == NEWEST


def test_the_time_of_a_managed_field_counts() -> None:
    managed = [{"manager": "kubectl", "time": NEW, "fieldsV1": {"time": FUTURE, "f:startTime": {"time": FUTURE}}}]
    obj: Object = {"kind": "Pod", "metadata": {"name": "x", "managedFields": managed}, "status": {"time": FUTURE}}
    assert newest_time(from_objects([obj])) == NEWEST


def test_no_time_at_all_is_none() -> None:
    assert newest_time(from_objects([{"kind": "Pod", "metadata": {"name": "x"}}])) is None


def corpus_objects() -> list[Any]:
    if not CORPUS:
        return []
    root = Path(CORPUS) / "objects"
    return [pytest.param(file, id=str(file.relative_to(root))) for file in sorted(root.rglob("*")) if file.is_file()]


@pytest.mark.skipif(not CORPUS, reason="SRE_AGENT_TEST_CORPUS is not set")
@pytest.mark.parametrize("file", corpus_objects())
def test_real_objects_load_with_a_time(file: Path) -> None:
    loaded = load(file)
    assert loaded.objects
    assert all(resource_of(obj) for obj in loaded.objects)
    moment = newest_time(loaded)
    assert moment is not None
    assert datetime(2017, 1, 1, tzinfo=UTC) < moment < datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.slow
def test_five_thousand_pods_load_in_a_few_times_what_parsing_them_takes(tmp_path: Path) -> None:
    status = "".join(
        f"    - {{type: Condition{number}, status: 'True', lastTransitionTime: '2025-01-31T12:00:00Z'}}\n"
        for number in range(20)
    )
    pods = "".join(
        f"- apiVersion: v1\n  kind: Pod\n  metadata: {{name: pod-{number}, namespace: demo}}\n"
        f"  spec: {{containers: [{{name: app, image: 'web:1'}}]}}\n  status:\n    conditions:\n{status}"
        for number in range(5_000)
    )
    written(tmp_path, {"c.yaml": f"kind: List\nitems:\n{pods}"})
    began = time.process_time()
    assert sum(1 for _ in yaml.parse((tmp_path / "c.yaml").read_text(), Loader=yaml.CSafeLoader)) > 100_000
    parsed = time.process_time()
    assert len(load(tmp_path / "c.yaml").objects) == 5_000
    assert time.process_time() - parsed < 20 * (parsed - began)  # a quadratic load takes thousands of times as long


def test_json_and_yaml_of_one_object_are_the_same(tmp_path: Path) -> None:
    obj = {"kind": "Pod", "metadata": {"name": "a", "labels": {"x": "on"}}, "spec": {"n": 1, "b": True, "z": None}}
    written(tmp_path, {"a.json": json.dumps(obj), "b.yaml": re.sub(r'"(\w+)":', r"\1:", json.dumps(obj))})
    assert load(tmp_path / "a.json").objects == load(tmp_path / "b.yaml").objects
