"""The rows that are held, against what a fresh read would give."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sre_agent.tui.listing import Listing, age

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)


class Book:
    """Incidents with the order and the cursor of the real list."""

    def __init__(self, dice: random.Random, size: int) -> None:
        self._dice = dice
        self._clock = 0
        self.incidents = {number: self._touched(number, "open") for number in range(1, size + 1)}

    def page(self, size: int, cursor: str | None = None, status: str | None = None) -> dict[str, Any]:
        fitting = [entry for entry in self.incidents.values() if status in (None, entry["status"])]
        fitting.sort(key=lambda entry: (entry["updated_at"], entry["id"]), reverse=True)
        if cursor is not None:
            fitting = [entry for entry in fitting if f"{entry['updated_at']} {entry['id']:>9}" < cursor]
        more = fitting[size:]
        last = fitting[:size][-1] if more else None
        following = None if last is None else f"{last['updated_at']} {last['id']:>9}"
        return {"incidents": fitting[:size], "next_cursor": following}

    def change(self, most: int) -> list[dict[str, Any]]:
        """Some incidents are opened, resolved, or only touched."""
        changes = []
        for _ in range(self._dice.randint(1, most)):
            number = self._dice.choice([*self.incidents, max(self.incidents, default=0) + 1])
            self.incidents[number] = self._touched(number, self._dice.choice(["open", "resolved"]))
            changes.append({"id": number, "updated_at": self.incidents[number]["updated_at"]})
        newest = {change["id"]: change for change in changes}
        return list(newest.values())

    def _touched(self, number: int, status: str) -> dict[str, Any]:
        self._clock += 1
        moment = (NOW + timedelta(seconds=self._clock)).isoformat()
        names = ("severity", "namespace", "pod", "workload", "node", "runbook_id", "summary")
        nothing = dict.fromkeys((*names, "action_taken", "action_recommended", "action_error"))
        return {"id": number, "updated_at": moment, "origin": "live", "alertname": "A", "status": status, **nothing}


@pytest.mark.parametrize("seed", range(60))
def test_after_any_changes_the_rows_are_those_of_a_fresh_read(seed: int) -> None:
    dice = random.Random(seed)
    book, size, status = Book(dice, dice.randint(0, 60)), dice.choice([3, 10, 20]), dice.choice([None, "open"])
    held = Listing.of(book.page(size, None, status))
    for _ in range(30):
        if held.next_cursor is not None and dice.random() < 0.5:
            held = held.with_more(book.page(size, held.next_cursor, status))
        else:
            changes = book.change(most=dice.choice([1, 3, 30]))
            held = held.with_newest(book.page(size, None, status), changes)
        fresh = Listing.of(book.page(1000, None, status))
        assert held.rows == fresh.rows[: len(held.rows)]
        assert held.next_cursor is not None or len(held.rows) == len(fresh.rows)


@pytest.mark.parametrize(
    ("ago", "said"),
    [
        (timedelta(0), "0s"),
        (timedelta(seconds=89), "89s"),
        (timedelta(seconds=90), "1m"),
        (timedelta(minutes=89), "89m"),
        (timedelta(hours=47), "47h"),
        (timedelta(days=3), "3d"),
        (timedelta(days=999), "999d"),
        (timedelta(days=3650), "10y"),
        (timedelta(seconds=-30), "0s"),
        (timedelta(days=-26), "+26d"),
    ],
)
def test_ages_have_at_most_four_characters(ago: timedelta, said: str) -> None:
    assert age(NOW - ago, NOW) == said
    assert len(said) <= 4
