"""The question before `replay --live --mode auto` may act, on a terminal: what each answer does, and its exit code."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sre_agent.cli.main import run
from sre_agent.resources import data_path
from tests.cluster.conftest import Api, Config

COMMAND = str(Path(sys.executable).parent / "sre-agent")
PATIENCE = 60.0
QUESTION = "May I act on the cluster of context staging"


@pytest.fixture
def payload(tmp_path: Path, config: Config, use: Callable[[Config | str], Path]) -> Path:
    use(config)
    path = tmp_path / "payload.json"
    shutil.copy(data_path("examples") / "oom-killed" / "payload.json", path)
    return path


def answered(payload: Path, typed: str) -> tuple[int, str]:
    """Types this at the question, on a terminal of its own; the exit code, and all that was shown."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [COMMAND, "replay", str(payload), "--live", "--assume-firing", "--mode", "auto"],
        env=os.environ | {"SRE_AGENT_DATA_DIR": str(payload.parent / "data")},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        preexec_fn=lambda: os.login_tty(theirs),
    )
    os.close(theirs)
    shown, until = "", time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < until:
        if not select.select([ours], [], [], 0.1)[0]:
            continue
        try:
            shown += os.read(ours, 4096).decode()
        except OSError:  # the terminal has gone with the command
            break
        if typed and "[y/N]" in shown:
            os.write(ours, typed.encode())
            typed = ""
    process.kill() if process.poll() is None else None
    os.close(ours)
    return process.wait(), shown


@pytest.mark.parametrize(
    ("typed", "code", "words"),
    [
        pytest.param("n\n", 1, "nothing was done: the answer was no", id="no"),
        pytest.param("\n", 1, "nothing was done: the answer was no", id="only enter"),
        pytest.param("\x04", 1, "nothing was done: the answer was no", id="ctrl-D"),
        pytest.param("\x03", 130, "interrupted", id="ctrl-C"),
    ],
)
def test_without_a_yes_nothing_is_stored_or_sent(payload: Path, typed: str, code: int, words: str) -> None:
    ended, shown = answered(payload, typed)
    assert QUESTION in shown
    assert (ended, words in shown, "Traceback" in shown) == (code, True, False), shown
    assert not (payload.parent / "data").exists()


def test_without_a_terminal_nobody_is_asked(payload: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["replay", str(payload), "--live", "--assume-firing", "--mode", "auto"]) == 2
    assert "nobody can be asked here: add --yes" in capsys.readouterr().err


@pytest.mark.parametrize("ahead", [pytest.param(-900.0, id="behind ours"), pytest.param(900.0, id="ahead of ours")])
def test_with_another_clock_than_the_api_servers_nothing_is_asked_or_done(
    payload: Path, api: type[Api], capsys: pytest.CaptureFixture[str], ahead: float
) -> None:
    api.ahead = ahead
    assert run(["replay", str(payload), "--live", "--assume-firing", "--mode", "auto", "--yes"]) == 3
    told = capsys.readouterr().err
    assert "nothing was done: cluster clock: " in told
    assert f"s {'ahead of' if ahead > 0 else 'behind'} this machine's" in told
    assert not (payload.parent / "data").exists()


def test_with_another_clock_than_the_api_servers_a_look_is_warned_of(
    payload: Path, api: type[Api], capsys: pytest.CaptureFixture[str]
) -> None:
    api.ahead = -900.0
    run(["replay", str(payload), "--live", "--assume-firing"])
    assert "sre-agent: warning: cluster clock: " in capsys.readouterr().err
