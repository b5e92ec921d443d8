"""YAML and JSON text as `kubectl get -o yaml|json` prints it, read into plain values with the line they begin at.

Called by `recording` for every file of a snapshot. Values are built from the parser's events, not through a
loader: that keeps large files cheap, times and words such as `on` as they were written, and needs no change to
the loaders that the rest of the process shares. The text may come from a stranger: it can neither run anything,
nor nest or expand without end.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from sre_agent.errors import BadInput

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STRING = "tag:yaml.org,2002:str"
_PLAIN_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float")}
_WORDS = {"": None, "~": None, "null": None, "Null": None, "NULL": None} | {
    spelling(word): value
    for word, value in (("true", True), ("false", False))
    for spelling in (str.lower, str.title, str.upper)
}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,30})\Z")
_OCTAL = re.compile(r"0o?[0-7]{1,30}\Z")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]{1,30}\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,4})?\Z")
_MAX_DEPTH = 200

TEXT_MAPS = (
    frozenset({"labels", "annotations", "matchLabels", "nodeSelector", "data"})
    | {"limits", "requests", "hard", "used", "capacity", "allocatable", "usage"}
    | {"default", "defaultRequest", "max", "min", "maxLimitRequestRatio", "minAllowed", "maxAllowed"}
    | {"target", "lowerBound", "upperBound", "uncappedTarget"}
)
"""Fields that map names to text (labels, quantities): their values stay as written, `1_000`, `on` and `1.10` too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """One document of a file. `place` is FILE:LINE, for messages."""

    place: str
    value: Any


def documents(text: str, source: str, *, is_json: bool) -> list[Document]:
    """Every document of a file; several JSON documents may follow one another.

    Text that looks like JSON is read as JSON whatever the file is called. Raises BadInput with file, line and
    column.
    """
    if is_json:
        return list(_json_documents(text, source))
    if text.lstrip()[:1] == "{":
        try:
            return list(_json_documents(text, source))
        except BadInput:
            return list(_yaml_documents(text, source))
    return list(_yaml_documents(text, source))


def _json_documents(text: str, source: str) -> Iterator[Document]:
    decoder = json.JSONDecoder(parse_constant=_no_constant)
    position = 0
    while position := _next_content(text, position):
        try:
            value, end = decoder.raw_decode(text, position - 1)
        except json.JSONDecodeError as error:
            raise BadInput(f"{source}:{error.lineno}:{error.colno}: not JSON: {error.msg}") from None
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{source}: not JSON that can be read: {error}") from None
        yield Document(place=f"{source}:{text.count(chr(10), 0, position) + 1}", value=value)
        position = end


def _next_content(text: str, position: int) -> int:
    """The place after the next character that is not white space, 0 at the end of the text."""
    found = re.compile(r"\S").search(text, position)
    return found.end() if found else 0


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is no JSON value")


