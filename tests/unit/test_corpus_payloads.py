"""Every payload of the directory named by SRE_AGENT_TEST_CORPUS is parsed, or refused with a reason."""

import os
from pathlib import Path

import pytest

from sre_agent.alert import Payload, fingerprint, parse
from sre_agent.errors import BadInput

CORPUS = os.environ.get("SRE_AGENT_TEST_CORPUS", "")
PAYLOADS = sorted(path for path in Path(CORPUS, "payloads").glob("*/*") if path.is_file()) if CORPUS else []
MALFORMED = [path for path in PAYLOADS if path.parent.name == "malformed"]
WELL_FORMED = [path for path in PAYLOADS if path.parent.name != "malformed"]

GENUINE = {"05", "07", "09", "11", "13", "15", "17", "19", "67", "71", "89", "90", "91"}
FOREIGN = {"23", "31", "33", "37", "39"}
"""Numbers of the payloads whose fingerprints Alertmanager made, and of those that others made or edited."""


def number(path: Path) -> str:
    return path.name[:2]


def read(path: Path) -> Payload:
    return parse(path.read_bytes(), source=str(path))


def numbered(wanted: set[str]) -> list[Path]:
    return [path for path in WELL_FORMED if number(path) in wanted]


def by_name(paths: list[Path]) -> list[object]:
    return [pytest.param(path, id=path.name) for path in paths]


@pytest.mark.skipif(not CORPUS, reason="SRE_AGENT_TEST_CORPUS names no directory")
def test_the_corpus_holds_payloads_of_both_kinds() -> None:
    assert WELL_FORMED, f"SRE_AGENT_TEST_CORPUS={CORPUS} has no payloads/*/* to read"
    assert MALFORMED, f"SRE_AGENT_TEST_CORPUS={CORPUS} has no payloads/malformed/*"


if CORPUS:

    @pytest.mark.parametrize("path", by_name(WELL_FORMED))
    def test_a_real_payload_is_parsed_without_losing_an_alert(path: Path) -> None:
        payload = read(path)
        assert payload.alerts
        assert payload.rejected == ()

    @pytest.mark.parametrize("path", by_name(MALFORMED))
    def test_a_malformed_payload_is_refused_with_its_place(path: Path) -> None:
        with pytest.raises(BadInput, match=r": (byte \d+ \(line \d+, column \d+\)|\$[^:]*): .{10}") as error:
            read(path)
        assert str(error.value).startswith(f"{path}: ")

    @pytest.mark.parametrize("path", by_name(numbered(GENUINE)))
    def test_a_genuine_fingerprint_is_the_one_that_is_computed(path: Path) -> None:
        for alert in read(path).alerts:
            assert fingerprint(alert.labels) == alert.fingerprint

    @pytest.mark.parametrize("path", by_name(numbered(FOREIGN)))
    def test_a_foreign_fingerprint_is_kept_as_it_was_given(path: Path) -> None:
        for alert in read(path).alerts:
            assert fingerprint(alert.labels) != alert.fingerprint

    def test_some_genuine_fingerprint_lies_above_2_to_the_63() -> None:
        genuine = {alert.fingerprint for path in numbered(GENUINE) for alert in read(path).alerts}
        assert any(int(digits, 16) >= 2**63 for digits in genuine)

    @pytest.mark.parametrize("path", by_name(numbered({"01"})))
    def test_79_alerts_have_19_distinct_fingerprints(path: Path) -> None:
        alerts = read(path).alerts
        assert len(alerts) == 79
        assert len({alert.fingerprint for alert in alerts}) == 19
