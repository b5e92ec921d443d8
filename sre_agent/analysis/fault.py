"""What the checker finds: one kind for each way in which a text can say more than is known."""

from dataclasses import dataclass
from enum import StrEnum


class FaultKind(StrEnum):
    """What is wrong with a text."""

    SECTION = "section"
    MARKUP = "markup"
    REFERENCE = "reference"
    DATE = "date"
    NUMBER = "number"
    NAME = "name"
    ACTION = "action"
    QUOTE = "quote"
    UNPROVEN = "unproven"
    HISTORY = "history"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One thing that the facts do not bear out: `said` as it stands in the text, `reason` for whoever wrote it."""

    kind: FaultKind
    said: str
    reason: str
