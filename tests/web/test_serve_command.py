"""`sre-agent serve` as a person and a cluster start it: what it prints, what it refuses, how it ends."""

import asyncio
import contextlib
import json
import os
import pty
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from sre_agent.cli.main import run
from sre_agent.settings import load
from sre_agent.web.certificate import Certificate
from tests.control_plane.certificates import make_certificates
from tests.web.servers import ServeProcess, payload


@pytest.fixture(autouse=True)
def _nothing_configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No kubeconfig of the person who runs the tests."""
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def taken() -> Iterator[int]:
    """A port at which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("certificates")
    make_certificates(directory)
    return directory


def test_a_laptop_needs_no_settings(embedded: Path) -> None:
    with ServeProcess("--no-worker", SRE_AGENT_DATA_DIR=str(embedded)) as process:
        process.wait_until_ready()
        request = urllib.request.Request(f"{process.url}/alertmanager", data=json.dumps(payload()).encode())
        with urllib.request.urlopen(request) as response:
            assert response.status == 200
        status, page = process.get("/api/incidents")
        assert (status, page["incidents"][0]["alertname"]) == (200, "KubePodOOMKilled")
        assert process.started["database"] == f"embedded, in {embedded}"
        assert process.started["mode"] == "recommend"
        assert process.started["planner"] == "scripted"
        assert process.started["cluster"].startswith("none")
        assert any("--context" in missing for missing in process.started["missing"])


def test_its_worker_ends_the_run_that_an_alert_begins(database: str) -> None:
    with ServeProcess(DATABASE_URL=database) as process:
        process.wait_until_ready()
        request = urllib.request.Request(f"{process.url}/alertmanager", data=json.dumps(payload()).encode())
        with (
            urllib.request.urlopen(f"{process.url}/api/stream", timeout=20) as stream,
            urllib.request.urlopen(request),
        ):
            while b'"event_type":"analysis"' not in stream.readline():
                pass
        _, detail = process.get("/api/incidents/1")
        assert detail["analysis_markdown"].startswith("## Summary")
        assert "no cluster" in str(
            [event["payload"] for event in detail["events"] if event["event_type"] == "escalated"]
        )
        with urllib.request.urlopen(f"{process.url}/metrics") as response:
            counted = response.read().decode()
        assert 'sre_agent_runs_total{result="escalated",runbook="RB_OOM"} 1.0' in counted


