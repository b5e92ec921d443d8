"""The agent's own rights: every one that a tool declares, asked of the API server itself.

Protects the rule that what is missing is known before an incident: the list comes from the tools, not from a manifest.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from sre_agent.cluster.port import ClusterError, Resource
from sre_agent.doctor.finding import Finding
from sre_agent.runbook import Runbooks
from sre_agent.settings import Settings
from sre_agent.stop_switch import NAME as STOP_SWITCH
from sre_agent.tools.registry import TOOLS
from sre_agent.tools.types import Permission

if TYPE_CHECKING:
    from sre_agent.cluster.live import LiveCluster

READS = frozenset({"get", "list", "watch"})
READER = "apply k8s/base"
WRITER = "apply k8s/overlays/auto"

EVENTS = Permission(verb="create", resource=Resource.EVENTS)
NODES = Permission(verb="list", resource=Resource.NODES)
SWITCH = Permission(verb="get", resource=Resource.CONFIG_MAPS, name=STOP_SWITCH)

BESIDE_TOOLS: dict[str, tuple[Permission, ...]] = {
    "finding the target": (
        *(
            Permission(verb="get", resource=resource)
            for resource in (
                Resource.PODS,
                Resource.DEPLOYMENTS,
                Resource.REPLICA_SETS,
                Resource.STATEFUL_SETS,
                Resource.DAEMON_SETS,
                Resource.JOBS,
                Resource.NODES,
            )
        ),
        Permission(verb="list", resource=Resource.PODS),
        Permission(verb="list", resource=Resource.REPLICA_SETS),
    ),
    "counting the nodes that are not Ready": (NODES,),
    "reading the stop switch": (SWITCH,),
    "telling the change in an Event": (EVENTS,),
}
"""What a run needs whatever its tools are, by what for."""

EVERYWHERE = ""
MOST_TOOLS = 3
"""How many tools are named beside a right that is missing."""

Needed = Mapping[Permission, tuple[str, ...]]
"""Each right with the tools that need it, and what else does."""


def needed_rights() -> dict[Permission, tuple[str, ...]]:
    """Every right that any tool declares and what a run needs beside them, reads first."""
    found: dict[Permission, list[str]] = {}
    for tool in TOOLS.values():
        for right in tool.permissions:
            found.setdefault(right, []).append(tool.name)
    for use, rights in BESIDE_TOOLS.items():
        for right in rights:
            found.setdefault(right, []).append(use)
    return {right: tuple(found[right]) for right in sorted(found, key=lambda right: right.verb not in READS)}


def words(right: Permission) -> str:
    """`patch deployments.apps`, `create pods/eviction`, `get configmaps sre-agent-stop`."""
    resource = f"{right.resource.plural}.{right.resource.group}".rstrip(".")
    named = f" {right.name}" if right.name else ""
    return f"{right.verb} {resource}{f'/{right.subresource}' if right.subresource else ''}{named}"


async def check_rights(cluster: "LiveCluster", settings: Settings, runbooks: Runbooks | None) -> list[Finding]:
    """One finding for all rights that are there, and one for each that is not."""
    needed = needed_rights()
    near, own = namespaces(settings, runbooks), settings.agent_namespace
    try:
        allowed = await asyncio.gather(*(_places(cluster, right, near, own) for right in needed))
    except ClusterError as error:
        return [Finding.failed("rights", f"they cannot be asked: {error}", READER)]
    places = dict(zip(needed, allowed, strict=True))
    return list(findings(places, needed, settings, tools_of(runbooks)))


def namespaces(settings: Settings, runbooks: Runbooks | None) -> tuple[str, ...]:
    """Namespaces in which a right may be given where it is not given for all of them."""
    named = [space for runbook in runbooks or () for space in runbook.fallback_namespaces]
    plain = [space for space in settings.allow_namespaces if space.isascii() and "*" not in space]
    return tuple(dict.fromkeys([*plain, *named]))


def tools_of(runbooks: Runbooks | None) -> frozenset[str]:
    """The tools that some runbook calls, all where the runbooks cannot be read, and what every run needs."""
    called = TOOLS if runbooks is None else {step.tool for runbook in runbooks for step in runbook.workflow}
    return frozenset(called) | frozenset(BESIDE_TOOLS)


async def _places(cluster: "LiveCluster", right: Permission, near: Iterable[str], own: str) -> tuple[str, ...]:
    """Where the right is held: EVERYWHERE, in some namespaces, or nowhere. One on a named object is held or not."""
    from sre_agent.cluster.live.review import may

    if right.name is not None:
        return (EVERYWHERE,) if await may(cluster, _attributes(right, own)) else ()
    if await may(cluster, _attributes(right, EVERYWHERE)):
        return (EVERYWHERE,)
    if not right.resource.namespaced:
        return ()
    return tuple([space for space in near if await may(cluster, _attributes(right, space))])


def _attributes(right: Permission, namespace: str) -> dict[str, str]:
    return {
        "verb": right.verb,
        "group": right.resource.group,
        "resource": right.resource.plural,
        "subresource": right.subresource or "",
        "name": right.name or "",
        "namespace": namespace,
    }


def findings(
    places: Mapping[Permission, tuple[str, ...]], needed: Needed, settings: Settings, used: frozenset[str]
) -> Iterator[Finding]:
    """Rights in some namespaces alone are enough for writes: whoever gave them meant to bound them."""
    partly = [right for right, where in places.items() if where and EVERYWHERE not in where]
    nowhere = [right for right, where in places.items() if not where]
    for right in partly:
        where = ", ".join(places[right])
        if right.verb in READS:
            what = f"{words(right)} is allowed in {where} alone; needed by {_shown(needed[right])}"
            yield Finding.warning("right", what, READER)
        else:
            yield Finding.ok("right", f"{words(right)} is allowed in {where} alone")
    later = []
    for right in nowhere:
        reads, matters = right.verb in READS, not used.isdisjoint(needed[right])
        what = f"{words(right)} is not allowed; needed by {_shown(needed[right])}"
        if matters and (reads or settings.agent_mode == "auto"):
            yield Finding.failed("right", what, READER if reads else WRITER)
        elif reads:
            yield Finding.warning("right", what, READER)
        else:
            later.append(right)
    if later:
        what = f"recommendations need no more; changes would: {', '.join(words(right) for right in later)}"
        yield Finding.warning("right", what, f"{WRITER}, if the agent shall change anything")
    if not nowhere:
        yield Finding.ok("rights", f"all {len(places)} that the tools need")


def _shown(tools: tuple[str, ...]) -> str:
    """The first tools of a list that may be long."""
    more = len(tools) - MOST_TOOLS
    return ", ".join(tools[:MOST_TOOLS]) + (f" and {more} more" if more > 0 else "")
