"""What a replay on the command line decided, apart from what no two runs share."""

import json
from typing import Any

import pytest

from sre_agent.cli.main import run
from sre_agent.objects import Object

DECIDED = ("runbook_id", "target", "status", "action_recommended", "action_error", "planned_writes")
OF_A_STEP = ("step", "status", "reason", "gate")

Run = dict[str, Any]


def replayed(capsys: pytest.CaptureFixture[str], *arguments: str) -> Run:
    """The document of a replay that ends well: {"runs", "skipped"}."""
    assert run(["replay", *arguments, "--json"]) == 0
    document: Run = json.loads(capsys.readouterr().out)
    return document


def decision(capsys: pytest.CaptureFixture[str], *arguments: str) -> Run:
    """What the only run of a replay decided."""
    (one,) = replayed(capsys, *arguments)["runs"]
    return decided(one)


def decided(one: Run) -> Run:
    """A run's decision: with what, about what, each step, and what would be written."""
    steps = [{key: step[key] for key in OF_A_STEP} for step in one["steps"]]
    planned = [{**write, "body": _without_number(write["body"])} for write in one["planned_writes"]]
    return {key: one[key] for key in DECIDED} | {"steps": steps, "planned_writes": planned}


def _without_number(body: Object) -> Object:
    """A cordon carries its incident's number, which no two runs share."""
    notes = body.get("metadata", {}).get("annotations", {})
    return (
        body
        if "sre-agent/cordoned" not in notes
        else {**body, "metadata": {"annotations": {"sre-agent/cordoned": "N"}}}
    )
