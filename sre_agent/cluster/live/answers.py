"""What an answer of the API server means: an object, or an error that says what to do next. Called by the live cluster.

Pure. Protects the difference between "not done" and "nobody knows": a 5xx to a write may come from a proxy or after
the write reached etcd, so it is never taken for a refusal; and what did not come from an API server (a gateway's page,
half an answer) is never taken for an answer.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from sre_agent.budgets import SEVERAL
from sre_agent.cluster.live.requests import Request
from sre_agent.cluster.port import (
    ClusterError,
    Conflict,
    Forbidden,
    Leaving,
    NotFound,
    Refused,
    TooManyRequests,
    Unavailable,
    UnknownOutcome,
)
from sre_agent.objects import Object

DEFAULT_RETRY_SECONDS = 5.0
"""What kubectl waits before it tries a refused eviction again."""

LONGEST_RETRY_SECONDS = 60.0
LONGEST_TEXT = 400
RULES = "k8s/base/rbac.yaml"

_REFUSALS_BY_500 = (SEVERAL, "does not contain declared merge key")
"""What the API server refuses before it writes, and yet answers with 500."""

_WEBHOOK_AWAY = "failed calling webhook"
"""500 again, before anything is written: who has to be asked about the write does not answer, and may do so later."""

_NOT_SERVED = "404 page not found"
"""What the API server says, as plain text, of a group or a resource that it does not have."""

_PLAIN_HTTP = "Client sent an HTTP request to an HTTPS server"
_LACKING = re.compile(r'cannot (\S+) resource "([^"]+)" in API group "([^"]*)"')
_BUDGET = re.compile(r"[Dd]isruption budget (\S+)")


class Expired(ClusterError):
    """410: a list's continue token is too old. Begin the list again."""


class NotServed(Refused):
    """The API server does not know this kind or subresource. Nothing of it can be there."""


class Unauthenticated(Forbidden):
    """401: the credentials are not accepted. Read them again; if that does not help, a person has to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What came back, whatever the status. The keys of `headers` are in lower case.

    `body` is the JSON object that `text` holds, {} where it holds none (a gateway's page, half an answer, a log).
    """

    status: int
    text: str
    headers: Mapping[str, str]
    body: Object

    @classmethod
    def read(cls, status: int, data: bytes, headers: Mapping[str, str]) -> Self:
        """An answer as it came over the wire."""
        lowered = {key.lower(): value for key, value in headers.items()}
        text = data.decode(errors="replace")
        return cls(status=status, text=text, headers=lowered, body=_json(text))

    @property
    def good(self) -> bool:
        return 200 <= self.status < 300


def _json(text: str) -> Object:
    try:
        found = json.loads(text) if text.startswith("{") else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def object_in(request: Request, answer: Answer) -> Object:
    """The object that a good answer holds. Raises what `refusal` would where it holds none: it is no API server's."""
    if not answer.body.get("kind"):
        raise _nobody_knows(request, f"{request.what}: {_strange(answer)}")
    return answer.body


def items_in(request: Request, answer: Answer) -> list[Object]:
    """The objects of one page of a list. Raises Unavailable where the answer is no list: an empty one says so."""
    page = object_in(request, answer)
    items = page.get("items", "absent")
    if not page["kind"].endswith("List") or not isinstance(items, list | None):
        raise Unavailable(f"{request.what}: {_strange(answer)}")
    return items or []


def refusal(request: Request, answer: Answer) -> ClusterError:
    """The error for an answer that is not 2xx."""
    status = _status_in(answer)
    message = f"{request.what}: {_words(status, answer)}"
    code = answer.status
    if code == 429:
        return TooManyRequests(message, budget=_budget(status), retry_after=_retry_after(status, answer))
    if code == 401:
        return Unauthenticated(f"{message}: the credentials are not accepted; renew the token, or log in again")
    if code >= 500 and status and _WEBHOOK_AWAY in message:
        return Unavailable(message)
    if code >= 500 or code == 408 or code < 400:
        refused = request.changes and any(words in message for words in _REFUSALS_BY_500)
        return Refused(message) if refused else _nobody_knows(request, message)
    return _refused_by_server(message, code, status) if status else _refused_by_other(request, answer, message)


