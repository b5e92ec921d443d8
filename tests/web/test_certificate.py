"""A certificate that is renewed while the server runs: new connections see the new one, old ones go on."""

import asyncio
import os
import shutil
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from sre_agent.settings import Address
from sre_agent.web.certificate import LOOK_SECONDS, Certificate
from sre_agent.web.listening import bound, listening, place_of
from tests.control_plane.certificates import make_certificates
from tests.web.servers import ServeProcess

REQUEST = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two directories, each with a certificate and its key."""
    directories = tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("second")
    for directory in directories:
        make_certificates(directory)
    return directories


@pytest.fixture
def used(issued: tuple[Path, Path], tmp_path: Path) -> Path:
    """The directory that the server reads, with the first certificate."""
    for name in ("server.crt", "server.key"):
        shutil.copy(issued[0] / name, tmp_path / name)
    return tmp_path


def replace(used: Path, source: Path, *names: str) -> None:
    for name in names:
        shutil.copy(source / name, used / f"{name}.new")
        os.replace(used / f"{name}.new", used / name)


def text_of(directory: Path) -> str:
    return (directory / "server.crt").read_text()


@asynccontextmanager
async def speaking(certificate: Certificate) -> AsyncIterator[int]:
    """A server that answers every request with nothing; yields its port."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_get("/livez", answer)
    with bound(Address(host="127.0.0.1", port=0)) as sockets:
        async with listening(app, sockets, certificate):
            yield place_of(sockets[0]).port


class Visitor:
    """One connection. `shown` is the certificate that it was given, as PEM."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        self.shown = ssl.DER_cert_to_PEM_cert(shown)

    @classmethod
    async def arrives(cls, port: int, *, name: str | None = "localhost") -> "Visitor":
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=trusting, server_hostname=name or ""))

    async def is_answered(self) -> bool:
        self._writer.write(REQUEST)
        return (await self._reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")

    async def leaves(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


async def shown_to_a_new_one(port: int, *, name: str | None = "localhost") -> str:
    visitor = await Visitor.arrives(port, name=name)
    assert await visitor.is_answered()
    await visitor.leaves()
    return visitor.shown


async def test_a_renewed_one_is_shown_to_whoever_comes_and_old_connections_go_on(
    issued: tuple[Path, Path], used: Path
) -> None:
    certificate = Certificate(used / "server.crt", used / "server.key")
    async with speaking(certificate) as port:
        early = await Visitor.arrives(port)
        assert early.shown == text_of(issued[0])
        assert await early.is_answered()
        replace(used, issued[1], "server.crt", "server.key")
        assert await shown_to_a_new_one(port) == text_of(issued[0]), "nobody has looked yet"
        await certificate.look()
        assert await shown_to_a_new_one(port) == text_of(issued[1])
        assert await shown_to_a_new_one(port, name=None) == text_of(issued[1]), "also to one that names no host"
        assert await early.is_answered()
        await early.leaves()


@pytest.mark.parametrize("fault", ["half replaced", "no certificate", "gone"])
async def test_what_cannot_be_used_leaves_the_old_one_in_place_and_is_told_once(
    issued: tuple[Path, Path], used: Path, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    certificate = Certificate(used / "server.crt", used / "server.key")
    async with speaking(certificate) as port:
        if fault == "half replaced":
            replace(used, issued[1], "server.crt")
        elif fault == "no certificate":
            (used / "server.crt").write_text("nothing\n")
        else:
            (used / "server.crt").unlink()
        await certificate.look()
        await certificate.look()
        assert caplog.text.count("certificate.refused") == 1
        assert "PRIVATE" not in caplog.text
        assert await shown_to_a_new_one(port) == text_of(issued[0])
        replace(used, issued[1], "server.crt", "server.key")
        await certificate.look()
        assert await shown_to_a_new_one(port) == text_of(issued[1])


def test_a_serving_process_looks_by_itself(database: str, issued: tuple[Path, Path], used: Path) -> None:
    keys = {"SRE_AGENT_TLS_CERT": str(used / "server.crt"), "SRE_AGENT_TLS_KEY": str(used / "server.key")}
    with ServeProcess("--no-worker", DATABASE_URL=database, **keys) as process:
        process.wait_until_ready()
        port = int(process.url.rpartition(":")[2])
        assert ssl.get_server_certificate(("127.0.0.1", port)) == text_of(issued[0])
        replace(used, issued[1], "server.crt", "server.key")
        deadline = time.monotonic() + 3 * LOOK_SECONDS
        while ssl.get_server_certificate(("127.0.0.1", port)) != text_of(issued[1]):
            assert time.monotonic() < deadline, "the new certificate is not shown"
            time.sleep(0.2)
