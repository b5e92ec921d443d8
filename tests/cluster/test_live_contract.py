"""The contract of the `cluster` port, on a real API server."""

from collections.abc import AsyncIterator

import pytest

from sre_agent.cluster.live import open_cluster
from sre_agent.cluster.port import Cluster
from sre_agent.objects import Object
from tests.cluster.contract import ClusterContract, ClusterFactory
from tests.control_plane.plane import ControlPlane


class TestLiveCluster(ClusterContract):
    """The live API does what any cluster must do."""

    @pytest.fixture
    async def cluster_factory(
        self, bare_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
    ) -> AsyncIterator[ClusterFactory]:
        monkeypatch.setenv("KUBECONFIG", str(bare_plane.kubeconfig()))
        async with open_cluster() as cluster:

            async def with_objects(values: list[Object]) -> Cluster:
                bare_plane.api.create_all(values)
                return cluster

            yield with_objects

    async def test_a_live_cluster_says_that_it_is_not_recorded(self, cluster_factory: ClusterFactory) -> None:
        assert not (await cluster_factory([])).recorded
