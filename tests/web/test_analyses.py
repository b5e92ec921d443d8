"""Where an older analysis says something else than the newest."""

import pytest

from sre_agent.web.analyses import MOST_LINES, differences

BEFORE = "## Summary\n\nIt came once.\n\n## Follow-ups\n\n- Look.\n"


@pytest.mark.parametrize(
    ("after", "found"),
    [
        pytest.param(BEFORE, [], id="the same"),
        pytest.param(BEFORE.replace("\n\n", "\n\n\n"), [], id="the same but for empty lines"),
        pytest.param(
            BEFORE.replace("once", "twice"),
            [{"section": "Summary", "before": ["It came once."], "after": ["It came twice."]}],
            id="another sentence",
        ),
        pytest.param(
            BEFORE + "- Wait.\n",
            [{"section": "Follow-ups", "before": [], "after": ["- Wait."]}],
            id="one more at the end",
        ),
        pytest.param(
            BEFORE.replace("## Follow-ups\n\n- Look.\n", ""),
            [{"section": "Summary", "before": ["## Follow-ups", "- Look."], "after": []}],
            id="a section less",
        ),
        pytest.param("", [{"section": "", "before": [*BEFORE.split("\n\n")[:3], "- Look."], "after": []}], id="none"),
    ],
)
def test_lines_that_differ_are_told_with_their_section(after: str, found: list[dict[str, object]]) -> None:
    assert differences(BEFORE, after) == found


def test_what_is_too_long_is_not_compared() -> None:
    lines = "\n".join(f"line {number}" for number in range(MOST_LINES))
    assert differences(lines, lines) == []
    assert differences(lines + "\none more", lines) is None
    assert differences("", lines + "\none more") is None
