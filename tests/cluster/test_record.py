"""A recording that is written and read back: the same objects, logs and unknowns, without the secrets."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sre_agent.cluster.normal_form import normal
from sre_agent.cluster.port import ClusterError, Forbidden, NotFound, Resource, Unavailable
from sre_agent.cluster.record import check_free, write
from sre_agent.cluster.recorder import Look
from sre_agent.cluster.recording import Recording, from_objects, load
from sre_agent.cluster.snapshot import SnapshotCluster
from sre_agent.cluster.unread import Unread
from sre_agent.errors import BadInput, Unreachable
from sre_agent.objects import Object
from sre_agent.redaction import redact

NOW = datetime(2026, 11, 23, 9, 30, 15, 250000, tzinfo=UTC)
QUOTAS = Unread(
    look=Look.LIST,
    resource=Resource.RESOURCE_QUOTAS,
    namespace="demo",
    forbidden=True,
    why="listing resourcequotas: no",
)
LOST_NODE = Unread(look=Look.GET, resource=Resource.NODES, namespace=None, forbidden=False, why="reading Node n1: 503")


def pod(name: str = "app-1", **container: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "demo", "uid": "u1", "resourceVersion": "7"},
        "spec": {"containers": [{"name": "app", "image": "app:1", **container}]},
        "status": {"phase": "Running"},
    }


def written(recording: Recording, directory: Path) -> Recording:
    write(recording, directory, about={"recorded_by": "a test"})
    return load(directory)


AWKWARD = [
    "on",
    "1e3",
    "0o17",
    "0x1F",
    "~",
    "null",
    "1_000",
    "2026-01-01",
    "- a",
    "a: b",
    "#",
    "",
    " x ",
    "a\nb\n",
    "é",
]


@pytest.mark.parametrize("text", AWKWARD)
def test_text_that_yaml_could_take_for_something_else_stays_text(text: str, tmp_path: Path) -> None:
    given_pod = pod(args=[text], command=["run", text])
    (read,) = written(from_objects([given_pod]), tmp_path).objects
    assert read["spec"]["containers"][0]["args"] == [text]


@given(texts=st.lists(st.text(), max_size=4), label=st.text(max_size=20), number=st.integers(-(2**40), 2**40))
def test_any_object_is_read_back_as_it_was_redacted(
    texts: list[str], label: str, number: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    given_pod = pod(args=texts, unknown={"number": number, "flag": True, "nested": [texts, {"label": label}]})
    given_pod["metadata"]["labels"] = {"app": label}
    recording = from_objects([given_pod], recorded_at=NOW)
    read = written(recording, tmp_path_factory.mktemp("recording"))
    assert read.objects == (normal(redact(given_pod), "here"),)
    assert read.recorded_at == NOW


def test_logs_and_unknowns_are_read_back(tmp_path: Path) -> None:
    logs = {("demo", "app-1", "app", False): "now\n", ("demo", "app-1", "app", True): "before\n"}
    recording = Recording(objects=(pod(),), logs=logs, recorded_at=NOW, unread=(QUOTAS, LOST_NODE))
    read = written(recording, tmp_path)
    assert (read.logs, read.unread) == (logs, (QUOTAS, LOST_NODE))


def test_pods_and_their_metrics_are_two_files(tmp_path: Path) -> None:
    metrics = {"apiVersion": "metrics.k8s.io/v1beta1", "kind": "PodMetrics", "metadata": {"name": "app-1"}}
    files = write(from_objects([pod(), metrics]), tmp_path, about={})
    assert [(str(file.path), file.objects) for file in files] == [
        ("pods.yaml", 1),
        ("pods.metrics.k8s.io.yaml", 1),
        ("meta.yaml", None),
    ]


SECRETS = {
    "env": {"env": [{"name": "GREETING", "value": "s3cr3t-value"}]},
    "flag and value": {"args": ["--db-password", "s3cr3t-value"]},
    "flag=value": {"args": ["--api-token=s3cr3t-value"]},
    "url": {"command": ["run", "postgres://u:s3cr3t-value@db/x"]},
}


@pytest.mark.parametrize("container", SECRETS.values(), ids=SECRETS.keys())
def test_no_secret_is_written(container: Object, tmp_path: Path) -> None:
    last_applied = {"kubectl.kubernetes.io/last-applied-configuration": '{"env": "s3cr3t-value"}'}
    given_pod = pod(**container)
    given_pod["metadata"]["annotations"] = last_applied
    logs = {("demo", "app-1", "app", False): "password=s3cr3t-value\n"}
    unread = Unread(look=Look.LOG, resource=Resource.PODS, namespace="demo", forbidden=False, why="token=s3cr3t-value")
    write(Recording(objects=(given_pod,), logs=logs, unread=(unread,)), tmp_path, about={})
    everything = "".join(file.read_text() for file in tmp_path.rglob("*") if file.is_file())
    assert "redacted" in everything
    assert "s3cr3t-value" not in everything


async def test_what_could_not_be_read_is_refused_again_and_what_was_read_is_there(tmp_path: Path) -> None:
    logs = Unread(look=Look.LOG, resource=Resource.PODS, namespace="demo", forbidden=False, why="node down")
    recording = Recording(
        objects=(pod(),),
        logs={("demo", "app-1", "app", False): "now\n"},
        unread=(QUOTAS, LOST_NODE, logs),
    )
    cluster = SnapshotCluster(written(recording, tmp_path))
    with pytest.raises(Forbidden, match="listing resourcequotas: no"):
        await cluster.list(Resource.RESOURCE_QUOTAS, "demo")
    with pytest.raises(Unavailable, match="reading Node n1: 503"):
        await cluster.get(Resource.NODES, None, "n1")
    with pytest.raises(Unavailable, match="node down"):
        await cluster.pod_logs("demo", "app-1", "app", previous=True)
    assert await cluster.list(Resource.LIMIT_RANGES, "demo") == []
    assert await cluster.pod_logs("demo", "app-1", "app") == "now\n"
    with pytest.raises(NotFound):
        await cluster.get(Resource.PODS, "demo", "other")


BAD_META = {
    "no list": "unread: {look: get}",
    "no object": "unread: [quotas]",
    "another look": "unread: [{look: guess, resource: pods, forbidden: true, why: x}]",
    "an unknown kind": "unread: [{look: get, resource: secrets, forbidden: true, why: x}]",
    "no reason": "unread: [{look: get, resource: pods, forbidden: true}]",
    "a reason that is no text": "unread: [{look: get, resource: pods, forbidden: true, why: [x]}]",
    "maybe forbidden": "unread: [{look: get, resource: pods, forbidden: maybe, why: x}]",
    "no namespace's name": "unread: [{look: get, resource: pods, namespace: [], forbidden: true, why: x}]",
}


@pytest.mark.parametrize("meta", BAD_META.values(), ids=BAD_META.keys())
def test_a_meta_file_that_nobody_can_read_is_refused_by_its_place(meta: str, tmp_path: Path) -> None:
    write(from_objects([pod()]), tmp_path, about={})
    (tmp_path / "meta.yaml").write_text(meta)
    with pytest.raises(BadInput, match=r"meta\.yaml:1: "):
        load(tmp_path)


def test_a_directory_that_holds_anything_is_refused_unless_forced(tmp_path: Path) -> None:
    check_free(tmp_path / "new", force=False)
    check_free(tmp_path, force=False)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(BadInput, match="--force"):
        check_free(tmp_path, force=False)
    check_free(tmp_path, force=True)
    with pytest.raises(BadInput, match="is a file"):
        check_free(tmp_path / "notes.txt", force=True)


def test_an_earlier_recording_is_taken_away_and_nothing_else(tmp_path: Path) -> None:
    node: Object = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}}
    write(Recording(objects=(pod(), node), logs={("demo", "app-1", "app", False): "old\n"}), tmp_path, about={})
    (tmp_path / "README.md").write_text("my story")
    (tmp_path / "logs" / "notes.log").write_text("mine too")
    read = written(from_objects([pod("app-2")]), tmp_path)
    assert [obj["metadata"]["name"] for obj in read.objects] == ["app-2"]
    assert read.logs == {}
    assert (tmp_path / "README.md").read_text() == "my story"
    assert (tmp_path / "logs" / "notes.log").read_text() == "mine too"


def test_files_of_a_directory_that_is_no_recording_stay(tmp_path: Path) -> None:
    (tmp_path / "logs" / "a" / "b").mkdir(parents=True)
    (tmp_path / "logs" / "a" / "b" / "c.log").write_text("mine")
    write(from_objects([pod()]), tmp_path, about={})
    assert (tmp_path / "logs" / "a" / "b" / "c.log").read_text() == "mine"


@pytest.mark.parametrize("container", ["../../x", "", "a/b", ".hidden"])
def test_a_log_whose_name_is_no_file_name_is_not_written(container: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no file name"):
        write(Recording(objects=(pod(),), logs={("demo", "app-1", container, False): "x"}), tmp_path, about={})
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(Unreachable, match="cannot be written"):
        write(from_objects([pod()]), tmp_path / "file" / "below", about={})


@pytest.mark.parametrize(("unread", "error"), [(QUOTAS, Forbidden), (LOST_NODE, Unavailable)])
def test_a_failed_read_knows_its_error(unread: Unread, error: type[ClusterError]) -> None:
    assert type(unread.error) is error
    assert Unread.of(unread.json, "here") == unread
