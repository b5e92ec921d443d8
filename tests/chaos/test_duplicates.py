"""The same news many times over is one incident and one run, whichever of three servers hears it."""

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.chaos.findings import all_ended, ask, assert_nothing_doubled_or_half
from tests.chaos.replicas import Replica, Sender
from tests.web.servers import alert, payload

pytestmark = pytest.mark.timeout(300)

AT_ONCE = 50
FIRING = 50


@pytest.mark.parametrize(
    "rounds", [5, pytest.param(20, marks=[pytest.mark.soak, pytest.mark.timeout(600)])], ids="{} rounds".format
)
async def test_one_payload_from_everywhere_at_once_is_one_incident_and_one_run(
    rounds: int, replicas: list[Replica], database: str, client: aiohttp.ClientSession
) -> None:
    sender = Sender(client, replicas)
    for number in range(rounds):
        same = payload(alert(pod=f"app-{number}"))
        await asyncio.gather(*(sender.deliver(same, first=place) for place in range(AT_ONCE)))
    assert sender.answers == {200: rounds * AT_ONCE}
    await all_ended(database)
    assert_nothing_doubled_or_half(database, sent=[f"app-{number}" for number in range(rounds)])
    heard = "select count(*) from incident_events where event_type = 'webhook_received'"
    assert ask(database, heard) == [(rounds * AT_ONCE,)]


def exported(number: int, *, instance: str, pod: str) -> dict[str, Any]:
    """What kube-state-metrics measures of one thing, with its own address and pod in the labels."""
    own = {"instance": instance, "job": "kube-state-metrics", "container": "kube-state-metrics", "uid": ""}
    match number % 4:
        case 0:
            measured = {"alertname": "KubeDeploymentReplicasMismatch", "deployment": f"web-{number}", "pod": pod}
        case 1:
            measured = {"alertname": "KubeNodeNotReady", "node": f"node-{number}", "pod": pod}
        case 2:
            measured = {
                "alertname": "KubePodCrashLooping",
                "exported_pod": f"app-{number}",
                "exported_container": "app",
                "exported_namespace": "demo",
                "pod": pod,
            }
        case _:
            measured = {"alertname": "KubePodOOMKilled", "pod": f"app-{number}", "container": "app"}
    told = alert()
    return told | {"labels": {"namespace": "demo", "severity": "warning"} | own | measured}


async def test_a_restarted_kube_state_metrics_under_fifty_firing_alerts_is_no_news(
    replicas: list[Replica], database: str, client: aiohttp.ClientSession
) -> None:
    sender = Sender(client, replicas)
    before = [
        exported(number, instance="10.0.0.7:8080", pod="kube-state-metrics-5d4-abcde") for number in range(FIRING)
    ]
    after = [exported(number, instance="10.0.1.9:8080", pod="kube-state-metrics-5d4-fghij") for number in range(FIRING)]
    await sender.deliver(payload(*before))
    await all_ended(database)
    counts = "select (select count(*) from incidents), (select count(*) from runs)"
    assert ask(database, counts) == [(FIRING, FIRING)]
    await asyncio.gather(*(sender.deliver(payload(*after), first=place) for place in range(3)))
    await asyncio.gather(*(sender.deliver(payload(one), first=place) for place, one in enumerate(after)))
    assert ask(database, counts) == [(FIRING, FIRING)]
    assert set(sender.answers) == {200}
