"""Owns one PostgreSQL server: starts it, and stops it when the last process that uses it is gone.

`embedded_postgres.running` starts this file as a process of its own (`python -I -S`, standard library only), detached
from the terminal. What it protects: no server without a user, no user who can hold the server back after `kill -9`.
It holds no list of users and polls nothing. Every user holds a shared lock on `users.lock`, which the kernel frees when
the user dies, so the exclusive lock is granted exactly when nobody uses the server any more. The lock that it was
started with (`server.lock`) is inherited by every process of the server: it is free only when all of them are gone.
"""

import contextlib
import ctypes
import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1
LINUX = sys.platform.startswith("linux")
LIBC = ctypes.CDLL(None, use_errno=True)

FAST_SHUTDOWN = signal.SIGINT
IMMEDIATE_SHUTDOWN = signal.SIGQUIT
FAST_SHUTDOWN_SECONDS = 30.0

LOG_KEEPS_BYTES = 64 * 1024
LOG_MAX_BYTES = 4 * LOG_KEEPS_BYTES

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "port": "5432",
    "cluster_name": "sre-agent",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "io_method": "sync",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    # 'log' ranks above 'error': a statement that fails is its caller's to report, and may carry data.
    "log_min_messages": "log",
}


class CannotStart(Exception):
    """The server cannot start; the text is for a person."""


def main(home: Path, binaries: Path, sockets: Path, server_lock: int) -> None:
    """Run the server until nobody uses it. What stopped it from starting is written to stdout."""
    if os.fork():
        os._exit(0)  # an orphan has no parent that would have to reap it
    os.umask(0o077)
    try:
        server = _start(home, binaries, sockets, server_lock)
    except (CannotStart, OSError) as error:
        _say(str(error))
    else:
        threading.Thread(target=_stop_when_unused, args=(home / "users.lock", server), daemon=True).start()
        if server.wait() > 0:  # negative: killed, which says nothing about the next start
            _say(f"postgres ended with exit status {server.returncode}")
    with contextlib.suppress(OSError):  # a killed server leaves its socket
        sockets.rmdir()


def _start(home: Path, binaries: Path, sockets: Path, server_lock: int) -> "subprocess.Popen[bytes]":
    data = home / "data"
    log = _open_log(home / "postgres.log")
    _forget_dead_server(data, sockets)
    if LINUX and _postgres_refuses_this_user():
        _become_ordinary_user(home)
    if not (data / "PG_VERSION").exists():
        _initialize(data, binaries, server_lock)
    return _spawn(data, binaries, sockets, log, server_lock)


def _say(reason: str) -> None:
    with contextlib.suppress(BrokenPipeError):  # whoever started the server may have left long ago
        os.write(sys.stdout.fileno(), reason.encode())


def _open_log(path: Path) -> int:
    """A descriptor that appends to the log, cut to its last part if it has grown."""
    if path.exists() and path.stat().st_size > LOG_MAX_BYTES:
        path.write_bytes(path.read_bytes()[-LOG_KEEPS_BYTES:])
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _forget_dead_server(data: Path, sockets: Path) -> None:
    """Remove pid files left by a killed server.

    PostgreSQL itself would refuse to start where the number in them is now another process's. Holding `server.lock`
    we know that no server of ours lives; one that a person started by hand works in its data directory and is left.
    """
    for pid_file in (data / "postmaster.pid", sockets / f".s.PGSQL.{SETTINGS['port']}.lock"):
        try:
            pid = int(pid_file.read_text().split()[0])
        except (OSError, ValueError, IndexError):
            pid = 0
        if not (pid and _works_in(pid, data)):
            pid_file.unlink(missing_ok=True)


def _works_in(pid: int, directory: Path) -> bool:
    if not LINUX:
        return True  # cannot be told: PostgreSQL's own check decides
    try:
        return os.path.samefile(f"/proc/{pid}/cwd", directory)
    except OSError:
        return False


def _postgres_refuses_this_user() -> bool:
    """PostgreSQL refuses uid 0, and initdb a uid without a name (a container started with an arbitrary one)."""
    if os.geteuid() == 0:
        return True
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        return True
    return False


def _become_ordinary_user(home: Path) -> None:
    """Enter a user namespace in which our own uid has an ordinary one's number: same rights over our own files."""
    uid, gid = os.geteuid(), os.getegid()
    named = next((user for user in pwd.getpwall() if user.pw_name == "nobody"), None)
    inside = named.pw_uid if named else next(user.pw_uid for user in pwd.getpwall() if user.pw_uid)
    try:
        if LIBC.unshare(CLONE_NEWUSER):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{inside} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{inside} {gid} 1")
    except OSError as error:
        raise CannotStart(
            f"PostgreSQL does not run as uid {uid}, and this system allows no user namespace to run it in ({error}); "
            "run as an ordinary user"
        ) from error
    if not os.access(home, os.R_OK | os.W_OK | os.X_OK):
        raise CannotStart(
            f"{home} lies in a directory of another user that is closed to PostgreSQL, which runs without root's "
            "rights; run as the owner of that directory"
        )


def _initialize(data: Path, binaries: Path, server_lock: int) -> None:
    """Make the cluster beside its place and move it there whole, so that a killed initdb leaves no half of one."""
    unfinished = data.with_name("data.unfinished")
    for rest in (unfinished, data):
        if rest.exists():
            shutil.rmtree(rest)
    command: list[str | Path] = [binaries / "initdb", "-D", unfinished, "-U", "postgres", "-A", "trust", "-E", "UTF8"]
    command += ["--locale=C.UTF-8", "--no-instructions"]
    made = subprocess.run(command, capture_output=True, pass_fds=(server_lock,), check=False)  # noqa: S603 - our own path
    if made.returncode:
        raise CannotStart(f"initdb failed: {made.stderr.decode(errors='replace').strip()}")
    unfinished.rename(data)
    directory = os.open(data.parent, os.O_RDONLY | os.O_CLOEXEC)
    os.fsync(directory)
    os.close(directory)


def _spawn(data: Path, binaries: Path, sockets: Path, log: int, server_lock: int) -> "subprocess.Popen[bytes]":
    """Start the server, which gets a fast shutdown from the kernel when this process dies."""
    command: list[str | Path] = [binaries / "postgres", "-D", data, "-k", sockets]
    for setting, value in SETTINGS.items():
        command += ["-c", f"{setting}={value}"]
    supervisor = os.getpid()

    def end_with_supervisor() -> None:
        if LINUX:
            LIBC.prctl(PR_SET_PDEATHSIG, FAST_SHUTDOWN)
            if os.getppid() != supervisor:
                os._exit(1)  # it died before the kernel was asked to tell

    return subprocess.Popen(  # noqa: S603 - our own path
        command,
        stdout=log,
        stderr=log,
        pass_fds=(server_lock,),
        preexec_fn=end_with_supervisor,  # noqa: PLW1509 - no other thread runs yet
    )


def _stop_when_unused(users_lock: Path, server: "subprocess.Popen[bytes]") -> None:
    users = os.open(users_lock, os.O_RDWR | os.O_CLOEXEC)
    fcntl.flock(users, fcntl.LOCK_EX)
    server.send_signal(FAST_SHUTDOWN)
    time.sleep(FAST_SHUTDOWN_SECONDS)
    server.send_signal(IMMEDIATE_SHUTDOWN)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
