"""The agent's own account, with the rights that the manifests of k8s/ give it, as a user would set it up."""

from pathlib import Path

import yaml

from tests.control_plane.kubelet import wait_for
from tests.control_plane.plane import ACCOUNT, ControlPlane

NAMESPACE, NAME = ACCOUNT.split(":")[2:]


def service_account(plane: ControlPlane, directory: Path) -> Path:
    """A kubeconfig with a token of the account that k8s/ makes."""
    path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{NAME}/token"
    token = plane.api.request("POST", path, {"spec": {"expirationSeconds": 3600}})["status"]["token"]
    config = yaml.safe_load(plane.kubeconfig().read_text())
    config["users"][0]["user"] = {"token": token}
    kubeconfig = directory / "kubeconfig"
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(yaml.safe_dump(config))
    return kubeconfig


def wait_until_allowed(plane: ControlPlane, verb: str, resource: str) -> None:
    """Returns once the API server's authorizer has heard that the account may do this in every namespace."""
    group = "authorization.k8s.io"
    path = f"/apis/{group}/v1/subjectaccessreviews"
    spec = {"user": ACCOUNT, "resourceAttributes": {"verb": verb, "resource": resource}}
    review = {"apiVersion": f"{group}/v1", "kind": "SubjectAccessReview", "spec": spec}
    wait_for(f"{ACCOUNT} may {verb} {resource}", lambda: plane.api.request("POST", path, review)["status"]["allowed"])
