"""A real Alertmanager on loopback, started from PATH, and the little that tests tell it."""

import json
import shutil
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.error import URLError

from tests.control_plane.processes import Ended, Processes, free_ports

PROGRAM = next(filter(None, map(shutil.which, ("prometheus-alertmanager", "alertmanager"))), None)
PATIENCE = 30.0
TRIES = 3

CONFIG = """
route: {receiver: nobody}
receivers: [{name: nobody}]
inhibit_rules:
- source_matchers: [severity="critical"]
  target_matchers: [severity="warning"]
  equal: [namespace]
"""
USER, PASSWORD = "sre-agent", "open-sesame"
WEB_CONFIG = f"""
basic_auth_users: {{{USER}: "$2b$04$abcdefghijklmnopqrstuuXcjcm5avyCiJoD2uS24xa2lb6fjMB3G"}}
"""


@dataclass(frozen=True, kw_only=True)
class AlertmanagerServer:
    """One that is ready. `url` is what SRE_AGENT_ALERTMANAGER_URL would be."""

    url: str

    def fire(self, labels: Mapping[str, str], *, until: timedelta = timedelta(hours=1)) -> None:
        """Posts an alert as Prometheus does; one whose end is in the past is resolved."""
        now = datetime.now(UTC)
        alert = {"labels": dict(labels), "startsAt": _text(now - timedelta(minutes=5)), "endsAt": _text(now + until)}
        self._call("POST", "alerts", [alert])

    def silence(self, name: str, value: str) -> str:
        """Silences whatever carries this label, and returns the silence's id."""
        now = datetime.now(UTC)
        body = {
            "matchers": [{"name": name, "value": value, "isRegex": False, "isEqual": True}],
            "startsAt": _text(now),
            "endsAt": _text(now + timedelta(hours=1)),
            "createdBy": "ada",
            "comment": "on it",
        }
        return str(self._call("POST", "silences", body)["silenceID"])

    def end_silence(self, silence: str) -> None:
        self._call("DELETE", f"silence/{silence}", None)

    def counted(self, name: str) -> int:
        """One of its own counters, of webhooks alone."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=PATIENCE) as response:
            lines = response.read().decode().splitlines()
        counts = [line.rpartition(" ")[2] for line in lines if line.startswith(f'{name}{{integration="webhook"')]
        return sum(int(float(count)) for count in counts)

    def _call(self, method: str, path: str, body: Any) -> Any:
        request = urllib.request.Request(
            f"{self.url}/api/v2/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            return json.loads(response.read() or b"null")


@contextmanager
def alertmanager(
    directory: Path, *arguments: str, prefix: str = "", config: str = CONFIG
) -> Iterator[AlertmanagerServer]:
    """Runs one until the block ends. A port that somebody else took meanwhile is worth another try."""
    assert PROGRAM is not None
    (directory / "alertmanager.yml").write_text(config)
    for left in reversed(range(TRIES)):
        (port,) = free_ports(1)
        processes = Processes(Path(PROGRAM).parent, directory)
        processes.start(
            Path(PROGRAM).name,
            f"--config.file={directory / 'alertmanager.yml'}",
            f"--storage.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
            *arguments,
        )
        try:
            url = f"http://127.0.0.1:{port}{prefix}"
            try:
                _await_ready(url, processes)
            except Ended:
                if not left:
                    raise
                continue
            yield AlertmanagerServer(url=url)
            return
        finally:
            processes.stop()


def _await_ready(url: str, processes: Processes) -> None:
    """Until it answers, whatever it answers: one with users says 401."""
    until = time.monotonic() + PATIENCE
    while True:
        processes.check()
        try:
            urllib.request.urlopen(f"{url}/-/ready", timeout=1).close()
        except urllib.request.HTTPError as error:
            error.close()
            return
        except (URLError, TimeoutError, ConnectionError):
            assert time.monotonic() < until
            time.sleep(0.05)
        else:
            return


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
