"""Names as they may stand in a command that a person copies into a shell.

Called by whatever offers a kubectl command. Protects one rule: a command does what it reads as. An owner reference may
say any text as a kind or a name, and so may a recording: neither becomes a second command, nor an option of this one.
"""

import re

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]*")
NO_NAME = "NAME"
"""Stands for what cannot be typed; the reason beside the command says how it is really called."""


def word(text: object) -> str:
    """A name as it is; NO_NAME for one that a shell or kubectl would not take for a name."""
    return str(text) if _WORD.fullmatch(str(text)) else NO_NAME