@pytest.fixture
def nobody(tmp_path: Path) -> Path:
    """A kubeconfig whose API server is not there."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    config = {
        "current-context": "away",
        "contexts": [{"name": "away", "context": {"cluster": "away", "user": "away"}}],
        "clusters": [{"name": "away", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "away", "user": {}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(config))
    return path


def test_a_cluster_that_does_not_answer_keeps_it_from_nothing(database: str, nobody: Path) -> None:
    """Alerts are taken from the first second on; what could not be looked at is looked at again."""
    with ServeProcess(DATABASE_URL=database, KUBECONFIG=str(nobody)) as process:
        process.wait_until_ready()
        assert process.started["cluster"].startswith("context away at http://127.0.0.1:")
        assert any("the cluster does not answer" in missing for missing in process.started["missing"])
        assert process.get("/healthz")[0] == 200
        with (
            urllib.request.urlopen(f"{process.url}/api/stream", timeout=60) as stream,
            urllib.request.urlopen(f"{process.url}/alertmanager", data=json.dumps(payload()).encode()),
        ):
            while b'"event_type":"analysis"' not in stream.readline():
                pass
    with psycopg.connect(database) as connection:
        ended = connection.execute("select status, retry_at - finished_at from runs").fetchone()
    assert ended is not None
    assert ended[0] == "failed"
    assert ended[1].total_seconds() == pytest.approx(300, abs=1)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_it_in_order(database: str, number: signal.Signals, code: int) -> None:
    with ServeProcess(DATABASE_URL=database) as process:
        process.wait_until_ready()
        assert process.get("/healthz")[0] == 200
        with urllib.request.urlopen(f"{process.url}/api/stream") as stream:
            assert stream.readline() == b"retry: 2000\n"
            began = time.monotonic()
            process.process.send_signal(number)
            while stream.readline():
                pass
            exit_code, said = process.ended()
        assert (exit_code, time.monotonic() - began < 15) == (code, True)
        assert "Traceback" not in said


def test_it_migrates_an_old_schema_or_refuses_it(blank_database: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", blank_database)
        assert run(["serve", "--no-migrate", "--port", "0"]) == 3
    assert "run `sre-agent db migrate`" in capsys.readouterr().err
    with ServeProcess("--no-worker", DATABASE_URL=blank_database) as process:
        process.wait_until_ready()
        assert process.get("/healthz")[0] == 200
    with psycopg.connect(blank_database) as connection:
        assert connection.execute("select count(*) from incidents").fetchone() == (0,)


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "said"),
    [
        (["--host", "no.such.host.invalid"], {}, 2, "the host no.such.host.invalid has no address"),
        (["--host", "192.0.2.1"], {"SRE_AGENT_API_TOKEN": "x"}, 2, "this machine has no such address"),
        (["--host", "0.0.0.0", "--port", "0"], {}, 2, "or say --insecure"),
        (["--port", "65536"], {}, 2, "--port"),
        ([], {"SRE_AGENT_LISTEN": "localhost"}, 2, "allowed is HOST:PORT"),
        ([], {"SRE_AGENT_TLS_CERT": "/nowhere"}, 2, "SRE_AGENT_TLS_KEY is not set"),
        ([], {"SRE_AGENT_TLS_CERT": "/nowhere", "SRE_AGENT_TLS_KEY": "/nowhere"}, 2, "No such file"),
        ([], {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, 3, "DATABASE_URL is not set"),
        (["--port", "0"], {"DATABASE_URL": "host=127.0.0.1 port=1 connect_timeout=2"}, 3, "cannot reach PostgreSQL"),
        (["--port", "0", "--context", "staging"], {}, 3, "there is no kubeconfig"),
    ],
)
def test_what_it_cannot_start_with_is_one_sentence(
    arguments: list[str],
    environment: dict[str, str],
    code: int,
    said: str,
    embedded: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SRE_AGENT_DATA_DIR", str(embedded))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert run(["serve", *arguments]) == code
    printed = capsys.readouterr().err
    assert said in printed
    assert "Traceback" not in printed


def test_a_port_in_use_is_told_at_once(taken: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", "--port", str(taken)]) == 3
    assert f"cannot listen at 127.0.0.1:{taken}: another program does" in capsys.readouterr().err


@pytest.mark.parametrize("fault", ["another key", "no certificate", "a key with a password"])
def test_a_certificate_that_cannot_be_used_is_refused_without_asking(
    certificates: Path, tmp_path: Path, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    certificate, key = certificates / "server.crt", certificates / "server.key"
    if fault == "another key":
        key = certificates / "ca.key"
    elif fault == "no certificate":
        certificate = tmp_path / "empty.pem"
        certificate.write_text("nothing\n")
    else:
        key = tmp_path / "locked.pem"
        command = ["openssl", "ec", "-in", str(certificates / "server.key"), "-aes256", "-passout", "pass:x", "-out"]
        subprocess.run([*command, str(key)], check=True, capture_output=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SRE_AGENT_TLS_CERT", str(certificate))
        patch.setenv("SRE_AGENT_TLS_KEY", str(key))
        assert run(["serve", "--port", "0"]) == 2
    assert "unencrypted PEM key" in capsys.readouterr().err


def test_with_a_certificate_it_speaks_https(database: str, certificates: Path) -> None:
    keys = {
        "SRE_AGENT_TLS_CERT": str(certificates / "server.crt"),
        "SRE_AGENT_TLS_KEY": str(certificates / "server.key"),
    }
    with ServeProcess("--no-worker", DATABASE_URL=database, **keys) as process:
        process.wait_until_ready()
        assert process.url.startswith("https://")
        trust = ssl.create_default_context(cafile=str(certificates / "ca.crt"))
        with urllib.request.urlopen(f"{process.url}/livez", context=trust) as response:
            assert json.load(response) == {"status": "ok"}


def test_without_a_certificate_there_is_no_tls() -> None:
    assert Certificate.of(load({"HOME": "/"})) is None


def test_beyond_loopback_it_says_what_is_shut(database: str) -> None:
    with ServeProcess(
        "--no-worker", "--host", "0.0.0.0", DATABASE_URL=database, SRE_AGENT_API_TOKEN="operators-own"
    ) as process:
        process.wait_until_ready()
        assert "the webhook is shut: set SRE_AGENT_WEBHOOK_TOKEN" in str(process.started["missing"])
        assert process.get("/healthz")[0] == 200
        assert process.get("/api/incidents")[0] == 401
        assert "operators-own" not in json.dumps(process.started)


def test_localhost_is_both_families_on_one_port(database: str) -> None:
    with ServeProcess("--no-worker", "--host", "localhost", DATABASE_URL=database) as process:
        process.wait_until_ready()
        places = process.started["listening"].split(", ")
        assert len({place.rpartition(":")[2] for place in places}) == 1
        assert all(urllib.request.urlopen(f"{place}/livez").status == 200 for place in places)


def test_a_person_reads_lines(database: str) -> None:
    """A terminal gets one fact a line, no JSON."""
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "sre_agent", "serve", "--no-worker", "--port", "0"]
    with subprocess.Popen(command, env={**os.environ, "DATABASE_URL": database}, stderr=follower) as process:
        os.close(follower)
        told = b""
        while b"ctrl-C ends it" not in told:
            told += os.read(leader, 4096)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    os.close(leader)
    lines = told.decode().replace("\r\n", "\n").splitlines()
    names = [line.split()[0] for line in lines if not line.startswith(" ")]
    assert names[:8] == ["sre-agent", "listening", "database", "cluster", "mode", "planner", "runbooks", "worker"]
    assert "missing" in names


async def test_while_it_stops_it_takes_nothing_in(database: str) -> None:
    """Somebody who is still connected is told 503, and his alert is not lost without a word."""
    with ServeProcess(DATABASE_URL=database) as process:
        await asyncio.to_thread(process.wait_until_ready)
        host, port = process.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        body = json.dumps(payload()).encode()
        head = f"POST /alertmanager HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        writer.write(head[:-2])
        await writer.drain()
        process.process.send_signal(signal.SIGTERM)
        writer.write(head[-2:] + body)
        with contextlib.suppress(ConnectionError):  # Alertmanager sends it again then, as after a 503
            assert (await reader.read())[:12] in {b"HTTP/1.1 503", b""}
        writer.close()
        code, _ = await asyncio.to_thread(process.ended)
        assert code == 0
    with psycopg.connect(database) as connection:
        assert connection.execute("select count(*) from incidents").fetchone() == (0,)
