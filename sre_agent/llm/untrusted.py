"""Makes texts from a cluster, an alert or a runbook fit to be shown to a model, as data that says nothing to it.

Called by whoever builds a prompt. Protects two rules: no secret leaves, and no text can end its own fence.
"""

import hashlib
import json
import re
from typing import Any

from sre_agent.redaction import hide_emails, redact

MOST_BYTES = 8 * 1024
"""Of one source, so that no log can crowd out the rest."""


_FENCE = re.compile(r"<(?=[\s/]*data)", re.IGNORECASE)
_MARK = re.compile(r"^[ \t]*</?data [0-9a-f]{8}(?: source=[^<>\n]*)?>[ \t]*$", re.MULTILINE)


def fenced(source: str, value: Any, *, emails: bool = False, most: int = MOST_BYTES) -> str:
    """The value between two marks that name its source; JSON unless it is a text. At most `most` bytes of it.

    It is redacted, stripped of control, bidirectional and invisible characters, and cut with a note. What looks like a
    fence within it is written with another bracket, so that nobody can write its end; the mark, made from the whole
    value, tells two fences apart. With `emails`, addresses are hidden.
    """
    shown = redact(value)
    text = shown if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False, separators=(",", ":"))
    if emails:
        text = hide_emails(text)
    text = _FENCE.sub("‹", text)
    mark = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:8]
    return f"<data {mark} source={source}>\n{cut(text, most)}\n</data {mark}>"


def without_marks(text: str) -> str:
    """The text of a model without the lines that are such a mark: one that repeats what it was shown repeats them."""
    return _MARK.sub("", text)


def cut(text: str, most: int = MOST_BYTES) -> str:
    """The text, or its first and last parts and how many bytes are missing between them."""
    data = text.encode("utf-8", "replace")
    if len(data) <= most:
        return text
    head, tail = data[: most * 3 // 4], data[len(data) - most // 4 :]
    missing = len(data) - len(head) - len(tail)
    return f"{head.decode('utf-8', 'ignore')} […{missing} bytes left out…] {tail.decode('utf-8', 'ignore')}"
