"""What a model was asked, in sentences: figures, why an answer was not used, the exchange word for word."""

from typing import Any

import pytest

from sre_agent.asked import asked_sentence, exchange_lines, money, short_lines, totals_of, traces_of


def exchange(**changed: Any) -> dict[str, Any]:
    return {
        "purpose": "step",
        "model": "gpt-5.2",
        "prompt": "step/1/aaaa",
        "asked": [{"role": "system", "content": "You MUST call tool: check_oom."}],
        "tools": ["check_oom"],
        "must_call": "check_oom",
        "answered": {"text": None, "calls": [{"name": "check_oom", "arguments": "{}"}], "cut": False},
        "error": None,
        "verdict": "accepted",
        "prompt_tokens": 1251,
        "completion_tokens": 20,
        "cost": None,
        "latency_ms": 812,
        "without": [],
        **changed,
    }


def trace(*exchanges: dict[str, Any], **changed: Any) -> dict[str, Any]:
    shown = {"step": "check_oom", "tool": "check_oom", "model": "gpt-5.2", "used": "first answer", "why": None}
    return {**shown, "exchanges": list(exchanges or [exchange()]), **changed}


NOT_SENT = exchange(
    answered=None, error="the budget of the day is used up", prompt_tokens=0, completion_tokens=0, latency_ms=0
)


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        (trace(), "LLM gpt-5.2: first answer, 812 ms, 1,251+20 tokens"),
        (trace(exchange(cost=0.0123)), "LLM gpt-5.2: first answer, 812 ms, 1,251+20 tokens, cost 0.0123"),
        (
            trace(exchange(), exchange(latency_ms=1600), used="corrected answer"),
            "LLM gpt-5.2: corrected answer, 2 calls, 2.4 s, 2,502+40 tokens",
        ),
        (
            trace(NOT_SENT, used="scripted call", why="the budget of the day is used up"),
            "LLM gpt-5.2: scripted call, it was not asked; the budget of the day is used up",
        ),
        (
            trace(dropped=[{"statement": "a", "step": "b", "reason": "c"}]),
            "LLM gpt-5.2: first answer, 812 ms, 1,251+20 tokens; 1 of what it said was dropped",
        ),
    ],
)
def test_a_step_is_told_in_one_line(told: dict[str, Any], sentence: str) -> None:
    assert asked_sentence(told) == sentence


def test_the_totals_of_a_run_count_what_was_sent() -> None:
    totals = totals_of([trace(exchange(cost=0.5)), trace(exchange(cost=0.25), NOT_SENT)])
    assert totals.calls == 2
    assert str(totals) == "2 calls, 1624 ms, 2,502+40 tokens, cost 0.75"
    assert str(totals_of([])) == "0 calls, 0 ms, 0+0 tokens"


def test_the_exchange_is_told_word_for_word() -> None:
    messages = [
        {"role": "user", "content": "one\ntwo"},
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": '{"a": 1}'}}]},
    ]
    lines = list(exchange_lines(trace(exchange(asked=messages, without=["temperature"], verdict="wrong tool"))))
    assert lines == [
        (0, "asked by prompt step/1/aaaa; tools: check_oom, check_oom must be called"),
        (1, "user:"),
        (2, "one"),
        (2, "two"),
        (1, "assistant:"),
        (2, 'f({"a": 1})'),
        (0, "answered within 812 ms, 1,251+20 tokens"),
        (2, "check_oom({})"),
        (1, "the server was asked without temperature"),
        (0, "verdict: wrong tool"),
    ]


def test_an_exchange_without_an_answer_says_why() -> None:
    assert (1, "no answer: the budget of the day is used up") in list(exchange_lines(trace(NOT_SENT)))


def test_where_there_is_little_room_each_answer_is_a_line_with_what_became_of_it() -> None:
    thought = exchange(answered={"text": "let\nme " + "think " * 99, "calls": [], "cut": False}, verdict="no tool")
    first, *lines = short_lines(trace(thought, exchange(), NOT_SENT, used="scripted call"))
    assert first == asked_sentence(trace(thought, exchange(), NOT_SENT, used="scripted call"))
    assert lines[0].startswith("1. let me think think ")
    assert lines[0].endswith("… → no tool (812 ms, 1,251+20 tokens)")
    assert len(lines[0]) < 350
    assert lines[1:] == [
        "2. check_oom({}) → accepted (812 ms, 1,251+20 tokens)",
        "3. no answer: the budget of the day is used up",
    ]


def test_the_traces_of_an_event_are_its_step_s_or_those_of_its_analysis() -> None:
    assert traces_of({"llm": trace()}) == [trace()]
    assert traces_of({"llm": None, "status": "done"}) == []
    assert traces_of({"llm_trace": [trace(tool=None)]}) == [trace(tool=None)]
    assert traces_of({"llm_trace": 7}) == traces_of({"llm_trace": ["text", None]}) == []


def test_bare_exchanges_of_an_older_analysis_are_one_trace() -> None:
    (told,) = traces_of({"llm_trace": [exchange(), exchange()], "why": "refused: Summary"})
    assert asked_sentence(told) == "LLM gpt-5.2: not known, 2 calls, 1624 ms, 2,502+40 tokens; refused: Summary"
    assert len(list(short_lines(told))) == 3


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"exchanges": None},
        {"exchanges": ["text", None, 7]},
        {"exchanges": [{"asked": ["text"], "answered": "text", "latency_ms": "long", "tools": {}}]},
        {
            "exchanges": [
                {"asked": [{"tool_calls": ["text", {"function": None}]}], "answered": {"calls": [1], "text": 7}}
            ]
        },
        {"dropped": ["text"]},
        {"dropped": 7},
    ],
)
def test_a_trace_that_somebody_changed_is_told_as_far_as_it_can_be_read(changed: dict[str, Any]) -> None:
    assert asked_sentence(changed).startswith("LLM ")
    assert all(isinstance(text, str) for _, text in exchange_lines(changed))
    assert all(isinstance(text, str) for text in short_lines(changed))


def test_money_is_written_without_needless_digits() -> None:
    assert [money(amount) for amount in (0, 0.0019, 0.5, 5, 1234.5)] == ["0", "0.0019", "0.5", "5", "1,234.5"]
