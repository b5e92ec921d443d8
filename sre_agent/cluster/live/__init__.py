"""The live Kubernetes API behind the `cluster` port. The only importer of `kubernetes` and `aiohttp`.

Called by `agent`, which imports it when a live cluster is wanted and never before. Protects three rules: a write is
one request with its preconditions and is never repeated here; a read that fails for a passing reason is tried again
within READ_SECONDS; a list is complete or an error.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import stamina

from sre_agent.cluster.live import requests
from sre_agent.cluster.live.access import load_access
from sre_agent.cluster.live.answers import (
    Answer,
    Expired,
    NotServed,
    Unauthenticated,
    items_in,
    object_in,
    refusal,
)
from sre_agent.cluster.live.requests import JSON, Request, called, field_selector, label_selector
from sre_agent.cluster.live.traffic import TrafficCounter
from sre_agent.cluster.live.wire import Wire
from sre_agent.cluster.port import ClusterError, NotFound, Resource, TooManyRequests, Traffic, Unavailable, Write
from sre_agent.errors import Unreachable
from sre_agent.objects import Object

PAGE = 500
"""Objects of one page of a list, as kubectl asks for them."""

LIST_STARTS = 3
"""How often a list is begun, where its continue token expires before it is read to the end."""

READ_TRIES = 4
READ_SECONDS = 14.0
"""The longest that one read may take, all its tries and the pauses between them together."""

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 2.0
LOG_BYTES = 1024 * 1024
"""The most that is kept of one log: its end. The API's own `limitBytes` counts from the first of the last lines, and so
takes the newest ones away."""


@asynccontextmanager
async def open_cluster(context: str | None = None, *, probing: bool = True) -> AsyncIterator["LiveCluster"]:
    """The cluster of a kubeconfig context, or of the pod; one connection pool while it is open.

    Raises Unreachable, with what to do, where there is no way in: no kubeconfig, no answer, an untrusted certificate,
    credentials that are not accepted, an API server without `policy/v1` evictions. Without `probing` nothing is asked,
    and only what the configuration itself lacks is found.
    """
    access = await load_access(context)
    try:
        wire = Wire(access)
    except (OSError, ValueError) as error:  # ssl.SSLError among them
        raise Unreachable(
            f"context {access.context} cannot be used: its certificates are not readable as PEM "
            f"({getattr(error, 'reason', None) or error})"
        ) from error
    cluster = LiveCluster(wire, context=access.context, server=access.server)
    try:
        if probing:
            await cluster.probe()
        yield cluster
    finally:
        await cluster.close()


class LiveCluster:
    """The `Cluster` port over the Kubernetes API. `context` and `server` say to people which cluster it is."""

    def __init__(self, wire: Wire, *, context: str, server: str) -> None:
        self._wire = wire
        self.context = context
        self.server = server
        self.requests = 0
        """How many requests were sent, tries that failed included."""
        self._counter = TrafficCounter()

    @property
    def recorded(self) -> bool:
        return False

    @property
    def traffic(self) -> Traffic:
        return self._counter.traffic

    async def probe(self) -> None:
        """Asks what the core API serves, which needs valid credentials and nothing more. Raises Unreachable."""
        request = Request(method="GET", path="/api/v1", what="asking what the API server serves")
        try:
            served = (await self._read(request)).body.get("resources") or ()
        except ClusterError as error:
            raise Unreachable(f"context {self.context} cannot be used: {error}") from error
        if not any(entry.get("name") == "pods/eviction" and entry.get("version") == "v1" for entry in served):
            raise Unreachable(
                f"context {self.context}: {self.server} has no policy/v1 evictions; Kubernetes 1.22 or newer is needed"
            )

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        request = Request(
            method="GET",
            path=requests.path(resource, namespace, name),
            what=f"reading {resource.kind} {called(resource, namespace, name)}",
        )
        try:
            return (await self._read(request)).body
        except NotServed as error:
            raise NotFound(str(error)) from error

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        labels: dict[str, str] | None = None,
        fields: dict[str, str] | None = None,
    ) -> list[Object]:
        query = {"limit": str(PAGE)}
        if labels:
            query["labelSelector"] = label_selector(labels)
        if fields:
            query["fieldSelector"] = field_selector(fields)
        for _ in range(LIST_STARTS - 1):
            try:
                return [obj async for obj in self._pages(resource, namespace, query)]
            except Expired:
                continue
            except (NotServed, NotFound):
                return []
        # A list that is too long to be read in pages in time is read at once, which nothing can expire.
        del query["limit"]
        return [obj async for obj in self._pages(resource, namespace, query)]

    async def _pages(self, resource: Resource, namespace: str | None, query: dict[str, str]) -> AsyncIterator[Object]:
        """Every page of one list. Objects get back the kind and apiVersion that a list leaves out."""
        head = {"apiVersion": resource.api_version, "kind": resource.kind}
        token = ""
        while True:
            request = Request(
                method="GET",
                path=requests.path(resource, namespace),
                query={**query, **({"continue": token} if token else {})},
                what=f"listing {resource.plural} {f'in {namespace}' if namespace else 'in all namespaces'}",
            )
            answer = await self._read(request)
            for item in items_in(request, answer):
                yield {**head, **item}
            token = (answer.body.get("metadata") or {}).get("continue") or ""
            if not token:
                return

    async def pod_logs(
        self, namespace: str, pod: str, container: str, *, previous: bool = False, tail_lines: int = 200
    ) -> str:
        answer = await self._read(
            Request(
                method="GET",
                path=f"{requests.path(Resource.PODS, namespace, pod)}/log",
                query={
                    "container": container,
                    "previous": "true" if previous else "false",
                    "tailLines": str(tail_lines),
                },
                what=f"reading the log of container {container} of pod {namespace}/{pod}",
                accept="*/*",
                newest=LOG_BYTES,
            )
        )
        return answer.text

    async def write(self, write: Write, *, dry_run: bool = False) -> Object:
        return (await self._send(requests.of_write(write, dry_run=dry_run))).body

    async def emit_event(self, event: Object) -> None:
        await self._send(requests.of_event(event))

    async def close(self) -> None:
        await self._wire.close()

    async def _read(self, request: Request) -> Answer:
        """Reads, and tries again what may pass: a busy or failing server, a broken connection, an old token."""
        until = time.monotonic() + READ_SECONDS

        def passing(error: Exception) -> bool | float:
            left = until - time.monotonic()
            if isinstance(error, TooManyRequests):
                return error.retry_after if error.retry_after < left else False
            if isinstance(error, Unauthenticated):
                return self._wire.doubt_credentials()
            return isinstance(error, Unavailable) and left > LONGEST_PAUSE

        async for attempt in stamina.retry_context(
            on=passing, attempts=READ_TRIES, timeout=None, wait_initial=FIRST_PAUSE, wait_max=LONGEST_PAUSE
        ):
            with attempt:
                return await self._send(request, within=until - time.monotonic())
        raise AssertionError("a read ends or fails")

    async def _send(self, request: Request, *, within: float | None = None) -> Answer:
        self.requests += 1
        try:
            answer = await self._sent(request, within)
        except ClusterError as error:
            self._counter.count(error)
            raise
        self._counter.count()
        return answer

    async def _sent(self, request: Request, within: float | None) -> Answer:
        answer = await self._wire.send(request, within=within)
        if not answer.good:
            raise refusal(request, answer)
        if request.accept == JSON:
            object_in(request, answer)
        return answer
