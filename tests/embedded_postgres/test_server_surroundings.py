"""Where the embedded PostgreSQL works, whom it lets in, and what it leaves alone."""

import os
import stat
import tempfile
from pathlib import Path

import pytest

from sre_agent.embedded_postgres import running
from sre_agent.errors import Unreachable
from tests.embedded_postgres.server_users import StartUser, answer, processes_of, supervisor_of


def test_locale_secrets_and_postgres_variables_of_the_caller_do_not_reach_the_server(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LANG", "LC_ALL"):
        monkeypatch.setenv(name, "de_DE.UTF-8")
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    for name, value in {"PGPORT": "1", "PGHOST": "nowhere", "PGHOSTADDR": "192.0.2.1", "PGDATA": "/"}.items():
        monkeypatch.setenv(name, value)
    with running(home) as conninfo:
        assert answer(conninfo) == 42
        assert b"secret" not in Path(f"/proc/{supervisor_of(home)}/environ").read_bytes()


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(used_home: Path) -> None:
    with running(used_home):
        sessions = {os.getsid(pid) for pid in processes_of(used_home)}
    assert os.getsid(0) not in sessions


@pytest.mark.parametrize(
    "as_user",
    [
        pytest.param(["--map-root-user"], id="uid 0, which PostgreSQL refuses"),
        pytest.param(["--map-user=65534", "--map-group=65534"], id="an ordinary user"),
        pytest.param(["--map-user=54321", "--map-group=54321"], id="a uid without a name, which initdb refuses"),
    ],
)
def test_any_kind_of_user_gets_a_server(home: Path, user: StartUser, as_user: list[str]) -> None:
    someone = user(home, through=["unshare", "--user", *as_user])
    assert answer(someone.says()) == 42


def test_below_a_directory_that_only_its_owner_can_enter_it_works(home: Path) -> None:
    closed = home.parent / "closed"
    closed.mkdir(mode=0o700)
    with running(closed / "deep" / "postgres") as conninfo:
        assert answer(conninfo) == 42
    assert stat.S_IMODE((closed / "deep").stat().st_mode) == 0o700


def test_a_directory_that_was_there_keeps_its_permissions_and_what_is_made_is_private(home: Path) -> None:
    home.mkdir()
    home.chmod(0o755)
    with running(home) as conninfo:
        assert answer(conninfo) == 42
        made = [*home.iterdir(), home / "socket" / ".s.PGSQL.5432"]
        assert [path for path in made if path.stat().st_mode & 0o077] == []
    assert stat.S_IMODE(home.stat().st_mode) == 0o755


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("long" * 30, id="too long for a socket"),
        pytest.param('it\'s, a \\ "name"', id="with characters that a conninfo or a list would have to quote"),
    ],
)
def test_an_odd_path_gets_a_private_socket_directory_that_every_user_finds(
    home: Path, user: StartUser, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    odd = home / name
    starter = user(odd)
    conninfo = starter.says()
    sockets = Path(conninfo.removeprefix("host=").split()[0])
    monkeypatch.setattr(tempfile, "tempdir", str(home.parent))  # another user's TMPDIR
    with running(odd) as same:
        assert same == conninfo
        assert answer(same) == 42
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
        starter.leave()
    assert not sockets.exists()


def test_a_socket_directory_that_others_can_enter_is_refused(home: Path) -> None:
    (home / "socket").mkdir(parents=True)
    (home / "socket").chmod(0o755)
    with pytest.raises(Unreachable, match="not a directory that only this user"), running(home):
        pass


def test_a_log_that_has_grown_is_cut_to_its_end(used_home: Path) -> None:
    log = used_home / "postgres.log"
    log.write_bytes(b"old\n" * 250_000)
    with running(used_home):
        assert log.stat().st_size < 100_000
    assert "ready to accept connections" in log.read_text()
