"""What the commands answer, as the tests read it."""

import json
from typing import Any

import pytest

from sre_agent.cli.main import run


def document(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    assert run([*arguments, "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[int]:
    return [incident["id"] for incident in document(capsys, "incidents", *arguments)["incidents"]]


def told(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert run(list(arguments)) == code
    return capsys.readouterr().out
