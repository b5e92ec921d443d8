"""A server as a source: a client of its API.

Protects two rules: the token goes to the server that was named and nowhere else, so no redirection is followed; and
what a server says reaches the screen without terminal escapes.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self
from urllib.parse import quote

import aiohttp

from sre_agent import __version__
from sre_agent.errors import BadInput, Unreachable
from sre_agent.incident import Origin
from sre_agent.redaction import redact, redact_text
from sre_agent.store.book import IncidentFilters
from sre_agent.tui.source import PAGE, Document, Tell

ANSWER_SECONDS = 30.0
"""How long an answer may take; an analysis that a model writes takes its time."""
SILENCE_SECONDS = 45.0
"""A stream says something every 15 seconds: after three times that nobody is there."""
_AWAY = (502, 503, 504)
_FILTERS = {"status": "status", "severity": "severity", "text": "q", "namespace": "namespace", "node": "node"}


class ServerSource:
    """Asks one server, as whoever the token is."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, token: str | None) -> AsyncIterator[Self]:
        """Opens a client for as long as the block runs; nothing is asked yet."""
        headers = {"User-Agent": f"sre-agent-tui/{__version__}"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        async with aiohttp.ClientSession(headers=headers) as session:
            yield cls(session, url.rstrip("/"))

    @property
    def place(self) -> str:
        return self._url

    async def status(self) -> Document:
        return await self._ask("GET", "/api/status")

    async def page(self, filters: IncidentFilters, cursor: str | None) -> Document:
        asked = {name: getattr(filters, field) for field, name in _FILTERS.items()}
        asked |= {"origin": filters.origin, "cursor": cursor, "limit": PAGE}
        query = {name: str(value) for name, value in asked.items() if value is not None}
        return await self._ask("GET", "/api/incidents", query=query)

    async def detail(self, incident_id: int) -> Document:
        return await self._ask("GET", f"/api/incidents/{incident_id}")

    async def runbook(self, runbook_id: str) -> Document:
        return await self._ask("GET", f"/api/runbooks/{quote(runbook_id, safe='')}")

    async def regenerate(self, incident_id: int) -> Document:
        return await self._ask("POST", f"/api/incidents/{incident_id}/regenerate-analysis")

    async def suppress(self, incident_id: int, reason: str | None) -> Document:
        return await self._ask("POST", f"/api/incidents/{incident_id}/suppress", body={"reason": reason})

    async def resolve(self, incident_id: int, reason: str | None) -> Document:
        return await self._ask("POST", f"/api/incidents/{incident_id}/resolve", body={"reason": reason})

    async def watch(self, tell: Tell) -> None:
        listening = [asyncio.create_task(self._listen(origin, tell)) for origin in Origin]
        try:
            await asyncio.gather(*listening)
        finally:
            for task in listening:
                task.cancel()

    async def _listen(self, origin: Origin, tell: Tell) -> None:
        """One stream, to its end, which is never its meaning."""
        patience = aiohttp.ClientTimeout(total=None, sock_connect=ANSWER_SECONDS, sock_read=SILENCE_SECONDS)
        async with self._asked("GET", "/api/stream", query={"origin": origin.value}, patience=patience) as response:
            tell(None)
            event = ""
            async for line in response.content:
                name, _, value = line.decode(errors="replace").rstrip("\r\n").partition(": ")
                if name == "event":
                    event = value
                elif name == "data":
                    tell(None if event == "reload" else [_document(value)])
        raise Unreachable(f"{self._url} ended its stream of changes")

    async def _ask(
        self, method: str, path: str, *, query: dict[str, str] | None = None, body: Document | None = None
    ) -> Document:
        patience = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        async with self._asked(method, path, query=query, body=body, patience=patience) as response:
            return _document(await response.text())

    @asynccontextmanager
    async def _asked(
        self,
        method: str,
        path: str,
        *,
        patience: aiohttp.ClientTimeout,
        query: dict[str, str] | None = None,
        body: Document | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer of 200. Raises Unreachable, BadInput with what the server says."""
        try:
            async with self._session.request(
                method, self._url + path, params=query, json=body, timeout=patience, allow_redirects=False
            ) as response:
                if response.status != 200:
                    raise await self._refusal(response)
                yield response
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            said = redact_text(_why(error))
            raise Unreachable(f"cannot reach {self._url}: {said}. Check --url and that the server runs") from error

    async def _refusal(self, response: aiohttp.ClientResponse) -> BadInput | Unreachable:
        try:
            said = str(_document(await response.text())["error"]["message"])
        except (BadInput, KeyError, TypeError):
            said = f"the answer is {response.status}, and not from an sre-agent"
        if response.status in {401, 403}:
            said = f"give the API token by --token-file or SRE_AGENT_API_TOKEN: {said}"
        if response.status in _AWAY:
            return Unreachable(f"{self._url}: {said}")
        return BadInput(said)


def _why(error: Exception) -> str:
    """Why nothing came, in the system's words where it has some."""
    if isinstance(error, aiohttp.ClientConnectorError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return str(error) or type(error).__name__


def _document(text: str) -> Document:
    """A JSON object of a server, safe to show. Raises BadInput."""
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise BadInput("what answers there is no sre-agent: its answer is no JSON object")
    shown: Document = redact(document)
    return shown
