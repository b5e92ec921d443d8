"""Which payloads an argument stands for, which recording they are played on, and which of them share cool-downs."""

import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sre_agent.errors import BadInput
from sre_agent.parts import Part, load_parts
from sre_agent.replay import check_age

POD = """apiVersion: v1
kind: Pod
metadata: {name: app, namespace: demo, creationTimestamp: "2026-11-23T03:00:00Z"}
spec: {containers: [{name: app, image: "demo/app:1.0"}]}
"""
DAY = timedelta(days=1)
BODY = json.dumps({"alerts": [{"labels": {"alertname": "KubePodOOMKilled", "namespace": "demo", "pod": "app"}}]})


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Makes a tree of files below the working directory: recordings and payloads by their names."""
    monkeypatch.chdir(tmp_path)

    def make(*names: str) -> Path:
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(POD if path.suffix == ".yaml" else BODY)
        return tmp_path

    return make


def played(*payloads: str, snapshot: Path | None = None) -> list[tuple[str, str, bool]]:
    """(source, last name of the group, whether there is a cluster) of each part."""
    parts = load_parts(payloads, snapshot=snapshot)
    return [(part.source, Path(part.group).name, part.cluster is not None) for part in parts]


def clusters(parts: list[Part]) -> int:
    return len({id(part.cluster) for part in parts})


def test_payloads_given_by_path_count_as_their_example_directories(tree: Callable[..., Path]) -> None:
    root = tree("ex/a/payload.json", "ex/a/cluster.yaml", "ex/b/payload.json", "ex/b/cluster.yaml")
    by_path = load_parts(["ex/a/payload.json", "ex/b/payload.json"], snapshot=None)
    by_directory = load_parts(["ex/a", "ex/b"], snapshot=None)
    assert [part.group for part in by_path] == [part.group for part in by_directory]
    assert [part.group for part in by_path] == [str(root / "ex/a"), str(root / "ex/b")]


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["all"], id="the directory above the example"),
        pytest.param(["all/history"], id="the example"),
        pytest.param(["all/history/1", "all/history/2"], id="each part"),
        pytest.param(["all/history/1/payload.json", "all/history/2/payload.json"], id="each payload"),
    ],
)
def test_numbered_parts_share_recording_and_cool_downs_however_they_are_named(
    tree: Callable[..., Path], arguments: list[str]
) -> None:
    tree("all/history/1/payload.json", "all/history/2/payload.json", "all/history/cluster.yaml")
    parts = load_parts(arguments, snapshot=None)
    assert [Path(part.group).name for part in parts] == ["history", "history"]
    assert all(part.cluster for part in parts)
    assert clusters(parts) == 1


def test_a_part_with_a_recording_of_its_own_is_played_on_that(tree: Callable[..., Path]) -> None:
    tree("ex/cluster.yaml", "ex/1/payload.json", "ex/2/payload.json", "ex/2/cluster.yaml")
    parts = load_parts(["ex"], snapshot=None)
    assert len({part.group for part in parts}) == 1
    assert clusters(parts) == 2


def test_numbered_siblings_make_an_example_without_a_shared_recording(tree: Callable[..., Path]) -> None:
    tree("ex/1/payload.json", "ex/1/cluster.yaml", "ex/2/payload.json", "ex/2/cluster.yaml")
    assert {group for _, group, _ in played("ex/1/payload.json", "ex/2/payload.json")} == {"ex"}


def test_a_numbered_directory_among_others_is_an_example_of_its_own(tree: Callable[..., Path]) -> None:
    tree("ex/503-errors/payload.json", "ex/503-errors/cluster.yaml", "ex/oom/payload.json", "ex/oom/cluster.yaml")
    assert [group for _, group, _ in played("ex")] == ["503-errors", "oom"]


def test_the_directory_above_several_kinds_of_examples_plays_all_of_them(tree: Callable[..., Path]) -> None:
    tree("all/history/1/payload.json", "all/history/2/payload.json", "all/history/cluster.yaml")
    tree("all/oom/payload.json", "all/oom/cluster.yaml")
    assert played("all") == [
        ("all/history/1/payload.json", "history", True),
        ("all/history/2/payload.json", "history", True),
        ("all/oom/payload.json", "oom", True),
    ]


def test_parts_are_played_by_number(tree: Callable[..., Path]) -> None:
    names = ["1", "2", "2-again", "10", "011"]
    tree("ex/cluster.yaml", *(f"ex/{name}/payload.json" for name in reversed(names)))
    assert [source for source, _, _ in played("ex")] == [f"ex/{name}/payload.json" for name in names]


def test_a_payload_inside_its_own_directory_finds_its_example(
    tree: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tree("ex/1/payload.json", "ex/cluster.yaml")
    monkeypatch.chdir(root / "ex" / "1")
    assert played("payload.json") == [("payload.json", "ex", True)]


@pytest.mark.parametrize(
    ("argument", "group"),
    [
        pytest.param("ex/a/payload.json", "", id="a payload by its path"),
        pytest.param("ex/a", "a", id="an example"),
        pytest.param("alone.json", "", id="a body anywhere"),
    ],
)
def test_on_a_given_snapshot_only_a_named_directory_is_an_example(
    tree: Callable[..., Path], argument: str, group: str
) -> None:
    root = tree("ex/a/payload.json", "ex/a/cluster.yaml", "alone.json", "given.yaml")
    assert played(argument, snapshot=root / "given.yaml") == [
        (f"{argument}/payload.json" if group else argument, group, True)
    ]


def test_a_body_without_a_recording_belongs_to_no_example(tree: Callable[..., Path]) -> None:
    tree("alone.json")
    assert played("alone.json") == [("alone.json", "", False)]


@pytest.mark.parametrize(
    ("age", "limit", "refused"),
    [
        pytest.param(2 * DAY, DAY, True, id="older than the limit"),
        pytest.param(DAY, DAY, False, id="as old as the limit"),
        pytest.param(99 * DAY, timedelta(0), False, id="a limit of 0 is off"),
    ],
)
def test_an_old_alert_is_not_taken_for_firing_on_a_live_cluster(
    tree: Callable[..., Path], age: timedelta, limit: timedelta, refused: bool
) -> None:
    began = datetime(2026, 3, 1, tzinfo=UTC)
    parts = load_parts([str(tree("payload.json") / "payload.json")], snapshot=None)
    (alert,) = parts[0].payload.alerts
    dated = replace(parts[0], payload=replace(parts[0].payload, alerts=(replace(alert, starts_at=began),)))
    with pytest.raises(BadInput, match="--assume-firing") if refused else nullcontext():
        check_age([dated], now=began + age, limit=limit)
