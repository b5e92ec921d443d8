"""One way to write a number: prose as the checker reads it, so that a claim cannot hide in its spelling.

Called by `checker` on what stands outside quotes. Number words, digits of other scripts, fractions, factors, units and
hyphens become digits and the field's units. Pure.
"""

import re
import unicodedata

_ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_VALUES = {word: number for number, word in enumerate(_ONES)} | {word: 20 + 10 * n for n, word in enumerate(_TENS)}
_ORDINALS = {
    "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10,
    "eleventh": 11, "twelfth": 12,
}  # fmt: skip
_NOUNS = (
    r"(?:times?|occurrences?|incidents?|workloads?|pods?|nodes?|seconds?|minutes?|hours?|days?|weeks?|months?|years?)"
)
_ONE = re.compile(rf"\bone(?= {_NOUNS}\b)", re.IGNORECASE)
_COMPOUND = re.compile(rf"\b({'|'.join(_TENS)})(?:[ -]({'|'.join(_ONES[1:10])}))?\b", re.IGNORECASE)
_SIMPLE = re.compile(rf"\b({'|'.join([_ONES[0], *_ONES[2:]])})\b", re.IGNORECASE)
_ORDINAL = re.compile(rf"\b({'|'.join(_ORDINALS)})(?= (?:time|occurrence|incident)\b)", re.IGNORECASE)
_FORMS = (
    (re.compile(r"\b(\d+) ?hundred\b"), r"\g<1>00"),
    (re.compile(r"\b(?:a|1) hundred\b", re.IGNORECASE), "100"),
    (re.compile(r"\b(?:a|1) dozen\b", re.IGNORECASE), "12"),
    (re.compile(r"\bdozen\b", re.IGNORECASE), "12"),
    (re.compile(r"\bthrice\b", re.IGNORECASE), "3 times"),
    (re.compile(r"\b(\d+)(?:st|nd|rd|th)\b"), r"\1"),
    (re.compile(r"(?<=\d),(?=\d{3}\b)"), ""),
    (re.compile(r"(?<![\w./-])(\d+) ?[x×](?!\w)"), r"\1 times"),
    (re.compile(r"(?<![\w./-])(\d+)/(\d+)(?![\w./-])"), r"\1 of \2"),
    (re.compile(rf"(?<=\d)-(?={_NOUNS}\b)"), " "),
    (re.compile(r"(?<=\d) ?(?:per ?cent|percent)\b", re.IGNORECASE), "%"),
    (re.compile(r"(?<=\d) ?([KMGT]i)B?\b"), r"\1"),
    (re.compile(r"(?<=\d) ?([KMGT])B\b"), r"\1"),
    (re.compile(r"(?<=\d) ?(mebi|mega)bytes?\b", re.IGNORECASE), "Mi"),
    (re.compile(r"(?<=\d) ?(gibi|giga)bytes?\b", re.IGNORECASE), "Gi"),
)


def plain_prose(prose: str) -> str:
    """The prose with each number in digits: `six times` as `6 times`, `512 MiB` as `512Mi`, `5/6` as `5 of 6`."""
    shown = unicodedata.normalize("NFKC", prose)
    said = "".join(_visible(character) for character in shown)
    said = _COMPOUND.sub(lambda found: str(_VALUES[found[1].lower()] + _VALUES.get((found[2] or "").lower(), 0)), said)
    said = _SIMPLE.sub(lambda found: str(_VALUES[found[1].lower()]), said)
    said = _ONE.sub("1", said)
    said = _ORDINAL.sub(lambda found: str(_ORDINALS[found[1].lower()]), said)
    for pattern, written in _FORMS:
        said = pattern.sub(written, said)
    return said


def _visible(character: str) -> str:
    """Digits of any script in ASCII; nothing for what a reader does not see."""
    if not character.isascii() and character.isdecimal():
        return str(unicodedata.decimal(character))
    return "" if unicodedata.category(character) == "Cf" else character
