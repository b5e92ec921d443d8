"""docs/runbook-authoring.md keeps its word: its example passes, and lint says what the page promises."""

import re
from pathlib import Path

import pytest

from sre_agent.lint import lint_paths
from sre_agent.tools.registry import TOOLS

PAGE = (Path(__file__).parents[2] / "docs" / "runbook-authoring.md").read_text()
BASE = {"id": "id: RB_DISK", "title": "title: Disk", "workflow": "workflow: [{step: check_oom}]"}


def rows(heading: str) -> list[tuple[str, str]]:
    """The table rows below a heading whose first cell is code: the code, and the words beside it."""
    section = PAGE.partition(f"### {heading}\n")[2].partition("\n#")[0]
    return re.findall(r"^\| `(.+?)` \| (.+?) \|$", section, re.MULTILINE)


def faults(path: Path, *lines: str) -> str:
    path.write_text("\n".join(("---", *lines, "---", "")))
    return "\n".join(str(fault) for fault in lint_paths([path], TOOLS))


def test_the_whole_example_has_no_fault(tmp_path: Path) -> None:
    example = re.search(r"```yaml\n(---\n.+?)```", PAGE, re.DOTALL)
    assert example is not None
    path = tmp_path / "RB_PAYMENTS_CRASHLOOP.md"
    path.write_text(example[1])
    assert lint_paths([path], TOOLS) == []


@pytest.mark.parametrize(("line", "words"), rows("Keys of the runbook"))
def test_a_key_gets_the_promised_words(tmp_path: Path, line: str, words: str) -> None:
    keys = BASE | {line.partition(":")[0]: line}
    assert words in faults(tmp_path / "RB_DISK.md", *keys.values())


@pytest.mark.parametrize(("step", "words"), rows("Keys of a step"))
def test_a_step_gets_the_promised_words(tmp_path: Path, step: str, words: str) -> None:
    workflow = ("workflow:", "  - step: check_oom", f"  - {step}")
    assert words in faults(tmp_path / "RB_DISK.md", BASE["id"], BASE["title"], *workflow)


@pytest.mark.parametrize(("tool", "fields"), rows("Gates"))
def test_the_fields_for_gates_are_all_that_the_tool_answers(tool: str, fields: str) -> None:
    booleans = [name for name, info in TOOLS[tool].output.model_fields.items() if info.annotation is bool]
    assert sorted(re.findall(r"`(\w+)`", fields)) == sorted(booleans)


def test_the_tables_of_the_page_are_found() -> None:
    assert [len(rows(each)) for each in ("Keys of the runbook", "Keys of a step", "Gates")] == [25, 23, 7]
