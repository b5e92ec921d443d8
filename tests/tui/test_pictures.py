"""What the screens look like. `pytest tests/tui/test_pictures.py --snapshot-update` draws them anew: look at each."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from textual.widgets import Footer, Input

from sre_agent.tui.app import OnCall
from sre_agent.tui.database import DatabaseSource
from tests.tui.browsing import LARGE, NOW, SMALL, Browser, seen


class Picture(SingleFileSnapshotExtension):
    """An SVG, as the app draws it of itself."""

    file_extension = "svg"
    _write_mode = WriteMode.TEXT


@dataclass(frozen=True, kw_only=True)
class Case:
    """Keys and, after each, words that must stand on the screen before the next one."""

    name: str
    story: Sequence[tuple[str, str]]
    size: tuple[int, int] = SMALL
    theme: str = "textual-dark"
    incident_id: int | None = None
    without_colour: bool = False


ANSWERED = ("", "The replayed incident is open.")
LISTED = [("o", "3 incidents"), ("j", "1 KubePodCrashLoopBackOff")]
CASES = (
    Case(name="list", story=LISTED),
    Case(name="list-wide-light", story=LISTED, size=LARGE, theme="textual-light"),
    Case(name="list-without-colour", story=LISTED, without_colour=True),
    Case(name="empty", story=[("", "o shows replays.")]),
    Case(name="answer", story=[ANSWERED], incident_id=2),
    Case(name="refused-wide", story=[ANSWERED], incident_id=3, size=LARGE),
    Case(
        name="analysis-light",
        story=[ANSWERED, ("2", "What happened (evidence)")],
        incident_id=2,
        theme="textual-light",
    ),
    Case(name="timeline", story=[ANSWERED, ("4", "webhook_received"), ("j", "webhook_received")], incident_id=1),
    Case(name="runbook", story=[ANSWERED, ("5", "increase_memory_limit proposed")], incident_id=2),
    Case(name="resolve", story=[ANSWERED, ("X", "reason (optional, it is kept)")], incident_id=2),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_it_looks_as_it_did(
    case: Case, played_source: DatabaseSource, snapshot: SnapshotAssertion, monkeypatch: pytest.MonkeyPatch
) -> None:
    if case.without_colour:
        monkeypatch.setenv("NO_COLOR", "1")
    app = OnCall(played_source, clock=lambda: NOW, theme=case.theme, incident_id=case.incident_id)
    app.animation_level = "none"
    async with app.run_test(size=case.size) as pilot:
        await seen(pilot, "sre-agent prod-eu · recommend · no alert yet · planner scripted ● live")
        for key, words in case.story:
            if key:
                await pilot.press(key)
            await seen(pilot, words)
        for field in app.screen.query(Input):
            field.cursor_blink = False
        assert await picture(pilot) == snapshot(extension_class=Picture)


async def picture(pilot: Browser) -> str:
    """The screen once nothing on it moves: the last line is laid out anew for a moment, and is empty meanwhile."""
    before, drawn = "", pilot.app.export_screenshot(simplify=True)
    while drawn != before:
        await pilot.pause(0.2)
        if pilot.app.screen.query(Footer):
            await seen(pilot, "? Help")
        before, drawn = drawn, pilot.app.export_screenshot(simplify=True)
    return drawn
