"""The cluster that is not there: every question is refused, with what was looked for.

Given to runs by a server that has none, so that an alert is still routed, kept and told to a person.
"""

from typing import NoReturn

from sre_agent.cluster.port import Resource, Unavailable, Write
from sre_agent.objects import Object

NOTHING_FOUND = "there is neither a kubeconfig nor a pod's ServiceAccount"
WHERE_FROM = "a cluster: a context of a kubeconfig (KUBECONFIG), or a pod's ServiceAccount"


class AbsentCluster:
    """The `Cluster` port over nothing. `why` says so, with what was looked for."""

    def __init__(self, looked_for: str = NOTHING_FOUND) -> None:
        self.looked_for = looked_for

    @property
    def why(self) -> str:
        return f"no cluster: {self.looked_for}"

    @property
    def recorded(self) -> bool:
        return False

    @property
    def traffic(self) -> None:
        return None

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        self._refuse()

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        labels: dict[str, str] | None = None,
        fields: dict[str, str] | None = None,
    ) -> list[Object]:
        self._refuse()

    async def pod_logs(
        self, namespace: str, pod: str, container: str, *, previous: bool = False, tail_lines: int = 200
    ) -> str:
        self._refuse()

    async def write(self, write: Write, *, dry_run: bool = False) -> Object:
        self._refuse()

    async def emit_event(self, event: Object) -> None:
        self._refuse()

    async def close(self) -> None:
        return None

    def _refuse(self) -> NoReturn:
        raise Unavailable(self.why)
