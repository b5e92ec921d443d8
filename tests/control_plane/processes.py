"""The processes of one control plane: started with a log file each, ended by their ids.

The kernel ends them when the test process dies, however it dies: nothing is left behind.
"""

import socket
import subprocess
from collections.abc import Iterable
from pathlib import Path


class Ended(Exception):
    """A process ended by itself. Its log says why; a port taken by somebody else is worth another try."""


class Processes:
    """Programs that live as long as this object is open."""

    def __init__(self, binaries: Path, directory: Path) -> None:
        self._binaries = binaries
        self._directory = directory
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *arguments: str) -> None:
        """Run a program of the control plane; it must be started from the thread that lives longest, the main one."""
        with (self._directory / f"{name}.log").open("wb") as log:
            self._running[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", str(self._binaries / name), *arguments],
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def ids(self) -> dict[str, int]:
        return {name: process.pid for name, process in self._running.items()}

    def check(self) -> None:
        """Raises Ended with the end of the log of a program that is no longer there."""
        for name, process in self._running.items():
            if process.poll() is not None:
                log = (self._directory / f"{name}.log").read_text(errors="replace")
                raise Ended(f"{name} ended with code {process.returncode}:\n{log[-2000:]}")

    def stop(self, names: Iterable[str] | None = None) -> None:
        """End all of them, or the named ones. What they kept is thrown away, so none is asked to end gracefully."""
        chosen = [name for name in (self._running if names is None else names) if name in self._running]
        for name in chosen:
            self._running[name].kill()
        for name in chosen:
            self._running.pop(name).wait()


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody listens on now. Another process may take one before it is used."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [sock.getsockname()[1] for sock in sockets]
    finally:
        for sock in sockets:
            sock.close()
