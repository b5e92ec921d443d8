"""The kubelet of a recording's nodes: it tells the recorded logs to the API server, and nothing else.

A log that was not recorded is answered as a kubelet answers for a container that did not run.
"""

import ssl
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from sre_agent.cluster.recording import LogKey
from sre_agent.objects import Object
from tests.control_plane.plane import ControlPlane

ADDRESS = "127.0.0.1"


class RecordedKubelet:
    """Open it with `with`; `logs` says what it tells from then on."""

    def __init__(self, plane: ControlPlane) -> None:
        self.logs: Mapping[LogKey, str] = {}
        self._server = ThreadingHTTPServer((ADDRESS, 0), self._handler())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(plane.directory / "server.crt", plane.directory / "server.key")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def on(self, node: Object) -> Object:
        """The node as it was recorded, but with this kubelet on it."""
        here = {
            "addresses": [{"type": "InternalIP", "address": ADDRESS}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self._server.server_address[1]}},
        }
        return {**node, "status": {**node["status"], **here}}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        kubelet = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = urlsplit(self.path)
                _, kind, namespace, pod, container = asked.path.split("/")
                query = {key: values[0] for key, values in parse_qs(asked.query).items()}
                text = kubelet.logs.get((namespace, pod, container, query.get("previous") == "true"))
                if kind != "containerLogs" or text is None:
                    return self._say(400, f'container "{container}" in pod "{pod}" has no such log\n')
                lines = text.splitlines(keepends=True)
                return self._say(200, "".join(lines[-int(query["tailLines"]) :]))

            def _say(self, status: int, text: str) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "text/plain")
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        return Handler
