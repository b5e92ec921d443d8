"""The list's columns: what stands in each, and how wide they are where the terminal is narrow or wide."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from textual.content import Content

from sre_agent.tui.listing import Row, age

WIDE = 119
"""From so many columns on words stand in full, and what was done stands in each row: 120 less a scrollbar."""

CURSOR = 2
"""Cells before the first column, for the mark of the selected row."""

ACTION_END = 16
"""Characters at the end of an action that is too long: `app:256Mi→512Mi`."""

SEVERITY_COLOURS = {"critical": "$text-error", "warning": "$text-warning"}
MARK_COLOURS = {"green": "$text-success", "blue": "$text-primary", "red": "$text-error", "dim": "$foreground-muted"}
_SHORT_SEVERITIES = {"critical": "crit", "warning": "warn"}
_SHORT_STATUSES = {"suppressed": "muted"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """Each column with its width in cells, from the left. Names and deeds share what the others leave."""

    wide: bool
    widths: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, width: int, longest_id: int) -> "Columns":
        """The columns of a list of so many cells, whose longest id has so many digits."""
        wide = width >= WIDE
        shares = {"alert": 5, "where": 5, "done": 7} if wide else {"alert": 4, "where": 5}
        widths = {
            "id": max(3, longest_id),
            "severity": 8 if wide else 4,
            "status": 10 if wide else 8,
            "alert": 0,
            "where": 0,
            "runbook": min(21, width // 8),
            "mark": 1,
            **({"done": 0} if wide else {}),
            "age": 4,
        }
        taken = CURSOR + sum(widths.values()) + len(widths)  # a cell behind each
        left = max(20, width - taken)
        for name, share in shares.items():
            widths[name] = left * share // sum(shares.values())
        widths["where"] += left - sum(widths[name] for name in shares)
        return cls(wide=wide, widths=tuple(widths.items()))

    def header(self) -> Content:
        """The names of the columns."""
        names = {name: Content(name) for name, _ in self.widths}
        widths = dict(self.widths)
        return self._line(
            " ",
            names
            | {
                "id": Content(f"{'id':>{widths['id']}}"),
                "severity": Content("severity" if self.wide else "sev"),
                "where": Content("namespace/pod or node" if widths["where"] > 22 else "where"),
                "mark": Content(" "),
                "done": Content("what was done"),
                "age": Content(" age"),
            },
        )

    def row(self, row: Row, now: datetime, *, selected: bool) -> Content:
        """One incident on one line. A selected one is told apart without colour, too."""
        severity = row.severity if self.wide else _short(row.severity, _SHORT_SEVERITIES)
        status = row.status if self.wide else _short(row.status, _SHORT_STATUSES)
        runbook = row.runbook if self.wide else row.runbook.removeprefix("RB_")
        muted = "" if row.status == "open" else "$foreground-muted"
        dim = "$foreground-muted" if row.colour == "dim" else ""
        widths = dict(self.widths)
        return self._line(
            "▌" if selected else " ",
            {
                "id": Content(f"{row.id:>{widths['id']}}"),
                "severity": Content.styled(severity, SEVERITY_COLOURS.get(row.severity, "$foreground-muted")),
                "status": Content.styled(status, muted),
                "alert": Content.styled(row.alertname, muted or "bold"),
                "where": Content.styled(row.where, muted),
                "runbook": Content.styled(runbook, muted),
                "mark": Content.styled(row.mark, f"{MARK_COLOURS[row.colour]} bold"),
                "done": Content.styled(_deed(row, widths.get("done", 0)), muted or dim),
                "age": Content.styled(f"{age(row.updated_at, now):>4}", "$foreground-muted"),
            },
        )

    def _line(self, cursor: str, cells: Mapping[str, Content]) -> Content:
        fitted = [cells[name].truncate(width, ellipsis=True, pad=True) for name, width in self.widths]
        return Content.assemble(Content.styled(f"{cursor:<{CURSOR}}", "$primary bold"), Content(" ").join(fitted))


def _deed(row: Row, width: int) -> str:
    """What was done, in so many characters: an action keeps its end, where the new value is."""
    said = row.done.removeprefix("nothing done; ")
    if row.colour not in {"green", "blue"} or len(said) <= width:
        return said
    return f"{said[: width - ACTION_END - 1]}…{said[-ACTION_END:]}"


def _short(word: str, shorter: Mapping[str, str]) -> str:
    return shorter.get(word, word)
