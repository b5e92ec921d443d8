"""Lists that are longer than a page: complete, or an error."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import GONE
from pathlib import Path

import pytest

from sre_agent.cluster.live import LIST_STARTS, PAGE, open_cluster
from sre_agent.cluster.port import Resource
from tests.cluster.contract import NAMESPACE, namespaces, pod
from tests.control_plane.api import Api
from tests.control_plane.kubelet import wait_for
from tests.control_plane.plane import ControlPlane
from tests.live.fault_proxy import Choose, Fault, FaultProxy, before

PODS = 5_000
MAKERS = 4

Spoil = Callable[[FaultProxy, set[int]], Choose]


def make_pods(plane: ControlPlane) -> set[str]:
    """Creates PODS pods and answers their uids."""

    def make(numbers: range) -> list[str]:
        api = Api.from_kubeconfig(plane.kubeconfig())
        path = f"/api/v1/namespaces/{NAMESPACE}/pods"
        try:
            return [api.request("POST", path, _bare(number))["metadata"]["uid"] for number in numbers]
        finally:
            api.close()

    with ThreadPoolExecutor(MAKERS) as makers:
        parts = makers.map(make, [range(first, PODS, MAKERS) for first in range(MAKERS)])
        return {uid for part in parts for uid in part}


def _bare(number: int) -> dict[str, object]:
    return {key: value for key, value in pod(f"pod-{number}").items() if key != "status"}


def expiring(proxy: FaultProxy, at: set[int]) -> Choose:
    """410 for the continued pages of these numbers, counted over all lists that were begun."""
    continued = [0]

    def choose(method: str, path: str, dry: bool) -> Fault | None:
        if "continue=" not in path:
            return None
        continued[0] += 1
        return Fault.EXPIRED if continued[0] in at else None

    return choose


def compacting(proxy: FaultProxy, at: set[int]) -> Choose:
    """Before the continued pages of these numbers etcd forgets the list's revision: the API server itself says 410."""
    continued = [0]
    forget_what_is_cached(proxy.plane)

    def choose(method: str, path: str, dry: bool) -> Fault | None:
        if "continue=" in path:
            continued[0] += 1
            if continued[0] in at:
                forget(proxy.plane, path)
        return None

    return choose


def forget_what_is_cached(plane: ControlPlane) -> None:
    """The API server has old pages in its cache, and looks four times a minute whether it must forget them.

    While nothing changes it has none again, and asks etcd for each continued page.
    """
    path = f"/api/v1/namespaces/{NAMESPACE}/pods?limit=1"
    token = plane.api.request("GET", path)["metadata"]["continue"]
    forget(plane, f"{path}&continue={token}")


def forget(plane: ControlPlane, page: str) -> None:
    """Returns when the API server answers 410 for this page."""
    plane.etcd.compact()
    wait_for("the list has expired", lambda: plane.api.raw("GET", page)[0] == GONE)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "spoiled",
    [pytest.param(expiring, id="a proxy says so"), pytest.param(compacting, id="etcd was compacted")],
)
async def test_five_thousand_pods_are_listed_whole_though_the_list_expires(
    bare_plane: ControlPlane,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    figure: Callable[[str], None],
    spoiled: Spoil,
) -> None:
    bare_plane.api.create_all(namespaces())
    made = make_pods(bare_plane)
    assert len(made) == PODS
    told = []
    with before(bare_plane, tmp_path / "proxy") as proxy:
        monkeypatch.setenv("KUBECONFIG", str(proxy.kubeconfig()))
        async with open_cluster() as cluster:
            for name, at in (("never", set[int]()), ("once", {5}), ("twice", {5, 9}), ("each time", set(range(1, 99)))):
                proxy.seen.clear()
                proxy.choose = spoiled(proxy, at)
                began = time.monotonic()
                found = await cluster.list(Resource.PODS, NAMESPACE)
                assert {obj["metadata"]["uid"] for obj in found} == made
                assert len(found) == PODS
                told.append(f"expired {name}: {len(proxy.seen)} requests, {time.monotonic() - began:.1f} s")
                if not at:
                    assert len(proxy.seen) == PODS // PAGE
            assert len(proxy.seen) == 2 * LIST_STARTS - 1, "the last start asks for all at once"
    figure(f"{PODS} of {PODS} pods; " + "; ".join(told))
