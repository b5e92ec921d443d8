"""The cluster as the agent sees it: plain Kubernetes JSON in, plain Kubernetes JSON out.

Two implementations stand behind it, a recorded snapshot and the live API; one contract suite runs against both.
Every write is one request with its preconditions; nothing here retries.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum
from typing import Protocol
from uuid import UUID

from sre_agent.objects import Object

FIELD_MANAGER = "sre-agent"


class Resource(Enum):
    """The kinds that the agent reads or writes: (plural, kind, apiVersion, namespaced)."""

    PODS = ("pods", "Pod", "v1", True)
    EVENTS = ("events", "Event", "v1", True)
    NODES = ("nodes", "Node", "v1", False)
    NAMESPACES = ("namespaces", "Namespace", "v1", False)
    CONFIG_MAPS = ("configmaps", "ConfigMap", "v1", True)
    RESOURCE_QUOTAS = ("resourcequotas", "ResourceQuota", "v1", True)
    LIMIT_RANGES = ("limitranges", "LimitRange", "v1", True)
    DEPLOYMENTS = ("deployments", "Deployment", "apps/v1", True)
    REPLICA_SETS = ("replicasets", "ReplicaSet", "apps/v1", True)
    STATEFUL_SETS = ("statefulsets", "StatefulSet", "apps/v1", True)
    DAEMON_SETS = ("daemonsets", "DaemonSet", "apps/v1", True)
    JOBS = ("jobs", "Job", "batch/v1", True)
    POD_DISRUPTION_BUDGETS = ("poddisruptionbudgets", "PodDisruptionBudget", "policy/v1", True)
    HORIZONTAL_POD_AUTOSCALERS = (
        "horizontalpodautoscalers",
        "HorizontalPodAutoscaler",
        "autoscaling/v2",
        True,
    )
    VERTICAL_POD_AUTOSCALERS = (
        "verticalpodautoscalers",
        "VerticalPodAutoscaler",
        "autoscaling.k8s.io/v1",
        True,
    )
    POD_METRICS = ("pods", "PodMetrics", "metrics.k8s.io/v1beta1", True)

    @property
    def plural(self) -> str:
        return self.value[0]

    @property
    def kind(self) -> str:
        return self.value[1]

    @property
    def api_version(self) -> str:
        return self.value[2]

    @property
    def namespaced(self) -> bool:
        return self.value[3]

    @property
    def group(self) -> str:
        """The API group as RBAC names it; the core group is an empty string."""
        return self.api_version.rpartition("/")[0]


RESOURCE_OF_KIND = {resource.kind: resource for resource in Resource}


class WriteVerb(StrEnum):
    """What a write does to its object."""

    PATCH = "patch"
    CREATE = "create"
    DELETE = "delete"


@dataclass(frozen=True, kw_only=True, slots=True)
class Write:
    """One request that changes the cluster.

    `body` is what changes and nothing else: a strategic merge patch, the created object (an Eviction for
    `subresource="eviction"`), or DeleteOptions. The preconditions `uid` and `resource_version` stand beside it;
    the implementation sends them where the API expects them (patch: metadata, delete and eviction: preconditions).
    """

    verb: WriteVerb
    resource: Resource
    namespace: str | None
    name: str
    body: Object
    subresource: str | None = None
    uid: str | None = None
    resource_version: str | None = None


class ClusterError(Exception):
    """The cluster did not do what was asked. The subclass says what to do next."""


class NotFound(ClusterError):
    """The object is not there. Take it as the answer."""


class Forbidden(ClusterError):
    """The agent may not do this; the message names verb, resource and namespace. Ask a person for the right."""


class Conflict(ClusterError):
    """uid or resourceVersion differ: somebody else changed the object. Read again and judge again."""


class Refused(ClusterError):
    """The API server refused the content (invalid, quota, admission). Do not send it again."""


class Leaving(Refused):
    """The namespace of an eviction's pod is being deleted. The pod goes with it: look, and ask again later."""


class TooManyRequests(ClusterError):
    """429. `budget` names the PodDisruptionBudget that forbids an eviction, None when the API is merely busy.

    `retry_after` is in seconds.
    """

    def __init__(self, message: str, *, budget: str | None = None, retry_after: float = 5.0) -> None:
        super().__init__(message)
        self.budget = budget
        self.retry_after = retry_after


class Unavailable(ClusterError):
    """The API cannot be reached or answers 5xx to a read; nothing was changed. Try again later."""


class UnknownOutcome(ClusterError):
    """A write was sent and no answer came. Look before doing anything else; never send it again blindly."""


BARRIERS = (Forbidden, Unavailable)
"""What stands before the cluster, whatever is asked of it: a person has to open the way."""

PASSING = (TooManyRequests, Unavailable)
"""What may be over by itself in a while."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Traffic:
    """How many requests were sent within the last minutes, and how many of them got no proper answer.

    `source` is the process that counted, None for all together.
    """

    requests: int
    errors: int
    source: UUID | None = None


class Cluster(Protocol):
    """Reads and writes of one cluster. All methods raise `ClusterError` subclasses only."""

    @property
    def recorded(self) -> bool:
        """True where nothing can heal because the objects are a recording."""
        ...

    @property
    def traffic(self) -> Traffic | None:
        """How the API server answered this process lately; None where there is none."""
        ...

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        """One object; raises NotFound."""
        ...

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        labels: dict[str, str] | None = None,
        fields: dict[str, str] | None = None,
    ) -> list[Object]:
        """All objects of a kind, in one namespace or in all, complete.

        `labels` must all be equal; `fields` are field selectors that must all be equal
        (`spec.nodeName`, `involvedObject.uid`, `metadata.name`, ...). A kind that the cluster does not have is
        an empty list.
        """
        ...

    async def pod_logs(
        self, namespace: str, pod: str, container: str, *, previous: bool = False, tail_lines: int = 200
    ) -> str:
        """The end of a container's log; raises NotFound where there is none."""
        ...

    async def write(self, write: Write, *, dry_run: bool = False) -> Object:
        """Sends one write once and returns the object as the API server answered."""
        ...

    async def emit_event(self, event: Object) -> None:
        """Creates a Kubernetes Event (core/v1) that tells what the agent did; best effort, raises ClusterError."""
        ...

    async def close(self) -> None: ...


class Clock(Protocol):
    """Says what time it is, in aware UTC. A replay's clock stands at the recording's time."""

    def __call__(self) -> datetime: ...
