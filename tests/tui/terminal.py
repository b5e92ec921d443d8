"""`sre-agent tui` in a terminal of its own, as somebody over ssh has it."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

QUIET_SECONDS = 0.03
"""After so long without a byte the screen is drawn."""
START_SECONDS = 60


class Terminal:
    """The program, and what it drew; keywords are its environment."""

    def __init__(self, *arguments: str, size: tuple[int, int], **environment: str) -> None:
        self._command = [sys.executable, "-m", "sre_agent", "tui", *arguments]
        self._environment = {**os.environ, "TERM": "xterm-256color", **environment}
        self._size = size
        self._closed = False
        self.drawn = ""

    def __enter__(self) -> Self:
        self._own, theirs = pty.openpty()
        columns, lines = self._size
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            preexec_fn=lambda: _at_a_terminal(theirs),
        )
        os.close(theirs)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if not self._closed:
            os.close(self._own)

    def close(self) -> None:
        """The terminal goes away, as when a connection breaks."""
        os.close(self._own)
        self._closed = True

    def until(self, words: str) -> None:
        """Reads until something was drawn."""
        deadline = time.monotonic() + START_SECONDS
        while words not in self.drawn:
            assert time.monotonic() < deadline, self.drawn[-3000:]
            self._read(0.1)

    def press(self, keys: str) -> float:
        """Types, and says how many seconds it took until all of the answer was drawn."""
        self.settle()
        began = last = time.monotonic()
        os.write(self._own, keys.encode())
        while self._read(QUIET_SECONDS if last > began else 1.0):
            last = time.monotonic()
        return last - began

    def type_until(self, key: str, words: str) -> None:
        """Types a key again and again until something was drawn."""
        deadline = time.monotonic() + START_SECONDS
        while words not in self.drawn:
            assert time.monotonic() < deadline, self.drawn[-3000:]
            os.write(self._own, key.encode())
            self._read(0.1)

    def settle(self) -> None:
        """Reads until nothing more is drawn."""
        while self._read(0.3):
            pass

    def ended(self) -> int:
        """Waits for the end: the exit code."""
        while self.process.poll() is None:
            self._read(0.1)
        return self.process.returncode

    @property
    def megabytes(self) -> float:
        """The memory that it holds now."""
        status: Mapping[str, str] = dict(
            line.split(":", 1) for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        )
        return int(status["VmRSS"].split()[0]) / 1024

    def _read(self, seconds: float) -> bool:
        if not select.select([self._own], [], [], seconds)[0]:
            return False
        try:
            self.drawn += os.read(self._own, 65536).decode(errors="replace")
        except OSError:  # it has ended
            return False
        return True


def _at_a_terminal(theirs: int) -> None:
    """As under nohup: hangups are ignored."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.login_tty(theirs)