def _yaml_documents(text: str, source: str) -> Iterator[Document]:
    builder = _Builder(source, budget=len(text))
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.DocumentStartEvent):
                builder = _Builder(source, budget=len(text))
            elif isinstance(event, yaml.DocumentEndEvent):
                yield Document(place=f"{source}:{builder.line}", value=builder.value)
            else:
                builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{source}:{mark.line + 1}:{mark.column + 1}" if mark else source
        raise BadInput(f"{where}: not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise BadInput(f"{source}: not YAML: {' '.join(str(error).split())}") from None


@dataclass(slots=True)
class _Frame:
    """A mapping or sequence that is still open; `as_text` where its scalars stay as written."""

    container: Any
    as_text: bool
    key: str | None = None
    doubled: list[tuple[str, Any, Any]] = field(default_factory=list)
    """Keys that stood there before, with their first value and the event of the second."""


class _Builder:
    """Puts the events of one document together. Aliases are copied, within a budget of values."""

    def __init__(self, source: str, *, budget: int) -> None:
        self.value: Any = None
        self.line = 1
        self._source = source
        self._budget = budget
        self._frames: list[_Frame] = []
        self._anchors: dict[str, Any] = {}
        self._begun = False

    def take(self, event: Any) -> None:
        kind = type(event)
        if kind is yaml.ScalarEvent:
            self._scalar(event)
        elif kind is yaml.MappingStartEvent:
            self._open(event, {})
        elif kind is yaml.SequenceStartEvent:
            self._open(event, [])
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            self._close(self._frames.pop())
        elif kind is yaml.AliasEvent:
            self._place(event, self._copy_of(event))

    def _scalar(self, event: Any) -> None:
        frame = self._frames[-1] if self._frames else None
        if frame is not None and frame.key is None and type(frame.container) is dict:
            self._take_key(event, frame)
            return
        text = event.value
        if not event.implicit[0] and event.tag not in _PLAIN_TAGS:
            if event.tag not in (None, "!", _STRING):
                raise self._fault(event, f"the tag {event.tag} is not read")
            value = text
        else:
            value = plain(text)
            if value is not None and frame is not None and frame.as_text:
                value = text
        if event.anchor:
            self._anchors[event.anchor] = value
        self._place(event, value)

    def _take_key(self, event: Any, frame: _Frame) -> None:
        key = event.value
        if key in frame.container:
            frame.doubled.append((key, frame.container[key], event))
        if key == "<<":
            raise self._fault(event, "merge keys (<<) are not read: write the fields out")
        if event.anchor:
            self._anchors[event.anchor] = key
        frame.key = key

    def _open(self, event: Any, container: Any) -> None:
        frame = self._frames[-1] if self._frames else None
        as_text = frame is not None and frame.key in TEXT_MAPS and type(container) is dict
        self._place(event, container)
        if len(self._frames) >= _MAX_DEPTH:
            raise self._fault(event, f"nested more than {_MAX_DEPTH} levels deep")
        if event.anchor:
            self._anchors[event.anchor] = container
        self._frames.append(_Frame(container, as_text))

    def _close(self, frame: _Frame) -> None:
        for key, first, event in frame.doubled:
            if frame.container[key] != first:
                raise self._fault(event, f"the key {key!r} stands twice, with different values")

    def _place(self, event: Any, value: Any) -> None:
        """Puts a value where it belongs: the document, the open sequence, or the open mapping's key."""
        if not self._frames:
            if not self._begun:
                self.line = event.start_mark.line + 1
            self._begun = True
            self.value = value
            return
        frame = self._frames[-1]
        if type(frame.container) is list:
            frame.container.append(value)
        elif frame.key is None:
            raise self._fault(event, "a key must be a plain word")
        else:
            frame.container[frame.key] = value
            frame.key = None

    def _copy_of(self, event: Any) -> Any:
        if event.anchor not in self._anchors:
            raise self._fault(event, f"the alias *{event.anchor} has no anchor before it")
        shared = self._anchors[event.anchor]
        if any(frame.container is shared for frame in self._frames):
            raise self._fault(event, f"the alias *{event.anchor} holds itself")
        return self._copy(shared, event)

    def _copy(self, value: Any, event: Any) -> Any:
        self._budget -= 1
        if self._budget < 0:
            raise self._fault(event, "the aliases expand to far more than the file holds")
        if isinstance(value, dict):
            return {key: self._copy(entry, event) for key, entry in value.items()}
        if isinstance(value, list):
            return [self._copy(entry, event) for entry in value]
        return value

    def _fault(self, event: Any, problem: str) -> BadInput:
        mark = event.start_mark
        return BadInput(f"{self._source}:{mark.line + 1}:{mark.column + 1}: {problem}")


def plain(text: str) -> Any:
    """What an unquoted word means: null, true, false, a number, or the word itself (`on`, `1_000`, a time)."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "-+.0123456789":
        return text
    if _INTEGER.match(text):
        return int(text)
    if _OCTAL.match(text):
        return int(text.removeprefix("0o"), 8)
    if _HEXADECIMAL.match(text):
        return int(text, 16)
    if _FLOAT.match(text) and math.isfinite(number := float(text)):
        return number
    return text
