"""The story: no line of it shows a secret or steers the terminal, its titles included."""

import io

from rich.console import Console

from sre_agent.cli.story import tell_skipped
from sre_agent.run import Skipped

CANARY = "hunter2Canary9"


def told(skipped: Skipped) -> str:
    out = Console(file=io.StringIO(), width=80)
    tell_skipped(out, skipped)
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def test_a_title_holds_no_secret_and_no_control_character() -> None:
    name = f"Down\x1b]0;title\x07\u202e password={CANARY}"
    text = told(Skipped(source="x", alertname=name, fingerprint=None, incident_id=None, reason="because"))
    assert CANARY not in text
    assert "Down password=[redacted:credential:" in text
    assert not {"\x1b", "\x07", "\u202e"} & set(text)
