"""A real control plane on loopback: etcd and kube-apiserver, and the controllers, scheduler and kubelets if wanted.

    with ControlPlane(binaries, directory, controllers=True) as plane:
        plane.api.create(...)             # as admin
        plane.kubeconfig("agent")         # a user without any right, until RBAC is bound to it
        plane.audit(user="agent")         # what that user asked, as the API server noted it

Its processes end with the test process, however that ends. Ports and directories are its own.
"""

import secrets
import shutil
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import yaml

from tests.control_plane import audit
from tests.control_plane.api import Api, Object
from tests.control_plane.certificates import make_certificates
from tests.control_plane.definitions import definitions
from tests.control_plane.etcd import Etcd
from tests.control_plane.kubelet import Kubelets
from tests.control_plane.processes import Ended, Processes, free_ports

ADMIN = "admin"
USERS = ("agent", "reader", "writer", "rival", "stranger")  # without any right
ACCOUNT = "system:serviceaccount:agentic:agentic-sre-agent"
"""The account that k8s/ makes; with its own token, once it is there."""
MACHINERY = ("system:kube-controller-manager", "system:kube-scheduler", "kubelets")
STARTS = 3
PATIENCE = 120.0
"""Seconds until a start is given up: a busy machine is slow, a broken one stays silent."""
NODE_GRACE = 8
"""Seconds without a lease after which the node controller calls a node Unknown."""


