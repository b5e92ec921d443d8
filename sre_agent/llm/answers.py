"""What a server's answer says, read with distrust. Called by the client; pure.

Protects one rule: whatever shape a body has, it becomes an answer that is small enough to be kept, or NotUsable.
"""

import json
from dataclasses import dataclass
from typing import Any

from sre_agent.llm.port import Answer, SaidCall

MOST_CALLS = 10
"""Of one answer: one is right, and of the others nobody needs more."""

MOST_CHARACTERS = 100_000
"""Of the text, and of the arguments of one call."""


class NotUsable(Exception):
    """An answer that is none; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Understood:
    """An answer, and the tokens that its server counted.

    Where it did not, those of the prompt are None, and those of the answer at most its bytes.
    """

    answer: Answer
    prompt_tokens: int | None
    completion_tokens: int


def understood(text: str) -> Understood:
    """The first choice of the body of an answer. Raises NotUsable."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotUsable(f"its answer is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise NotUsable("its answer is not a JSON object")
    match body:
        case {"choices": [{"message": dict() as said} as choice, *_]}:
            answer = Answer(
                text=_text(said.get("content") or said.get("refusal")),
                calls=_calls(said.get("tool_calls")),
                cut=choice.get("finish_reason") == "length",
            )
        case {"choices": [_, *_]}:
            raise NotUsable("its answer holds no message")
        case _:
            raise NotUsable("its answer holds no choice")
    usage = body.get("usage")
    counted: dict[str, Any] = usage if isinstance(usage, dict) else {}
    completion_tokens = _count(counted.get("completion_tokens"))
    return Understood(
        answer=answer,
        prompt_tokens=_count(counted.get("prompt_tokens")),
        completion_tokens=_size(answer) if completion_tokens is None else completion_tokens,
    )


def _size(answer: Answer) -> int:
    texts = [answer.text or "", *(text for call in answer.calls for text in (call.name, call.arguments))]
    return sum(len(text.encode()) for text in texts)


def _calls(said: Any) -> tuple[SaidCall, ...]:
    if not isinstance(said, list):
        return ()
    functions = [call["function"] for call in said if isinstance(call, dict) and isinstance(call.get("function"), dict)]
    return tuple(
        SaidCall(name=_text(function.get("name")) or "", arguments=_text(function.get("arguments")) or "")
        for function in functions[:MOST_CALLS]
    )


def _text(said: Any) -> str | None:
    """A text, without halves of characters; anything else, such as arguments as an object, as the JSON that it was."""
    if said is None or said == "":
        return None
    try:
        text = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
    except RecursionError as error:
        raise NotUsable("its answer is nested too deeply") from error
    if len(text) > MOST_CHARACTERS:
        raise NotUsable(f"its answer has {len(text)} characters in one place; at most {MOST_CHARACTERS} are read")
    return text.encode("utf-8", "replace").decode()


def _count(said: Any) -> int | None:
    return said if isinstance(said, int) and not isinstance(said, bool) and said >= 0 else None
