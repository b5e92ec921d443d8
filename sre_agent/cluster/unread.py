"""What could not be read while a cluster was recorded: unknown in a replay, as it was live, and never absent.

Written into `meta.yaml` by `record`, read back by `recording`, answered by `snapshot`.
"""

from dataclasses import dataclass
from typing import Any

from sre_agent.cluster.port import ClusterError, Forbidden, Resource, Unavailable
from sre_agent.cluster.recorder import Look
from sre_agent.errors import BadInput
from sre_agent.objects import Object

_RESOURCES = {f"{resource.plural}.{resource.group}".rstrip("."): resource for resource in Resource}
"""By the name that RBAC and kubectl give them."""

_EXPECTED = "expected {look: get|list|log, resource: PLURAL.GROUP, namespace: NAMESPACE, forbidden: true|false, why: …}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Unread:
    """Reads of one kind in one namespace (None: cluster-wide, or all of them) that failed, and the first reason."""

    look: Look
    resource: Resource
    namespace: str | None
    forbidden: bool
    why: str

    @property
    def error(self) -> ClusterError:
        """What a replay raises, so that the same is refused for the same reason."""
        return Forbidden(self.why) if self.forbidden else Unavailable(self.why)

    @property
    def json(self) -> Object:
        """As it stands in `meta.yaml`."""
        name = f"{self.resource.plural}.{self.resource.group}".rstrip(".")
        place = {} if self.namespace is None else {"namespace": self.namespace}
        return {"look": self.look.value, "resource": name, **place, "forbidden": self.forbidden, "why": self.why}

    @classmethod
    def of(cls, value: Any, place: str) -> "Unread":
        """Raises BadInput, which begins with the place, for anything that `json` does not make."""
        try:
            return _unread(value)
        except (KeyError, TypeError, ValueError):
            raise BadInput(f"{place}: {value!r} is no read that failed; {_EXPECTED}") from None


def _unread(value: Any) -> Unread:
    if not isinstance(value, dict):
        raise TypeError
    namespace, why, forbidden = value.get("namespace"), value["why"], value["forbidden"]
    if not (namespace is None or isinstance(namespace, str)) or not isinstance(why, str):
        raise TypeError
    if not isinstance(forbidden, bool):
        raise TypeError
    look, resource = Look(value["look"]), _RESOURCES[value["resource"]]
    return Unread(look=look, resource=resource, namespace=namespace, forbidden=forbidden, why=why)
