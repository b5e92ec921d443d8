"""A replay that is stopped in the middle, by its user or by a dead database, leaves nothing half done."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from sre_agent.agent import POSTGRES_DIRECTORY
from sre_agent.embedded_postgres import running
from sre_agent.resources import data_path

COMMAND = str(Path(sys.executable).parent / "sre-agent")
EXAMPLES = [str(path.parent) for path in sorted(data_path("examples").glob("*/expected.yaml"))]
LONG = EXAMPLES * 12
"""Enough replays that a signal meets them at work."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def started(data: Path, *arguments: str) -> "subprocess.Popen[str]":
    """A replay at work: it has told its first incident."""
    process = subprocess.Popen(
        [COMMAND, "replay", *arguments, "--mode", "auto"],
        env=os.environ | {"SRE_AGENT_DATA_DIR": str(data)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline()
    return process


def servers(data: Path) -> list[str]:
    """The processes that speak of this data directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(data) in line:
                found.append(line)
    return found


def half_stored(data: Path) -> list[tuple[int]]:
    """Incidents that are stored without the alert that opened them."""
    with running(data / POSTGRES_DIRECTORY) as conninfo, psycopg.connect(conninfo) as connection:
        return connection.execute(
            "select id from incidents i where not exists ("
            "  select from incident_events e where e.incident_id = i.id and e.event_type = 'webhook_received')"
        ).fetchall()


def works_again(data: Path) -> bool:
    done = subprocess.run(
        [COMMAND, "replay", EXAMPLES[0], "--mode", "auto", "--json"],
        env=os.environ | {"SRE_AGENT_DATA_DIR": str(data)},
        capture_output=True,
        text=True,
        check=True,
    )
    return bool(json.loads(done.stdout)["runs"])


def test_ctrl_c_ends_with_130_and_leaves_no_process(data: Path) -> None:
    process = started(data, *LONG)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert servers(data) == []
    assert half_stored(data) == []
    assert works_again(data)


def test_a_killed_replay_leaves_no_process_and_the_next_one_goes_on(data: Path) -> None:
    process = started(data, *LONG)
    process.kill()
    process.communicate(timeout=30)
    deadline = time.monotonic() + 20
    while servers(data) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert servers(data) == []
    assert half_stored(data) == []
    assert works_again(data)


def test_a_database_killed_in_the_middle_ends_with_3_and_the_next_start_goes_on(data: Path) -> None:
    process = started(data, *LONG)
    postmaster = int((data / POSTGRES_DIRECTORY / "data" / "postmaster.pid").read_text().split()[0])
    os.kill(postmaster, signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "Traceback" not in errors
    assert half_stored(data) == []
    assert works_again(data)
