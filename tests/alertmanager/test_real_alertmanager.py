"""What the real Alertmanager says of an alert, and what the agent takes it for."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from sre_agent.alert.standing import AlertState
from sre_agent.alertmanager import ask
from sre_agent.redaction import redact
from sre_agent.settings import Settings, load
from tests.alertmanager.server import PASSWORD, PROGRAM, USER, WEB_CONFIG, AlertmanagerServer, alertmanager
from tests.unit.guard_cases import alert

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no prometheus-alertmanager or alertmanager on PATH")

OOM = {"alertname": "KubePodOOMKilled", "namespace": "shop", "pod": "cart-1", "severity": "warning"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AlertmanagerServer]:
    with alertmanager(tmp_path_factory.mktemp("alertmanager")) as running:
        yield running


def asking(url: str, **environment: str) -> Settings:
    return load({"HOME": "/home/op", "SRE_AGENT_ALERTMANAGER_URL": url, **environment})


async def state_of(server: AlertmanagerServer, labels: dict[str, str]) -> AlertState:
    return (await ask(alert(labels=labels), asking(server.url))).state


async def test_a_firing_alert_is_active(server: AlertmanagerServer) -> None:
    server.fire(OOM)
    assert await state_of(server, OOM) is AlertState.ACTIVE


async def test_an_alert_that_nobody_sent_is_gone_though_others_of_its_name_fire(server: AlertmanagerServer) -> None:
    server.fire(OOM)
    assert await state_of(server, OOM | {"pod": "cart-2"}) is AlertState.GONE


async def test_an_alert_with_one_label_more_is_another_one(server: AlertmanagerServer) -> None:
    labels = OOM | {"pod": "cart-3"}
    server.fire(labels | {"replica": "b"})
    assert await state_of(server, labels) is AlertState.GONE


async def test_a_resolved_alert_is_gone(server: AlertmanagerServer) -> None:
    labels = OOM | {"pod": "cart-4"}
    server.fire(labels)
    server.fire(labels, until=-timedelta(seconds=1))
    assert await state_of(server, labels) is AlertState.GONE


async def test_a_silence_is_seen_with_its_id_and_its_end_too(server: AlertmanagerServer) -> None:
    labels = OOM | {"pod": "cart-5"}
    server.fire(labels)
    silence = server.silence("pod", "cart-5")
    standing = await ask(alert(labels=labels), asking(server.url))
    assert (standing.state, standing.detail) == (AlertState.SILENCED, silence)
    server.end_silence(silence)
    assert await state_of(server, labels) is AlertState.ACTIVE


async def test_an_inhibited_alert_names_what_inhibits_it(server: AlertmanagerServer) -> None:
    labels = OOM | {"namespace": "bank"}
    server.fire(labels)
    server.fire({"alertname": "ClusterDown", "namespace": "bank", "severity": "critical"})
    standing = await ask(alert(labels=labels), asking(server.url))
    assert (standing.state, len(standing.detail)) == (AlertState.INHIBITED, 16)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param('a "quoted" value', id="quotes"),
        pytest.param("back\\slash", id="a backslash"),
        pytest.param("two\nlines", id="a newline"),
        pytest.param("größer, 大きい {x=~'y'}", id="what a matcher would read otherwise"),
        pytest.param("10.0.0.1:9100", id="an address"),
        pytest.param("x" * 3000, id="a very long one"),
        pytest.param("Bearer abcdefghijklmnopqrstuvwxyz0123456789", id="a secret"),
    ],
)
async def test_labels_are_compared_whatever_they_hold(server: AlertmanagerServer, value: str) -> None:
    labels = OOM | {"extra": value}
    server.fire(labels)
    assert await state_of(server, labels) is AlertState.ACTIVE


async def test_an_alert_as_it_is_stored_is_found_though_a_secret_was_taken_out(server: AlertmanagerServer) -> None:
    labels = OOM | {"extra": "Bearer zyxwvutsrqponmlkjihgfedcba9876543210"}
    server.fire(labels)
    stored = redact(labels)
    assert "zyxw" not in stored["extra"]
    assert await state_of(server, stored) is AlertState.ACTIVE
    assert await state_of(server, labels | {"extra": "Bearer [redacted:header:0000]"}) is AlertState.GONE


async def test_with_users_the_right_password_is_let_in_and_a_wrong_one_tells_nothing(tmp_path: Path) -> None:
    (tmp_path / "web.yml").write_text(WEB_CONFIG)
    with alertmanager(tmp_path, f"--web.config.file={tmp_path / 'web.yml'}") as guarded:
        settings = asking(guarded.url, SRE_AGENT_ALERTMANAGER_USER=USER, SRE_AGENT_ALERTMANAGER_TOKEN=PASSWORD)
        assert (await ask(alert(labels=OOM), settings)).state is AlertState.GONE
        wrong = asking(guarded.url, SRE_AGENT_ALERTMANAGER_USER=USER, SRE_AGENT_ALERTMANAGER_TOKEN="wrong-password")
        standing = await ask(alert(labels=OOM), wrong)
    assert standing.state is AlertState.UNKNOWN
    assert "401" in standing.detail
    assert "wrong-password" not in standing.detail


async def test_an_address_with_a_path_is_kept(tmp_path: Path) -> None:
    with alertmanager(tmp_path, "--web.route-prefix=/am/", prefix="/am") as server:
        server.fire(OOM)
        for url in (server.url, f"{server.url}/"):
            assert (await ask(alert(labels=OOM), asking(url))).state is AlertState.ACTIVE
