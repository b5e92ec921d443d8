"""Custom resources that the full control plane serves: what kwok is told at run time, and kinds of add-ons.

Nothing computes the add-ons' objects: a test writes them as the add-on would.
"""

from tests.control_plane.api import Object


def definitions() -> list[Object]:
    """PodMetrics (what a metrics server answers), VerticalPodAutoscaler, and the logs of containers."""
    return [
        _definition("kwok.x-k8s.io", "v1alpha1", "Logs", "logs"),
        _definition("metrics.k8s.io", "v1beta1", "PodMetrics", "pods"),
        _definition("autoscaling.k8s.io", "v1", "VerticalPodAutoscaler", "verticalpodautoscalers"),
    ]


def _definition(group: str, version: str, kind: str, plural: str) -> Object:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    served = {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    # The API server wants this word of everybody who defines kinds in Kubernetes' own groups.
    approval = {"api-approved.kubernetes.io": "unapproved, for tests"} if group.endswith(".k8s.io") else {}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}", "annotations": approval},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
            "versions": [served],
        },
    }
