"""The workflow of a runbook: steps, their tools and their gates, proven against the registered tools.

Called by `document`. What passes here can be walked: every gate refers to a step before its own and to a
boolean that this step's tool really answers.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import yaml

from sre_agent.lint import values
from sre_agent.lint.fault import Draft, nearest, quoted
from sre_agent.lint.values import Entry
from sre_agent.runbook import Gate, GateReference, Step, Verify
from sre_agent.tools.types import RemediationTool, Tool

_STEP_KEYS = ("step", "tool", "when", "when_all", "when_any", "unless", "mode", "approval", "verify")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_NAME_ADVICE = "write small letters, digits and underscores, as in check_oom"
_REFERENCE = re.compile(r"([a-z][a-z0-9_]*)\.([a-z][a-z0-9_]*)")
_REFERENCE_ADVICE = "write STEP.FIELD, as in check_oom.oom_detected"
_IMAGE_TOOL = "fix_imagepullbackoff"
_LONGEST_VERIFICATION = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class DraftStep:
    """A step as far as it could be read; `tool` is None where the name is no registered tool."""

    node: yaml.Node
    entries: dict[str, Entry]
    name: str
    tool_name: str
    tool: Tool | None


def read_workflow(draft: Draft, node: yaml.Node, tools: Mapping[str, Tool], *, image_given: bool) -> tuple[Step, ...]:
    """The steps in order; those that could not be read are left out, with their faults in the draft.

    `image_given`: the runbook has a fallback_image, which a step that patches images needs.
    """
    drafts: list[DraftStep] = []
    for item in values.sequence(draft, node, "workflow"):
        step = _draft_step(draft, item, tools)
        if step is None:
            continue
        if any(step.name == other.name for other in drafts):
            draft.report(item, f"step {quoted(step.name)} stands twice", "give each step a name of its own")
            continue
        drafts.append(step)
        if step.tool_name == _IMAGE_TOOL and not image_given:
            what = f"step {step.name} patches images, and the runbook has no fallback_image"
            draft.report(item, what, "add `fallback_image:` with a pinned image")
    _report_mixed_subjects(draft, drafts)
    return tuple(_step(draft, drafts, number) for number in range(len(drafts)))


def _draft_step(draft: Draft, node: yaml.Node, tools: Mapping[str, Tool]) -> DraftStep | None:
    entries = values.mapping(draft, node, _STEP_KEYS, "a step")
    if entries is None:
        return None
    if "step" not in entries:
        draft.report(node, "the step has no name", "begin it with `step: NAME`")
        return None
    name = values.word(draft, entries["step"].value, "step name", _NAME, _NAME_ADVICE)
    named = entries.get("tool", entries["step"])
    tool_name = values.text(draft, named.value, "tool") if "tool" in entries else name
    if tool_name is not None and tool_name not in tools:
        draft.report(named.value, f"unknown tool {quoted(tool_name)}", nearest(tool_name, tools, "known tools"))
    if name is None:
        return None
    tool = tools.get(tool_name or "")
    return DraftStep(node=node, entries=entries, name=name, tool_name=tool_name or "", tool=tool)


def _report_mixed_subjects(draft: Draft, steps: Sequence[DraftStep]) -> None:
    known = [(step, step.tool.subject) for step in steps if step.tool is not None and step.tool.subject is not None]
    for step, subject in known[1:]:
        if subject != known[0][1]:
            what = f"tool {step.tool_name} looks at a {subject}, and {known[0][0].tool_name} at a {known[0][1]}"
            draft.report(step.node, what, "keep the tools of one runbook to one kind: all workload or all node")


def _step(draft: Draft, steps: Sequence[DraftStep], number: int) -> Step:
    step = steps[number]
    return Step(
        name=step.name,
        tool=step.tool_name,
        gate=_gate(draft, steps, number),
        recommend_only=values.choice(draft, step.entries.get("mode"), "recommend"),
        approval_required=values.choice(draft, step.entries.get("approval"), "required"),
        verify=_verify(draft, step),
        line=draft.place_of(step.node).line,
    )


def _verify(draft: Draft, step: DraftStep) -> Verify | None:
    entry = step.entries.get("verify")
    if entry is None:
        return None
    if step.tool is not None and not isinstance(step.tool, RemediationTool):
        what = f"verify stands at {step.tool_name}, which changes nothing"
        draft.report(entry.key, what, "leave it out, or move it to the step that changes something")
    keys = values.mapping(draft, entry.value, ("within", "undo"), "verify")
    if keys is None:
        return None
    for key in ("within", "undo"):
        if key not in keys:
            draft.report(entry.value, f"verify lacks {key}", "write it as {within: 180s, undo: true}")
    within = undo = None
    if "within" in keys:
        within = values.duration(draft, keys["within"].value, "within", longest=_LONGEST_VERIFICATION)
    if "undo" in keys:
        undo = values.flag(draft, keys["undo"].value, "undo")
    return None if within is None or undo is None else Verify(within=within, undo=undo)


def _gate(draft: Draft, steps: Sequence[DraftStep], number: int) -> Gate:
    """Reads the four keys of a gate; a reference that stands twice in them is contradictory or idle."""
    entries = steps[number].entries
    seen: set[GateReference] = set()
    references: dict[str, list[GateReference]] = {}
    for key in ("when", "when_all", "when_any", "unless"):
        references[key] = []
        for node in _reference_nodes(draft, entries.get(key)):
            reference = _reference(draft, node, steps, number)
            if reference in seen:
                draft.report(node, f"{reference} stands twice in the gate of this step", "keep one of them")
            elif reference is not None:
                seen.add(reference)
                references[key].append(reference)
    return Gate(
        all_of=(*references["when"], *references["when_all"]),
        any_of=tuple(references["when_any"]),
        none_of=tuple(references["unless"]),
    )


def _reference_nodes(draft: Draft, entry: Entry | None) -> list[yaml.Node]:
    """`when` takes one reference, `when_all` and `when_any` a list, `unless` either."""
    if entry is None:
        return []
    key = entry.key.value
    if key == "when" and isinstance(entry.value, yaml.SequenceNode):
        draft.report(entry.value, "when is a list", "write one STEP.FIELD, or use when_all or when_any")
        return []
    if key == "when" or (key == "unless" and isinstance(entry.value, yaml.ScalarNode)):
        return [entry.value]
    nodes = values.sequence(draft, entry.value, key)
    if isinstance(entry.value, yaml.SequenceNode) and not nodes:
        draft.report(entry.value, f"{key} is empty", "name at least one STEP.FIELD, or leave the key out")
    return nodes


def _reference(draft: Draft, node: yaml.Node, steps: Sequence[DraftStep], number: int) -> GateReference | None:
    value = values.word(draft, node, "gate", _REFERENCE, _REFERENCE_ADVICE)
    if value is None:
        return None
    name, _, field = value.partition(".")
    place = next((index for index, step in enumerate(steps) if step.name == name), None)
    if place is None:
        what = f"gate refers to step {quoted(name)}, which is not in the workflow"
        draft.report(node, what, nearest(name, (step.name for step in steps[:number]), "earlier steps"))
        return None
    if place >= number:
        which = "itself" if place == number else "a later step"
        draft.report(node, f"gate {quoted(value)} refers to {which}", "refer to a step that stands before this one")
        return None
    tool = steps[place].tool
    if tool is not None and not _proven_boolean(draft, node, tool, field):
        return None
    return GateReference(step=name, field=field)


def _proven_boolean(draft: Draft, node: yaml.Node, tool: Tool, field: str) -> bool:
    booleans = [name for name, info in tool.output.model_fields.items() if info.annotation is bool]
    if field in booleans:
        return True
    there = field in tool.output.model_fields
    what = (
        f"{tool.name} answers {quoted(field)} not as true or false"
        if there
        else (f"{tool.name} does not answer {quoted(field)}")
    )
    draft.report(node, what, nearest(field, booleans, "its true-or-false fields"))
    return False
