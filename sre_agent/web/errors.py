"""The one shape of an error, {error: {code, message, path?}}, and the one place that turns errors into statuses.

Protects two rules: no error leaves the server in another shape, and none carries a secret.
"""

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from sre_agent.alert import BadPayload
from sre_agent.errors import BadInput, SreAgentError, Unreachable
from sre_agent.log import get_logger
from sre_agent.redaction import redact_text
from sre_agent.store.book import StateForbids, UnknownIncident

log = get_logger(__name__)

CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "too_large",
    415: "unsupported_encoding",
    417: "expectation_failed",
    431: "headers_too_large",
    500: "internal",
    503: "unavailable",
}
"""Every status of an error, and the code that a program reads."""


class Refused(Exception):
    """A request that ends here: its status, what a person reads, and where the fault is (a parameter, a JSON path)."""

    def __init__(
        self, status: int, message: str, *, path: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.path = path
        self.headers = headers or {}


def dumps(document: Any) -> str:
    """JSON as this server writes it."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def error_body(status: int, message: str, path: str | None = None) -> str:
    """The body of an error."""
    error = {"code": CODES[status], "message": redact_text(message)}
    if path is not None:
        error["path"] = redact_text(path)
    return dumps({"error": error})


def answer(refused: Refused) -> web.Response:
    """The response to a refused request."""
    body = error_body(refused.status, str(refused), refused.path)
    return web.Response(
        status=refused.status, text=body, content_type="application/json", headers=dict(refused.headers)
    )


def refusal_of(error: SreAgentError) -> Refused:
    """What an error of the rooms below means to whoever asked."""
    match error:
        case UnknownIncident():
            return Refused(404, str(error))
        case StateForbids():
            return Refused(409, str(error))
        case BadPayload():
            return Refused(400, error.reason, path=error.path)
        case BadInput():
            return Refused(400, str(error))
        case Unreachable():
            return Refused(503, str(error), headers={"Retry-After": "5"})
        case _:
            return Refused(500, str(error))


@web.middleware
async def in_one_shape(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whatever goes wrong behind this, the answer is an error in the one shape."""
    try:
        return await handler(request)
    except Refused as refused:
        return answer(refused)
    except SreAgentError as error:
        refusal = refusal_of(error)
        if refusal.status >= 500:
            log.warning("request.failed", method=request.method, path=request.path, error=str(error))
        return answer(refusal)
    except web.HTTPRedirection:
        raise  # no error: it leads on
    except web.HTTPException as error:
        return answer(_of_the_server(request, error))
    except Exception:  # a request's border: whatever is wrong with one, the server goes on
        log.exception("request.crashed", method=request.method, path=request.path)
        return answer(Refused(500, "the server failed at this request; its log says why"))


def _of_the_server(request: web.Request, error: web.HTTPException) -> Refused:
    """aiohttp's own refusals: no such path, another method, a body beyond the limit."""
    match error:
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            return Refused(405, f"{request.method} is not for this path: {allowed}", headers={"Allow": allowed})
        case web.HTTPNotFound():
            return Refused(404, "there is no such path; GET /openapi.json of a server lists all of them")
        case _:
            return Refused(error.status if error.status in CODES else 400, error.reason)
