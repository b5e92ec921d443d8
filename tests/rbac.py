"""The roles of k8s/, and the rights that somebody in the code or in the specification names."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sre_agent.doctor.rights import needed_rights
from sre_agent.tools.types import Permission

K8S = Path(__file__).parents[1] / "k8s"
READER, WRITER, POD_DELETER, STOP_SWITCH = (
    "sre-agent-reader",
    "sre-agent-writer",
    "sre-agent-pod-deleter",
    "sre-agent-stop-switch",
)

Manifest = dict[str, Any]


@dataclass(frozen=True, order=True)
class Right:
    """One verb on one resource, as RBAC names both; `deployments.apps`, `pods/eviction`."""

    verb: str
    resource: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}"


def manifests(*files: str) -> list[Manifest]:
    """Every object of these files below k8s/."""
    return [obj for file in files for obj in yaml.safe_load_all((K8S / file).read_text())]


def roles() -> dict[str, Manifest]:
    """The ClusterRoles and Roles of the base, by name."""
    return {obj["metadata"]["name"]: obj for obj in manifests("base/rbac.yaml") if obj["kind"].endswith("Role")}


def rights_of(role: Manifest) -> Iterator[Right]:
    """Each verb on each resource, one by one, so that a doubled one shows."""
    for rule in role["rules"]:
        (group,) = rule["apiGroups"]
        for resource in rule["resources"]:
            plural, _, subresource = resource.partition("/")
            name = f"{plural}.{group}".rstrip(".") + (f"/{subresource}" if subresource else "")
            yield from (Right(verb, name) for verb in rule["verbs"])


def without(role: Manifest, right: Right) -> Manifest:
    """The role with everything but this right: one rule for each right that stays."""
    return {**role, "rules": [rule(kept) for kept in rights_of(role) if kept != right]}


def rule(right: Right) -> Manifest:
    name, slash, subresource = right.resource.partition("/")
    plural, _, group = name.partition(".")
    return {"apiGroups": [group], "resources": [f"{plural}{slash}{subresource}"], "verbs": [right.verb]}


def of_permission(permission: Permission) -> Right:
    resource = permission.resource
    name = f"{resource.plural}.{resource.group}".rstrip(".")
    return Right(permission.verb, name + (f"/{permission.subresource}" if permission.subresource else ""))


def declared() -> set[Right]:
    """What the tools declare, and the Events that the executor leaves."""
    return {of_permission(permission) for permission in needed_rights()}


def table(rows: Iterable[tuple[str, str]]) -> set[Right]:
    """(verbs, resources), each several words."""
    return {
        Right(verb, resource) for verbs, resources in rows for verb in verbs.split() for resource in resources.split()
    }
