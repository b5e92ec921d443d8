"""`sre-agent worker` as a person and a cluster start it: it takes what servers have queued, and ends in order."""

import asyncio
import signal
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from sre_agent.cli.main import run
from sre_agent.store import Store
from sre_agent.web.health import FRESH_SECONDS
from tests.chaos.findings import all_ended, ask
from tests.chaos.replicas import PROMISED_END, Replica
from tests.serving.serving_builders import alert, body, reception
from tests.web.servers import until


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


def answer(url: str, token: str | None = None) -> tuple[int, str]:
    """What is answered to a program that watches the worker."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


async def test_with_a_port_it_tells_how_it_is_and_what_it_did(store: Store, database: str, tmp_path: Path) -> None:
    await reception(store).accept(body([alert("app-1"), alert("app-2")]))
    with Replica(tmp_path / "worker.log", "worker", "--port", "0", DATABASE_URL=database) as worker:
        await worker.ready()
        assert answer(f"{worker.url}/livez") == (200, '{"status":"ok"}')
        assert answer(f"{worker.url}/healthz") == (200, '{"status":"ok"}')
        await all_ended(database)

        async def counted() -> bool:
            return 'sre_agent_runs_total{result="escalated",runbook="RB_OOM"} 2.0' in answer(f"{worker.url}/metrics")[1]

        await until(counted)
        assert "sre_agent_database_up 1.0" in answer(f"{worker.url}/metrics")[1]
        assert [answer(worker.url + path)[0] for path in ("/", "/api/incidents", "/openapi.json")] == [404] * 3
        ask(database, "delete from schema_migrations where name = '0011_evictions' returning name")
        await asyncio.sleep(FRESH_SECONDS)
        assert answer(f"{worker.url}/healthz")[0] == 503
        assert await worker.told_to_end() < PROMISED_END
    assert "Traceback" not in worker.said


def listeners(pid: int) -> set[str]:
    """The sockets of a process that listen, by their inodes."""
    held = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
    tables = [Path(f"/proc/{pid}/net/{family}").read_text().splitlines() for family in ("tcp", "tcp6")]
    listening = {line.split()[9] for lines in tables for line in lines if line.split()[3] == "0A"}
    return listening & {name.removeprefix("socket:[").rstrip("]") for name in held}


async def test_without_a_port_it_listens_to_nobody(database: str, tmp_path: Path) -> None:
    with Replica(tmp_path / "worker.log", "worker", DATABASE_URL=database) as worker:
        await worker.ready()
        assert worker.url == ""
        assert listeners(worker.process.pid) == set()


async def test_beyond_loopback_its_metrics_ask_for_a_token(database: str, tmp_path: Path) -> None:
    given = {"DATABASE_URL": database, "SRE_AGENT_VIEWER_TOKEN": "watchers-own"}
    log = tmp_path / "worker.log"
    with Replica(log, "worker", "--host", "0.0.0.0", "--port", "0", **given) as worker:
        await worker.ready()
        assert len(listeners(worker.process.pid)) == 1
        assert answer(f"{worker.url}/healthz")[0] == 200
        assert answer(f"{worker.url}/metrics")[0] == 401
        assert answer(f"{worker.url}/metrics", "watchers-own")[0] == 200
        assert "watchers-own" not in worker.said


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["--host", "0.0.0.0", "--port", "0"], {}, "set SRE_AGENT_VIEWER_TOKEN"),
        (["--host", "0.0.0.0", "--port", "0"], {"SRE_AGENT_WEBHOOK_TOKEN": "x"}, "set SRE_AGENT_VIEWER_TOKEN"),
        (["--host", "0.0.0.0"], {}, "give --port, too"),
        (["--insecure"], {}, "give --port, too"),
        (["--host", "192.0.2.1", "--port", "0"], {}, "this machine has no such address"),
        (["--port", "0"], {"SRE_AGENT_TLS_CERT": "/nowhere", "SRE_AGENT_TLS_KEY": "/nowhere"}, "No such file"),
    ],
)
def test_where_it_cannot_listen_is_one_sentence(
    arguments: list[str],
    environment: dict[str, str],
    said: str,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DATABASE_URL", database)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert run(["worker", *arguments]) == 2
    assert said in capsys.readouterr().err
