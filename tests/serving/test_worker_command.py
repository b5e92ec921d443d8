"""`sre-agent worker` as a person and a cluster start it: it takes what servers have queued, and ends in order."""

import signal
from pathlib import Path

import pytest

from sre_agent.cli.main import run
from sre_agent.store import Store
from tests.chaos.findings import all_ended, ask
from tests.chaos.replicas import PROMISED_END, Replica
from tests.serving.serving_builders import alert, body, reception


async def test_it_ends_the_runs_that_wait_and_ends_itself_when_it_is_told(
    store: Store, database: str, tmp_path: Path
) -> None:
    await reception(store).accept(body([alert("app-1"), alert("app-2")]))
    with Replica(tmp_path / "worker.log", "worker", "--concurrency", "1", DATABASE_URL=database) as worker:
        await worker.ready()
        (told,) = worker.events("worker.started")
        assert (told["worker"], told["cluster"]) == ("1 runs at a time", "none")
        assert any("--context" in missing for missing in told["missing"])
        await all_ended(database)
        assert await worker.told_to_end() < PROMISED_END
    assert ask(database, "select distinct status, attempt, deaths from runs") == [("escalated", 1, 0)]
    assert ask(database, "select count(*) from jobs.procrastinate_workers") == [(0,)]
    assert "Traceback" not in worker.said


async def test_ctrl_c_ends_it_with_130(database: str, tmp_path: Path) -> None:
    with Replica(tmp_path / "worker.log", "worker", DATABASE_URL=database) as worker:
        await worker.ready()
        worker.process.send_signal(signal.SIGINT)
        assert worker.process.wait(PROMISED_END) == 130
    assert worker.said.endswith("sre-agent: interrupted\n")


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "DATABASE_URL is not set"),
        ({"DATABASE_URL": "host=127.0.0.1 port=1 connect_timeout=2"}, "cannot reach PostgreSQL"),
    ],
)
def test_what_it_cannot_start_with_is_one_sentence(
    environment: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert run(["worker"]) == 3
    assert said in capsys.readouterr().err


def test_it_leaves_an_old_schema_to_whoever_migrates(
    blank_database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", blank_database)
    assert run(["worker"]) == 3
    assert "run `sre-agent db migrate`" in capsys.readouterr().err
