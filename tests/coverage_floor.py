"""Hold the measured coverage against what each part of the package must have; exit 1 where one falls short.

`make test` runs it over the JSON report of the one pytest run. Lines and branches count alike, as coverage counts them.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Floor:
    """What the files below some paths must reach together, in per cent."""

    part: str
    paths: tuple[str, ...]
    per_cent: float


DECIDING = ("gates", "guards", "runbook", "lint", "alert", "target", "quantity")
FLOORS = (
    *(Floor(part=part, paths=(f"sre_agent/{part}.py", f"sre_agent/{part}/"), per_cent=100.0) for part in DECIDING),
    Floor(part="tools", paths=("sre_agent/tools/",), per_cent=95.0),
    Floor(part="the package", paths=("sre_agent/",), per_cent=90.0),
)


@dataclass(frozen=True, kw_only=True)
class Covered:
    """How much of a part ran, and the files of it that did not run in full."""

    per_cent: float
    files: tuple[str, ...]


def covered(report: Mapping[str, Mapping[str, Mapping[str, Mapping[str, int]]]], floor: Floor) -> Covered | None:
    """What the report says about a part; None if it has no file of that part."""
    summaries = {
        name: entry["summary"] for name, entry in sorted(report["files"].items()) if name.startswith(floor.paths)
    }
    if not summaries:
        return None
    total = ran = 0
    incomplete = []
    for name, summary in summaries.items():
        of_file = summary["num_statements"] + summary["num_branches"]
        ran_of_file = summary["covered_lines"] + summary["covered_branches"]
        total, ran = total + of_file, ran + ran_of_file
        if ran_of_file < of_file:
            incomplete.append(f"{name} {ran_of_file}/{of_file}")
    return Covered(per_cent=100.0 * ran / total if total else 100.0, files=tuple(incomplete))


def table(report: Mapping[str, Mapping[str, Mapping[str, Mapping[str, int]]]]) -> tuple[list[str], bool]:
    """One line for each part, with the files to look at where it falls short; and whether any part does."""
    lines, short = [], False
    for floor in FLOORS:
        found = covered(report, floor)
        if found is None:
            lines.append(f"coverage {floor.part:12} no file measured")
            short = True
            continue
        below = found.per_cent < floor.per_cent
        short = short or below
        mark = "  BELOW" if below else ""
        lines.append(f"coverage {floor.part:12} {found.per_cent:6.2f} %  (at least {floor.per_cent:g} %){mark}")
        lines += [f"           {file}" for file in found.files if below]
    return lines, short


def main(path: Path) -> int:
    """Print the table."""
    lines, short = table(json.loads(path.read_text()))
    sys.stdout.write("\n".join(lines) + "\n")
    return int(short)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
