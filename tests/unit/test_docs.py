"""The documents say what the code says."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_settings_page_is_the_table_of_settings() -> None:
    written = runpy.run_path(str(ROOT / "docs" / "write_settings.py"))["page"]()
    assert (ROOT / "docs" / "settings.md").read_text() == written


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_readme_shows_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    from sre_agent.cli.main import run

    assert run(["replay", str(ROOT / "examples" / "oom-killed")]) == 0
    shown = re.sub(r"incident \d+", "incident 1", capsys.readouterr().out).strip()
    assert shown in (ROOT / "README.md").read_text()
