"""What a server is asked with, and what it turned out to refuse. Called by the client; no network.

Protects one rule: a parameter that only makes answers better never stands between a question and its answer.
"""

import re
from typing import Any

from sre_agent.llm.port import Question, ToolSpec

CAN_GO = ("temperature", "reasoning_effort", "parallel_tool_calls", "tool_choice", "strict", "max_completion_tokens")
"""What a server may be asked without; in place of the last one it gets `max_tokens`."""

_NAMES = {name: re.compile(rf"(?<!\w){name}(?!\w)") for name in CAN_GO}


class Manners:
    """How one server wants to be asked, as far as this process has learned it."""

    def __init__(self, *, model: str, reasoning: str | None) -> None:
        self._model = model
        self._reasoning = reasoning
        self._without: list[str] = []

    @property
    def without(self) -> tuple[str, ...]:
        """The parameters that are left out because the server refused them."""
        return tuple(self._without)

    def body(self, question: Question) -> dict[str, Any]:
        """The request."""
        limit = "max_tokens" if "max_completion_tokens" in self._without else "max_completion_tokens"
        body = {"model": self._model, "messages": list(question.messages), limit: question.max_tokens}
        wishes: dict[str, Any] = {"temperature": 0}
        if self._reasoning is not None:
            wishes["reasoning_effort"] = self._reasoning
        if question.tools:
            body["tools"] = [_tool(tool, strict="strict" not in self._without) for tool in question.tools]
            wishes["parallel_tool_calls"] = False
            named = {"type": "function", "function": {"name": question.must_call}}
            wishes["tool_choice"] = "required" if question.must_call is None else named
        return body | {name: value for name, value in wishes.items() if name not in self._without}

    def learn(self, body: dict[str, Any], *, parameter: str | None, told: str) -> str | None:
        """The parameter of this request that a refusal is about, left out from now on; None where it is about none.

        `parameter` is the one that the refusal names, `told` its words.
        """
        sent = {*body, *(key for tool in body.get("tools", ()) for key in tool["function"])}
        candidates = [name for name in CAN_GO if name in sent]
        texts = (str(parameter), told)
        found = next((name for text in texts for name in candidates if _NAMES[name].search(text)), None)
        if found is not None and found not in self._without:
            self._without.append(found)
        return found


def _tool(tool: ToolSpec, *, strict: bool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function | ({"strict": True} if strict else {})}
