"""What several tests of the store begin with."""

import shutil
from pathlib import Path

import pytest

from sre_agent.resources import data_path


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A copy of the shipped migrations, to be tampered with."""
    return Path(shutil.copytree(data_path("sql") / "migrations", tmp_path / "migrations"))
