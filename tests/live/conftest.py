"""Figures that a cluster test measures, printed together before the closing line."""

from collections.abc import Callable

import pytest


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Notes a measured figure, in a sentence."""
    name = request.node.nodeid.rpartition("::")[2]

    def note(sentence: str) -> None:
        request.node.user_properties.append(("figure", f"{name}: {sentence}"))

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    passed = terminalreporter.stats.get("passed", [])
    figures = [text for report in passed for kind, text in report.user_properties if kind == "figure"]
    if figures:
        terminalreporter.section("figures")
        for text in figures:
            terminalreporter.write_line(text)
