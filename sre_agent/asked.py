"""What a model was asked and what it answered, in sentences: terminal, pages and TUI say the same words.

Pure functions over the traces that events keep (`llm` of a step, `llm_trace` of a run's end and of an analysis); none
of them escapes or colours. A trace that somebody changed is told as far as it can be read.
"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Trace = dict[str, Any]
"""What was asked for a step, or for an analysis, as `llm.trace` wrote it."""

_SHORT = 300
"""Characters of an answer that is not told word for word."""

Line = tuple[int, str]
"""How deep it stands, and what it says."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Totals:
    """What a run asked. `calls` counts what was sent; `cost` is None where no prices are set."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    latency_ms: int = 0
    cost: float | None = None

    def __str__(self) -> str:
        parts = [f"{self.calls} {'call' if self.calls == 1 else 'calls'}", _duration(self.latency_ms), self.tokens]
        return ", ".join(parts if self.cost is None else [*parts, f"cost {money(self.cost)}"])

    @property
    def tokens(self) -> str:
        """`1,251+20 tokens`: of the questions, and of the answers."""
        return f"{self.prompt_tokens:,}+{self.completion_tokens:,} tokens"


def totals_of(traces: Sequence[Trace]) -> Totals:
    """What these steps asked together."""
    exchanges = [exchange for trace in traces for exchange in _exchanges(trace)]
    costs = [float(exchange["cost"]) for exchange in exchanges if isinstance(exchange.get("cost"), int | float)]
    return Totals(
        calls=sum(1 for exchange in exchanges if _sent(exchange)),
        prompt_tokens=sum(_number(exchange, "prompt_tokens") for exchange in exchanges),
        completion_tokens=sum(_number(exchange, "completion_tokens") for exchange in exchanges),
        latency_ms=sum(_number(exchange, "latency_ms") for exchange in exchanges),
        cost=sum(costs) if costs else None,
    )


def traces_of(said: Mapping[str, Any]) -> list[Trace]:
    """The traces in the payload of an event: of a step at most one, of an analysis as many as models were asked.

    An analysis from before it kept a trace holds its exchanges alone; they are told together.
    """
    held = [trace for trace in (said.get("llm"), *_list(said, "llm_trace")) if isinstance(trace, dict)]
    bare = [trace for trace in held if "exchanges" not in trace and "answered" in trace]
    if not bare:
        return held
    trace: Trace = {"step": "analysis", "tool": None, "model": bare[0].get("model"), "why": said.get("why")}
    return [trace | {"exchanges": bare}]


def asked_sentence(trace: Trace) -> str:
    """One line: `LLM gpt-5.2: first answer, 812 ms, 1,251+20 tokens`; why, where its answer was not used."""
    totals, used = totals_of([trace]), str(trace.get("used") or "not known")
    cost = () if totals.cost is None else (f"cost {money(totals.cost)}",)
    asked = (f"{totals.calls} calls",) if totals.calls > 1 else ()
    figures = (*asked, _duration(totals.latency_ms), totals.tokens, *cost) if totals.calls else ("it was not asked",)
    why = f"; {trace['why']}" if trace.get("why") else ""
    dropped = len(_list(trace, "dropped"))
    left = f"; {dropped} of what it said was dropped" if dropped else ""
    return f"LLM {trace.get('model')}: {used}, {', '.join(figures)}{left}{why}"


def short_lines(trace: Trace) -> Iterator[str]:
    """The sentence, then a line for each answer and what became of it; nothing of what the model was told."""
    yield asked_sentence(trace)
    for number, exchange in enumerate(_exchanges(trace), start=1):
        answered = exchange.get("answered")
        if not isinstance(answered, Mapping):
            yield f"{number}. no answer: {_short(str(exchange.get('error')))}"
            continue
        said = _short("; ".join(filter(None, [*_calls(answered), str(answered.get("text") or "")])))
        yield f"{number}. {said or 'nothing'} → {_short(str(exchange.get('verdict') or 'none'))} ({_figures(exchange)})"


def exchange_lines(trace: Trace) -> Iterator[Line]:
    """The whole exchange, a line for each line of it."""
    for exchange in _exchanges(trace):
        tools = ", ".join(str(tool) for tool in _list(exchange, "tools")) or "none"
        must = f", {exchange['must_call']} must be called" if exchange.get("must_call") else ""
        yield 0, f"asked by prompt {exchange.get('prompt')}; tools: {tools}{must}"
        for message in _list(exchange, "asked"):
            yield from _message(message)
        yield 0, f"answered within {_figures(exchange)}"
        yield from _answer(exchange)
        if _list(exchange, "without"):
            yield 1, f"the server was asked without {', '.join(map(str, _list(exchange, 'without')))}"
        yield 0, f"verdict: {exchange.get('verdict') or 'none'}"
    for dropped in _list(trace, "dropped"):
        if isinstance(dropped, Mapping):
            about = f" ({dropped['step']})" if dropped.get("step") else ""
            yield 0, f"dropped: {dropped.get('statement')}{about}: {dropped.get('reason')}"


def money(amount: float) -> str:
    """`0.0123`: in the currency of the prices, which nobody tells."""
    return f"{amount:,.4f}".rstrip("0").rstrip(".")


def _message(message: Any) -> Iterator[Line]:
    if not isinstance(message, Mapping):
        return
    yield 1, f"{message.get('role')}:"
    for text in str(message.get("content") or "").splitlines():
        yield 2, text
    for call in _list(message, "tool_calls"):
        function = call.get("function") if isinstance(call, Mapping) else None
        if isinstance(function, Mapping):
            yield 2, f"{function.get('name')}({function.get('arguments')})"


def _answer(exchange: Mapping[str, Any]) -> Iterator[Line]:
    answered = exchange.get("answered")
    if not isinstance(answered, Mapping):
        yield 1, f"no answer: {exchange.get('error')}"
        return
    for text in str(answered.get("text") or "").splitlines():
        yield 2, text
    yield from ((2, call) for call in _calls(answered))
    if answered.get("cut"):
        yield 1, "it had to stop before it was done"


def _calls(answered: Mapping[str, Any]) -> list[str]:
    calls = [call for call in _list(answered, "calls") if isinstance(call, Mapping)]
    return [f"{call.get('name')}({call.get('arguments')})" for call in calls]


def _figures(exchange: Mapping[str, Any]) -> str:
    return f"{_duration(_number(exchange, 'latency_ms'))}, {totals_of([{'exchanges': [exchange]}]).tokens}"


def _short(text: str) -> str:
    return textwrap.shorten(text, _SHORT, placeholder="…")


def _exchanges(trace: Trace) -> list[Mapping[str, Any]]:
    return [exchange for exchange in _list(trace, "exchanges") if isinstance(exchange, Mapping)]


def _sent(exchange: Mapping[str, Any]) -> bool:
    """Whether anything left: where a budget forbade it there is neither an answer nor a time that it took."""
    return exchange.get("answered") is not None or _number(exchange, "latency_ms") > 0


def _list(held: Mapping[str, Any], key: str) -> list[Any]:
    value = held.get(key)
    return value if isinstance(value, list) else []


def _number(held: Mapping[str, Any], key: str) -> int:
    value = held.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _duration(milliseconds: int) -> str:
    """`812 ms`, from two seconds on `2.4 s`."""
    return f"{milliseconds} ms" if milliseconds < 2000 else f"{milliseconds / 1000:,.1f} s"
