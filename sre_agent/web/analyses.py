"""The analyses of an incident: the newest, the older ones, and where an older one says something else.

Called by `incident_page`. Pure functions over events as `views` shapes them; `markdown` makes what they say safe.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import accumulate
from typing import Any

from markupsafe import Markup

from sre_agent import markdown

MOST_ANALYSES = 20
MOST_LINES = 200
"""Of an analysis that is compared: its sections have some thirty."""

_CITED = re.compile(r'href="#event-([0-9]{1,19})"')
_HEADING = re.compile(r"<(/?)h([1-6])>")

Analysis = dict[str, Any]


def analyses_of(events: Sequence[Mapping[str, Any]], here: Collection[int]) -> list[Analysis]:
    """The newest first: {ts, regenerated, by, why, html}; an older one has `changes`, too: where the newest differs.

    `here` are the events that the page shows. `changes` is None where an analysis is too long to be compared.
    """
    written = [event for event in events if event["event_type"] == "analysis"][-MOST_ANALYSES:][::-1]
    texts = [str(event["payload"].get("analysis_markdown") or "") for event in written]
    shown = [_shown(event, text, here) for event, text in zip(written, texts, strict=True)]
    for older, text in zip(shown[1:], texts[1:], strict=True):
        older["changes"] = differences(text, texts[0])
    return shown


def differences(before: str, after: str) -> list[dict[str, Any]] | None:
    """Where two texts differ, by lines: {section, before, after}, the section as the later one names it."""
    old, new = _lines(before), _lines(after)
    if max(len(old), len(new)) > MOST_LINES:
        return None
    sections = list(accumulate(new, lambda held, line: line if line.startswith("#") else held, initial=""))
    found = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return [
        {"section": sections[second].lstrip("# "), "before": old[first:last], "after": new[second:end]}
        for kind, first, last, second, end in found
        if kind != "equal"
    ]


def html_of(text: str, here: Collection[int] = ()) -> Markup:
    """Markdown as HTML, its headings below the section's; `markdown` is what makes it safe.

    A citation of an event that is not `here` leads to the page of its incident.
    """
    html = markdown.to_html(text)
    html = _CITED.sub(lambda found: found[0] if int(found[1]) in here else f'href="/event/{found[1]}"', html)
    down = 3 - min((int(level) for _, level in _HEADING.findall(html)), default=3)
    html = _HEADING.sub(lambda found: f"<{found[1]}h{min(6, int(found[2]) + down)}>", html)
    return Markup(html)  # noqa: S704 - `markdown` escaped it


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _shown(event: Mapping[str, Any], text: str, here: Collection[int]) -> Analysis:
    payload = event["payload"]
    sections = payload.get("sections") or {}
    by_model = [title for title, by in sections.items() if by != "composed"]
    if not by_model:
        by = "by code, from the stored facts"
    elif len(by_model) == len(sections):
        by = f"by {payload.get('model')}, checked against the stored facts"
    else:
        by = f"by {payload.get('model')} and checked: {', '.join(by_model)}; the rest by code, from the stored facts"
    return {
        "ts": event["ts"],
        "regenerated": bool(payload.get("regenerated")),
        "by": by,
        "why": payload.get("why"),
        "html": html_of(text, here),
    }
