"""Whether it happened before: on the same object, since, and elsewhere."""

from typing import Any

import pytest

from sre_agent.store.history import SIMILAR
from sre_agent.tui.past import seen_before

INCIDENT = {
    "id": 40,
    "alertname": "KubePodOOMKilled",
    "namespace": "shop",
    "pod": "checkout-6f7c9d8b54-zpzzn",
    "workload": "Deployment/checkout",
    "node": "worker-1",
    "created_at": "2026-11-20T03:00:00Z",
}
NODE = INCIDENT | {"alertname": "KubeNodeNotReady", "namespace": None, "pod": None, "workload": None}


def entry(incident: dict[str, Any], day: int, **changed: Any) -> dict[str, Any]:
    done = {"action_taken": "patch_memory_limit:shop/checkout/app:1Gi→2Gi", "action_error": None}
    at = {"id": day, "created_at": f"2026-11-{day:02}T03:00:00.5Z"}
    return incident | at | done | {"action_recommended": None, "status": "resolved"} | changed


DEED = "✓ patch_memory_limit:shop/checkout/app:1Gi→2Gi"
ELSEWHERE = {"pod": "cart-1", "workload": "Deployment/cart"}


@pytest.mark.parametrize(
    ("incident", "past", "said"),
    [
        (INCIDENT, [], "First time: no similar incident is stored."),
        (INCIDENT, [entry(INCIDENT, 12)], f"Here once before, last 2026-11-12: {DEED}."),
        (
            INCIDENT,
            [entry(INCIDENT, 12, pod="checkout-another"), entry(INCIDENT, 3), entry(INCIDENT, 2, **ELSEWHERE)],
            f"Here 2 times before, last 2026-11-12: {DEED}. Elsewhere once.",
        ),
        (INCIDENT, [entry(INCIDENT, 25)], "First time here. Again once since."),
        (
            INCIDENT,
            [entry(INCIDENT, 12, **ELSEWHERE), entry(INCIDENT, 11, alertname="KubePodCrashLoopBackOff")],
            f"First time here. Elsewhere 2 times, last 2026-11-12: {DEED}.",
        ),
        (NODE, [entry(NODE, 2)], f"Here once before, last 2026-11-02: {DEED}."),
        (NODE, [entry(NODE, 2, node="worker-2")], f"First time here. Elsewhere once, last 2026-11-02: {DEED}."),
        (
            NODE,
            [entry(NODE, 2, pod="app-1", namespace="shop")],
            f"First time here. Elsewhere once, last 2026-11-02: {DEED}.",
        ),
        (
            INCIDENT,
            [entry(INCIDENT, 2, **ELSEWHERE)] * SIMILAR,
            f"Not here of late. Elsewhere at least {SIMILAR} times, last 2026-11-02: {DEED}.",
        ),
    ],
    ids=["none", "once", "another pod of the workload", "only later", "elsewhere", "node", "other node", "pod", "many"],
)
def test_the_first_time_is_said_only_where_it_is_known(
    incident: dict[str, Any], past: list[dict[str, Any]], said: str
) -> None:
    assert seen_before({"incident": incident, "past_incidents": past}) == said
