"""The contract of the `cluster` port, on recorded objects."""

import pytest

from sre_agent.cluster.port import Cluster
from sre_agent.cluster.recording import from_objects
from sre_agent.cluster.snapshot import SnapshotCluster
from sre_agent.objects import Object
from tests.cluster.contract import ClusterContract, ClusterFactory


class TestSnapshotCluster(ClusterContract):
    """A snapshot does what any cluster must do."""

    @pytest.fixture
    def cluster_factory(self) -> ClusterFactory:
        async def with_objects(values: list[Object]) -> Cluster:
            return SnapshotCluster(from_objects(values))

        return with_objects

    async def test_a_snapshot_says_that_it_is_recorded(self, cluster_factory: ClusterFactory) -> None:
        cluster = await cluster_factory([])
        assert cluster.recorded
        await cluster.close()
