"""The script that holds `make test` to its coverage."""

import pytest

from tests import coverage_floor


def report(**covered_of_ten: int) -> dict[str, dict[str, dict[str, dict[str, int]]]]:
    """A report of ten files with eight statements and two branches each, which ran in full unless said otherwise."""
    parts = dict.fromkeys([*coverage_floor.DECIDING, "tools", "other", "rest"], 10) | covered_of_ten
    files = {}
    for part, ran in parts.items():
        summary = {"num_statements": 8, "num_branches": 2, "covered_lines": min(ran, 8), "covered_branches": 0}
        summary["covered_branches"] = ran - summary["covered_lines"]
        files[f"sre_agent/{part}/{part}.py"] = {"summary": summary}
    return {"files": files}


@pytest.mark.parametrize(
    ("covered", "short"),
    [
        pytest.param({}, False, id="everything ran"),
        pytest.param({"gates": 9}, True, id="a branch of a deciding module did not run"),
        pytest.param({"tools": 9}, True, id="90 % of the tools are too few"),
        pytest.param({"other": 5}, False, id="half of one other module is fine"),
        pytest.param({"other": 0}, False, id="90 % of the package are just enough"),
        pytest.param({"other": 0, "tools": 9}, True, id="89 % of the package are too few"),
    ],
)
def test_a_part_below_its_floor_is_found(covered: dict[str, int], short: bool) -> None:
    assert coverage_floor.table(report(**covered))[1] is short


def test_the_table_names_the_files_of_a_part_that_falls_short() -> None:
    lines, _ = coverage_floor.table(report(gates=9))
    assert any(line.startswith("coverage gates") and line.endswith("BELOW") for line in lines)
    assert any(line.strip() == "sre_agent/gates/gates.py 9/10" for line in lines)


def test_a_part_that_was_not_measured_falls_short() -> None:
    measured = report()
    del measured["files"]["sre_agent/guards/guards.py"]
    lines, short = coverage_floor.table(measured)
    assert short
    assert any("guards" in line and "no file measured" in line for line in lines)


def test_the_table_does_not_use_the_word_of_the_closing_line() -> None:
    assert not any("passed" in line for line in coverage_floor.table(report(gates=0))[0])
