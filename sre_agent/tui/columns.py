"""The list's columns: what stands in each, and how wide they are where the terminal is narrow or wide."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from textual.content import Content

from sre_agent.tui.listing import Row, age

WIDE = 120
"""From so many columns on nothing is abbreviated."""

SEVERITY_COLOURS = {"critical": "$text-error", "warning": "$text-warning"}
MARK_COLOURS = {"green": "$text-success", "blue": "$text-primary", "red": "$text-error", "dim": "$foreground-muted"}
_SHORT_SEVERITIES = {"critical": "crit", "warning": "warn"}
_SHORT_STATUSES = {"suppressed": "muted"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """Widths in cells. Names share what the others leave."""

    wide: bool
    id: int
    alert: int
    where: int
    runbook: int

    @classmethod
    def of(cls, width: int, longest_id: int) -> "Columns":
        """The columns of a list of so many cells, whose longest id has so many digits."""
        wide, digits = width >= WIDE, max(3, longest_id)
        severity, status, runbook = (8, 10, 21) if wide else (4, 8, 10)
        left = max(20, width - (2 + digits + 1 + severity + 1 + status + 1 + runbook + 1 + 2 + 4 + 2))
        alert = min(32, left * 4 // 9)
        return cls(wide=wide, id=digits, alert=alert, where=left - alert - 1, runbook=runbook)

    def header(self) -> Content:
        """The names of the columns, two cells from the left as in a row."""
        severity, status = ("severity", "status") if self.wide else ("sev", "status")
        return self._line(
            cursor=" ",
            id=Content(f"{'id':>{self.id}}"),
            severity=Content(severity),
            status=Content(status),
            alert=Content("alert"),
            where=Content("namespace/pod or node" if self.where > 22 else "where"),
            runbook=Content("runbook"),
            mark=Content(" "),
            age=Content(" age"),
        )

    def row(self, row: Row, now: datetime, *, selected: bool) -> Content:
        """One incident on one line. A selected one is told apart without colour, too."""
        severity = row.severity if self.wide else _short(row.severity, _SHORT_SEVERITIES)
        status = row.status if self.wide else _short(row.status, _SHORT_STATUSES)
        runbook = row.runbook if self.wide else row.runbook.removeprefix("RB_")
        muted = "" if row.status == "open" else "$foreground-muted"
        return self._line(
            cursor="▌" if selected else " ",
            id=Content(f"{row.id:>{self.id}}"),
            severity=Content.styled(severity, SEVERITY_COLOURS.get(row.severity, "$foreground-muted")),
            status=Content.styled(status, muted),
            alert=Content.styled(row.alertname, muted or "bold"),
            where=Content.styled(row.where, muted),
            runbook=Content.styled(runbook, muted),
            mark=Content.styled(row.mark, f"{MARK_COLOURS[row.colour]} bold"),
            age=Content.styled(f"{age(row.updated_at, now):>4}", "$foreground-muted"),
        )

    def _line(self, *, cursor: str, **cells: Content) -> Content:
        severity, status = (8, 10) if self.wide else (4, 8)
        widths = {
            "id": self.id,
            "severity": severity,
            "status": status,
            "alert": self.alert,
            "where": self.where,
            "runbook": self.runbook,
            "mark": 1,
            "age": 4,
        }
        fitted = [cells[name].truncate(width, ellipsis=True, pad=True) for name, width in widths.items()]
        return Content.assemble(Content.styled(cursor, "$primary bold"), " ", Content(" ").join(fitted))


def _short(word: str, shorter: Mapping[str, str]) -> str:
    return shorter.get(word, word)
