"""An HTML page as a test reads it: elements by what they are, and the text that a person sees."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Self

EMPTY = frozenset({"meta", "link", "input", "br", "hr", "img", "rect", "line", "path", "circle"})


@dataclass
class Element:
    """One element; `children` are elements and texts in their order."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list["Element | str"] = field(default_factory=list)

    @classmethod
    def of(cls, page: str) -> Self:
        root = cls("")
        _Reader(root).feed(page)
        return root

    def __getitem__(self, name: str) -> str:
        return self.attributes[name]

    @property
    def text(self) -> str:
        """What it says, each run of spaces as one."""
        return " ".join(self.raw.split())

    @property
    def raw(self) -> str:
        return "".join(child if isinstance(child, str) else child.raw for child in self.children)

    def all(self, tag: str | None = None, **wanted: str) -> list["Element"]:
        """Everything below with this tag and these attributes; `class_` is one of its classes."""
        return [each for each in self._below() if each._is(tag, wanted)]

    def one(self, tag: str | None = None, **wanted: str) -> "Element":
        (only,) = self.all(tag, **wanted)
        return only

    def _below(self) -> Iterator["Element"]:
        for child in self.children:
            if isinstance(child, Element):
                yield child
                yield from child._below()

    def _is(self, tag: str | None, wanted: dict[str, str]) -> bool:
        if tag is not None and self.tag != tag:
            return False
        for name, value in wanted.items():
            held = self.attributes.get(name.rstrip("_").replace("_", "-"))
            if held is None or value not in (held.split() if name == "class_" else [held]):
                return False
        return True


class _Reader(HTMLParser):
    def __init__(self, root: Element) -> None:
        super().__init__()
        self._open = [root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].children.append(element)
        if tag not in EMPTY:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open[-1].children.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        while tag in [each.tag for each in self._open[1:]]:
            if self._open.pop().tag == tag:
                return

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)
