"""Writes docs/settings.md from the table of settings: `.venv/bin/python docs/write_settings.py`."""

from pathlib import Path

from sre_agent.settings import SETTINGS

PAGE = Path(__file__).parent / "settings.md"
HEAD = """# Settings

All settings are environment variables; an empty one counts as unset. `sre-agent config` prints the effective values
with their origin, secrets masked. A bad value stops the start with its name, the value and what is allowed.
A window or duration of `0` is off. This page is written by `docs/write_settings.py`.

| variable | default | allowed | what it is |
|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    rows = (
        f"| `{row.variable}` | {f'`{row.default}`' if row.default else 'unset'} "
        f"| {_cell(row.kind.allowed)} | {_cell(row.description)} |"
        for row in SETTINGS
    )
    return HEAD + "\n".join(rows) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page())
