"""Who keeps the embedded PostgreSQL alive: any user, however the others end, and nobody else."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from sre_agent import embedded_postgres
from sre_agent.embedded_postgres import running
from tests.embedded_postgres.server_users import (
    USER,
    StartUser,
    answer,
    eventually_nothing_runs_in,
    postmaster_of,
    processes_of,
    remember,
    supervisor_of,
)


def test_a_cold_start_makes_a_durable_utf8_cluster(home: Path) -> None:
    with running(home) as conninfo:
        assert answer(conninfo, "show server_encoding") == "UTF8"
        assert answer(conninfo, "select datcollate from pg_database where datname = 'postgres'") == "C.UTF-8"
        assert answer(conninfo, "show fsync") == "on"
        assert answer(conninfo, "show data_checksums") == "on"


def test_a_warm_start_finds_what_was_stored(used_home: Path) -> None:
    with running(used_home) as conninfo:
        remember(conninfo)
    with running(used_home) as conninfo:
        assert answer(conninfo, "select value from remembered") == 42


def test_nothing_runs_any_more_when_the_last_user_has_left(used_home: Path) -> None:
    with running(used_home):
        assert len(processes_of(used_home)) >= 2
    assert processes_of(used_home) == []


def test_a_second_user_joins_the_server_that_runs(used_home: Path) -> None:
    with running(used_home) as first:
        server = postmaster_of(used_home)
        with running(used_home) as second:
            assert second == first
            assert postmaster_of(used_home) == server
        assert answer(first) == 42


def test_three_cold_starts_at_once_make_one_server(home: Path, user: StartUser) -> None:
    users = [user(home) for _ in range(3)]
    conninfos = [each.says() for each in users]
    started = {answer(conninfo, "select pg_postmaster_start_time()") for conninfo in conninfos}
    assert len(started) == 1
    assert len([pid for pid in processes_of(home) if pid == postmaster_of(home)]) == 1


def test_users_that_come_and_go_at_once_always_find_a_server(used_home: Path) -> None:
    failures: list[BaseException] = []

    def come_and_go() -> None:
        try:
            for _ in range(4):
                with running(used_home) as conninfo:
                    assert answer(conninfo) == 42
        except BaseException as error:  # noqa: BLE001 - carried to the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_the_user_that_started_the_server_may_leave_first(used_home: Path, user: StartUser) -> None:
    starter = user(used_home)
    starter.says()
    with running(used_home) as conninfo:
        starter.leave()
        assert answer(conninfo) == 42


def test_a_thread_that_started_the_server_may_end_first(used_home: Path) -> None:
    block = running(used_home)
    thread = threading.Thread(target=block.__enter__)
    thread.start()
    thread.join()
    with running(used_home) as conninfo:
        assert answer(conninfo) == 42
    block.__exit__(None, None, None)


def test_the_server_ends_when_its_only_user_is_killed(used_home: Path, user: StartUser) -> None:
    only = user(used_home)
    only.says()
    only.kill()
    assert eventually_nothing_runs_in(used_home)


def test_the_server_goes_on_when_one_of_two_users_is_killed(used_home: Path, user: StartUser) -> None:
    starter = user(used_home)
    starter.says()
    with running(used_home) as conninfo:
        starter.kill()
        time.sleep(0.1)
        assert answer(conninfo) == 42


def test_a_child_of_a_killed_user_does_not_keep_the_server(used_home: Path, user: StartUser) -> None:
    child = "__import__('subprocess').Popen(['sleep', '3'], close_fds=False)"
    with_child = USER.replace("print(conninfo", f"{child}; print(conninfo")
    parent = user(used_home, program=with_child)
    parent.says()
    parent.kill()
    assert eventually_nothing_runs_in(used_home)


def test_a_killed_supervisor_takes_its_server_along_and_the_next_user_starts_another(
    used_home: Path, user: StartUser
) -> None:
    orphaned = user(used_home)
    remember(orphaned.says())
    os.kill(supervisor_of(used_home), signal.SIGKILL)
    assert eventually_nothing_runs_in(used_home)
    with running(used_home) as conninfo:
        assert answer(conninfo, "select value from remembered") == 42


def test_a_supervisor_killed_while_it_starts_is_replaced(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binaries, packaged, tried = home.parent / "bin", embedded_postgres._binaries(), home.parent / "tried"
    binaries.mkdir()
    (binaries / "postgres").symlink_to(packaged / "postgres")
    kill_once = f"[ -e {tried} ] || {{ touch {tried}; kill -9 $PPID; exit 1; }}"
    (binaries / "initdb").write_text(f'#!/bin/sh\n{kill_once}\nexec {packaged}/initdb "$@"\n')
    (binaries / "initdb").chmod(0o755)
    monkeypatch.setattr(embedded_postgres, "_binaries", lambda: binaries)
    with running(home) as conninfo:
        assert answer(conninfo) == 42
    assert tried.exists()


def test_after_a_killed_server_the_next_user_starts_another_with_all_that_was_committed(used_home: Path) -> None:
    with running(used_home) as conninfo:
        remember(conninfo)
        killed = postmaster_of(used_home)
        os.kill(killed, signal.SIGKILL)
        assert eventually_nothing_runs_in(used_home)
        with running(used_home) as again:
            assert answer(again, "select value from remembered") == 42
            assert postmaster_of(used_home) != killed


def test_a_pid_file_whose_number_is_another_process_now_does_not_hinder(used_home: Path) -> None:
    with running(used_home):
        os.kill(postmaster_of(used_home), signal.SIGKILL)
        assert eventually_nothing_runs_in(used_home)
    for stale in (used_home / "data" / "postmaster.pid", used_home / "socket" / ".s.PGSQL.5432.lock"):
        stale.parent.mkdir(mode=0o700, exist_ok=True)
        stale.write_text(f"{os.getpid()}\n{used_home / 'data'}\n0\n5432\n{used_home / 'socket'}\n\n0 0\nready\n")
    with running(used_home) as conninfo:
        assert answer(conninfo) == 42


def test_what_a_killed_initdb_left_is_made_anew(home: Path) -> None:
    for half in (home / "data", home / "data.unfinished"):
        half.mkdir(parents=True)
        (half / "postgresql.conf").write_text("half of a")
    with running(home) as conninfo:
        assert answer(conninfo) == 42
    assert not (home / "data.unfinished").exists()
