"""The target and the words around it. Held by everybody, made by `binding` alone."""

from dataclasses import dataclass
from enum import StrEnum

from sre_agent.by_hand import word


class Subject(StrEnum):
    """What kind of thing a runbook or an alert speaks of; decides which labels count."""

    WORKLOAD = "workload"
    NODE = "node"


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """An object that exists in the cluster, bound by code.

    For a workload: `kind` and `name` of the topmost controller that was found (Deployment, StatefulSet,
    DaemonSet, Job, ReplicaSet; Pod where nothing known controls it), with the pod and container that the alert
    is about. For a node: kind `Node`, everything but `name` and `uid` None. `uid` is the controller's or the
    node's, `pod_uid` the pod's.

    A ReplicaSet stands here as the controller only where no Deployment above it was found; nothing is ever
    written to one.
    """

    kind: str
    namespace: str | None
    name: str
    container: str | None = None
    pod: str | None = None
    uid: str | None = None
    pod_uid: str | None = None

    @property
    def key(self) -> str:
        """Names the object that a change would touch, for cool-downs: `Deployment/demo/app`, `Node//worker-1`."""
        return f"{self.kind}/{self.namespace or ''}/{self.name}"

    @property
    def workload(self) -> str | None:
        """`Deployment/app`, None for a node."""
        return None if self.kind == "Node" else f"{self.kind}/{self.name}"

    @property
    def node(self) -> str | None:
        """The node's name, None for a workload."""
        return self.name if self.kind == "Node" else None

    @property
    def look(self) -> str:
        """The kubectl command that shows a person what the agent looked at."""
        if self.namespace is None:
            return f"kubectl describe node {word(self.name)}"
        what = f"pod {word(self.pod)}" if self.pod else f"{word(self.kind.lower())} {word(self.name)}"
        return f"kubectl -n {word(self.namespace)} describe {what}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Unbound:
    """No target could be bound; `reason` says what was looked for, and what was there instead.

    `settled` says that the object of the alert is gone: there is nothing left to do, and nobody to wake. `allowed_by`
    is what would bind one.
    """

    reason: str
    settled: bool = False
    allowed_by: str = "an alert whose labels name an object that is there"
