"""The cluster: is it there, does its clock agree, and may the agent do what its tools need."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sre_agent import agent
from sre_agent.cluster.port import ClusterError
from sre_agent.doctor.finding import Finding, compared
from sre_agent.doctor.rights import check_rights
from sre_agent.errors import SreAgentError
from sre_agent.runbook import Runbooks
from sre_agent.settings import Settings

if TYPE_CHECKING:
    from sre_agent.cluster.live import LiveCluster


async def check_cluster(settings: Settings, runbooks: Runbooks | None, context: str | None) -> list[Finding]:
    """Findings about cluster, clock and rights. No cluster at all is a warning: recordings need none."""
    if not agent.cluster_configured(context):
        return [
            Finding.warning(
                "cluster",
                "none is configured, neither a kubeconfig nor a pod's ServiceAccount",
                "set KUBECONFIG; without a cluster, `replay --snapshot` works",
            )
        ]
    try:
        async with agent.open_live_cluster(context) as cluster:
            found = Finding.ok("cluster", f"context {cluster.context} at {cluster.server}")
            clock = await check_clock(cluster)
            return [found, clock, *await check_rights(cluster, settings, runbooks)]
    except SreAgentError as error:
        return [Finding.failed("cluster", str(error))]


async def check_clock(cluster: "LiveCluster") -> Finding:
    """Whether the times in the cluster's objects can be compared with this machine's."""
    from sre_agent.cluster.live.review import server_time

    before = datetime.now(UTC)
    try:
        theirs = await server_time(cluster)
    except ClusterError as error:
        return Finding.failed("cluster clock", str(error), "see that the API server answers")
    if theirs is None:
        return Finding.warning("cluster clock", "the API server does not tell its time", "compare the clocks by hand")
    return compared("cluster clock", theirs, before, datetime.now(UTC), grain=1.0)
