"""Faults: what is wrong in a runbook file, where, and what would be right.

Collected in a `Draft` while one file is read, so that a person sees all of them in one go.
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from yaml import Node

_SHOWN_LENGTH = 60


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Place:
    """A place in a file; line and column count from 1."""

    path: Path
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Fault:
    """One fault. Prints as `FILE:LINE:COLUMN: what is wrong; what would be right`."""

    path: Path
    line: int
    column: int
    what: str
    instead: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}: {self.what}; {self.instead}"


def fault_at(place: Place, what: str, instead: str) -> Fault:
    return Fault(path=place.path, line=place.line, column=place.column, what=what, instead=instead)


@dataclass(kw_only=True, slots=True)
class Draft:
    """One file while it is read.

    `text` is the whole file with `\\n` line ends, `start` the index in it where the front matter begins (and
    so the zero of every YAML mark), `end` where it ends, `faults` what was found so far.
    """

    path: Path
    text: str = ""
    sha256: str = ""
    start: int = 0
    end: int = 0
    prose: str = ""
    faults: list[Fault] = field(default_factory=list)

    def place(self, index: int) -> Place:
        """The place of the character at `index` of the whole text."""
        line_start = self.text.rfind("\n", 0, index) + 1
        return Place(path=self.path, line=self.text.count("\n", 0, index) + 1, column=index - line_start + 1)

    def place_of(self, node: Node) -> Place:
        return self.place(self.start + node.start_mark.index)

    def report(self, node: Node, what: str, instead: str) -> None:
        self.faults.append(fault_at(self.place_of(node), what, instead))

    def report_at(self, index: int, what: str, instead: str) -> None:
        self.faults.append(fault_at(self.place(index), what, instead))


def quoted(text: str) -> str:
    """Text of the file as it may stand in a message: shortened, in quotes, nothing unprintable."""
    return repr(text if len(text) <= _SHOWN_LENGTH else text[: _SHOWN_LENGTH - 1] + "…")


def nearest(word: str, known: Iterable[str], noun: str) -> str:
    """`did you mean 'workflow'?` where a known word is near, else all known words after `noun`."""
    words = sorted(known)
    close = difflib.get_close_matches(word.lower()[:_SHOWN_LENGTH], words, n=1)
    return f"did you mean {close[0]!r}?" if close else f"{noun}: {', '.join(words) or 'none'}"
