"""`python -m tests.control_plane.kind COMMAND...`: runs a command on a kind cluster that lives as long as it runs.

The command finds the cluster's kubeconfig in SRE_AGENT_TEST_KUBECONFIG.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.control_plane.build import BUILT, OTHER_CLUSTER

NAME = "sre-agent-test"
WORKERS = 3


def main(command: list[str]) -> int:
    """The exit code of the command, or 1 with a sentence where there is no Docker or no kind."""
    if trouble := _trouble():
        sys.stderr.write(f"make test-kind {trouble}\n")
        return 1
    kubeconfig = BUILT.parent / "kind.kubeconfig"
    kubeconfig.parent.mkdir(parents=True, exist_ok=True)
    delete = ["kind", "delete", "cluster", "--name", NAME, "--kubeconfig", str(kubeconfig)]
    subprocess.run(delete, check=False)
    try:
        create = ["kind", "create", "cluster", "--name", NAME, "--kubeconfig", str(kubeconfig), "--config", "-"]
        made = subprocess.run([*create, "--wait", "3m"], input=_configuration(), text=True, check=False)
        if made.returncode:
            return made.returncode
        return subprocess.run(command, env=os.environ | {OTHER_CLUSTER: str(kubeconfig)}, check=False).returncode
    finally:
        subprocess.run(delete, check=False)
        Path(kubeconfig).unlink(missing_ok=True)


def _trouble() -> str | None:
    if shutil.which("docker") is None:
        return "needs Docker, and there is no `docker` on PATH; `make test-cluster` needs none."
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        return "needs Docker, and `docker info` fails: is the daemon running? `make test-cluster` needs none."
    if shutil.which("kind") is None:
        return (
            "needs kind, and there is no `kind` on PATH: https://kind.sigs.k8s.io/docs/user/quick-start/#installation"
        )
    return None


def _configuration() -> str:
    nodes = "".join(f"- role: {role}\n" for role in ("control-plane", *["worker"] * WORKERS))
    return f"apiVersion: kind.x-k8s.io/v1alpha4\nkind: Cluster\nnodes:\n{nodes}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
