"""The way to a model's server: proxies and certificates of the environment, and nothing secret in any log."""

import asyncio
import io
import logging
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sre_agent.cli.main import run
from sre_agent.llm.port import Exchange
from sre_agent.log import configure
from sre_agent.resources import data_path
from sre_agent.settings import Settings
from sre_agent.store import Store
from tests.control_plane.certificates import make_certificates
from tests.llm.guided_runs import case_of, run_guided, settings_of
from tests.llm.test_bad_weather import asked
from tests.model_server import KEY, behaving, model_server


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("certificates")
    make_certificates(directory)
    return directory


@pytest.fixture
def tls(certificates: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates / "server.crt", certificates / "server.key")
    return context


@dataclass(kw_only=True)
class Proxy:
    """`asked` are the request lines that came in."""

    url: str = ""
    asked: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        line = head.split(b"\r\n")[0].decode()
        self.asked.append(line)
        method, where, _ = line.split()
        target = urlsplit(f"//{where}" if method == "CONNECT" else where)
        there, back = await asyncio.open_connection(target.hostname, target.port)
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            back.write(head)
        await asyncio.gather(_pipe(reader, back), _pipe(there, writer))


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


@asynccontextmanager
async def proxy() -> AsyncIterator[Proxy]:
    made = Proxy()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield made
    server.close()


async def test_a_server_with_its_own_authority_is_trusted_by_the_setting(
    tls: ssl.SSLContext, certificates: Path
) -> None:
    async with model_server(behaving, tls=tls) as server:
        settings = settings_of({**server.environment, "SRE_AGENT_LLM_CA": str(certificates / "ca.crt")})
        known, strange = await asked(settings), await asked(settings_of(server.environment))
    assert known.answer is not None
    assert strange.answer is None
    assert "CERTIFICATE_VERIFY_FAILED" in (strange.error or "")
    assert len(server.asked) == 1


async def test_https_goes_through_the_proxy_of_the_environment(
    tls: ssl.SSLContext, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with model_server(behaving, tls=tls) as server, proxy() as between:
        monkeypatch.setenv("HTTPS_PROXY", between.url)
        exchange = await asked(settings_of({**server.environment, "SRE_AGENT_LLM_CA": str(certificates / "ca.crt")}))
    assert exchange.answer is not None
    assert between.asked == [f"CONNECT 127.0.0.1:{urlsplit(server.url).port} HTTP/1.1"]


async def test_http_goes_through_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async with model_server(behaving) as server, proxy() as between:
        monkeypatch.setenv("HTTP_PROXY", between.url)
        exchange = await asked(settings_of(server.environment))
    assert exchange.answer is not None
    assert between.asked == [f"POST {server.url}/chat/completions HTTP/1.1"]


@pytest.mark.parametrize("way", ["HTTP_PROXY", "SSL_CERT_FILE"])
async def test_what_the_environment_says_wrongly_is_a_reason_in_the_trace(
    way: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(way, "nonsense://user:hunter2Canary9@nowhere")
    async with model_server(behaving) as server:
        record = await run_guided(store, case_of("crash-loop-oom"), settings_of(server.environment))
    assert record.action_taken is not None
    assert "cannot be asked" in record.llm_trace[0]["why"]
    assert "hunter2Canary9" not in str(record.llm_trace)


def test_a_file_without_certificates_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], database: str
) -> None:
    broken = tmp_path / "ca.pem"
    broken.write_text("no certificate")
    for name, value in {
        "DATABASE_URL": database,
        "OPENAI_BASE_URL": "https://127.0.0.1:1/v1",
        "SRE_AGENT_LLM_CA": str(broken),
    }.items():
        monkeypatch.setenv(name, value)
    assert run(["replay", str(data_path("examples") / "oom-killed")]) == 2
    assert f"SRE_AGENT_LLM_CA={broken}: no certificates can be read from it" in capsys.readouterr().err


@pytest.fixture
def _loggers_as_before() -> Iterator[None]:
    names = ("", "sre_agent", "openai", "httpx2", "httpcore2")
    before = {name: (logging.getLogger(name).handlers[:], logging.getLogger(name).level) for name in names}
    yield
    for name, (handlers, level) in before.items():
        logging.getLogger(name).handlers[:] = handlers
        logging.getLogger(name).setLevel(level)


@pytest.mark.usefixtures("_loggers_as_before")
async def test_no_log_holds_the_key_or_a_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where somebody lets the client library say everything."""
    monkeypatch.setenv("OPENAI_LOG", "debug")
    stream = io.StringIO()
    configure("DEBUG", json_lines=True, stream=stream)
    logging.getLogger("openai").setLevel(logging.DEBUG)
    settings: Settings
    async with model_server(behaving) as server:
        settings = settings_of(server.environment)
        exchange: Exchange = await asked(settings)
    assert exchange.answer is not None
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert server.headers[0]["Accept-Encoding"] == "identity"
    assert KEY not in stream.getvalue()
    assert "hello" not in stream.getvalue()
