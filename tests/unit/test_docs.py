"""The documents say what the code says."""

import re
import runpy
from pathlib import Path

import pytest

from tests.live.alerts import CASES, REQUESTS

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


def test_the_figures_page_says_what_each_alert_asks_of_the_api_server() -> None:
    shown = re.findall(
        r"^\| (Kube\w+) \| .+ \| (\d+) \| (\d+) \|$", (ROOT / "docs" / "figures.md").read_text(), re.MULTILINE
    )
    assert [(alert, int(looking), int(acting)) for alert, looking, acting in shown] == [
        (case.alert, *REQUESTS[case.id]) for case in CASES
    ]
