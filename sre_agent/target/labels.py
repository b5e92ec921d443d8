"""From labels to what an alert is about. Pure: intake asks before anything is known of the cluster.

Protects the rule that an exporter is never mistaken for what it measures. A label `status`, `condition` or `reason`
is never read as state, and `job` is the scrape job, never a Kubernetes Job.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

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
    `pod`, `container` and `pod_uid` are None where they may be the exporter's: those are `pod_hint`'s.
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
    namespace = labels.get("exported_namespace") or labels.get("namespace") or None
    kind, name = _workload(labels)
    if name is not None:
        return AlertSubject(namespace=namespace, workload_kind=kind, workload_name=name)
    exported = _exports_pod(labels) or bool(labels.get("exported_namespace"))
    node = labels.get("exported_node") or (None if exported else labels.get("node")) or None
    named = AlertSubject() if _pod_is_doubtful(labels) else pod_hint(labels)
    return replace(named, namespace=namespace, node=node)


def pod_hint(labels: Mapping[str, str]) -> AlertSubject:
    """The pod, container and pod uid that the labels hold, though they may be the exporter's.

    Beside a workload, and beside `exported_namespace` alone, only the cluster tells whose they are: `binding` asks.
    """
    prefix = "exported_" if _exports_pod(labels) else ""
    pod = labels.get(f"{prefix}pod") or None
    return AlertSubject(
        pod=pod,
        container=labels.get(f"{prefix}container") or None,
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
    return f"{alert.name}:{fingerprint(_identifying(alert.labels, subject))}"


def _workload(labels: Mapping[str, str]) -> tuple[str | None, str | None]:
    """(kind, name) of the first workload label, or (None, None)."""
    for label, kind in WORKLOAD_LABELS.items():
        if name := labels.get(label):
            return kind, name
    return None, None


def _node(labels: Mapping[str, str]) -> str | None:
    """The node's name. `exported_node` stands there only where `node` is the exporter's; `instance` never counts."""
    return labels.get("exported_node") or labels.get("node") or None


def _exports_pod(labels: Mapping[str, str]) -> bool:
    """Whether the plain pod and container are the exporter's.

    Prometheus writes `exported_` before a metric's label only where the scraped target has one of that name, and a
    target that has a pod has its container, too.
    """
    return any(labels.get(f"exported_{name}") for name in ("pod", "container"))


def _pod_is_doubtful(labels: Mapping[str, str]) -> bool:
    """Whether the plain pod is the metric's or the exporter's: the target has a namespace, and maybe a pod."""
    return bool(labels.get("exported_namespace")) and not _exports_pod(labels)


def _identifying(labels: Mapping[str, str], subject: Subject | None) -> dict[str, str]:
    """The labels that tell this problem from another of the same name, not one replica of Prometheus from another.

    The exporter's pod does not; one that may be the metric's stays: two pods are two problems. Beside the name of
    another object `instance` is the exporter's address, too; elsewhere it may be all there is.
    """
    passing = {"prometheus_replica", "replica", "__replica__"}
    if subject is not Subject.WORKLOAD or not _pod_is_doubtful(labels):
        passing |= {"pod", "container"}
    if not OTHER_OBJECT_LABELS.isdisjoint(labels):
        passing |= {"instance", "endpoint", "service", "uid"}
    return {name: value for name, value in labels.items() if name not in passing}
