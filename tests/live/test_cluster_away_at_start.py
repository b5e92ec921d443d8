"""A server that is started while the API server of its cluster does not answer, and what it does when that is back."""

import time
import urllib.request
from pathlib import Path

import psycopg
import pytest

from tests.control_plane.plane import ControlPlane
from tests.live import scene
from tests.live.fault_proxy import AGENT, Fault, before
from tests.web.servers import ServeProcess

PATIENCE = 60.0
RUNS = "select status from runs order by touched_at"


def until(database: str, question: str, *, is_: list[tuple[str, ...]]) -> None:
    """Waits until the database answers so."""
    end = time.monotonic() + PATIENCE
    with psycopg.connect(database, autocommit=True) as connection:
        while (answer := connection.execute(question).fetchall()) != is_:
            assert time.monotonic() < end, f"after {PATIENCE:.0f} s {question} answers {answer}"
            time.sleep(0.05)


@pytest.mark.parametrize("fault", [Fault.AWAY, Fault.HANG_BEFORE])
def test_an_alert_that_came_meanwhile_is_acted_upon_when_the_cluster_is_back(
    bare_plane: ControlPlane, database: str, tmp_path: Path, fault: Fault
) -> None:
    scene.write_scene(bare_plane.api)
    body = scene.write_alert(tmp_path).read_bytes()
    with before(bare_plane, tmp_path / "proxy") as proxy:
        proxy.choose = lambda method, path, dry: fault
        environment = {"DATABASE_URL": database, "KUBECONFIG": str(proxy.kubeconfig(AGENT)), "AGENT_MODE": "auto"}
        hurried = {"SRE_AGENT_SETTLE": "0", "SRE_AGENT_API_ERRORS": "100"}  # else it waits until the API was calm
        with ServeProcess(**environment, **hurried) as process:
            process.wait_until_ready()
            with urllib.request.urlopen(f"{process.url}/alertmanager", data=body, timeout=5) as response:
                assert response.status == 200
            until(database, RUNS, is_=[("failed",)])
            proxy.choose = lambda method, path, dry: None
            scene.kill_again(bare_plane.api)
            with psycopg.connect(database, autocommit=True) as connection:
                assert connection.execute("update runs set retry_at = now() where retry_at > now()").rowcount == 1
            until(database, RUNS, is_=[("failed",), ("succeeded",)])
    deployment = bare_plane.api.get("apps/v1", "Deployment", scene.NAMESPACE, "checkout")
    assert scene.limit_of(deployment) == scene.NEW
