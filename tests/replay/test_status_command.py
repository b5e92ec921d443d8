"""`sre-agent status` when the user's runbooks have a fault: it says so, and everything else all the same."""

from pathlib import Path

import pytest

from tests.replay.answers import document, told

GOOD = "---\nid: RB_MINE\ntitle: Mine\nalerts: [MyAlert]\nworkflow:\n- step: check_oom\n---\n"
BAD = GOOD.replace("check_oom", "chek_oom")


def test_a_fault_in_the_users_runbooks_is_one_line_of_the_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SRE_AGENT_RUNBOOKS_DIR", str(tmp_path))
    (tmp_path / "mine.md").write_text(GOOD)
    assert document(capsys, "status")["runbooks_fault"] is None
    assert "refused" not in told(capsys, "status")
    (tmp_path / "mine.md").write_text(BAD)
    assert "mine.md:6:9" in document(capsys, "status")["runbooks_fault"]
    said = " ".join(told(capsys, "status").split())
    assert "runbooks refused, older ones are used" in said
    assert "did you mean 'check_oom'?" in said
    assert "queued runs" in said
