"""The past of an incident: similar ones, and what counts as the same problem."""

from datetime import timedelta

from sre_agent.incident import Incident, Origin
from sre_agent.store import NewIncident, Store
from sre_agent.store.history_rows import Surroundings
from tests.store.store_builders import NOW, finish, new_incident, receive

HOUR = timedelta(hours=1)
LATER = NOW + timedelta(days=30)


async def past(store: Store, *, hours: int, workload: str | None = None, **changed: object) -> Incident:
    """An incident some hours after NOW, resolved since."""
    new: NewIncident = new_incident(**{"dedup_key": f"key-{hours}-{changed.get('alertname')}", **changed})
    at = NOW + hours * HOUR
    receipt = await receive(store, new, now=at)
    assert receipt.run_id is not None
    await finish(store, await store.start_run(receipt.run_id, now=at), workload=workload, now=at)
    await store.resolve(new.problem, now=at, by="alertmanager", reason="over")
    return await store.book.find(receipt.incident_id)


async def test_similar_incidents_share_name_pod_workload_or_node_and_come_newest_first(store: Store) -> None:
    same_name = await past(store, hours=1, pod="x")
    same_pod = await past(store, hours=2, alertname="A")
    same_workload = await past(store, hours=3, alertname="B", pod="y", workload="Deployment/app")
    same_node = await past(store, hours=4, alertname="C", pod="z", node="worker-1")
    await past(store, hours=5, alertname="D", pod="app-7d9c-x2x", namespace="other")
    await past(store, hours=6, alertname="D", pod="w", cluster="staging", node="worker-1")
    await past(store, hours=7, origin=Origin.REPLAY, scope="s")
    own = await past(store, hours=8, node="worker-1", workload="Deployment/app")
    similar = await store.history.similar(own)
    assert [entry.id for entry in similar] == [same_node.id, same_workload.id, same_pod.id, same_name.id]
    assert [entry.id for entry in await store.history.similar(own, limit=2)] == [same_node.id, same_workload.id]
    assert (similar[0].node, similar[1].workload, similar[0].status) == ("worker-1", "Deployment/app", "resolved")


async def test_facts_count_the_same_alert_on_the_same_workload_whatever_its_pod(store: Store) -> None:
    first = await past(store, hours=1, pod="app-1", workload="Deployment/app")
    await past(store, hours=2, pod="app-2", workload="Deployment/other")
    await past(store, hours=3, pod="app-3", workload="Deployment/app", alertname="Another")
    await past(store, hours=4, pod="app-4", workload="Deployment/app", cluster="staging")
    await past(store, hours=5, pod="app-5", workload="Deployment/app", origin=Origin.REPLAY, scope="s")
    unbound = await past(store, hours=6, pod="app-7")
    own = await past(store, hours=7, pod="app-7", workload="Deployment/app")
    facts = await store.history.facts(own, as_of=LATER)
    assert (facts.occurrences, facts.first.incident_id, facts.last.incident_id) == (3, first.id, own.id)
    before = await store.history.facts(unbound, as_of=NOW + 6 * HOUR)
    assert (before.occurrences, before.last.incident_id) == (1, unbound.id)


async def test_an_alert_without_an_object_is_compared_by_its_dedup_key(store: Store) -> None:
    nothing = {"pod": None, "namespace": None, "container": None}
    await past(store, hours=1, dedup_key="A", **nothing)
    await past(store, hours=2, dedup_key="B", **nothing)
    own = await past(store, hours=3, dedup_key="A", **nothing)
    assert (await store.history.facts(own, as_of=LATER)).occurrences == 2


async def test_a_recorded_occurrence_counts_once_however_often_it_is_replayed(store: Store) -> None:
    for scope in ("one", "two", "three"):
        for hours in (1, 2):
            own = await past(
                store,
                hours=hours,
                origin=Origin.REPLAY,
                scope=scope,
                starts_at=NOW + hours * HOUR,
                dedup_key=f"k{hours}",
            )
    facts = await store.history.facts(own, as_of=LATER)
    assert facts.occurrences == 2
    own_first = await store.book.find(facts.first.incident_id)
    assert own_first.scope == "three"
    assert facts.alert_total is None


async def test_what_a_run_saw_is_kept_and_nothing_known_is_lost(store: Store) -> None:
    own = await past(store, hours=1)
    seen = Surroundings(
        node="worker-1", template_changed_at=NOW, found_field="patch_memory_limit:demo/app/app", found_value="1Gi",
        found_at=NOW,
    )  # fmt: skip
    assert (await store.history.note(own.id, seen)).node == "worker-1"
    assert (await store.history.note(own.id, Surroundings())).node == "worker-1"
    facts = await store.history.facts(own, as_of=LATER)
    assert facts.template_changed_at == NOW
    assert [limit.value for limit in facts.limits] == ["1Gi"]


async def test_totals_of_an_alert_name_say_since_when(store: Store) -> None:
    await past(store, hours=1, pod="x")
    own = await past(store, hours=2)
    facts = await store.history.facts(own, as_of=LATER)
    assert facts.alert_total is not None
    assert (facts.alert_total.incidents, facts.alert_total.first_at) == (2, NOW + HOUR)
