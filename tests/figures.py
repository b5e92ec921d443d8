"""Figures that tests measure, printed together before the closing line."""

from collections import Counter
from collections.abc import Callable

import pytest


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Notes a measured figure, in a sentence."""
    name = request.node.nodeid.rpartition("::")[2]

    def note(sentence: str) -> None:
        request.node.user_properties.append(("figure", f"{name}: {sentence}"))

    return note


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Counts this test, once it passes, among all that call it with the same words: `64 of 64 ...`."""

    def count(what: str) -> None:
        request.node.user_properties.append(("tally", what))

    return count


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    passed, failed = (terminalreporter.stats.get(outcome, []) for outcome in ("passed", "failed"))
    figures = [text for report in passed for kind, text in report.user_properties if kind == "figure"]
    good = Counter(what for report in passed for kind, what in report.user_properties if kind == "tally")
    tried = good + Counter(what for report in failed for kind, what in report.user_properties if kind == "tally")
    figures += [f"{good[what]} of {tried[what]} {what}" for what in tried]
    if figures:
        terminalreporter.section("figures")
        for text in figures:
            terminalreporter.write_line(text)
