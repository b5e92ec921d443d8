"""An analysis as HTML: events are links, web addresses too, and nothing that a text holds is more than words."""

import re
from html.parser import HTMLParser

import pytest

from sre_agent.markdown import to_html

TAGS = {"p", "ul", "ol", "li", "h1", "h2", "h3", "a", "code", "em", "strong", "br", "hr", "pre", "blockquote"}
TAGS |= {"table", "thead", "tbody", "tr", "th", "td"}


class Seen(HTMLParser):
    """What a browser would make of it: each tag with its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_an_analysis_has_its_headings_bullets_and_code_spans() -> None:
    html = to_html("## Summary\n\n`app` was killed.\n\n- Look at <it>.\n")
    assert html == "<h2>Summary</h2>\n<p><code>app</code> was killed.</p>\n<ul>\n<li>Look at &lt;it&gt;.</li>\n</ul>\n"


def test_an_event_is_a_link_to_the_timeline() -> None:
    html = to_html("It was killed [event 12] [event 345].")
    assert '<a href="#event-12">[event 12]</a> <a href="#event-345">[event 345]</a>.' in html


def test_an_event_inside_a_quote_or_a_link_is_words() -> None:
    assert "<a" not in to_html("`[event 12]`")
    (link,) = (
        attributes for tag, attributes in Seen(to_html("[see [event 12] here](https://a.example/)")).tags if tag == "a"
    )
    assert link["href"] == "https://a.example/"


@pytest.mark.parametrize("text", ["[event]", "[event x]", "[event 1-2]", "[event 99999999999999999999999]", "event 12"])
def test_what_is_no_reference_is_no_link(text: str) -> None:
    assert "<a" not in to_html(text)


def test_a_web_address_is_a_link_that_tells_nobody_where_it_came_from() -> None:
    (_, attributes), *_ = [tag for tag in Seen(to_html("[docs](https://docs.example/a?b=1&c=2)")).tags if tag[0] == "a"]
    assert attributes == {"href": "https://docs.example/a?b=1&c=2", "rel": "noopener noreferrer nofollow"}


def test_a_table_has_cells_and_no_style() -> None:
    html = to_html("| a | b |\n|:--|--:|\n| `x` [event 3] | <b> |\n")
    assert "<th>a</th>" in html
    assert '<td><code>x</code> <a href="#event-3">[event 3]</a></td>\n<td>&lt;b&gt;</td>' in html
    assert "style" not in html


ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<iframe src=//evil.example></iframe>",
    "<a href='javascript:alert(1)'>x</a>",
    "<style>*{display:none}</style>",
    "<!-- <script>alert(1)</script> -->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x]( javascript:alert(1))",
    "[x](java\tscript:alert(1))",
    "[x](java&#x09;script:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](javascript&colon;alert(1))",
    "[x](%6aavascript:alert(1))",
    "[x](vbscript:msgbox(1))",
    "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[x](data:image/svg+xml,<svg onload=alert(1)>)",
    "[x](file:///etc/passwd)",
    "[x](//evil.example/)",
    "[x](/api/pause)",
    "[x](#onload)",
    "[x](mailto:a@b.example)",
    "[x](https:javascript:alert(1))",
    "[x](http://\"onmouseover=alert(1))",
    '[x](https://a.example "\\" onmouseover=alert(1) x=\\"")',
    "[x][r]\n\n[r]: javascript:alert(1)",
    "<javascript:alert(1)>",
    "<data:text/html,x>",
    "<a@b.example>",
    "![x](https://evil.example/pixel.png)",
    "![x](javascript:alert(1))",
    "![event 12](https://evil.example/pixel.png)",
    "[![x](https://evil.example/pixel.png)](https://a.example/)",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "`<script>alert(1)</script>`",
    "```\n<script>alert(1)</script>\n```",
    "``` \"><script>alert(1)</script>\nx\n```",
    "    <script>alert(1)</script>",
    "# <script>alert(1)</script>",
    "[event 12\"><script>alert(1)</script>]",
    "\\<script>alert(1)\\</script>",
    "[a](<javascript:alert(1)>)",
    "*<b onmouseover=alert(1)>*",
    "[x](ht\u200btps://evil.example)",
    "\x00<script>alert(1)</script>",
    "|<script>alert(1)</script>|b|\n|:-:|-|\n|[x](javascript:alert(1))|<img src=x onerror=alert(1)>|",
]  # fmt: skip


@pytest.mark.parametrize("text", ATTACKS)
def test_an_attack_stays_words(text: str) -> None:
    for tag, attributes in Seen(to_html(text)).tags:
        assert tag in TAGS
        assert set(attributes) <= {"href", "rel", "class", "title", "start"}
        href = attributes.get("href")
        assert href is None or re.fullmatch(r"#event-\d+|https?://[^\s\"<>]+", href)
