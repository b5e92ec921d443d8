"""Asks Alertmanager whether an alert is still active. Its only client; it reads, and never writes.

Called by `facts` right before a write. An alert is known by its labels, not by the fingerprint that a notification
carries; as stored ones, they are compared without their secrets. One question, one answer, bounded in time and size.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, encode_basic_auth

from sre_agent import __version__
from sre_agent.alert import Alert
from sre_agent.alert.standing import AlertState, Standing
from sre_agent.redaction import redact, redact_text
from sre_agent.settings import Settings

ANSWER_SECONDS = 5.0
MOST_BYTES = 16 * 1024 * 1024
"""The longest answer that is read. Filtered by labels, one is a few kilobytes."""
MOST_FILTERS = 20
MOST_NAMED = 5
"""How many silences, or inhibiting alerts, are named."""

NOBODYS = {"alertname": "SreAgentAsksWhetherYouAnswer"}

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,100}")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/@-]{0,200}")
"""Values that need no quoting, and that redaction has not touched. The others are compared here."""


class _NoAnswer(Exception):
    """The answer cannot be used; the message says why, without a secret."""


async def ask(alert: Alert, settings: Settings) -> Standing:
    """How the alert stands now. Never raises for what Alertmanager does: UNKNOWN says why nobody knows."""
    wanted = redact(alert.labels)
    try:
        found = await _alerts_like(alert.labels, settings, within=ANSWER_SECONDS)
        same = [_standing(entry) for entry in found if redact(entry["labels"]) == wanted]
    except (ClientError, OSError, _NoAnswer) as error:
        return Standing(state=AlertState.UNKNOWN, detail=_why(settings, error, within=ANSWER_SECONDS))
    return min(same, key=_severity, default=Standing(state=AlertState.GONE))


async def why_unreachable(settings: Settings, *, within: float = ANSWER_SECONDS) -> str | None:
    """Why it could not be asked about an alert; None where it answers. Asks about one that nobody sends."""
    try:
        await _alerts_like(NOBODYS, settings, within=within)
    except (ClientError, OSError, _NoAnswer) as error:
        return _why(settings, error, within=within)
    return None


async def _alerts_like(labels: Mapping[str, str], settings: Settings, *, within: float) -> list[dict[str, Any]]:
    """Every alert that has not ended and whose plain labels are this one's, silenced and inhibited ones too."""
    async with (
        ClientSession(
            headers=_headers(settings),
            timeout=ClientTimeout(total=within),
            cookie_jar=DummyCookieJar(),
            auto_decompress=False,
        ) as session,
        session.get(
            f"{(settings.alertmanager_url or '').rstrip('/')}/api/v2/alerts",
            params=[("filter", matcher) for matcher in _matchers(labels)],
            allow_redirects=False,
        ) as response,
    ):
        return _alerts_in(await _body(response))


def _headers(settings: Settings) -> dict[str, str]:
    headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": f"sre-agent/{__version__}"}
    user, token = settings.alertmanager_user, settings.alertmanager_token
    if user is not None:
        headers["Authorization"] = encode_basic_auth(user, token or "", encoding="utf-8")
    elif token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return headers


def _matchers(labels: Mapping[str, str]) -> list[str]:
    """The name first: it is what narrows most where there are many labels."""
    plain = [(name, value) for name, value in labels.items() if _LABEL.fullmatch(name) and _PLAIN.fullmatch(value)]
    plain.sort(key=lambda label: (label[0] != "alertname", label))
    return [f'{name}="{value}"' for name, value in plain[:MOST_FILTERS]]


async def _body(response: ClientResponse) -> bytes:
    if response.status != 200:
        raise _NoAnswer(f"it answers {response.status} {response.reason or ''}".rstrip())
    body = bytearray()
    async for chunk in response.content.iter_chunked(64 * 1024):
        body += chunk
        if len(body) > MOST_BYTES:
            raise _NoAnswer(f"its answer is longer than {MOST_BYTES >> 20} MiB")
    return bytes(body)


def _alerts_in(body: bytes) -> list[dict[str, Any]]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise _NoAnswer("its answer is no JSON") from None
    whole = isinstance(found, list) and all(
        isinstance(entry, dict) and isinstance(entry.get("labels"), dict) and isinstance(entry.get("status"), dict)
        for entry in found
    )
    if not whole:
        raise _NoAnswer("its answer is no list of alerts; the URL must be that of Alertmanager itself")
    return list(found)


def _standing(entry: Mapping[str, Any]) -> Standing:
    """One alert's status: a person's silence counts before an inhibition, both before what else suppresses it.

    Raises _NoAnswer for a state that is not known here.
    """
    status = entry["status"]
    silences, inhibitors = _names(status.get("silencedBy")), _names(status.get("inhibitedBy"))
    if silences:
        return Standing(state=AlertState.SILENCED, detail=silences)
    if inhibitors:
        return Standing(state=AlertState.INHIBITED, detail=inhibitors)
    match status.get("state"):
        case "active" | "unprocessed":
            return Standing(state=AlertState.ACTIVE)
        case "suppressed":
            return Standing(state=AlertState.SILENCED, detail=_names(status.get("mutedBy")))
        case other:
            raise _NoAnswer(f"it calls the alert {str(other)[:40]!r}")


def _names(value: Any) -> str:
    names = [redact_text(str(name)[:100]) for name in value] if isinstance(value, list) else []
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _severity(standing: Standing) -> int:
    """Whatever speaks against a change first: two alerts may be alike once their secrets are taken out."""
    return (AlertState.SILENCED, AlertState.INHIBITED, AlertState.ACTIVE).index(standing.state)


def _why(settings: Settings, error: Exception, *, within: float) -> str:
    late = isinstance(error, TimeoutError)
    said = f"no answer within {within:g} s" if late else str(error) or type(error).__name__
    return redact_text(f"{settings.alertmanager_url}: {said}")
