"""The seven sections of an analysis: taken apart, tidied, put together. Used by composer, checker and authors. Pure.

Protects one rule: what is checked is what a reader sees. A claim that is wrapped over two lines, set in bold or proved
behind its full stop is brought into the one form that the checker reads.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from sre_agent.llm.untrusted import without_marks

SUMMARY = "Summary"
HYPOTHESIS = "Root cause hypothesis"
HISTORY = "Historical pattern & SRE recommendation"
FOLLOW_UPS = "Follow-ups"
SECTIONS = (
    SUMMARY,
    "What happened (evidence)",
    HYPOTHESIS,
    "Action taken / recommended",
    "Why that action",
    HISTORY,
    FOLLOW_UPS,
)
"""The headings of an analysis, in their order."""

HEADING = re.compile(r"^ {0,3}#{1,6} +(.*?) *$", re.MULTILINE)
ANY_HEADING = re.compile(r"^\s*#{1,6}(?:\s|$)")
BULLET = re.compile(r"^\s*[-*+] ")

_THOUGHTS = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
_FENCE = re.compile(r"^\s*```\w*\s*$", re.MULTILINE)
_SAID_HEADING = re.compile(r"^\s*(?:#{1,6}\s*)?[*_]*(?:\d[.)]\s*)?(?P<title>[^*_\n]+?):?[*_]*:?\s*#*\s*$")
_NUMBERED = re.compile(r"^(\s*)(?:\d{1,2}[.)]|[*+•–]) +")
_RULE = re.compile(r"^ *(?:=+|-{2,}|\*{3,}|_{3,}) *$")
_SPAN = re.compile(r"(`[^`\n]*`)")
_EMPHASIS = re.compile(r"\*+|(?<!\w)_+(?=\S)|(?<=\S)_+(?!\w)|~~")
_SEVERAL = re.compile(
    r"[\[(]((?:events? *)?#?\d+(?:(?:,? *(?:and|,|;) *|, *)(?:events? *)?#?\d+)*)[\])]", re.IGNORECASE
)
_BEHIND = re.compile(r"([.!?])((?: *\[event \d+\])+)(?=\s|$)")


def split(text: str) -> list[tuple[str, str]]:
    """Each heading with what stands below it, as written; what stands above the first heading is left out."""
    titles = [heading[1] for heading in HEADING.finditer(text)]
    return list(zip(titles, HEADING.split(text)[2::2], strict=True))


def join(bodies: Mapping[str, str]) -> str:
    """The analysis as Markdown."""
    return "\n\n".join(f"## {title}\n\n{bodies[title].strip()}" for title in SECTIONS) + "\n"


def headline(markdown: str) -> tuple[str, str]:
    """The first paragraphs of the summary and of the history: what a person is told first."""
    bodies = dict(split(markdown))
    summary, history = (bodies.get(title, "").strip().partition("\n\n")[0] for title in (SUMMARY, HISTORY))
    return summary, history


def blocks(body: str) -> Iterator[str]:
    """Paragraphs, bullets and headings, each of them on one line, as Markdown shows them; a blank one between."""
    held = ""
    for line in body.splitlines():
        alone = not line.strip() or ANY_HEADING.match(line) or _RULE.match(line)
        if held and (alone or BULLET.match(line)):
            yield held
            held = ""
        if alone:
            yield line
        else:
            held = f"{held} {line.strip()}" if held else line.rstrip()
    if held:
        yield held


def read_answer(text: str) -> dict[str, str]:
    """What a model wrote under each known heading, tidied; whatever stands outside of them is not there."""
    found: dict[str, list[str]] = {}
    lines: list[str] | None = None
    for line in _FENCE.sub("", without_marks(_THOUGHTS.sub("", text))).splitlines():
        title = _title(line)
        if title is not None:
            lines = found.setdefault(title, [])
        elif lines is not None:
            lines.append(line)
    return {title: tidied("\n".join(said)) for title, said in found.items()}


def _title(line: str) -> str | None:
    """The known heading that a line is, however it is set; None for any other line."""
    said = _SAID_HEADING.match(line)
    if said is None:
        return None
    wanted = _plain_title(said["title"])
    return next(
        (title for title in SECTIONS if wanted in {_plain_title(title), _plain_title(title.split(" (")[0])}), None
    )


def _plain_title(title: str) -> str:
    return " ".join(re.sub(r"[^a-z]+", " ", title.lower().replace("&amp;", "&").replace(" and ", " & ")).split())


def tidied(body: str) -> str:
    """A section as analyses have it: one line each, `- ` before bullets, no emphasis, `[event 3] [event 5].`"""
    lines = (_NUMBERED.sub(r"\1- ", line) for line in body.strip().splitlines())
    return _spaced(_tidied_line(line) for line in blocks("\n".join(lines)))


def _tidied_line(line: str) -> str:
    mark = "- " if BULLET.match(line) else ""
    said = line.strip().removeprefix("- ")
    said = "".join(part if part.startswith("`") else without_emphasis(part) for part in _SPAN.split(said))
    said = _SEVERAL.sub(_each_event, said).replace("][event ", "] [event ")
    return mark + _BEHIND.sub(lambda found: f" {found[2].strip()}{found[1]}", said).strip()


def without_emphasis(prose: str) -> str:
    """Prose without the marks of bold, italic and struck out words: `**7** times` is `7 times`."""
    return _EMPHASIS.sub("", prose)


def _each_event(found: re.Match[str]) -> str:
    if "event" not in found[0].lower():
        return found[0]
    return " ".join(f"[event {number}]" for number in re.findall(r"\d+", found[1]))


def _spaced(lines: Iterable[str]) -> str:
    """Bullets stay together; everything else has an empty line around it."""
    said: list[str] = []
    for line in filter(None, lines):
        together = said and BULLET.match(line) and BULLET.match(said[-1])
        said += [line] if together or not said else ["", line]
    return "\n".join(said)
