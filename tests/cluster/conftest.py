"""As much of an API server as the opening of a live cluster asks for, over TLS, and a kubeconfig that leads to it."""

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.control_plane.certificates import make_certificates

TOKEN = "s3cr3t-t0ken-of-the-agent"
Config = dict[str, Any]


class Api(BaseHTTPRequestHandler):
    """As much of an API server as the opening asks for.

    Tests say what is `served` and `accepted`, and by how many seconds its clock is `ahead`.
    """

    protocol_version = "HTTP/1.1"
    served: tuple[dict[str, str], ...] = ({"name": "pods/eviction", "group": "policy", "version": "v1"},)
    accepted: tuple[str, ...] = (TOKEN,)
    ahead: float = 0.0
    address: str
    seen: list[str]

    def do_GET(self) -> None:
        token = str(self.headers.get("Authorization")).removeprefix("Bearer ")
        type(self).seen.append(token)
        if token in self.accepted:
            self._say(200, {"kind": "APIResourceList", "resources": list(self.served)})
        else:
            self._say(401, {"kind": "Status", "code": 401, "reason": "Unauthorized", "message": "Unauthorized"})

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string((timestamp or time.time()) + self.ahead)

    def _say(self, code: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """The directory with ca.crt, server.crt and server.key."""
    directory = tmp_path / "keys"
    directory.mkdir()
    make_certificates(directory)
    return directory


@pytest.fixture
def api(authority: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Api]]:
    """A handler class whose server is at `address`; it speaks TLS."""

    class Own(Api):
        """Of this test alone."""

    Own.seen = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Own)
    server.daemon_threads = True
    server.handle_error = lambda *_: None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "server.crt", authority / "server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    Own.address = f"127.0.0.1:{server.server_address[1]}"
    yield Own
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def config(api: type[Api], authority: Path) -> Config:
    """A kubeconfig that works."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "staging",
        "contexts": [{"name": "staging", "context": {"cluster": "staging", "user": "agent"}}],
        "clusters": [
            {
                "name": "staging",
                "cluster": {
                    "server": f"https://{api.address}",
                    "certificate-authority": str(authority / "ca.crt"),
                },
            }
        ],
        "users": [{"name": "agent", "user": {"token": TOKEN}}],
    }


@pytest.fixture
def use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Config | str], Path]:
    """Writes a kubeconfig and makes it the user's."""

    def write(content: Config | str) -> Path:
        path = tmp_path / "config"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        monkeypatch.setenv("KUBECONFIG", str(path))
        return path

    return write
