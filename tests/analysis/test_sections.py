"""What a model writes is brought into the form of an analysis before it is checked, without a word of it changed."""

import pytest

from sre_agent.analysis.sections import SECTIONS, blocks, join, read_answer, split, tidied

TIDIED = [
    pytest.param("It was killed. [event 3]", "It was killed [event 3].", id="an event behind the full stop"),
    pytest.param("Killed [event 3][event 5].", "Killed [event 3] [event 5].", id="events without a space"),
    pytest.param("Killed [events 3, 5 and 7].", "Killed [event 3] [event 5] [event 7].", id="several in one"),
    pytest.param("Killed (event 3).", "Killed [event 3].", id="round brackets"),
    pytest.param("**Killed** at its *limit*.", "Killed at its limit.", id="emphasis"),
    pytest.param("`a_b` and `__c__` of *d*.", "`a_b` and `__c__` of d.", id="but not in a quote"),
    pytest.param("get_node_ready ran.", "get_node_ready ran.", id="nor in a name"),
    pytest.param("One\ntwo\n\nthree.", "One two\n\nthree.", id="wrapped lines"),
    pytest.param("1. One\n2) two\n* three\n• four", "- One\n- two\n- three\n- four", id="bullets of all kinds"),
    pytest.param("- One\n  goes on\n- two", "- One goes on\n- two", id="a wrapped bullet"),
    pytest.param("Lead:\n- one\n- two\nBehind.", "Lead:\n\n- one\n- two Behind.", id="what belongs to a bullet"),
    pytest.param("Values (3, 5) stay.", "Values (3, 5) stay.", id="numbers that are no events"),
]


@pytest.mark.parametrize(("said", "tidy"), TIDIED)
def test_a_section_is_tidied(said: str, tidy: str) -> None:
    assert tidied(said) == tidy
    assert tidied(tidy) == tidy


HEADINGS = ["## {}", "# {}", "### {} ##", "**{}**", "{}", "{}:", "**{}:**", "## 3. {}", "  ## {}"]


@pytest.mark.parametrize("form", HEADINGS)
def test_a_heading_is_known_in_many_forms(form: str) -> None:
    answer = "\n".join(f"{form.format(title)}\nText of {number}." for number, title in enumerate(SECTIONS))
    assert read_answer(answer) == {title: f"Text of {number}." for number, title in enumerate(SECTIONS)}


def test_what_stands_outside_of_the_sections_is_left_out() -> None:
    assert read_answer("Sure!\n```markdown\n## Summary\nText.\n```\n") == {"Summary": "Text."}
    assert read_answer("<think>## Summary\nno</think>## Summary\nyes") == {"Summary": "yes"}
    assert read_answer("no heading at all") == {}


def test_what_is_joined_is_split_again() -> None:
    bodies = {title: f"Text of {title}." for title in SECTIONS}
    assert {title: body.strip() for title, body in split(join(bodies))} == bodies


def test_headings_and_rules_stay_lines_of_their_own() -> None:
    assert list(blocks("a\n## b\nc\n---\nd")) == ["a", "## b", "c", "---", "d"]
