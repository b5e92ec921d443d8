"""Bodies of requests, read up to a limit and never beyond it."""

import json
from typing import Any

from aiohttp import web

from sre_agent.web.errors import Refused

SMALL = 64 * 2**10
"""The most that a body of the API has, in bytes."""
LONGEST_REASON = 1000


async def read_body(request: web.Request, most: int) -> bytes:
    """The whole body. Raises Refused with 413 as soon as it is known to be longer, 415 for a compressed one."""
    encoding = request.headers.get("Content-Encoding", "identity").lower()
    if encoding != "identity":
        raise Refused(415, f"the body is in {encoding}: send it as it is, without Content-Encoding")
    if (request.content_length or 0) > most:
        raise too_long(most)
    parts, size = [], 0
    try:
        async for part in request.content.iter_any():
            size += len(part)
            if size > most:
                raise too_long(most)
            parts.append(part)
    except (web.RequestPayloadError, ConnectionError) as error:
        raise Refused(400, "the body ended before its end, or is not framed as HTTP has it") from error
    return b"".join(parts)


def too_long(most: int) -> Refused:
    return Refused(413, f"the body has more than {most} bytes, which is the most that is taken here")


async def read_reason(request: web.Request) -> str | None:
    """What a person says about a decision: the body {"reason": TEXT}, or none at all. Raises Refused."""
    body = await read_body(request, SMALL)
    if not body:
        return None
    fields = _object(body)
    for name in fields:
        if name != "reason":
            raise Refused(400, "there is no such key: reason is the one that is taken", path=f"$.{name}")
    reason = fields.get("reason")
    if reason is None:
        return None
    if not isinstance(reason, str):
        raise Refused(400, "must be a string", path="$.reason")
    if len(reason) > LONGEST_REASON:
        raise Refused(400, f"{len(reason)} characters; at most {LONGEST_REASON} are kept", path="$.reason")
    return reason.strip() or None


def _object(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400, 'not JSON: send {"reason": "..."}, or nothing', path="$") from None
    if not isinstance(document, dict):
        raise Refused(400, 'not an object: send {"reason": "..."}, or nothing', path="$")
    return document
