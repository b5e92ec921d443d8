"""The one door from a proposal to something executable, and what the registry knows of every tool."""

from dataclasses import replace

import pytest

from sre_agent.evidence import NodeEvidence
from sre_agent.run import ToolCall
from sre_agent.runbook import Step
from sre_agent.target import Subject, Target
from sre_agent.tools.registry import TOOLS, subject_of_runbook
from sre_agent.tools.types import DiagnosticTool, RemediationTool
from sre_agent.tools.validate import Rejected, ValidatedCall, arguments_for, validate
from sre_agent.tools.workload_rules import workload_evidence
from tests.unit.workload_objects import NOW, runbook

APP = Target(
    kind="Deployment", namespace="demo", name="app", container="app", pod="app-1", uid="uid-app", pod_uid="uid-pod"
)
NODE = Target(kind="Node", namespace=None, name="n1", uid="uid-n1")
BOUND = {"namespace": "demo", "pod": "app-1", "container": "app"}


def asked(arguments, *, tool="check_oom", step=None, target=APP, tools=TOOLS):
    call = ToolCall(tool=tool, arguments=arguments)
    return validate(call, step=Step(name="step", tool=step or tool), target=target, tools=tools)


@pytest.mark.parametrize(
    ("tool", "target", "expected"),
    [
        ("check_oom", APP, BOUND),
        ("get_runbook", APP, {}),
        ("get_node_ready", NODE, {"node": "n1"}),
        ("drain_node", NODE, {"node": "n1"}),
    ],
)
def test_the_bound_target_gives_every_argument_and_validates(tool, target, expected):
    assert arguments_for(TOOLS[tool], target) == expected
    call = asked(expected, tool=tool, target=target)
    assert isinstance(call, ValidatedCall)
    assert (call.tool, call.target, call.input) == (tool, target, TOOLS[tool].input(**expected))
    assert expected.items() <= call.arguments.items()


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        pytest.param(
            BOUND, {"step": "check_imagepullbackoff"}, "calls check_imagepullbackoff; check_oom", id="other tool"
        ),
        pytest.param(BOUND, {"tools": {}}, "there is no tool check_oom", id="unknown tool"),
        pytest.param(
            {"node": "n1"}, {"tool": "get_node_ready"}, "looks at a node; the target is Deployment", id="node tool"
        ),
        pytest.param(
            BOUND, {"target": NODE}, "looks at a workload; the target is Node//n1", id="a node for a workload"
        ),
        pytest.param(
            {**BOUND, "namespace": "kube-system"}, {}, "namespace is 'kube-system', the bound", id="namespace"
        ),
        pytest.param({**BOUND, "pod": "other"}, {}, "pod is 'other', the bound target's is 'app-1'", id="another pod"),
        pytest.param({**BOUND, "container": None}, {}, "container is None", id="another container"),
        pytest.param({**BOUND, "force": True}, {}, "force: Extra inputs", id="an argument that does not exist"),
        pytest.param({"namespace": "demo"}, {}, "pod: Field required", id="a missing argument"),
        pytest.param({**BOUND, "pod": 7}, {}, "pod: Input should be a valid string", id="another type"),
        pytest.param({"x": 1}, {"tool": "get_runbook"}, "x: Extra inputs", id="arguments where none belong"),
    ],
)
def test_what_is_not_the_steps_tool_on_the_bound_target_is_rejected(arguments, options, words):
    answer = asked(arguments, **options)
    assert isinstance(answer, Rejected)
    assert words in answer.reason


def test_a_validated_call_cannot_be_made_in_another_way():
    call = asked(BOUND)
    with pytest.raises(TypeError, match="is made by tools"):
        ValidatedCall(tool="drain_node", input=call.input, arguments={}, target=NODE, token=object())
    with pytest.raises((TypeError, ValueError), match="token"):
        replace(call, target=NODE)


def test_the_seeds_twelve_tools_and_the_three_beyond_are_registered():
    assert set(TOOLS) == {
        "get_pod_events",
        "check_imagepullbackoff",
        "check_oom",
        "get_node_ready",
        "get_node_conditions",
        "get_runbook",
        "fix_imagepullbackoff",
        "increase_memory_limit",
        "delete_pod",
        "cordon_node",
        "uncordon_node",
        "drain_node",
        "get_pod_logs",
        "get_rollout_history",
        "rollback_deployment",
    }
    assert all(TOOLS[name].name == name for name in TOOLS)


@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)
def test_only_remediations_need_a_right_to_write(tool):
    writes = {permission.verb for permission in tool.permissions} - {"get", "list", "watch"}
    assert bool(writes) is isinstance(tool, RemediationTool)
    assert isinstance(tool, DiagnosticTool | RemediationTool)


@pytest.mark.parametrize(
    ("tools", "expected"),
    [
        (["get_pod_events", "increase_memory_limit"], Subject.WORKLOAD),
        (["get_runbook", "get_node_ready", "cordon_node"], Subject.NODE),
        (["get_runbook"], None),
        (["check_oom", "drain_node"], None),
        (["unheard_of"], None),
        ([], None),
    ],
)
def test_a_runbook_is_about_what_its_tools_act_on(tools, expected):
    workflow = tuple(Step(name=f"step-{i}", tool=tool) for i, tool in enumerate(tools))
    assert subject_of_runbook(runbook(workflow=workflow)) is expected


def test_a_workload_tool_refuses_the_evidence_of_a_node():
    with pytest.raises(TypeError, match="Node//n1"):
        workload_evidence(NodeEvidence(target=NODE, read_at=NOW, node=None))
