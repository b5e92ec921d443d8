"""One HTTP request to the API server, sent once. Called by the live cluster only.

Protects the rule that nothing repeats a request behind our back: not the Kubernetes client (its retries are off), not
aiohttp (which sends a DELETE again when the connection breaks), and no redirect. Whoever wants another try asks again.
"""

import asyncio
import time

from aiohttp import (
    ClientConnectionError,
    ClientConnectorError,
    ClientError,
    ClientHandlerType,
    ClientHttpProxyError,
    ClientRequest,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    ConnectionTimeoutError,
    DummyCookieJar,
    InvalidURL,
    TCPConnector,
)
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.api_client import ApiClient

from sre_agent import __version__, metrics
from sre_agent.cluster.live.access import Access
from sre_agent.cluster.live.answers import Answer
from sre_agent.cluster.live.requests import Request
from sre_agent.cluster.port import ClusterError, Unavailable, UnknownOutcome

CALL_SECONDS = 10.0
"""The longest that one request may take, from renewing the credentials to the last byte of the answer."""

CONNECT_SECONDS = 5.0
"""The longest until a connection is there. What fails before has changed nothing, and says so."""

CONNECTIONS = 32
PARTING_SECONDS = 0.05
"""What TLS connections that were closed before have to hear the other side's goodbye, while the event loop runs."""

_ALONE = frozenset({"PATCH", "DELETE"})
"""Methods of writes that come one at a time. A pooled connection may have died without a word, and then nobody would
know what became of the write: these get one of their own. Evictions come by the hundred and share."""

_NOT_SENT = (ClientConnectorError, ConnectionTimeoutError, ClientHttpProxyError, InvalidURL)


class _Broken(ClientError):
    """The connection broke while a request was on it. No ClientOSError, so that aiohttp does not send it again."""


class _Redirected(ClientError):
    """The server sent us elsewhere. A write must not follow."""


async def _once(request: ClientRequest, send: ClientHandlerType) -> ClientResponse:
    """A client middleware: each request goes out once, to the server it was meant for."""
    try:
        response = await send(request)
    except _NOT_SENT:
        raise
    except ClientConnectionError as error:
        raise _Broken(str(error) or type(error).__name__) from error
    if 300 <= response.status < 400:
        response.close()
        raise _Redirected(f"the server redirects to {response.headers.get('Location', 'nowhere')}")
    return response


class Wire:
    """The connections of the process to one API server."""

    def __init__(self, access: Access) -> None:
        """Raises OSError or ValueError where the certificates that the access names cannot be used."""
        self._access = access
        access.configuration.retries = None
        self._pooled = _client(access.configuration, alone=False)
        self._alone = _client(access.configuration, alone=True)

    async def send(self, request: Request, *, within: float | None = None) -> Answer:
        """Sends a request once, within so many seconds or CALL_SECONDS.

        Raises Unavailable where nothing was changed, UnknownOutcome where nobody knows.
        """
        began = time.monotonic()
        try:
            answer = await self._send(request, until=began + min(CALL_SECONDS, within or CALL_SECONDS))
        except ClusterError:
            metrics.CLUSTER.observe(time.monotonic() - began, request.method, "none")
            raise
        metrics.CLUSTER.observe(time.monotonic() - began, request.method, str(answer.status))
        return answer

    async def _send(self, request: Request, *, until: float) -> Answer:
        try:
            async with asyncio.timeout(until - time.monotonic()):
                credential = await self._access.credentials.renewed()
        except TimeoutError as error:
            raise Unavailable(f"{request.what}: the credentials could not be renewed in time") from error
        if credential.token is not None:
            self._access.configuration.api_key["BearerToken"] = f"Bearer {credential.token}"
        try:
            return await self._exchange(request, max(until - time.monotonic(), 0.001))
        except _NOT_SENT as error:
            raise Unavailable(f"{request.what}: {self._access.server} cannot be reached: {_plain(error)}") from error
        except _Redirected as error:
            raise Unavailable(f"{request.what}: {error}; give the API server's own address") from error
        except (TimeoutError, ClientError, OSError) as error:
            raise self._no_answer(request, error) from error

    async def _exchange(self, request: Request, seconds: float) -> Answer:
        client = self._alone if request.method in _ALONE else self._pooled
        method, url, headers, body, _ = await client.param_serialize(
            request.method,
            request.path,
            query_params=list(request.query.items()),
            header_params={"Accept": request.accept, "Content-Type": request.content_type},
            body=request.body,
            auth_settings=["BearerToken"],
        )
        limit = ClientTimeout(total=seconds, connect=min(CONNECT_SECONDS, seconds))
        called = await client.call_api(method, url, headers, body, _request_timeout=limit)
        async with called.response as response:
            data = await (response.read() if request.newest is None else _newest(response, request.newest))
        return Answer.read(response.status, data, response.headers)

    def doubt_credentials(self) -> bool:
        """They were not accepted: whether they are read again before the next request."""
        return self._access.credentials.doubt()

    def _no_answer(self, request: Request, error: BaseException) -> ClusterError:
        why = f"no answer within {CALL_SECONDS:g} s" if isinstance(error, TimeoutError) else _plain(error)
        if not request.changes:
            return Unavailable(f"{request.what}: {self._access.server}: {why}")
        return UnknownOutcome(f"{request.what}: it was sent to {self._access.server}, then: {why}")

    async def close(self) -> None:
        await self._pooled.close()
        await self._alone.close()
        await asyncio.sleep(PARTING_SECONDS)


async def _newest(response: ClientResponse, most: int) -> bytes:
    """The body, or its last whole lines within so many bytes. Half a line would hide from redaction what it is."""
    held, whole = bytearray(), True
    async for chunk in response.content.iter_any():
        held += chunk
        if len(held) > most:
            whole = False
            del held[:-most]
    return bytes(held) if whole else bytes(held).partition(b"\n")[2]


def _client(configuration: Configuration, *, alone: bool) -> ApiClient:
    """A client whose requests go out once. `alone`: each on a connection of its own."""
    client = ApiClient(configuration=configuration)
    client.user_agent = f"sre-agent/{__version__}"
    rest = client.rest_client
    # The client's own session would also read ~/.netrc, and fail where that names the server.
    rest.pool_manager = ClientSession(
        connector=TCPConnector(ssl=rest.ssl_context, limit=CONNECTIONS, force_close=alone),
        middlewares=(_once,),
        cookie_jar=DummyCookieJar(),
        trust_env=False,
    )
    return client


def _plain(error: BaseException) -> str:
    """The innermost reason, where certificates and names are told."""
    inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    return str(inner) or type(error).__name__