class ControlPlane:
    """One cluster. Without controllers objects stay as they were written: for what an API alone decides."""

    def __init__(self, binaries: Path, directory: Path, *, controllers: bool) -> None:
        self.directory = directory
        self.controllers = controllers
        self.binaries = binaries
        self._tokens = {user: secrets.token_hex(16) for user in (ADMIN, *USERS, *MACHINERY)}
        self._processes = Processes(binaries, directory)
        self.server = ""
        self.api: Api
        self.etcd: Etcd
        self.kubelets: Kubelets

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True)
        make_certificates(self.directory)
        self._write_users()
        for remaining in reversed(range(STARTS)):
            try:
                self._start()
            except Ended:
                self._processes.stop()
                shutil.rmtree(self.directory / "etcd", ignore_errors=True)
                if not remaining:
                    raise
            except BaseException:
                self._processes.stop()
                raise
            else:
                break
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.api.close()
        self.etcd.close()
        self._processes.stop()
        shutil.rmtree(self.directory / "etcd", ignore_errors=True)

    @property
    def ids(self) -> dict[str, int]:
        """The process ids of its programs by name."""
        return self._processes.ids

    @property
    def authority(self) -> Path:
        """The certificate of the authority that the server's certificate comes from."""
        return self.directory / "ca.crt"

    @property
    def audit_log(self) -> Path:
        return self.directory / "audit.log"

    def audit(self, user: str | None = None, *, since: int = 0, writes: bool = False) -> list[audit.Request]:
        """What was asked and answered: by one user or by all (admin too), since a mark, everything or writes alone."""
        return [
            request
            for request in audit.read(self.audit_log, since)
            if user in (None, request.user) and (request.write or not writes)
        ]

    def audit_mark(self) -> int:
        """Now, for `since`."""
        return audit.size(self.audit_log)

    def token(self, user: str) -> str:
        return self._tokens[user]

    def kubeconfig(self, user: str = ADMIN) -> Path:
        """The kubeconfig of admin or of one of USERS; its context is called `test`."""
        return self.directory / f"{user.replace(':', '-')}.kubeconfig"

    def subject(self, user: str) -> Object:
        """A user as a RoleBinding names it."""
        return {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}

    def define_custom_resources(self) -> None:
        """The kinds of add-ons, answered when they are served."""
        for definition in definitions():
            spec = self.api.create(definition)["spec"]
            self._wait_for_path(f"/apis/{spec['group']}/{spec['versions'][0]['name']}/{spec['names']['plural']}")

    def kubectl(self, *arguments: str, user: str = ADMIN, stdin: str | None = None) -> str:
        """What kubectl prints; raises CalledProcessError with its stderr noted."""
        done = self.run_kubectl(*arguments, user=user, stdin=stdin)
        if done.returncode:
            error = subprocess.CalledProcessError(done.returncode, ["kubectl", *arguments], done.stdout, done.stderr)
            error.add_note(done.stderr)
            raise error
        return done.stdout

    def run_kubectl(
        self, *arguments: str, user: str = ADMIN, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """kubectl with its exit code and both outputs."""
        own = ["--kubeconfig", str(self.kubeconfig(user)), "--cache-dir", str(self.directory / "kubectl-cache")]
        command = [str(self.binaries / "kubectl"), *own, *arguments]
        return subprocess.run(command, input=stdin or "", capture_output=True, text=True, check=False)

    def _write_users(self) -> None:
        groups = dict.fromkeys((ADMIN, *MACHINERY), ',"system:masters"')
        rows = [f"{token},{user},{user}{groups.get(user, '')}\n" for user, token in self._tokens.items()]
        tokens = self.directory / "tokens.csv"
        tokens.touch(mode=0o600)
        tokens.write_text("".join(rows))
        (self.directory / "audit.yaml").write_text(yaml.safe_dump(audit.policy((ADMIN, *USERS, ACCOUNT))))

    def _write_kubeconfigs(self) -> None:
        for user, token in self._tokens.items():
            config = {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "test",
                "clusters": [
                    {"name": "test", "cluster": {"server": self.server, "certificate-authority": str(self.authority)}}
                ],
                "users": [{"name": user, "user": {"token": token}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
            }
            path = self.kubeconfig(user)
            path.touch(mode=0o600)
            path.write_text(yaml.safe_dump(config))

    def _start(self) -> None:
        api_port, etcd_port, peer_port, kubelet_port = free_ports(4)
        self.server = f"https://127.0.0.1:{api_port}"
        self._write_kubeconfigs()
        self.audit_log.touch()
        self.etcd = Etcd(f"http://127.0.0.1:{etcd_port}")
        self._start_etcd(self.etcd.address, f"http://127.0.0.1:{peer_port}")
        self._start_api_server(api_port, self.etcd.address)
        self.api = Api(self.server, ssl.create_default_context(cafile=str(self.authority)), self._tokens[ADMIN])
        self._wait_for_path("/readyz")
        self.kubelets = Kubelets(self.directory, self.api, kubelet_port)
        if self.controllers:
            self.define_custom_resources()
            self._start_controllers()
            self._processes.start("kwok", *self.kubelets.arguments(self.kubeconfig("kubelets")))
            self._wait_for_path("/api/v1/namespaces/default/serviceaccounts/default")

    def _start_etcd(self, client: str, peer: str) -> None:
        self._processes.start(
            "etcd",
            f"--data-dir={self.directory / 'etcd'}",
            "--unsafe-no-fsync",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
        )

    def _start_api_server(self, port: int, etcd: str) -> None:
        # Without controllers nobody makes the service account that the admission plugin asks for.
        bare = [] if self.controllers else ["--disable-admission-plugins=ServiceAccount"]
        self._processes.start(
            "kube-apiserver",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={port}",
            "--tls-cert-file=server.crt",
            "--tls-private-key-file=server.key",
            f"--etcd-servers={etcd}",
            "--authorization-mode=Node,RBAC",
            "--token-auth-file=tokens.csv",
            "--anonymous-auth=false",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--allow-privileged",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-account-signing-key-file=service-accounts.key",
            "--service-account-key-file=service-accounts.pub",
            "--endpoint-reconciler-type=none",
            "--kubelet-preferred-address-types=InternalIP",
            "--audit-policy-file=audit.yaml",
            "--audit-log-path=audit.log",
            "--audit-log-mode=blocking-strict",
            *bare,
        )

    def _start_controllers(self) -> None:
        self._processes.start(
            "kube-controller-manager",
            f"--kubeconfig={self.kubeconfig('system:kube-controller-manager')}",
            "--secure-port=0",
            "--service-account-private-key-file=service-accounts.key",
            "--root-ca-file=ca.crt",
            "--leader-elect=false",
            "--node-monitor-period=1s",
            f"--node-monitor-grace-period={NODE_GRACE}s",
        )
        self._processes.start(
            "kube-scheduler",
            f"--kubeconfig={self.kubeconfig('system:kube-scheduler')}",
            "--secure-port=0",
            "--leader-elect=false",
        )

    def _wait_for_path(self, path: str) -> None:
        """Until a read of it is answered well."""

        def answered() -> bool:
            try:
                return self.api.raw("GET", path)[0] == 200
            except OSError:
                return False

        self._wait_for(answered)

    def _wait_for(self, condition: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE
        while not condition():
            self._processes.check()
            if time.monotonic() > until:
                raise Ended(f"the control plane in {self.directory} was not ready within {PATIENCE:.0f} s")
            time.sleep(0.05)
