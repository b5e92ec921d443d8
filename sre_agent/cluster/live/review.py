"""What `doctor` asks of the API server beside the port: may we do this, and what time is it. Neither changes anything.

Part of the live cluster: a question is a read, tried again like any other.
"""

from datetime import datetime
from email.utils import parsedate_to_datetime

from sre_agent.cluster.live import LiveCluster
from sre_agent.cluster.live.answers import object_in
from sre_agent.cluster.live.requests import Request
from sre_agent.objects import Object

GROUP = "authorization.k8s.io/v1"


async def may(cluster: LiveCluster, attributes: Object) -> bool:
    """Whether the API server would let us: `attributes` are the resourceAttributes of a SelfSubjectAccessReview.

    Raises ClusterError.
    """
    request = Request(
        method="POST",
        path=f"/apis/{GROUP}/selfsubjectaccessreviews",
        body={"apiVersion": GROUP, "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": attributes}},
        what="asking for our own rights",
    )
    answer = object_in(request, await cluster._read(request))
    return bool((answer.get("status") or {}).get("allowed"))


async def server_time(cluster: LiveCluster) -> datetime | None:
    """The API server's clock, cut to the second; None where it does not tell. Raises ClusterError."""
    answer = await cluster._read(Request(method="GET", path="/api/v1", what="asking for the API server's clock"))
    try:
        return parsedate_to_datetime(answer.headers["date"])
    except (KeyError, ValueError):
        return None
