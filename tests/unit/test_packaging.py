"""What is shipped: the wheel, the pinned requirements, the commands of a checkout."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sre_agent import resources
from sre_agent.errors import SreAgentError
from sre_agent.resources import data_path

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    directory = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(directory)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [built] = directory.glob("*.whl")
    with zipfile.ZipFile(built) as opened:
        yield opened


@pytest.mark.parametrize("name", ["sql", "runbooks", "examples"])
def test_a_checkout_finds_its_own_files(name: str) -> None:
    assert data_path(name) == ROOT / name


def test_a_wheel_carries_each_query_migration_and_runbook(wheel: zipfile.ZipFile) -> None:
    shipped = [path for name in ("sql", "runbooks") for path in (ROOT / name).rglob("*") if path.is_file()]
    assert shipped
    packed = set(wheel.namelist())
    assert [path for path in shipped if f"sre_agent/_data/{path.relative_to(ROOT)}" not in packed] == []


def test_an_installed_wheel_finds_what_it_carries(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path)
    ask = "from sre_agent.resources import data_path; print(data_path('sql'), data_path('runbooks'))"
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    told = subprocess.check_output([sys.executable, "-c", ask], cwd=tmp_path, env=environment, text=True)
    data = tmp_path / "sre_agent" / "_data"
    assert told.split() == [str(data / "sql"), str(data / "runbooks")]


def test_a_wheel_carries_the_licence_and_the_supervisor(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "sre_agent/embedded_postgres/supervisor.py" in names


def test_an_installation_without_its_files_says_where_it_looked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(resources, "PLACES", (tmp_path / "_data", tmp_path))
    with pytest.raises(SreAgentError, match=f"runbooks/ is missing.+{tmp_path}/_data/runbooks nor") as missing:
        data_path("runbooks")
    assert "Install sre-agent again" in str(missing.value)


def test_requirements_are_pinned_with_hashes_and_name_no_index() -> None:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pins = [line for line in lines if line and line[0] not in " #"]
    hashes = [line for line in lines if line.startswith("    --hash=")]
    assert [pin for pin in pins if not re.fullmatch(r"[a-z0-9._-]+==[^ ;]+( ;.+)? \\", pin)] == []
    assert len(hashes) >= len(pins)
    assert [line for line in lines if "index-url" in line or "://" in line] == []


def test_requirements_hold_everything_that_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = [
        *project["project"]["dependencies"],
        *project["dependency-groups"]["dev"],
        *project["build-system"]["requires"],
    ]
    names = {re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower() for requirement in asked}
    pinned = set(re.findall(r"^([a-z0-9._-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    assert names - pinned == set()


def test_make_alone_lists_every_target() -> None:
    listed = subprocess.check_output(["make", "--no-print-directory"], cwd=ROOT, text=True)
    targets = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[0].split()
    assert re.findall(r"^  make ([\w-]+)", listed, re.MULTILINE) == targets


@pytest.mark.parametrize(
    ("python", "said"),
    [
        pytest.param("exit 1", "needs Python 3.11 or newer; tried: ./python", id="too old"),
        pytest.param('case "$2" in *ensurepip*) exit 1;; esac', "apt install python3-venv", id="without venv"),
    ],
)
def test_make_says_what_is_wrong_with_the_python(tmp_path: Path, python: str, said: str) -> None:
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "python").write_text(f"#!/bin/sh\n{python}\n")
    (tmp_path / "python").chmod(0o755)
    refused = subprocess.run(
        ["make", "venv", "PYTHON=./python"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert said in refused.stderr


def test_the_continuous_check_can_be_started() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
