"""From a file's bytes to the YAML nodes of its front matter. Called by `document`, for every runbook file.

Nothing is ever constructed from YAML: only nodes are read, which carry their place. Whatever the bytes are,
the result is nodes or faults, in bounded time: size, nesting, anchors, aliases and tags are judged first.
"""

import hashlib
from pathlib import Path

import yaml

from sre_agent.lint.fault import Draft, quoted

MAX_BYTES = 2**20
_MAX_FRONT_MATTER = 64 * 2**10
_MAX_DEPTH = 12
_FENCE = "---"


def has_front_matter(path: Path) -> bool:
    """True where the file's first line is the fence; False also for a file that cannot be read."""
    try:
        with path.open("rb") as file:
            return file.readline(16).removeprefix(b"\xef\xbb\xbf").rstrip() == _FENCE.encode()
    except OSError:
        return False


def read_front_matter(path: Path) -> tuple[Draft, yaml.MappingNode | None]:
    """The file's draft and its top mapping; None with at least one fault in the draft."""
    draft = Draft(path=path)
    content = _content(draft)
    if content is None or not _decoded(draft, content) or not _split(draft):
        return draft, None
    return draft, _composed(draft)


def _content(draft: Draft) -> bytes | None:
    if not draft.path.is_file():
        draft.report_at(0, "is not a file that can be read", "put a Markdown file there, or remove the name")
        return None
    try:
        with draft.path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        draft.report_at(0, f"cannot be read: {error.strerror}", "make it readable for this user")
        return None
    if len(content) > MAX_BYTES:
        draft.report_at(0, "is larger than 1 MiB", "a runbook has at most 1 MiB; split it")
        return None
    draft.sha256 = hashlib.sha256(content).hexdigest()
    return content


def _decoded(draft: Draft, content: bytes) -> bool:
    """Takes UTF-8 with or without byte-order mark, with either line end."""
    try:
        draft.text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        # utf-8-sig counts from behind the byte-order mark, so the prefix is taken from the same bytes
        draft.text = error.object[: error.start].decode("utf-8").replace("\r\n", "\n")
        draft.report_at(len(draft.text), f"byte 0x{error.object[error.start]:02x} is not UTF-8", "save it as UTF-8")
        return False
    return True


def _split(draft: Draft) -> bool:
    lines = draft.text.split("\n")
    if lines[0].rstrip() != _FENCE:
        draft.report_at(0, "the front matter is missing", f"begin the file with a line {_FENCE}")
        return False
    closing = next((number for number, line in enumerate(lines[1:], 1) if line.rstrip() == _FENCE), None)
    if closing is None:
        draft.report_at(0, "the front matter is not closed", f"end it with a line {_FENCE}")
        return False
    draft.start = len(lines[0]) + 1
    draft.end = draft.start + sum(len(line) + 1 for line in lines[1:closing])
    draft.prose = "\n".join(lines[closing + 1 :]).strip()
    if draft.end - draft.start > _MAX_FRONT_MATTER:
        draft.report_at(draft.start, "the front matter is larger than 64 KiB", "keep texts in the Markdown part")
        return False
    return True


def _composed(draft: Draft) -> yaml.MappingNode | None:
    front = draft.text[draft.start : draft.end]
    try:
        if not _plain(draft, front):
            return None
        node = yaml.SafeLoader(front).get_single_node()
    except yaml.MarkedYAMLError as error:
        index = _index(error.problem_mark or error.context_mark)
        draft.report_at(draft.start + index, f"malformed YAML: {error.problem}", _repair(front, index))
        return None
    except yaml.reader.ReaderError as error:
        draft.report_at(draft.start + error.position, "a control character is in the front matter", "remove it")
        return None
    except (ValueError, OverflowError):
        # PyYAML lets these through from escapes that name no character and from endless version numbers
        draft.report_at(draft.start, "malformed YAML: an escape or number is out of range", "write the text plainly")
        return None
    if not isinstance(node, yaml.MappingNode):
        draft.report_at(draft.start, "the front matter is not a mapping", "write lines of `key: value`")
        return None
    _report_doubled_keys(draft, node)
    return node


def _index(mark: object) -> int:
    """The character that a mark stands at; PyYAML types two classes of marks, and none at all, alike."""
    return int(getattr(mark, "index", 0))


def _repair(front: str, index: int) -> str:
    if front[index : index + 1] == "\t":
        return "indent with spaces, YAML takes no tabs"
    return "mend the indentation, colon, quote or bracket here"


def _plain(draft: Draft, front: str) -> bool:
    """Refuses what makes YAML more than it looks: references, tags, deep nesting."""
    before = len(draft.faults)
    depth = 0
    for event in yaml.parse(front, Loader=yaml.SafeLoader):
        index = draft.start + _index(event.start_mark)
        if isinstance(event, yaml.AliasEvent):
            draft.report_at(index, f"alias {quoted(f'*{event.anchor}')}", "write the value out")
        elif isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            _report_decoration(draft, index, event)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            draft.report_at(index, f"nested deeper than {_MAX_DEPTH} levels", "no key of a runbook needs that")
            break
    return len(draft.faults) == before


def _report_decoration(draft: Draft, index: int, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
    if event.anchor is not None:
        draft.report_at(index, f"anchor {quoted(f'&{event.anchor}')}", "write the value out wherever it is used")
    if event.tag is not None:
        draft.report_at(index, f"tag {quoted(event.tag)}", "leave it out; no value of a runbook needs a tag")


def _report_doubled_keys(draft: Draft, node: yaml.Node) -> None:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _report_doubled_keys(draft, item)
    elif isinstance(node, yaml.MappingNode):
        first_lines: dict[str, int] = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in first_lines:
                    what = f"key {quoted(key.value)} is doubled, it stands in line {first_lines[key.value]} too"
                    draft.report(key, what, "keep one of them")
                first_lines.setdefault(key.value, draft.place_of(key).line)
            _report_doubled_keys(draft, value)
