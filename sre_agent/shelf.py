"""The runbooks of a process that lives long: the current ones, and what is wrong with those that should replace them.

Opened by `agent`, watched by a server beside its other tasks. Protects three rules: nothing runs on a runbook with a
fault, a set that has one leaves the set before it in place, and a run keeps the runbooks that it started with.
"""

import asyncio
import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NoReturn

from sre_agent import lint
from sre_agent.errors import BadInput
from sre_agent.log import get_logger
from sre_agent.runbook import Runbooks
from sre_agent.tools.types import Tool

MOUNTED = "..data"
"""The link by which a kubelet swaps all files of a mounted ConfigMap at once."""

LOOK_SECONDS = 5.0
"""How often the user's files are looked at. A mounted ConfigMap changes within a minute or two of its object."""

log = get_logger(__name__)


class RunbookShelf:
    """The shipped runbooks with the user's in `users` (None: the shipped alone). Whoever holds it asks for `current`.

    `fault` is why the user's files as they are now are not used, every fault on a line as `sre-agent lint` prints it;
    None where they are. `loaded_at` is when the current ones were read.
    """

    def __init__(
        self, shipped: Path, users: Path | None, *, tools: Mapping[str, Tool], clock: Callable[[], datetime]
    ) -> None:
        """Loads them. Raises BadInput with every fault: a process does not start on a broken set."""
        self._shipped = shipped
        self._users = users
        self._tools = tools
        self._clock = clock
        self._seen = _on_disk(users).files
        self.current: Runbooks = lint.load(shipped, users, tools)
        self.loaded_at: datetime = clock()
        self.fault: str | None = None

    async def watch(self) -> NoReturn:
        """Looks every LOOK_SECONDS, for as long as the process serves."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Loads the files where one of them has changed, was added or is gone. Raises nothing for what they hold."""
        if self._users is None:
            return
        found = await asyncio.to_thread(_on_disk, self._users)
        if found.files == self._seen:
            return
        loaded: Runbooks | None = None
        fault: str | None = None
        try:
            loaded = await asyncio.to_thread(lint.load, self._shipped, self._users, self._tools)
        except (BadInput, OSError) as error:
            fault = str(error)
        if await asyncio.to_thread(_on_disk, self._users) != found:
            return  # they changed while they were read, and may be of two sets: the next look tells
        self._seen, self.fault = found.files, fault
        if loaded is None:
            log.warning("runbooks.refused", directory=str(self._users), faults=(fault or "").splitlines())
            return
        self.current, self.loaded_at = loaded, self._clock()
        log.event("runbooks.loaded", directory=str(self._users), runbooks=sorted(loaded.by_id))


@dataclass(frozen=True, kw_only=True, slots=True)
class _OnDisk:
    """Name and hash of each of the user's files, or why they cannot be listed.

    The content, because nothing else tells in every case: an editor may keep size and time. `mounted` is where the
    link of a mounted ConfigMap leads, which no two sets share: where it stayed, the files are of one set.
    """

    mounted: str | None
    files: tuple[tuple[str, str], ...] | str


def _on_disk(users: Path | None) -> _OnDisk:
    if users is None:
        return _OnDisk(mounted=None, files=())
    mounted = _link(users / MOUNTED)
    try:
        files = tuple((path.name, _hash(path)) for path in lint.runbook_files(users))
    except (BadInput, OSError) as error:
        return _OnDisk(mounted=mounted, files=str(error))
    return _OnDisk(mounted=mounted, files=files)


def _link(path: Path) -> str | None:
    """Where a symbolic link leads, None where there is none."""
    try:
        return os.readlink(path)
    except OSError:
        return None


def _hash(path: Path) -> str:
    """Of no more than a runbook may have. A file that cannot be read has the reason for its hash."""
    if not path.is_file():
        return "no file"
    try:
        with path.open("rb") as file:
            return hashlib.sha256(file.read(lint.MAX_BYTES + 1)).hexdigest()
    except OSError as error:
        return str(error)
