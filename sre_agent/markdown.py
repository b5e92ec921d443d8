"""Analyses as HTML: for pages, and for whoever else shows one in a browser. Pure.

Protects one rule: a text that a model or an alert had its hands in is words, whatever it holds. HTML is shown as it is
written, pictures and scripts are not, a link leads to a web address alone, and `[event 12]` leads to the timeline.
"""

import re
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

_EVENT = re.compile(r"\[event (\d{1,19})\]")
_WEB = re.compile(r"https?://[^\s/]", re.IGNORECASE)


def to_html(text: str) -> str:
    """The HTML of a Markdown text, a fragment that may stand inside a page as it is."""
    html: str = _parser().render(text)
    return html


class _Parser(MarkdownIt):
    def validateLink(self, url: str) -> bool:  # noqa: N802 - the parser's name for it
        """Whether a link may lead there."""
        return _WEB.match(url) is not None


@cache
def _parser() -> MarkdownIt:
    parser = _Parser("commonmark", {"html": False, "linkify": False, "typographer": False})
    parser.enable("table")
    parser.disable(["image", "html_inline", "html_block", "entity"])
    parser.core.ruler.push("event_links", _link_events)
    parser.core.ruler.push("plain_cells", _drop_styles)
    return parser


def _link_events(state: StateCore) -> None:
    """Puts a link to its event in the place of each reference that is plain text, and outside of another link."""
    for block in state.tokens:
        if block.type != "inline":
            continue
        children, depth = [], 0
        for token in block.children or []:
            if token.type == "link_open":
                token.attrSet("rel", "noopener noreferrer nofollow")
            depth += {"link_open": 1, "link_close": -1}.get(token.type, 0)
            children += _linked(token) if token.type == "text" and not depth else [token]
        block.children = children


def _drop_styles(state: StateCore) -> None:
    """A table's columns are aligned by a style attribute, which the pages' policy forbids."""
    for block in state.tokens:
        block.attrs.pop("style", None)


def _linked(token: Token) -> list[Token]:
    found, at = [], 0
    for reference in _EVENT.finditer(token.content):
        found += [_text(token.content[at : reference.start()])] if reference.start() > at else []
        opening = Token("link_open", "a", 1, attrs={"href": f"#event-{int(reference[1])}"})
        found += [opening, _text(reference[0]), Token("link_close", "a", -1)]
        at = reference.end()
    return [*found, _text(token.content[at:])] if found else [token]


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)
