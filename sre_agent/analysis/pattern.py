"""What a history can show: one pattern, as the rules return it and the composer writes it."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Pattern:
    """The facts in a sentence, what they suggest (empty where they suggest nothing), and what to do about it."""

    name: str
    sentence: str
    hypothesis: str
    advice: tuple[str, ...]
