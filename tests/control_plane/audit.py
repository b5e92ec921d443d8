"""What the API server's audit log says: every request of the tests' users, in the order in which it was answered."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

WRITES = ("create", "update", "patch", "delete", "deletecollection")


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One answered request. `body` is what a write sent, None for reads; `resource` is empty for other paths."""

    user: str
    verb: str
    resource: str
    subresource: str | None
    namespace: str | None
    name: str | None
    dry_run: bool
    code: int
    path: str
    body: dict[str, Any] | None

    @property
    def write(self) -> bool:
        return self.verb in WRITES


def policy(users: Sequence[str]) -> dict[str, Any]:
    """The audit policy: writes of these users with their bodies, their reads without; nobody else's."""
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived", "ResponseStarted"],
        "omitManagedFields": True,
        "rules": [
            {"level": "Request", "users": list(users), "verbs": list(WRITES)},
            {"level": "Metadata", "users": list(users)},
            {"level": "None"},
        ],
    }


def read(log: Path, since: int = 0) -> Iterator[Request]:
    """The requests that were answered after the log was `since` bytes long."""
    _settle(log)
    with log.open("rb") as lines:
        lines.seek(since)
        for line in lines:
            yield _request(json.loads(line))


def size(log: Path) -> int:
    """How long the log is, all that was answered until now included."""
    _settle(log)
    return log.stat().st_size


def _settle(log: Path) -> None:
    """The server notes a request after the handler has answered: wait until nothing more is written."""
    before = -1
    while before != (before := log.stat().st_size):
        time.sleep(0.05)


def _request(event: dict[str, Any]) -> Request:
    about = event.get("objectRef", {})
    asked = urlsplit(event["requestURI"])
    body = event.get("requestObject")
    options = (body or {}).get("deleteOptions") or body or {}
    return Request(
        user=event["user"]["username"],
        verb=event["verb"],
        resource=about.get("resource", ""),
        subresource=about.get("subresource"),
        namespace=about.get("namespace"),
        name=about.get("name"),
        dry_run=bool(parse_qs(asked.query).get("dryRun") or options.get("dryRun")),
        code=event["responseStatus"]["code"],
        path=asked.path,
        body=body,
    )
