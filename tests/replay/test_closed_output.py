"""What `sre-agent` does when nobody can read what it says, and when it is stopped before it has begun."""

import importlib.abc
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sre_agent import __main__
from sre_agent.resources import data_path

COMMAND = str(Path(sys.executable).parent / "sre-agent")
EXAMPLES = str(data_path("examples"))
OOM = str(data_path("examples") / "oom-killed")


@pytest.mark.parametrize(
    ("arguments", "read"),
    [
        pytest.param(["replay", EXAMPLES], 1, id="in the middle of a story"),
        pytest.param(["replay", EXAMPLES], 0, id="before a story"),
        pytest.param(["replay", OOM, "--json"], 0, id="before JSON"),
        pytest.param(["config"], 0, id="before lines"),
    ],
)
def test_a_reader_that_goes_away_ends_the_command_quietly(arguments: list[str], read: int) -> None:
    with subprocess.Popen([COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(read)
        process.stdout.close()
        said = process.stderr.read()
        assert process.wait(timeout=60) == 141
    assert [line for line in said.splitlines() if not line.startswith("[")] == []


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["replay", OOM], id="a story"),
        pytest.param(["replay", OOM, "--json"], id="JSON"),
        pytest.param(["config"], id="lines"),
        pytest.param(["--help"], id="help"),
    ],
)
def test_a_full_disk_is_told_in_one_sentence(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([COMMAND, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 3
    assert [line for line in done.stderr.splitlines() if not line.startswith("[")] == [
        "sre-agent: stdout cannot be written: No space left on device"
    ]


def test_stderr_that_cannot_be_written_ends_the_command_too() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([COMMAND, "replay", OOM], stdout=subprocess.DEVNULL, stderr=writing, check=False)
    os.close(writing)
    assert done.returncode == 141
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([COMMAND, "replay", OOM], stdout=subprocess.DEVNULL, stderr=full, check=False)
    assert done.returncode == 3


def test_a_closed_stdout_loses_what_is_said_and_nothing_else() -> None:
    done = subprocess.run(f"{COMMAND} version >&-", shell=True, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


class Interrupting(importlib.abc.MetaPathFinder):
    """Ctrl-C in the middle of an import."""

    def find_spec(self, fullname: str, *_: Any) -> None:
        if fullname == "sre_agent.cli.main":
            raise KeyboardInterrupt


def test_ctrl_c_while_the_command_is_imported_ends_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "sre_agent.cli.main", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])
    with pytest.raises(SystemExit) as ended:
        __main__.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "sre-agent: interrupted\n"


def test_the_package_is_a_command_too() -> None:
    done = subprocess.run([sys.executable, "-m", "sre_agent", "version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("sre-agent ")
