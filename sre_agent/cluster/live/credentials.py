"""What proves who the agent is: a token from a file or a plugin, read again before it is too old. Called by `access`.

Protects two rules: a rotated token is used within RENEW_SECONDS, and no message holds a credential or what a plugin
printed.
"""

import asyncio
import json
import os
import shutil
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sre_agent.log import get_logger
from sre_agent.objects import time_of
from sre_agent.redaction import redact_text

RENEW_SECONDS = 60
"""How old a token from a file may be, and how long before its end one from a plugin is replaced."""

DOUBT_SECONDS = 2
"""Credentials that are younger than this are not read again because they were not accepted."""

PLUGIN_SECONDS = 30
LONGEST_WORDS = 200

log = get_logger(__name__)


class NoCredential(Exception):
    """There is no credential to be had; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Credential:
    """A bearer token, or a client certificate with its key as PEM. `expires` is None where nobody says."""

    token: str | None = None
    certificate: str | None = None
    key: str | None = None
    expires: datetime | None = None


Source = Callable[[], Awaitable[Credential]]


class Credentials:
    """The current credential of one source. What was read last stays in use where it cannot be read again."""

    def __init__(self, source: Source, *, every: bool) -> None:
        """`every`: whether the source is asked every RENEW_SECONDS, or only when the credential ends or is doubted."""
        self._source = source
        self._every = every
        self._lock = asyncio.Lock()
        self._read_at = -float("inf")
        self.current = Credential()

    async def load(self) -> Credential:
        """Asks the source. Raises NoCredential."""
        self._read_at = time.monotonic()
        self.current = await self._source()
        return self.current

    async def renewed(self) -> Credential:
        """The credential, read again where it is time. A failure is logged and told by the API server soon enough."""
        async with self._lock:
            if self._due():
                try:
                    await self.load()
                except NoCredential as error:
                    log.warning("cluster.credentials_not_renewed", error=str(error))
        return self.current

    def doubt(self) -> bool:
        """The API server did not accept them: whether it is worth reading them again, which is then done."""
        if time.monotonic() - self._read_at < DOUBT_SECONDS:
            return False
        self._read_at = -float("inf")
        return True

    def _due(self) -> bool:
        age = time.monotonic() - self._read_at
        if self._every or age == float("inf"):
            return age >= RENEW_SECONDS
        ends = self.current.expires
        return ends is not None and ends - datetime.now(UTC) < timedelta(seconds=RENEW_SECONDS) and age > DOUBT_SECONDS


def fixed(token: str | None) -> Source:
    """A token that stands in the kubeconfig, or none at all. Raises NoCredential now where it cannot be one."""
    credential = Credential(token=None if token is None else _checked(token, "the token in the kubeconfig"))

    async def source() -> Credential:
        return credential

    return source


def token_file(path: Path) -> Source:
    """A file that holds a token and may be replaced by another at any time."""

    async def source() -> Credential:
        try:
            text = await asyncio.to_thread(path.read_text)
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is no text"
            raise NoCredential(f"the token file {path} cannot be read: {why}") from error
        return Credential(token=_checked(text, f"the token file {path}"))

    return source


def plugin(spec: dict[str, Any], directory: Path) -> Source:
    """The exec plugin of a kubeconfig's user, which prints an ExecCredential. `directory` is the kubeconfig's."""

    async def source() -> Credential:
        command = str(spec.get("command") or "")
        try:
            async with asyncio.timeout(PLUGIN_SECONDS):
                printed = await _run(command, spec, directory)
        except TimeoutError:
            raise NoCredential(f"the exec plugin {command} did not answer within {PLUGIN_SECONDS} s") from None
        return _exec_credential(command, printed)

    return source


async def _run(command: str, spec: dict[str, Any], directory: Path) -> bytes:
    """What the plugin prints. It is ended when the caller no longer waits."""
    program = shutil.which(directory / command if os.sep in command else command) if command else None
    if program is None:
        hint = " ".join(str(spec.get("installHint") or "install it, or put it on PATH").split())
        raise NoCredential(f"the exec plugin {command or 'without a command'} is not there: {hint}")
    if spec.get("interactiveMode") == "Always":
        raise NoCredential(f"the exec plugin {command} asks a person; the agent needs one that does not")
    asked = {"apiVersion": spec.get("apiVersion"), "kind": "ExecCredential", "spec": {"interactive": False}}
    named = {str(entry.get("name")): str(entry.get("value")) for entry in spec.get("env") or ()}
    process = await asyncio.create_subprocess_exec(
        program,
        *(str(argument) for argument in spec.get("args") or ()),
        env={**os.environ, **named, "KUBERNETES_EXEC_INFO": json.dumps(asked)},
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        printed, told = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        words = redact_text(" ".join(told.decode(errors="replace").split()))[-LONGEST_WORDS:]
        raise NoCredential(f"the exec plugin {command} failed with code {process.returncode}: {words or 'no word'}")
    return printed


def _exec_credential(command: str, printed: bytes) -> Credential:
    try:
        found = json.loads(printed)
        status = found["status"] if found["kind"] == "ExecCredential" else {}
        token, certificate, key = (status.get(name) for name in ("token", "clientCertificateData", "clientKeyData"))
    except (ValueError, LookupError, TypeError, AttributeError):
        raise NoCredential(f"the exec plugin {command} did not print an ExecCredential as JSON") from None
    if not isinstance(token, str | None) or not (token or (certificate and key)):
        raise NoCredential(f"the exec plugin {command} printed neither a token nor a certificate with its key")
    return Credential(
        token=_checked(token, f"the token of the exec plugin {command}") if token else None,
        certificate=certificate,
        key=key,
        expires=time_of(str(status.get("expirationTimestamp") or "")),
    )


def _checked(token: str, what: str) -> str:
    """A token as it may stand in a header; a line break at the end of its file is not part of it."""
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise NoCredential(f"{what} is {'empty' if not token else 'garbled: it holds what no token holds'}")
    return token
