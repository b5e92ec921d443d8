"""The clusters of a test run and a namespace of its own for each test.

A control plane starts when a test first asks for it and lives until its pytest worker ends; each worker has its own.
What a test changed is put back before the next one. A test says by its fixtures what it needs:

- `plane`: the control plane with controllers, scheduler and kubelets, three Ready nodes `worker-1` to `worker-3`;
- `bare_plane`: etcd and the API server alone, empty: objects stay as they were written;
- `any_cluster`: `plane`, or the cluster that SRE_AGENT_TEST_KUBECONFIG names. Tests of the other two cannot run there.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.control_plane.build import BUILT, OTHER_CLUSTER, READY_MADE, programs
from tests.control_plane.other import OtherCluster
from tests.control_plane.plane import ControlPlane
from tests.control_plane.upkeep import delete_namespace, empty, leave_namespace, tidy
from tests.control_plane.upkeep import make_namespace as add_namespace

OF_OUR_OWN = {"running_plane", "plane", "running_bare_plane", "bare_plane"}
ANY = "any_cluster"
WORKERS = ("worker-1", "worker-2", "worker-3")

AnyCluster = ControlPlane | OtherCluster
MakeNamespace = Callable[[str | None], str]

_left_out = pytest.StashKey[int]()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests that need a cluster, and leave out what another one than our own cannot show."""
    for item in items:
        needs = set(getattr(item, "fixturenames", ()))
        if needs & OF_OUR_OWN:
            item.add_marker("own_plane")
        if item.get_closest_marker("own_plane") or ANY in needs:
            item.add_marker("cluster")
    if os.environ.get(OTHER_CLUSTER):
        own = [item for item in items if item.get_closest_marker("own_plane")]
        items[:] = [item for item in items if item not in own]
        config.hook.pytest_deselected(items=own)
        config.stash[_left_out] = len(own)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was left out, and why."""
    if count := config.stash.get(_left_out, 0):
        terminalreporter.write_line(
            f"{count} tests need the control plane that tests/control_plane builds, and were left out on the cluster "
            f"of {OTHER_CLUSTER}={os.environ[OTHER_CLUSTER]}."
        )


@pytest.fixture(scope="session")
def control_plane_programs() -> Path:
    """The directory of kube-apiserver and its companions."""
    return programs()


@pytest.fixture(scope="session")
def running_plane(control_plane_programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """The full control plane, whatever tests have left in it. For fixtures that outlive a test."""
    directory = tmp_path_factory.mktemp("full") / "plane"
    with ControlPlane(control_plane_programs, directory, controllers=True) as running:
        yield running


@pytest.fixture
def plane(running_plane: ControlPlane) -> Iterator[ControlPlane]:
    """The full control plane with three fresh nodes, and no rights but its own."""
    running_plane.kubelets.restore(WORKERS)
    yield running_plane
    tidy(running_plane.api)


@pytest.fixture(scope="session")
def running_bare_plane(
    control_plane_programs: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    """The control plane without controllers, whatever tests have left in it."""
    directory = tmp_path_factory.mktemp("bare") / "plane"
    with ControlPlane(control_plane_programs, directory, controllers=False) as running:
        yield running


@pytest.fixture
def bare_plane(running_bare_plane: ControlPlane) -> ControlPlane:
    """An empty cluster without controllers, scheduler and kubelets: objects stay as they were written."""
    empty(running_bare_plane.api)
    return running_bare_plane


@pytest.fixture(scope="session")
def other_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OtherCluster]:
    """The cluster that SRE_AGENT_TEST_KUBECONFIG names."""
    directory = tmp_path_factory.mktemp("other") / "cluster"
    with OtherCluster(Path(os.environ[OTHER_CLUSTER]), _kubectl(), directory) as opened:
        yield opened


@pytest.fixture
def any_cluster(request: pytest.FixtureRequest) -> AnyCluster:
    """A cluster with controllers and kubelets: our own, or the one that SRE_AGENT_TEST_KUBECONFIG names."""
    chosen: AnyCluster = request.getfixturevalue("other_cluster" if os.environ.get(OTHER_CLUSTER) else "plane")
    return chosen


@pytest.fixture
def make_namespace(any_cluster: AnyCluster) -> Iterator[MakeNamespace]:
    """Makes namespaces, named or not, that are gone with all they hold when the test ends."""
    made: list[str] = []

    def make(name: str | None = None) -> str:
        made.append(name or f"test-{uuid4().hex[:8]}")
        add_namespace(any_cluster.api, made[-1])
        return made[-1]

    yield make
    remove = leave_namespace if isinstance(any_cluster, OtherCluster) else delete_namespace
    for name in made:
        remove(any_cluster.api, name)


@pytest.fixture
def namespace(make_namespace: MakeNamespace) -> str:
    """A fresh namespace, ready for pods."""
    return make_namespace(None)


def _kubectl() -> str:
    """The built kubectl, or else the one on PATH."""
    places = (Path(os.environ.get(READY_MADE, BUILT)) / "kubectl", shutil.which("kubectl"))
    for place in places:
        if place and os.access(place, os.X_OK):
            return str(place)
    raise FileNotFoundError(f"no kubectl: install one, or put it in the directory that {READY_MADE} names")
