"""The certificate of a process that listens, read again when its files change.

Whoever connects from then on is shown the new one; connections that are there go on. Protects one rule: files that
cannot be used, or were only half replaced, never take the place of a certificate that can.
"""

import asyncio
import hashlib
import ssl
from pathlib import Path
from typing import NoReturn, Self

from sre_agent.errors import BadInput
from sre_agent.log import get_logger
from sre_agent.settings import Settings

LOOK_SECONDS = 5.0
"""How often the files are looked at. A mounted Secret changes within a minute or two of its object."""

log = get_logger(__name__)


class Certificate:
    """The server's side of TLS. `context` is what a listener is given, once and for all."""

    def __init__(self, chain: Path, key: Path) -> None:
        """Reads the files. Raises BadInput."""
        self._chain = chain
        self._key = key
        self._seen = self._on_disk()
        self.context = self._newest = self._loaded()
        self.context.sni_callback = self._show_newest

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """None where no certificate is set. Raises BadInput."""
        if settings.tls_cert is None or settings.tls_key is None:
            return None
        return cls(settings.tls_cert, settings.tls_key)

    async def watch(self) -> NoReturn:
        """Looks every LOOK_SECONDS, for as long as the process listens."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Reads the files where one of them has changed. Raises nothing for what they hold."""
        found = await asyncio.to_thread(self._on_disk)
        if found == self._seen:
            return
        loaded: ssl.SSLContext | None = None
        fault: str | None = None
        try:
            loaded = await asyncio.to_thread(self._loaded)
        except BadInput as error:
            fault = str(error)
        if await asyncio.to_thread(self._on_disk) != found:
            return  # they changed while they were read: the next look tells
        self._seen = found
        if loaded is None:
            log.warning("certificate.refused", fault=fault)
            return
        self._newest = loaded
        log.event("certificate.loaded", chain=str(self._chain))

    def _show_newest(self, connection: ssl.SSLObject, _: str | None, __: ssl.SSLContext) -> None:
        """Asked by each handshake, also by one that names no host."""
        connection.context = self._newest

    def _loaded(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(self._chain, self._key, password="")  # nobody is asked
        except (OSError, ValueError) as error:  # ssl.SSLError among them
            reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
            raise BadInput(
                f"SRE_AGENT_TLS_CERT={self._chain}, SRE_AGENT_TLS_KEY={self._key}: cannot be used, {reason}; "
                "give a PEM certificate chain and its unencrypted PEM key"
            ) from None
        return context

    def _on_disk(self) -> tuple[str, str]:
        return _hash(self._chain), _hash(self._key)


def _hash(path: Path) -> str:
    """Of the content: nothing else tells in every case. A file that cannot be read has the reason for its hash."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        return str(error)
