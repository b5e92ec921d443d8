"""How the control plane of the cluster tests is built, and what is said where it cannot be."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.control_plane import build, kind
from tests.control_plane.build import CannotBuild
from tests.control_plane.toolchain import NoGo, go_for

ROOT = Path(__file__).parents[2]
NAMES = [program.name for program in build.PROGRAMS]
OLD_GO = '[ "$1" = version ] && { echo go version go1.19.8 linux/amd64; exit; }'
NEW_GO = """if [ "$1" = version ]; then echo go version go1.99.0 linux/amd64; exit; fi
while [ "$1" != -o ]; do shift; done; touch "$2" """


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for programs of our own; beside them PATH has only what a shell script needs."""
    directory = tmp_path / "path"
    directory.mkdir()
    for tool in ("cat", "touch", "sh"):
        (directory / tool).symlink_to(f"/bin/{tool}")
    monkeypatch.setenv("PATH", str(directory))
    for name in (build.READY_MADE, build.OTHER_CLUSTER):
        monkeypatch.delenv(name, raising=False)
    return directory


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where programs are built to."""
    directory = tmp_path / "build" / "bin"
    monkeypatch.setattr(build, "BUILT", directory)
    return directory


def test_without_go_it_is_said_what_to_install(path: Path, built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main() == 1
    said = capsys.readouterr().err
    assert "there is no `go` on PATH. Install Go, in any version: https://go.dev/doc/install" in said
    assert "SRE_AGENT_TEST_CONTROL_PLANE_BIN" in said
    assert "SRE_AGENT_TEST_KUBECONFIG" in said


def test_on_another_cluster_nothing_is_built(path: Path, built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(build.OTHER_CLUSTER, "/somewhere/kubeconfig")
    assert build.main() == 0
    assert not built.exists()


def test_an_old_go_fetches_the_one_that_is_asked_for(path: Path, tmp_path: Path) -> None:
    newer = tmp_path / "toolchain"
    script(newer / "bin" / "go", "echo new")
    (newer / "bin" / "go").chmod(0o444)
    answer = tmp_path / "answer.json"
    answer.write_text(json.dumps({"Dir": str(newer)}))
    asked = tmp_path / "asked"
    script(path / "go", f'{OLD_GO}; echo "$*" > {asked}; cat {answer}')
    found = go_for("1.26.0")
    assert found == newer / "bin" / "go"
    assert os.access(found, os.X_OK)
    assert asked.read_text() == "mod download -json golang.org/toolchain@v0.0.1-go1.26.0.linux-amd64\n"


def test_a_go_that_is_new_enough_is_taken(path: Path) -> None:
    script(path / "go", "echo go version go1.26.8 linux/amd64")
    assert go_for("1.26.0") == path / "go"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("echo broken >&2; exit 1", "version` says 'broken'"),
        (
            f"{OLD_GO}; echo no network >&2; exit 1",
            "is Go 1.19.8 and cannot fetch golang.org/toolchain@v0.0.1-go1.26.0.linux-amd64: no network",
        ),
    ],
    ids=["it does not run", "it cannot fetch a newer one"],
)
def test_a_go_that_cannot_build_says_why(path: Path, answer: str, words: str) -> None:
    script(path / "go", answer)
    with pytest.raises(NoGo, match="go") as trouble:
        go_for("1.26.0")
    assert words in str(trouble.value)


def test_what_is_missing_or_older_than_its_pins_is_built(path: Path, built: Path) -> None:
    script(path / "go", NEW_GO)
    told: list[str] = []
    build.build(told.append)
    assert sorted(file.name for file in built.iterdir()) == sorted(NAMES)
    assert [line.split()[1].rstrip(",") for line in told[2:]] == NAMES
    assert build.programs() == built
    told.clear()
    (built / "kwok").unlink()
    os.utime(built / "etcd", (0, 0))
    with pytest.raises(CannotBuild, match="etcd, kwok must be built first"):
        build.programs()
    build.build(told.append)
    assert [line.split()[1].rstrip(",") for line in told[2:]] == ["etcd", "kwok"]
    told.clear()
    build.build(told.append)
    assert told == []


def test_a_build_that_fails_says_what_go_said_and_leaves_nothing(path: Path, built: Path) -> None:
    script(path / "go", f"{NEW_GO}; echo undefined: everything >&2; exit 1")
    with pytest.raises(CannotBuild, match="failed:\nundefined: everything"):
        build.build(print)
    assert list(built.iterdir()) == []
    assert [file.name for file in built.parent.iterdir() if file.is_dir()] == ["bin"]


def test_ready_programs_are_taken_as_they_are(
    path: Path, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = tmp_path / "ready"
    for name in NAMES:
        script(ready / name, "")
    monkeypatch.setenv(build.READY_MADE, str(ready))
    build.build(print)
    assert build.programs() == ready
    (ready / "kwok").unlink()
    with pytest.raises(CannotBuild, match=rf"{build.READY_MADE}={ready} lacks kwok\."):
        build.programs()


def test_every_program_is_pinned_with_its_checksums() -> None:
    for program in build.PROGRAMS:
        module = build.MODULES / program.module
        versions = (module / "go.mod").read_text()
        owner = next(line.split()[0] for line in versions.splitlines() if _owns(line, program.package))
        assert f"{owner} v" in (module / "go.sum").read_text()


def _owns(line: str, package: str) -> bool:
    words = line.removeprefix("require").split()
    return bool(words) and (package == words[0] or package.startswith(f"{words[0]}/"))


@pytest.mark.parametrize(
    ("programs", "words"),
    [
        ({}, "there is no `docker` on PATH"),
        ({"docker": "exit 1"}, "`docker info` fails"),
        ({"docker": ""}, "there is no `kind` on PATH"),
    ],
    ids=["no docker", "no daemon", "no kind"],
)
def test_without_docker_or_kind_it_is_said(
    path: Path, capsys: pytest.CaptureFixture[str], programs: dict[str, str], words: str
) -> None:
    for name, text in programs.items():
        script(path / name, text)
    assert kind.main(["false"]) == 1
    assert words in capsys.readouterr().err


def test_a_kind_cluster_lives_as_long_as_the_tests_on_it(path: Path, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    script(path / "docker", "")
    script(path / "kind", f'echo "kind $1" >> {calls}')
    script(path / "tests", f'echo "tests on $SRE_AGENT_TEST_KUBECONFIG" >> {calls}; exit 5')
    command = [sys.executable, "-m", "tests.control_plane.kind", "tests"]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 5
    kubeconfig = ROOT / "build" / "control-plane" / "kind.kubeconfig"
    told = ["kind delete", "kind create", f"tests on {kubeconfig}", "kind delete"]
    assert calls.read_text().splitlines() == told
