"""Builds the control plane's programs from Go modules pinned in `modules/`, once, into build/control-plane/bin.

`python -m tests.control_plane.build` is what `make test-cluster` calls first. A program is built when it is missing or
older than its go.mod; a build that stops half way leaves no program behind.
"""

import fcntl
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.control_plane.toolchain import NoGo, go_for

HERE = Path(__file__).resolve().parent
MODULES = HERE / "modules"
BUILT = HERE.parents[1] / "build" / "control-plane" / "bin"
READY_MADE = "SRE_AGENT_TEST_CONTROL_PLANE_BIN"
OTHER_CLUSTER = "SRE_AGENT_TEST_KUBECONFIG"
OWN_ENVIRONMENT = {"CGO_ENABLED": "0", "GOFLAGS": "", "GOROOT": "", "GOTOOLCHAIN": "local", "GOWORK": "off"}
"""What a build does not leave to the user's settings."""


class CannotBuild(Exception):
    """The control plane cannot be had; the message says what to install or to set."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """One program: the directory of its go.mod below `modules/`, and the package of its `main`."""

    name: str
    module: str
    package: str


PROGRAMS = (
    Program(name="etcd", module="kubernetes", package="go.etcd.io/etcd/server/v3"),
    *(
        Program(name=name, module="kubernetes", package=f"k8s.io/kubernetes/cmd/{name}")
        for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
    ),
    Program(name="kwok", module="kwok", package="sigs.k8s.io/kwok/cmd/kwok"),
    Program(name="kube-state-metrics", module="kube-state-metrics", package="k8s.io/kube-state-metrics/v2"),
)


def programs() -> Path:
    """The directory with all programs; raises CannotBuild where one is missing or outdated."""
    if READY_MADE in os.environ:
        ready = Path(os.environ[READY_MADE]).resolve()
        if missing := [program.name for program in PROGRAMS if not os.access(ready / program.name, os.X_OK)]:
            raise CannotBuild(f"{READY_MADE}={ready} lacks {', '.join(missing)}. Put them there, or unset it to build.")
        return ready
    if due := [program.name for program in PROGRAMS if _is_due(program)]:
        raise CannotBuild(f"{', '.join(due)} must be built first: call `make test-cluster`.")
    return BUILT


def build(say: Callable[[str], None]) -> None:
    """Build what is due, one after the other, telling what and how long; raises CannotBuild."""
    if READY_MADE in os.environ:
        programs()
        return
    BUILT.mkdir(parents=True, exist_ok=True)
    with (BUILT.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        due = [program for program in PROGRAMS if _is_due(program)]
        if not due:
            return
        go = _go()
        say(f"Building the control plane of the cluster tests: {', '.join(program.name for program in due)}.")
        say("For the first time this takes about 10 minutes on two cores and 4 GB of Go's build cache.")
        for number, program in enumerate(due, start=1):
            began = time.monotonic()
            _build_one(program, go)
            say(f"  {number}/{len(due)} {program.name}, {time.monotonic() - began:.0f} s")


def _is_due(program: Program) -> bool:
    binary = BUILT / program.name
    pins = [MODULES / program.module / name for name in ("go.mod", "go.sum")]
    return not binary.exists() or any(binary.stat().st_mtime < pin.stat().st_mtime for pin in pins)


def _go() -> Path:
    """The Go that the newest of the modules asks for; raises CannotBuild with advice."""
    wanted = max(_pinned(module, r"^go (\S+)") for module in {program.module for program in PROGRAMS})
    try:
        return go_for(wanted)
    except NoGo as trouble:
        raise CannotBuild(
            f"The cluster tests build their control plane with Go, and {trouble}. Install Go, in any version: "
            f"https://go.dev/doc/install, or on Debian and Ubuntu: apt install golang-go\n"
            f"Or name a directory with the ready programs in {READY_MADE}, or the kubeconfig of a cluster that the "
            f"tests may use in {OTHER_CLUSTER}."
        ) from trouble


def _build_one(program: Program, go: Path) -> None:
    """Build beside the place and rename, so that what lies there is always whole."""
    with tempfile.TemporaryDirectory(dir=BUILT.parent) as scratch:
        new = Path(scratch) / program.name
        command = [
            str(go),
            "build",
            "-mod=readonly",
            "-trimpath",
            "-buildvcs=false",
            f"-ldflags={_link_flags(program)}",
        ]
        done = subprocess.run(
            [*command, "-o", str(new), program.package],
            cwd=MODULES / program.module,
            env=os.environ | OWN_ENVIRONMENT,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            raise CannotBuild(f"go build {program.package} failed:\n{done.stderr[-3000:]}")
        new.replace(BUILT / program.name)


def _link_flags(program: Program) -> str:
    """Without symbols. Kubernetes is told its version, which is otherwise v0.0.0."""
    flags = "-s -w"
    if program.package.startswith("k8s.io/kubernetes/"):
        version = _pinned(program.module, r"k8s\.io/kubernetes (v\S+)")
        major, minor, _ = version.removeprefix("v").split(".")
        for name, value in {"gitVersion": version, "gitMajor": major, "gitMinor": minor}.items():
            flags += f" -X k8s.io/component-base/version.{name}={value}"
    return flags


def _pinned(module: str, pattern: str) -> str:
    """What a go.mod says."""
    found = re.search(pattern, (MODULES / module / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise CannotBuild(f"{MODULES / module / 'go.mod'} has no line like {pattern}.")
    return found[1]


def main() -> int:
    """Build what is due, unless the tests are to run on another cluster; answers the exit code."""
    if os.environ.get(OTHER_CLUSTER):
        return 0
    try:
        build(_say)
    except CannotBuild as trouble:
        _say(str(trouble))
        return 1
    return 0


def _say(line: str) -> None:
    """One line of progress or trouble, seen at once."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
