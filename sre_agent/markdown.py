"""Markdown of analyses and runbooks as HTML for a page: no HTML of its author's, no picture, links only by http(s).

Called by the pages alone. Protects one rule: whatever a model, an alert or a runbook says, it stays text.
"""

import re
from functools import cache
from urllib.parse import urlsplit

from markdown_it import MarkdownIt

_CITATION = re.compile(r"\[event ([0-9]{1,19})\]")


def to_html(text: str, *, cited: bool = True) -> str:
    """The HTML. With `cited`, `[event 12]` becomes a link to `#event-12`."""
    html: str = _renderer().render(text)
    return _CITATION.sub(r'<a href="#event-\1">[event \1]</a>', html) if cited else html


@cache
def _renderer() -> MarkdownIt:
    renderer = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    renderer.validateLink = _is_web_address  # type: ignore[method-assign]
    return renderer


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)
