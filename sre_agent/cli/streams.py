"""stdout and stderr of the process, whose failures say what happened to whoever reads them.

Put in place by `main`. Python tells a closed pipe and a full disk by the same OSError as any other file's, and
libraries between here and there swallow it or answer it with a code of their own; these two cannot be mistaken.
"""

import io
import os
import sys
from pathlib import Path
from typing import TextIO

from sre_agent.errors import Unreachable


class ReaderGone(OSError):
    """Whoever read this stream has closed it: nothing is left to say to anybody."""


class CannotWrite(Unreachable):
    """What was said could not be kept, as on a full disk."""


class Stream(io.TextIOWrapper):
    """A standard stream that raises ReaderGone or CannotWrite, and nothing else, where it cannot be written."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            raise _failure(self, error) from None

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise _failure(self, error) from None


def _failure(stream: Stream, error: OSError) -> ReaderGone | CannotWrite:
    if isinstance(error, BrokenPipeError):
        return ReaderGone()
    return CannotWrite(f"{stream.name.strip('<>')} cannot be written: {error.strerror}")


def taken_over(stream: TextIO | None) -> Stream:
    """The stream with failures that tell; the given one must not be used any more. A closed one swallows all.

    What its encoding does not have is escaped: a locale without a ✓ is no reason to say nothing.
    """
    if not isinstance(stream, io.TextIOWrapper):
        return Stream(Path(os.devnull).open("wb"), encoding="utf-8")
    at_once = stream.line_buffering or stream.write_through
    return Stream(stream.buffer, encoding=stream.encoding, errors="backslashreplace", line_buffering=at_once)


def give_up() -> None:
    """Lets Python's own end write what is left into nothing instead of failing once more."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (ReaderGone, CannotWrite):
            os.dup2(nothing, stream.fileno())
