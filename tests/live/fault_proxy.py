"""A proxy before an API server that spoils chosen requests, and counts what arrived and what it passed on.

It ends TLS with an authority of its own, so that nothing behind it is seen but what it lets through. It speaks plain
HTTP/1.1 and forwards one request at a time on a connection of its own: it never repeats anything itself.
"""

import http.client
import json
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import yaml

from tests.control_plane.certificates import make_certificates
from tests.control_plane.plane import ControlPlane

AGENT = "agent"
PAGE = b"<html><body><h1>Welcome</h1><p>Please log in to the corporate proxy.</p></body></html>"
TOO_OLD = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410}
HANG_SECONDS = 30.0
PASSED_ON = ("accept", "authorization", "content-type", "user-agent")


class Fault(Enum):
    """What becomes of a request: (whether the API server sees it, the status that the client sees, if any)."""

    RESET_BEFORE = ("reset before it was passed on", False, None)
    RESET_AFTER = ("reset after it was passed on", True, None)
    HANG_BEFORE = ("30 s of silence, not passed on", False, None)
    HANG_AFTER = ("30 s of silence, passed on", True, None)
    HALF = ("half the answer, then the end", True, None)
    HALF_UNNOTICED = ("half the answer without a length", True, 200)
    BUSY = ("429 without Retry-After", False, 429)
    BUSY_FOR_A_SECOND = ("429 with Retry-After", False, 429)
    FAILING = ("500", False, 500)
    AWAY = ("503", False, 503)
    LATE = ("504 after it was passed on", True, 504)
    ELSEWHERE = ("a redirect", False, 307)
    PAGE = ("an HTML page with 200", False, 200)
    PAGE_404 = ("an HTML page with 404", False, 404)
    PAGE_502 = ("an HTML page with 502", False, 502)
    EXPIRED = ("410, as for a continue token that is too old", False, 410)

    def __init__(self, said: str, arrives: bool, status: int | None) -> None:
        self.said = said
        self.arrives = arrives
        self.status = status


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """One request as it arrived. `dry` says that it was a dry run."""

    method: str
    path: str
    dry: bool
    fault: Fault | None


Choose = Callable[[str, str, bool], Fault | None]


@dataclass(kw_only=True)
class FaultProxy:
    """Open it with `with`; `choose` says which fault a request (method, path, whether a dry run) meets, if any."""

    plane: ControlPlane
    directory: Path
    choose: Choose = lambda method, path, dry: None
    seen: list[Seen] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True)
        make_certificates(self.directory)
        self._stop = threading.Event()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.directory / "server.crt", self.directory / "server.key")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def address(self) -> str:
        return f"https://127.0.0.1:{self._server.server_address[1]}"

    def kubeconfig(self, user: str = AGENT) -> Path:
        """A kubeconfig whose server is the proxy."""
        path = self.directory / f"{user}.kubeconfig"
        config = yaml.safe_load(self.plane.kubeconfig(user).read_text())
        config["clusters"][0]["cluster"] = {
            "server": self.address,
            "certificate-authority": str(self.directory / "ca.crt"),
        }
        path.write_text(yaml.safe_dump(config))
        return path

    def writes(self, *, dry: bool = False) -> list[Seen]:
        """What came in that may change the cluster; dry runs instead, if asked for."""
        return [seen for seen in self.seen if seen.method != "GET" and seen.dry is dry]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                dry = "dryRun" in self.path or b'"dryRun"' in body
                fault = proxy.choose(self.command, self.path, dry)
                proxy.seen.append(Seen(method=self.command, path=self.path, dry=dry, fault=fault))
                answer = proxy.forward(self, body) if fault is None or fault.arrives else (0, b"", {})
                proxy.answer(self, fault, *answer)

            do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = handle_any  # noqa: N815

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        return Handler

    def forward(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        """The API server's answer to the request as it came."""
        context = ssl.create_default_context(cafile=str(self.plane.authority))
        connection = http.client.HTTPSConnection(urlsplit(self.plane.server).netloc, context=context, timeout=60)
        try:
            headers = {key: value for key, value in request.headers.items() if key.lower() in PASSED_ON}
            connection.request(request.command, request.path, body or None, headers)
            answer = connection.getresponse()
            kept = {
                key: value for key, value in answer.headers.items() if key in ("Content-Type", "Retry-After", "Date")
            }
            return answer.status, answer.read(), kept
        finally:
            connection.close()

    def answer(
        self, request: BaseHTTPRequestHandler, fault: Fault | None, status: int, body: bytes, headers: dict[str, str]
    ) -> None:
        """What the client gets to see."""
        match fault:
            case None:
                _say(request, status, body, headers)
            case Fault.RESET_BEFORE | Fault.RESET_AFTER:
                _reset(request)
            case Fault.HANG_BEFORE | Fault.HANG_AFTER:
                self._hang(request)
            case Fault.HALF:
                _say(request, status, body, headers, cut=True)
            case Fault.HALF_UNNOTICED:
                _say(request, status, body[: len(body) // 2], {**headers, "Connection": "close"})
            case Fault.BUSY_FOR_A_SECOND:
                _say(request, 429, b"Too many requests\n", {"Content-Type": "text/plain", "Retry-After": "1"})
            case Fault.ELSEWHERE:
                _say(request, 307, b"", {"Location": f"{self.plane.server}{request.path}"})
            case Fault.EXPIRED:
                _say(request, 410, json.dumps(TOO_OLD).encode(), {"Content-Type": "application/json"})
            case Fault.PAGE | Fault.PAGE_404 | Fault.PAGE_502:
                _say(request, fault.status or 0, PAGE, {"Content-Type": "text/html; charset=utf-8"})
            case _:
                _say(request, fault.status or 0, b"upstream trouble\n", {"Content-Type": "text/plain"})

    def _hang(self, request: BaseHTTPRequestHandler) -> None:
        """Silence until the client goes away."""
        until = time.monotonic() + HANG_SECONDS
        while time.monotonic() < until and not self._stop.is_set():
            if select.select([request.connection], [], [], 0.02)[0]:
                break
        request.close_connection = True


class _Server(ThreadingHTTPServer):
    """Clients that break off are what this server is for: their errors are not printed."""

    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: Any) -> None:
        """Says nothing."""


def _say(
    request: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str], *, cut: bool = False
) -> None:
    request.send_response(status)
    for key, value in headers.items():
        request.send_header(key, value)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body[: len(body) // 2] if cut else body)
    request.wfile.flush()
    request.close_connection = request.close_connection or cut or headers.get("Connection") == "close"


def _reset(request: BaseHTTPRequestHandler) -> None:
    """A TCP reset: what is unsent is thrown away and nothing is said."""
    request.close_connection = True
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raw = socket.socket(fileno=request.connection.detach())
    raw.close()


@contextmanager
def before(plane: ControlPlane, directory: Path) -> Iterator[FaultProxy]:
    """A proxy before an API server that lets AGENT do everything meanwhile."""
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "agent-does-everything"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": AGENT}],
    }
    plane.api.delete(binding)
    plane.api.create(binding)
    with FaultProxy(plane=plane, directory=directory) as opened:
        yield opened
    plane.api.delete(binding)
