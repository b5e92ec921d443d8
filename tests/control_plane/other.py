"""Somebody else's cluster (SRE_AGENT_TEST_KUBECONFIG, or kind): as much of `ControlPlane` as can be had there.

Its users are ServiceAccounts in a namespace of their own, without any right until RBAC is bound to them.
"""

import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

import yaml

from tests.control_plane.api import Api, Object
from tests.control_plane.plane import ADMIN, USERS
from tests.control_plane.upkeep import leave_namespace

HOME = "sre-agent-test-users"
TOKEN_SECONDS = 6 * 3600


class OtherCluster:
    """A cluster that was there before the tests and stays; `kubeconfig` must allow everything."""

    def __init__(self, kubeconfig: Path, kubectl: str, directory: Path) -> None:
        self.directory = directory
        self._kubectl = kubectl
        self._admin = kubeconfig.resolve()
        self.api = Api.from_kubeconfig(self._admin)

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True)
        leave_namespace(self.api, HOME)
        self.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOME}})
        for user in USERS:
            self._add_user(user)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        leave_namespace(self.api, HOME)
        self.api.close()

    def kubeconfig(self, user: str = ADMIN) -> Path:
        return self._admin if user == ADMIN else self.directory / f"{user}.kubeconfig"

    def subject(self, user: str) -> Object:
        """A user as a RoleBinding names it."""
        return {"kind": "ServiceAccount", "name": user, "namespace": HOME}

    def kubectl(self, *arguments: str, user: str = ADMIN, stdin: str | None = None) -> str:
        own = ["--kubeconfig", str(self.kubeconfig(user)), "--cache-dir", str(self.directory / "kubectl-cache")]
        command = [self._kubectl, *own, *arguments]
        return subprocess.run(command, input=stdin or "", capture_output=True, text=True, check=True).stdout

    def _add_user(self, user: str) -> None:
        about: Object = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": user, "namespace": HOME}}
        self.api.create(about)
        wish = {"spec": {"expirationSeconds": TOKEN_SECONDS}}
        token = self.api.request("POST", f"{self.api.path_of(about)}/token", wish)["status"]["token"]
        config = yaml.safe_load(self._admin.read_text())
        chosen = next(entry for entry in config["contexts"] if entry["name"] == config["current-context"])
        chosen["context"]["user"] = user
        config |= {"contexts": [chosen], "users": [{"name": user, "user": {"token": token}}]}
        path = self.kubeconfig(user)
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(config))
