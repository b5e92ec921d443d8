"""What every test shares: an environment without the user's own settings, and one PostgreSQL for the session."""

from collections.abc import Iterator

import pytest

from sre_agent.embedded_postgres import running

USERS_SETTINGS = (
    "AGENT_MODE",
    "CLUSTER_NAME",
    "DATABASE_URL",
    "KUBERNETES_SERVICE_HOST",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
)


@pytest.fixture(scope="session", autouse=True)
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test sees the user's settings or touches the user's data."""
    with pytest.MonkeyPatch.context() as patch:
        for name in USERS_SETTINGS:
            patch.delenv(name, raising=False)
        patch.setenv("SRE_AGENT_DATA_DIR", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[str]:
    """The conninfo of an embedded PostgreSQL that all workers of this test run share."""
    own = tmp_path_factory.getbasetemp()
    shared = own if worker_id == "master" else own.parent
    with running(shared / "postgres") as conninfo:
        yield conninfo
