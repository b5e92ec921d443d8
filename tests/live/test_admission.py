"""What an admission webhook that does not answer means for a write: nothing was written, and it may answer later."""

from collections.abc import Iterator

import pytest

from sre_agent.cluster.live import open_cluster
from sre_agent.cluster.port import Unavailable, Write
from tests.cluster.contract import NAMESPACE, deletion, deployment, eviction, image_patch, namespaces, pod
from tests.control_plane.api import Object
from tests.control_plane.plane import ControlPlane

SILENT: Object = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingWebhookConfiguration",
    "metadata": {"name": "silent"},
    "webhooks": [
        {
            "name": "silent.example.com",
            "clientConfig": {"url": "https://127.0.0.1:1/"},
            "rules": [
                {
                    "apiGroups": ["", "apps"],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE", "UPDATE", "DELETE"],
                    "resources": ["pods", "pods/eviction", "deployments"],
                }
            ],
            "failurePolicy": "Fail",
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }
    ],
}


@pytest.fixture
def refusing(bare_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> Iterator[ControlPlane]:
    """A cluster whose policy engine is down and has to be asked about every write."""
    monkeypatch.setenv("KUBECONFIG", str(bare_plane.kubeconfig()))
    bare_plane.api.create_all([*namespaces(), deployment(), pod("web-1"), pod("web-2")])
    bare_plane.api.create(SILENT)
    yield bare_plane
    bare_plane.api.delete(SILENT)


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(eviction("web-1"), id="evict"),
        pytest.param(deletion("web-2"), id="delete"),
        pytest.param(image_patch("registry.example/web:2"), id="patch"),
    ],
)
async def test_a_webhook_that_does_not_answer_keeps_the_write_from_being_carried_out(
    refusing: ControlPlane, write: Write
) -> None:
    async with open_cluster() as cluster:
        for dry_run in (True, False):
            with pytest.raises(Unavailable, match="failed calling webhook"):
                await cluster.write(write, dry_run=dry_run)
    kept = refusing.api.find("v1", "Pod", NAMESPACE)
    assert [entry["metadata"].get("deletionTimestamp") for entry in kept] == [None, None]
