"""The seven shipped runbooks: proven against the real tools, and exactly the workflows that are promised."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from sre_agent.lint import lint_paths, load
from sre_agent.resources import data_path
from sre_agent.runbook import Runbook, Runbooks, Step
from sre_agent.tools.registry import TOOLS
from sre_agent.tools.types import RemediationTool

STAND_IN = "us-docker.pkg.dev/google-samples/containers/gke/hello-app:1.0"
IMAGE = "patch_image: fix_imagepullbackoff if check_imagepullbackoff.imagepull_detected"
MEMORY = "increase_memory_limit if check_oom.oom_detected"

WORKFLOWS = {
    "RB_IMAGEPULL": ["get_pod_events", "patch_image: fix_imagepullbackoff"],
    "RB_OOM": ["increase_memory_limit"],
    "RB_CONTAINERCREATING": ["get_pod_events", "check_imagepullbackoff", IMAGE, "check_oom", MEMORY],
    "RB_CRASHLOOP": [
        "get_pod_events",
        "check_imagepullbackoff",
        IMAGE,
        "check_oom",
        MEMORY,
        "get_pod_logs",
        "get_rollout_history",
        "rollback_deployment if get_rollout_history.rollback_candidate "
        "unless check_imagepullbackoff.imagepull_detected, check_oom.oom_detected (recommend)",
    ],
    "RB_NODE_UNSCHEDULABLE": [
        "get_node_ready",
        "get_node_conditions",
        "uncordon_node if get_node_ready.ready, get_node_ready.unschedulable, get_node_conditions.healthy",
    ],
    "RB_NODE_NOTREADY": [
        "get_node_ready",
        "get_node_conditions",
        "cordon_node if get_node_ready.not_ready",
        "drain_node if get_node_ready.not_ready",
    ],
    "RB_UNKNOWN": [],
}


@pytest.fixture(scope="module")
def directory() -> Path:
    return data_path("runbooks")


@pytest.fixture(scope="module")
def shipped(directory: Path) -> Runbooks:
    return load(directory, None, TOOLS)


def in_words(step: Step) -> str:
    words = step.name if step.tool == step.name else f"{step.name}: {step.tool}"
    if step.gate.all_of:
        words += f" if {', '.join(map(str, step.gate.all_of))}"
    if step.gate.none_of:
        words += f" unless {', '.join(map(str, step.gate.none_of))}"
    return words + (" (recommend)" if step.recommend_only else "")


def changing_steps(runbook: Runbook) -> list[Step]:
    return [step for step in runbook.workflow if isinstance(TOOLS[step.tool], RemediationTool)]


def test_the_shipped_runbooks_have_no_fault(directory: Path) -> None:
    assert lint_paths([directory], TOOLS) == []


def test_the_seven_runbooks_walk_the_promised_steps(shipped: Runbooks) -> None:
    assert {runbook.id: [in_words(step) for step in runbook.workflow] for runbook in shipped} == WORKFLOWS


@pytest.mark.parametrize("runbook_id", WORKFLOWS)
def test_each_file_is_named_after_its_runbook(shipped: Runbooks, runbook_id: str) -> None:
    assert shipped[runbook_id].path.name == f"{runbook_id}.md"


def test_the_stand_in_image_is_for_the_demo_namespace_alone(shipped: Runbooks) -> None:
    patching = [runbook for runbook in shipped if "fix_imagepullbackoff" in {step.tool for step in runbook.workflow}]
    assert sorted(runbook.id for runbook in patching) == ["RB_CONTAINERCREATING", "RB_CRASHLOOP", "RB_IMAGEPULL"]
    assert {(runbook.fallback_image, runbook.fallback_namespaces) for runbook in patching} == {(STAND_IN, ("demo",))}


def test_every_step_that_changes_something_says_how_its_effect_is_proven(shipped: Runbooks) -> None:
    unproven = [step.name for runbook in shipped for step in changing_steps(runbook) if step.verify is None]
    assert unproven == []


def test_a_raised_memory_limit_is_proven_within_180_seconds_or_taken_back(shipped: Runbooks) -> None:
    verify = [step.verify for runbook in shipped for step in runbook.workflow if step.tool == "increase_memory_limit"]
    assert {(each.within, each.undo) for each in verify if each} == {(timedelta(seconds=180), True)}


def test_what_is_planned_is_named_for_people(shipped: Runbooks) -> None:
    assert {runbook.id: runbook.future_actions for runbook in shipped if runbook.future_actions} == {
        "RB_CRASHLOOP": ("increase_resources",)
    }


@pytest.mark.parametrize("runbook_id", WORKFLOWS)
def test_the_prose_answers_what_a_person_asks_at_night(shipped: Runbooks, runbook_id: str) -> None:
    runbook = shipped[runbook_id]
    headings = re.findall(r"^## (.+)$", runbook.prose, re.MULTILINE)
    refusals = ["What it will not do, and why"] if runbook.workflow else []
    assert headings == ["Symptom", "What the agent does", *refusals, "By hand", "Whom to wake"]
    assert "kubectl" in runbook.prose
    for step in runbook.workflow:
        assert f"`{step.name}`" in runbook.prose
