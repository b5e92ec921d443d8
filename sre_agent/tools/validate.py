"""The one door from a proposal to something that may be executed.

Called by the executor for every proposal, a model's and the scripted planner's alike. Protects the rule that a run
calls the tool of the step, on the target that code bound, and nothing else; what does not fit is refused with words
that can be told back to a model.
"""

import json
from collections.abc import Mapping
from dataclasses import InitVar, dataclass
from typing import Any

from pydantic import ValidationError

from sre_agent.redaction import redact
from sre_agent.run import ToolCall
from sre_agent.runbook import Step
from sre_agent.target import Subject, Target
from sre_agent.tools.types import Tool, ToolModel

_VALIDATED = object()

MOST_ARGUMENTS = 8_000
"""Characters of a model's arguments that are looked at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidatedCall:
    """A call that may be executed. Only `validate` can make one; a copy with other values cannot be made either.

    `input` is the tool's input model, `arguments` the same as JSON.
    """

    tool: str
    input: ToolModel
    arguments: dict[str, Any]
    target: Target
    token: InitVar[object]

    def __post_init__(self, token: object) -> None:
        if token is not _VALIDATED:
            raise TypeError("a ValidatedCall is made by tools.validate alone")


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejected:
    """The proposal is not executed; `reason` says what was wrong and what would be right."""

    reason: str


def arguments_for(tool: Tool, target: Target) -> dict[str, Any]:
    """The arguments that the bound target gives to this tool; everything else keeps the tool's default."""
    bound = _bound_arguments(target)
    return {field: bound[field] for field in tool.input.model_fields if field in bound}


def schema_for(tool: Tool, target: Target) -> dict[str, Any]:
    """The JSON schema of a tool's arguments; of what the target binds, the bound value alone is allowed."""
    properties = dict(tool.input.model_json_schema().get("properties", {}))
    for name, value in arguments_for(tool, target).items():
        properties[name] = {"type": "null"} if value is None else {"type": "string", "enum": [redact(value)]}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def arguments_of(text: str) -> dict[str, Any] | Rejected:
    """The arguments of a call as a model wrote them: one JSON object, not too long, each key once."""
    if len(text) > MOST_ARGUMENTS:
        return Rejected(reason=f"the arguments have {len(text)} characters; at most {MOST_ARGUMENTS} are looked at")
    try:
        arguments = json.loads(text or "{}", object_pairs_hook=_once)
        json.dumps(arguments, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        return Rejected(reason=f"the arguments are no JSON: {error}")
    return arguments if isinstance(arguments, dict) else Rejected(reason="the arguments are no JSON object")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are all there once. Raises ValueError."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key is there twice")
    return members


def validate(call: ToolCall, *, step: Step, target: Target, tools: Mapping[str, Tool]) -> ValidatedCall | Rejected:
    """The step's own tool with arguments that parse and name the bound target; anything else is Rejected."""
    if call.tool != step.tool:
        return Rejected(reason=f"step {step.name} calls {step.tool}; {call.tool} was proposed")
    tool = tools.get(call.tool)
    if tool is None:
        return Rejected(reason=f"there is no tool {call.tool}")
    if tool.subject is not None and (target.kind == "Node") is not (tool.subject is Subject.NODE):
        return Rejected(reason=f"{tool.name} looks at a {tool.subject}; the target is {target.key}")
    try:
        parsed = tool.input.model_validate(call.arguments, strict=True)
    except ValidationError as error:
        return Rejected(reason=f"the arguments of {tool.name} are wrong: {_faults(error)}")
    arguments = parsed.model_dump(mode="json")
    strays = [
        f"{field} is {arguments[field]!r}, the bound target's is {value!r}"
        for field, value in arguments_for(tool, target).items()
        if arguments[field] != value
    ]
    if strays:
        return Rejected(reason=f"the arguments of {tool.name} name another target: {'; '.join(strays)}")
    return ValidatedCall(tool=tool.name, input=parsed, arguments=arguments, target=target, token=_VALIDATED)


def _bound_arguments(target: Target) -> dict[str, Any]:
    if target.kind == "Node":
        return {"node": target.name}
    return {"namespace": target.namespace, "pod": target.pod, "container": target.container}


def _faults(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, fault['loc'])) or 'arguments'}: {fault['msg']}" for fault in error.errors())
