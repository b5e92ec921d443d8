"""From labels to what an alert is about. Pure: intake asks before anything is known of the cluster.

Protects the rule that an exporter is never mistaken for what it measures. A label `status`, `condition` or `reason`
is never read as state, and `job` is the scrape job, never a Kubernetes Job.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sre_agent.alert import Alert, fingerprint
from sre_agent.target.types import Subject

WORKLOAD_LABELS = {
    "deployment": "Deployment",
    "statefulset": "StatefulSet",
    "daemonset": "DaemonSet",
    "job_name": "Job",
    "replicaset": "ReplicaSet",
}
"""Labels that name a controller, in the order in which they count."""

OTHER_OBJECT_LABELS = frozenset(
    {
        "cronjob",
        "horizontalpodautoscaler",
        "persistentvolume",
        "persistentvolumeclaim",
        "poddisruptionbudget",
        "resourcequota",
    }
)
"""Labels of things that no runbook acts on; beside one of them a pod label is the exporter's."""

NODE_ALERTS = ("KubeNode", "Node", "Kubelet")
"""How the names of kube-prometheus' node alerts begin."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AlertSubject:
    """What the labels name, exporter labels not counted; None where they name nothing of that kind.

    Of a node's alert only `node` is set. In a workload's alert `node` is context, not what would be changed, and
    `pod`, `container` and `pod_uid` are None where a workload is named: there they would be the exporter's.
    """

    namespace: str | None = None
    pod: str | None = None
    container: str | None = None
    node: str | None = None
    workload_kind: str | None = None
    workload_name: str | None = None
    pod_uid: str | None = None


def subject_of(labels: Mapping[str, str], runbook_subject: Subject | None) -> Subject | None:
    """What the alert speaks of: its runbook's subject, else what the labels alone say, else None."""
    if runbook_subject is not None:
        return runbook_subject
    if _workload(labels) != (None, None):
        return Subject.WORKLOAD
    if not OTHER_OBJECT_LABELS.isdisjoint(labels):
        return None
    if labels.get("alertname", "").startswith(NODE_ALERTS):
        return Subject.NODE if _node(labels) else None
    if labels.get("exported_pod") or labels.get("pod"):
        return Subject.WORKLOAD
    return Subject.NODE if _node(labels) else None


def describe(labels: Mapping[str, str], subject: Subject | None) -> AlertSubject:
    """What the labels name, read as an alert about `subject`."""
    if subject is Subject.NODE:
        return AlertSubject(node=_node(labels))
    if subject is None:
        return AlertSubject()
    # Prometheus writes `exported_` before a metric's label only where the scraped target has one of that name:
    # then the plain pod and container, too, are the target's, which is the exporter.
    exported = any(labels.get(f"exported_{name}") for name in ("namespace", "pod", "container"))
    prefix = "exported_" if exported else ""
    namespace = labels.get("exported_namespace") or labels.get("namespace") or None
    kind, name = _workload(labels)
    if name is not None:
        return AlertSubject(namespace=namespace, workload_kind=kind, workload_name=name)
    pod = labels.get(f"{prefix}pod") or None
    return AlertSubject(
        namespace=namespace,
        pod=pod,
        container=labels.get(f"{prefix}container") or None,
        node=labels.get("exported_node") or (None if exported else labels.get("node")) or None,
        pod_uid=(labels.get("uid") or None) if pod else None,
    )


def dedup_key(alert: Alert, subject: Subject | None) -> str:
    """The readable identity of a problem, from labels alone: one open incident per key.

    A restarted exporter keeps it. The group key stands in only for an alert without any label.
    """
    if not alert.labels:
        return alert.group_key or f":{fingerprint({})}"
    named = describe(alert.labels, subject)
    if named.workload_name is not None:
        return f"{alert.name}:{named.namespace or ''}:{named.workload_kind}/{named.workload_name}"
    if subject is Subject.NODE and named.node is not None:
        return f"{alert.name}:{named.node}"
    if named.pod is not None:
        return f"{alert.name}:{named.namespace or ''}:{named.pod}:{named.container or ''}"
    return f"{alert.name}:{fingerprint(_identifying(alert.labels))}"


def _workload(labels: Mapping[str, str]) -> tuple[str | None, str | None]:
    """(kind, name) of the first workload label, or (None, None)."""
    for label, kind in WORKLOAD_LABELS.items():
        if name := labels.get(label):
            return kind, name
    return None, None


def _node(labels: Mapping[str, str]) -> str | None:
    """The node's name. `exported_node` stands there only where `node` is the exporter's; `instance` never counts."""
    return labels.get("exported_node") or labels.get("node") or None


def _identifying(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels that tell this problem from another of the same name: without the exporter's pod.

    Beside the name of another object `instance` is the exporter's address, too; elsewhere it may be all there is.
    """
    passing = {"pod", "container", "prometheus_replica"}
    if not OTHER_OBJECT_LABELS.isdisjoint(labels):
        passing |= {"instance", "endpoint", "service", "uid"}
    return {name: value for name, value in labels.items() if name not in passing}
