"""What the screens look like. `pytest tests/tui/test_pictures.py --snapshot-update` draws them anew: look at each."""

import asyncio
from collections.abc import Callable
from contextlib import contextmanager

import pytest

from sre_agent.tui.app import OnCall
from tests.conftest import copy_of
from tests.tui.browsing import LARGE, NOW, SMALL
from tests.tui.recorded import Recorded

PICTURES = {
    "list": (SMALL, "textual-dark", None, ["o", "j"]),
    "list-wide-light": (LARGE, "textual-light", None, ["o", "j"]),
    "empty": (SMALL, "textual-dark", None, []),
    "answer": (SMALL, "textual-dark", 2, []),
    "refused-wide": (LARGE, "textual-dark", 3, []),
    "analysis-light": (SMALL, "textual-light", 2, ["2"]),
    "timeline": (SMALL, "textual-dark", 1, ["4", "j"]),
    "runbook": (SMALL, "textual-dark", 2, ["5"]),
    "resolve": (SMALL, "textual-dark", 2, ["X"]),
}


@pytest.fixture(scope="module")
def recorded(postgres: str, played: str) -> Recorded:
    with contextmanager(copy_of)(postgres, played) as database:
        return asyncio.run(Recorded.of(database))


@pytest.mark.parametrize("name", PICTURES)
def test_it_looks_as_it_did(name: str, recorded: Recorded, snap_compare: Callable[..., bool]) -> None:
    size, theme, incident_id, keys = PICTURES[name]
    app = OnCall(recorded, clock=lambda: NOW, theme=theme, incident_id=incident_id)
    app.animation_level = "none"
    keys = ["wait:400", *(part for key in keys for part in (key, "wait:400"))]
    assert snap_compare(app, terminal_size=size, press=keys)


def test_it_looks_as_it_did_while_the_database_is_away(recorded: Recorded, snap_compare: Callable[..., bool]) -> None:
    away = Recorded()
    away.__dict__ |= recorded.__dict__ | {"away": True}
    app = OnCall(away, clock=lambda: NOW)
    assert snap_compare(app, terminal_size=SMALL, press=["wait:400", "o", "wait:400"])


def test_it_is_readable_without_colour(
    recorded: Recorded, snap_compare: Callable[..., bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = OnCall(recorded, clock=lambda: NOW)
    assert snap_compare(app, terminal_size=SMALL, press=["wait:400", "o", "wait:400", "j"])
