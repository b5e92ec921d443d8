"""A real Chromium, real servers, and pages that are watched: what a test may not see is seen here, for each of them."""

import asyncio
import json
import os
import shutil
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.conftest import copy_of
from tests.web.servers import ServeProcess, alert, payload

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPERATOR, VIEWER = "operator-token-2", "viewer-token-3"
LINKS = "Grafana=https://grafana.example/d/pods?var-pod={pod}&from={from}&to={to}"
PATIENCE = 10_000
"""Milliseconds that a page may take for what a test waits for."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker("browser")


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the browser: SRE_AGENT_TEST_BROWSER, or the first that is on PATH."""
    named = os.environ.get("SRE_AGENT_TEST_BROWSER")
    found = named if named and Path(named).is_file() else None
    if named is None:
        found = next((path for path in map(shutil.which, NAMES) if path), None)
    if found is None:
        missing = f"SRE_AGENT_TEST_BROWSER is {named}" if named else f"none of {', '.join(NAMES)} is on PATH"
        pytest.fail(
            f"the tests of the pages need Chromium, and {missing}. On Debian: apt install chromium; a browser that is "
            "elsewhere is named by SRE_AGENT_TEST_BROWSER",
            pytrace=False,
        )
    return found


@pytest.fixture(scope="session")
def browser(chromium: str, played: str) -> Iterator[Browser]:
    """One browser for all tests. The databases are made before: its loop is then the thread's."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield opened
        opened.close()
    asyncio.set_event_loop(None)


@dataclass(kw_only=True)
class Watch:
    """What went on in a browser beside what the test looks at."""

    host: str
    consoled: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def on(self, page: Page) -> None:
        page.on("console", lambda said: self._console(said.type, said.text))
        page.on("pageerror", lambda error: self.consoled.append(str(error)))
        page.on("request", lambda request: self._request(request.method, request.url))
        page.on("dialog", self._dialog)

    def _console(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.consoled.append(text)

    def _request(self, method: str, url: str) -> None:
        self.requests.append(f"{method} {urlsplit(url).path}")
        if urlsplit(url).netloc != self.host:
            self.elsewhere.append(url)

    def _dialog(self, dialog: Any) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()


@dataclass(frozen=True, kw_only=True)
class Site:
    """A server process over a database, as a sender of alerts and a program see it."""

    process: ServeProcess
    database: str
    guarded: bool

    @property
    def url(self) -> str:
        return self.process.url

    def call(self, path: str, body: Any = None, method: str = "POST") -> Any:
        sent = None if method == "GET" else json.dumps(body or {}).encode()
        headers = {"Authorization": f"Bearer {OPERATOR}"} if self.guarded else {}
        request = urllib.request.Request(self.url + path, data=sent, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answered:
            said = answered.read()
            return json.loads(said) if said else None

    def get(self, path: str) -> Any:
        return self.call(path, method="GET")

    def deliver(self, **labels: str) -> int:
        """Sends an alert about a pod; the id of its incident."""
        self.call("/alertmanager", payload(alert(**labels)))
        listed = self.get("/api/incidents?limit=50")["incidents"]
        return max(int(incident["id"]) for incident in listed if incident["pod"] == labels["pod"])

    def analysed(self, incident: int) -> int:
        """Waits until its run has ended and is written up."""
        deadline = time.monotonic() + 30
        while self.get(f"/api/incidents/{incident}")["analysis_markdown"] is None:
            assert time.monotonic() < deadline, "no analysis came"
            time.sleep(0.1)
        return incident


@contextmanager
def serving(database: str, **environment: str) -> Iterator[Site]:
    with ServeProcess(DATABASE_URL=database, HOME="/nowhere", SRE_AGENT_LINKS=LINKS, **environment) as process:
        process.wait_until_ready()
        yield Site(process=process, database=database, guarded="SRE_AGENT_API_TOKEN" in environment)


@pytest.fixture(scope="session")
def site(postgres: str, played: str) -> Iterator[Site]:
    """A server with a worker and without credentials: replays 1 acted, 2 recommended, 3 refused; and what tests add."""
    with contextmanager(copy_of)(postgres, played) as database, serving(database) as running:
        yield running


@pytest.fixture(scope="session")
def guarded(postgres: str, played: str) -> Iterator[Site]:
    """The same with a token for operators and one for viewers."""
    keys = {"SRE_AGENT_API_TOKEN": OPERATOR, "SRE_AGENT_VIEWER_TOKEN": VIEWER}
    with contextmanager(copy_of)(postgres, played) as database, serving(database, **keys) as running:
        yield running


Visit = Callable[..., Page]


@pytest.fixture
def visit(browser: Browser, site: Site) -> Iterator[Visit]:
    """Opens a path in a browser of its own. At the end: no error consoled, no other host asked."""
    watches, contexts = [], []

    def visiting(
        path: str,
        *,
        at: Site = site,
        width: int = 1280,
        height: int = 800,
        scheme: str = "light",
        script: bool = True,
        watched: bool = True,
        **more: Any,
    ) -> Page:
        context = browser.new_context(
            base_url=at.url,
            viewport={"width": width, "height": height},
            color_scheme=scheme,  # type: ignore[arg-type]
            java_script_enabled=script,
            reduced_motion="reduce",
            **more,
        )
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        watch = Watch(host=urlsplit(at.url).netloc)
        watch.on(page)
        page.watch = watch  # type: ignore[attr-defined]
        if watched:
            watches.append(watch)
        page.goto(path)
        return page

    yield visiting
    for context in contexts:
        context.close()
    assert [said for watch in watches for said in watch.consoled] == []
    assert [url for watch in watches for url in watch.elsewhere] == []
    assert [said for watch in watches for said in watch.dialogs] == []


def watch_of(page: Page) -> Watch:
    watch: Watch = page.watch  # type: ignore[attr-defined]
    return watch


def until(condition: Callable[[], object], *, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.02)
