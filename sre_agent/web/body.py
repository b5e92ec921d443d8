"""Bodies of requests, read up to a limit and never beyond it."""

import asyncio
import json
from typing import Any

from aiohttp import web

from sre_agent.web.errors import Refused

SMALL = 64 * 2**10
"""The most that a body of the API has, in bytes."""
LONGEST_TEXT = 1000
BODY_SECONDS = 60.0
"""How long a whole body may take: 32 MiB over a slow line, and not the patience of somebody who keeps a place."""


async def read_body(request: web.Request, most: int) -> bytes:
    """The whole body.

    Raises Refused: 413 as soon as it is known to be longer, 415 for a compressed one, 503 for one that does not end.
    """
    encoding = request.headers.get("Content-Encoding", "identity").lower()
    if encoding != "identity":
        raise Refused(415, f"the body is in {encoding}: send it as it is, without Content-Encoding")
    if (request.content_length or 0) > most:
        raise too_long(most)
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.content.iter_any():
                size += len(part)
                if size > most:
                    raise too_long(most)
                parts.append(part)
    except TimeoutError:
        raise Refused(503, f"the body did not come within {BODY_SECONDS:g} s: send it again") from None
    except (web.RequestPayloadError, ConnectionError) as error:
        raise Refused(400, "the body ended before its end, or is not framed as HTTP has it") from error
    return b"".join(parts)


def too_long(most: int) -> Refused:
    return Refused(413, f"the body has more than {most} bytes, which is the most that is taken here")


async def read_words(request: web.Request, *known: str) -> dict[str, str]:
    """What a person says: a body of {name: TEXT} with known names, or none at all. Raises Refused.

    A text that is null or blank is left out.
    """
    body = await read_body(request, SMALL)
    words = {}
    for name, text in (_object(body) if body else {}).items():
        if name not in known:
            raise Refused(400, f"there is no such key; taken: {', '.join(known)}", path=f"$.{name}")
        if text is not None and not isinstance(text, str):
            raise Refused(400, "must be a string", path=f"$.{name}")
        if text is not None and len(text) > LONGEST_TEXT:
            raise Refused(400, f"{len(text)} characters; at most {LONGEST_TEXT} are taken", path=f"$.{name}")
        if text is not None and text.strip():
            words[name] = text.strip()
    return words


def _object(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400, "not JSON: send an object, or nothing", path="$") from None
    if not isinstance(document, dict):
        raise Refused(400, "not an object: send one, or nothing", path="$")
    return document
