"""A Go that can build the control plane: the one on PATH, or the newer one that it fetches as a module.

Go's releases are modules too (golang.org/toolchain), verified against Go's checksum database like any other. Go since
1.21 takes them by itself; done here it works with every older one, and where GOTOOLCHAIN=local forbids it.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

EXECUTABLES = ("bin/*", "pkg/tool/*/*")


class NoGo(Exception):
    """There is no Go that could build the control plane; the message says what to install."""


def go_for(version: str) -> Path:
    """The `go` of this version, or a newer one that is on PATH; raises NoGo."""
    on_path = shutil.which("go")
    if on_path is None:
        raise NoGo("there is no `go` on PATH")
    environment = os.environ | {"GOROOT": "", "GOTOOLCHAIN": "local"}
    with tempfile.TemporaryDirectory() as nowhere:  # no go.mod above it has a say
        told = subprocess.run([on_path, "version"], cwd=nowhere, env=environment, capture_output=True, text=True)
        found = re.search(r"go version go(\S+) (\w+)/(\w+)", told.stdout)
        if found is None:
            raise NoGo(f"`{on_path} version` says {(told.stdout or told.stderr).strip()!r}")
        if _numbers(found[1]) >= _numbers(version):
            return Path(on_path)
        wanted = f"golang.org/toolchain@v0.0.1-go{version}.{found[2]}-{found[3]}"
        # An older Go fetches modules only with module support on, whatever its user has set.
        environment |= {"GO111MODULE": "on", "GOFLAGS": "-modcacherw"}
        fetch = [on_path, "mod", "download", "-json", wanted]
        fetched = subprocess.run(fetch, cwd=nowhere, env=environment, capture_output=True, text=True)
    if fetched.returncode:
        raise NoGo(
            f"`{on_path}` is Go {found[1]} and cannot fetch {wanted}: {(fetched.stderr or fetched.stdout).strip()}"
        )
    root = Path(json.loads(fetched.stdout)["Dir"])
    for pattern in EXECUTABLES:
        for program in root.glob(pattern):
            program.chmod(0o755)  # the module cache keeps no execute bits
    return root / "bin" / "go"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))
