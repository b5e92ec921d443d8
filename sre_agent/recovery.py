"""Closes the incidents of nodes whose alert is over, once the node is seen Ready.

kube-prometheus calls a node's alert over as soon as anybody cordons the node, so that word alone closes nothing.
Called once a minute by a server; several at once do no harm.
"""

import asyncio
from collections.abc import Collection
from datetime import datetime

from sre_agent.cluster.absent import AbsentCluster
from sre_agent.cluster.port import Cluster, ClusterError, NotFound, Resource
from sre_agent.log import get_logger
from sre_agent.objects import Object, name
from sre_agent.settings import Settings
from sre_agent.store import Store
from sre_agent.tools.node_state import readiness

FEW = 10
"""So many nodes are read one by one; more in one list of all."""

log = get_logger(__name__)


async def resolve_recovered(store: Store, cluster: Cluster, *, settings: Settings, now: datetime) -> list[int]:
    """Closes what can be closed now, and returns the ids. What cannot be read leaves its incident open.

    Raises Unreachable when the store is away.
    """
    waiting = await store.nodes.all(cluster=settings.cluster_name)
    reasons = await _reasons(cluster, {entry.node for entry in waiting})
    closed = []
    for entry in waiting:
        reason = reasons.get(entry.node)
        if reason is not None and await store.nodes.close(entry, reason=reason, now=now):
            closed.append(entry.incident_id)
            log.event("incident.recovered", incident_id=entry.incident_id, node=entry.node, reason=reason)
    return closed


async def _reasons(cluster: Cluster, nodes: Collection[str]) -> dict[str, str]:
    """Why the incidents of a node may be closed, by node; those that must wait are missing."""
    if isinstance(cluster, AbsentCluster):
        return dict.fromkeys(nodes, "the resolved notification came, and there is no cluster in which to look")
    try:
        found = await _read(cluster, nodes)
    except ClusterError as error:
        log.warning("recovery.nodes_unread", nodes=len(nodes), error=str(error))
        return {}
    reasons = {}
    for node, obj in found.items():
        if obj is None:
            reasons[node] = f"the resolved notification came, and there is no node {node} any more"
        elif readiness(obj).ready:
            reasons[node] = f"the resolved notification came, and node {node} is Ready"
    return reasons


async def _read(cluster: Cluster, nodes: Collection[str]) -> dict[str, Object | None]:
    """Each node as it is now, None for one that is not there. Raises ClusterError."""
    if len(nodes) > FEW:
        there = {name(obj): obj for obj in await cluster.list(Resource.NODES)}
        return {node: there.get(node) for node in nodes}
    return dict(zip(nodes, await asyncio.gather(*(_node(cluster, node) for node in nodes)), strict=True))


async def _node(cluster: Cluster, node: str) -> Object | None:
    try:
        return await cluster.get(Resource.NODES, None, node)
    except NotFound:
        return None
