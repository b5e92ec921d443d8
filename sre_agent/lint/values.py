"""Values of the front matter, read from YAML nodes with their type. Called by `document` and `workflow`.

Each function reports what is wrong in the draft and then answers None (or leaves the item out), so that one
fault does not hide the others.
"""

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

import yaml

from sre_agent.lint.fault import Draft, nearest, quoted
from sre_agent.times import duration_text, parse_duration

_TEXT = "tag:yaml.org,2002:str"
_NULL = "tag:yaml.org,2002:null"
_UNPRINTABLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One key of a mapping, with both nodes for their places."""

    key: yaml.ScalarNode
    value: yaml.Node


def is_empty(node: yaml.Node) -> bool:
    """True for no value, `null`, `[]` and `{}`."""
    return node.tag == _NULL or (isinstance(node, yaml.CollectionNode) and not node.value)


def mapping(draft: Draft, node: yaml.Node, known: Collection[str], noun: str) -> dict[str, Entry] | None:
    """The entries by key, of a doubled key the first; `known` empty means that every key is welcome."""
    if not isinstance(node, yaml.MappingNode):
        draft.report(node, f"{noun} is not a mapping", "write it as `key: value` lines")
        return None
    entries: dict[str, Entry] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            draft.report(key, f"{noun} has a key that is not a name", "write the key as plain text")
        elif known and key.value not in known:
            draft.report(key, f"unknown key {quoted(key.value)}", nearest(key.value, known, "known keys"))
        else:
            entries.setdefault(key.value, Entry(key=key, value=value))
    return entries


def text(draft: Draft, node: yaml.Node, noun: str) -> str | None:
    """Text that is not empty and can be printed."""
    if not isinstance(node, yaml.ScalarNode):
        draft.report(node, f"{noun} is not text", "write one line of text")
        return None
    if node.tag == _NULL or not node.value.strip():
        draft.report(node, f"{noun} is empty", "write a text, or leave the key out")
        return None
    value = str(node.value)
    if node.tag != _TEXT:
        draft.report(node, f"{noun} is {value}, which YAML does not take as text", f'put it in quotes: "{value}"')
        return None
    if any(unicodedata.category(character) in _UNPRINTABLE for character in value):
        draft.report(node, f"{noun} holds a line break or an invisible character", "write one line of plain text")
        return None
    return value


def word(draft: Draft, node: yaml.Node, noun: str, pattern: re.Pattern[str], instead: str) -> str | None:
    """Text that the whole pattern matches."""
    value = text(draft, node, noun)
    if value is not None and not pattern.fullmatch(value):
        draft.report(node, f"{noun} {quoted(value)} is not well formed", instead)
        return None
    return value


def sequence(draft: Draft, node: yaml.Node, noun: str) -> list[yaml.Node]:
    if not isinstance(node, yaml.SequenceNode):
        draft.report(node, f"{noun} is not a list", "write it as [one, two] or as lines that begin with `- `")
        return []
    return list(node.value)


def words(draft: Draft, entry: Entry | None, noun: str, pattern: re.Pattern[str], instead: str) -> tuple[str, ...]:
    """A list of different words; no entry is an empty list."""
    found: list[str] = []
    for node in sequence(draft, entry.value, entry.key.value) if entry else []:
        value = word(draft, node, noun, pattern, instead)
        if value in found:
            draft.report(node, f"{noun} {quoted(str(value))} stands twice", "keep one of them")
        elif value is not None:
            found.append(value)
    return tuple(found)


def choice(draft: Draft, entry: Entry | None, only: str) -> bool:
    """True where the key is there with its only allowed value."""
    if entry is None:
        return False
    value = text(draft, entry.value, entry.key.value)
    if value is not None and value != only:
        what = f"{entry.key.value} is {quoted(value)}"
        draft.report(entry.value, what, f"write {only}, the only value it takes, or leave it out")
    return value == only


def flag(draft: Draft, node: yaml.Node, noun: str) -> bool | None:
    if isinstance(node, yaml.ScalarNode) and node.style is None and node.value in ("true", "false"):
        return bool(node.value == "true")
    draft.report(node, f"{noun} is neither true nor false", "write true or false")
    return None


def duration(draft: Draft, node: yaml.Node, noun: str, *, longest: timedelta) -> timedelta | None:
    """`180s`, `3m`, `1h`, `1h30m`: more than nothing, at most `longest`."""
    instead = "write a number with its unit: 180s, 3m, 1h30m"
    if not isinstance(node, yaml.ScalarNode):
        draft.report(node, f"{noun} is not a duration", instead)
        return None
    try:
        length = parse_duration(node.value)
    except ValueError:
        draft.report(node, f"{noun} {quoted(node.value)} is not a duration", instead)
        return None
    if not timedelta() < length <= longest:
        what = f"{noun} {node.value} is out of range"
        draft.report(node, what, f"write more than 0s and at most {duration_text(longest)}")
        return None
    return length
