"""The real Alertmanager sends to the real server: what it is told makes it send again, or not."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from time import monotonic

import pytest

from tests.alertmanager.server import PROGRAM, AlertmanagerServer, alertmanager
from tests.chaos.findings import all_ended, ask, assert_nothing_doubled_or_half
from tests.chaos.monkey import OwnPostgres, held_up
from tests.chaos.replicas import Replica
from tests.serving.test_worker import until
from tests.web.servers import until as eventually

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no prometheus-alertmanager or alertmanager on PATH")

OOM = {"alertname": "KubePodOOMKilled", "namespace": "shop", "pod": "cart-1", "container": "app"}
INCIDENTS = "select count(*) from incidents"
SENT = "alertmanager_notification_requests_total"
FAILED_REQUESTS = "alertmanager_notification_requests_failed_total"
GIVEN_UP = "alertmanager_notifications_failed_total"
SOONEST_AGAIN = 60.0
"""Seconds within which what met a database that was away must have arrived once it is back."""

CREDENTIALS = {"SRE_AGENT_WEBHOOK_USER": "prom", "SRE_AGENT_WEBHOOK_PASSWORD": "open-sesame"}
TOKEN = {"SRE_AGENT_WEBHOOK_TOKEN": "t0ken-of-the-webhook"}


def config(server: Replica, http: str = "{}", *, interval: str = "1s") -> str:
    """A route that sends at once. It tries again within `interval`, or 10 s where that is longer, and after it."""
    return f"""
route: {{receiver: agent, group_by: [pod], group_wait: 0s, group_interval: {interval}, repeat_interval: 1h}}
receivers:
- name: agent
  webhook_configs:
  - {{url: {server.url}/alertmanager, send_resolved: true, http_config: {http}}}
"""


async def counted(sender: AlertmanagerServer, name: str, least: int) -> None:
    """Waits until one of Alertmanager's counters is there."""

    async def there() -> bool:
        return await asyncio.to_thread(sender.counted, name) >= least

    await eventually(there, seconds=60)


def alertmanager_log(directory: Path) -> str:
    assert PROGRAM is not None
    return (directory / f"{Path(PROGRAM).name}.log").read_text()


async def test_what_meets_a_database_that_is_away_arrives_when_it_is_back(
    own_postgres: OwnPostgres, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    with Replica(tmp_path / "serve.log", "serve", DATABASE_URL=own_postgres.conninfo) as server:
        await server.ready()
        await own_postgres.stop()
        with alertmanager(tmp_path, config=config(server, interval="5m")) as sender:
            sender.fire(OOM)
            await counted(sender, FAILED_REQUESTS, 1)
            assert "unexpected status code 503" in alertmanager_log(tmp_path)
            await own_postgres.start()
            took = await until(own_postgres.conninfo, INCIDENTS, is_=[(1,)])
            assert took < SOONEST_AGAIN
        await all_ended(own_postgres.conninfo)
    assert_nothing_doubled_or_half(own_postgres.conninfo, sent=["cart-1"])
    figure(f"delivered {took:.1f} s after the database was back")


@pytest.mark.parametrize(
    ("environment", "http"),
    [
        pytest.param(CREDENTIALS, "{basic_auth: {username: prom, password: open-sesame}}", id="basic"),
        pytest.param(TOKEN, "{authorization: {credentials: t0ken-of-the-webhook}}", id="bearer"),
    ],
)
async def test_its_ways_to_say_who_it_is_are_understood(
    environment: dict[str, str], http: str, database: str, tmp_path: Path
) -> None:
    with Replica(tmp_path / "serve.log", "serve", "--no-worker", DATABASE_URL=database, **environment) as server:
        await server.ready()
        with alertmanager(tmp_path, config=config(server, http)) as sender:
            sender.fire(OOM)
            await until(database, INCIDENTS, is_=[(1,)])
            sender.fire(OOM, until=-timedelta(seconds=1))
            await until(database, "select status from incidents", is_=[("resolved",)])
            assert await asyncio.to_thread(sender.counted, FAILED_REQUESTS) == 0
    assert not any(secret in server.said for secret in environment.values() if secret != "prom")


async def test_bad_credentials_are_final_and_not_tried_again(database: str, tmp_path: Path) -> None:
    http = "{basic_auth: {username: prom, password: wrong}}"
    with Replica(tmp_path / "serve.log", "serve", "--no-worker", DATABASE_URL=database, **CREDENTIALS) as server:
        await server.ready()
        with alertmanager(tmp_path, config=config(server, http, interval="5m")) as sender:
            sender.fire(OOM)
            await counted(sender, GIVEN_UP, 1)
            assert await asyncio.to_thread(sender.counted, SENT) == 1
        assert "unexpected status code 401" in alertmanager_log(tmp_path)
    assert ask(database, INCIDENTS) == [(0,)]


async def test_a_receiver_that_is_slow_is_sent_to_again_without_effect(
    database: str, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    with Replica(tmp_path / "serve.log", "serve", DATABASE_URL=database) as server:
        await server.ready()
        with alertmanager(tmp_path, config=config(server)) as sender:
            began = monotonic()
            with held_up(database):
                sender.fire(OOM)
                await counted(sender, FAILED_REQUESTS, 1)
                gave_up = monotonic() - began
            await until(database, "select count(*) > 1 from webhooks", is_=[(True,)])
            await all_ended(database)
    assert_nothing_doubled_or_half(database, sent=["cart-1"])
    figure(f"it gave up after {gave_up:.1f} s and sent again: 1 incident, 1 run")