def _nobody_knows(request: Request, message: str) -> ClusterError:
    """For an answer that leaves it open whether the request was carried out."""
    if not request.changes:
        return Unavailable(message)
    return UnknownOutcome(f"{message}; the write may have been carried out")


def _refused_by_server(message: str, code: int, status: Object) -> ClusterError:
    match code:
        case 403:
            return _forbidden(message, status)
        case 404:
            details = status.get("details")
            named = isinstance(details, dict) and details.get("name")
            return NotFound(message) if named else NotServed(message)
        case 409:
            return Conflict(message)
        case 410:
            return Expired(message)
        case 422 if any(cause.get("field") == "metadata.uid" for cause in _causes(status)):
            return Conflict(f"{message}: the UID in the precondition is another object's")
    return Refused(message)


def _refused_by_other(request: Request, answer: Answer, message: str) -> ClusterError:
    """A 4xx without a Status: plain text of the API server's front, or something else at that address."""
    if answer.status == 404 and answer.text.strip() == _NOT_SERVED:
        return NotServed(f"{request.what}: the API server does not serve this")
    if _PLAIN_HTTP in answer.text:
        return Refused(f"{message} The server's address has to begin with https://")
    return Refused(message) if request.changes else Unavailable(message)


def _status_in(answer: Answer) -> Object:
    """The Kubernetes Status of a refusal, {} where the answer is not one."""
    return answer.body if answer.body.get("kind") == "Status" else {}


def _words(status: Object, answer: Answer) -> str:
    """What the server said, in one line."""
    if not status:
        return _strange(answer)
    said = str(status.get("message") or status.get("reason") or f"HTTP {answer.status}")
    causes = [str(cause["message"]) for cause in _causes(status) if cause.get("message")]
    return _line([said, *(cause for cause in causes if cause not in said)])


def _strange(answer: Answer) -> str:
    """An answer that is no Kubernetes object: its status, and its text if it is one for people."""
    kind = answer.headers.get("content-type", "").partition(";")[0] or "no content type"
    if kind != "text/plain":
        whole = "no whole object" if kind == "application/json" else "nothing that an API server says"
        return f"HTTP {answer.status} with {whole} ({kind}); check the server's address and what stands before it"
    return _line([f"HTTP {answer.status}:", answer.text])


def _line(words: list[str]) -> str:
    return " ".join(" ".join(words).split())[:LONGEST_TEXT]


def _forbidden(message: str, status: Object) -> ClusterError:
    """No right, or an admission rule or quota that speaks against the content with the same status."""
    if any(cause.get("reason") == "NamespaceTerminating" for cause in _causes(status)):
        return Leaving(message)
    if lacking := _LACKING.search(message):
        verb, resource, group = lacking.groups()
        rule = f'{{apiGroups: ["{group}"], resources: ["{resource}"], verbs: ["{verb}"]}}'
        return Forbidden(f"{message}; the rule {rule} is missing in a Role bound to the agent ({RULES})")
    return Refused(message)


def _causes(status: Object) -> list[dict[str, Any]]:
    details = status.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    return [cause for cause in causes or [] if isinstance(cause, dict)]


def _budget(status: Object) -> str | None:
    """The name of the PodDisruptionBudget that forbids an eviction; None where the API is merely busy."""
    for cause in _causes(status):
        if cause.get("reason") == "DisruptionBudget":
            named = _BUDGET.search(str(cause.get("message")))
            return named[1] if named else "unnamed"
    return None


def _retry_after(status: Object, answer: Answer) -> float:
    """Seconds until another try is welcome, kubectl's pause where the server says nothing that can be followed."""
    details = status.get("details")
    said = answer.headers.get("retry-after") or (
        details.get("retryAfterSeconds") if isinstance(details, dict) else None
    )
    try:
        seconds = float(said) if said else 0.0
    except (TypeError, ValueError):
        seconds = 0.0
    if not math.isfinite(seconds) or seconds <= 0:
        return DEFAULT_RETRY_SECONDS
    return min(seconds, LONGEST_RETRY_SECONDS)
