"""Browsers: signing in with a token, what a session may, the word of its forms, and where nobody is led."""

import re
import time
from http.cookies import Morsel, SimpleCookie
from typing import Any

import pytest

from sre_agent.web import sessions
from sre_agent.web.sessions import COOKIE, LIFE_SECONDS, begin, session_of
from tests.web.conftest import Serve
from tests.web.reading import Element
from tests.web.servers import Answer, Served, payload

OPERATOR, VIEWER, WEBHOOK = "operator-token-2", "viewer-token-3", "webhook-token-1"
KEYS = {
    "SRE_AGENT_API_TOKEN": OPERATOR,
    "SRE_AGENT_VIEWER_TOKEN": VIEWER,
    "SRE_AGENT_WEBHOOK_TOKEN": WEBHOOK,
}
WRITES = [
    ("/incident/1/decide", {"what": "suppress", "reason": "known"}),
    ("/incident/1/regenerate-analysis", {}),
    ("/status/pause", {"what": "pause", "reason": "known"}),
]


class Browser:
    """A browser without a script: it keeps the cookie it was given, and follows nothing."""

    def __init__(self, server: Served) -> None:
        self._server = server
        self.cookie = ""
        self.set_cookie: Morsel[str] | None = None

    async def ask(self, method: str, path: str, form: dict[str, str] | None = None, **headers: str) -> Answer:
        sent = headers | ({"Cookie": f"{COOKIE}={self.cookie}"} if self.cookie else {})
        async with self._server.client.request(
            method, path, data=form, headers=sent, allow_redirects=False
        ) as response:
            return await Answer.of(response)

    async def sign_in(self, token: str, following: str = "/") -> Answer:
        answered = await self.ask("POST", "/sign-in", {"token": token, "next": following})
        given: SimpleCookie = SimpleCookie(answered.headers.get("Set-Cookie", ""))
        if COOKIE in given:
            self.set_cookie, self.cookie = given[COOKIE], given[COOKIE].value
            self._server.client.cookie_jar.clear()
        return answered

    async def word(self, path: str = "/") -> str:
        page = Element.of((await self.ask("GET", path)).body)
        return page.one("meta", name="csrf-token")["content"]


@pytest.fixture
async def started(serve: Serve) -> Any:
    async with serve(loopback=False, **KEYS) as server:
        answered = await server.deliver(payload(), Authorization=f"Bearer {WEBHOOK}")
        assert answered.status == 200
        yield server


async def state(server: Served) -> tuple[str, int, bool]:
    """What a write would change: the incident's status, its events, and whether changes are held."""
    bearer = {"Authorization": f"Bearer {OPERATOR}"}
    document = (await server.get("/api/incidents/1", **bearer)).body
    status = (await server.get("/api/status", **bearer)).body
    return document["incident"]["status"], len(document["events"]), bool(status["pauses"])


async def test_who_is_not_signed_in_is_asked_to_and_led_back(started: Served) -> None:
    browser = Browser(started)
    asked = await browser.ask("GET", "/?namespace=demo&q=a%20b")
    assert (asked.status, asked.headers["Location"]) == (303, "/sign-in?next=/%3Fnamespace%3Ddemo%26q%3Da%2520b")
    page = Element.of((await browser.ask("GET", asked.headers["Location"])).body)
    following = page.one("input", name="next")["value"]
    signed = await browser.sign_in(VIEWER, following)
    assert (signed.status, signed.headers["Location"]) == (303, "/?namespace=demo&q=a%20b")
    assert (await browser.ask("GET", "/")).status == 200


@pytest.mark.parametrize("token", ["", "x", OPERATOR + "x", OPERATOR[:-1], OPERATOR.upper(), WEBHOOK, "\x00", "ü" * 50])
async def test_a_wrong_token_is_none(started: Served, token: str) -> None:
    browser = Browser(started)
    refused = await browser.sign_in(token, "/status")
    assert (refused.status, browser.cookie) == (403, "")
    page = Element.of(refused.body)
    assert page.one("p", role="alert").text == "That is no token of this server."
    assert page.one("input", name="next")["value"] == "/status"
    assert len(token) < 8 or token not in refused.body


async def test_the_cookie_is_for_this_server_s_http_alone_and_is_no_token(started: Served) -> None:
    browser = Browser(started)
    await browser.sign_in(f" {OPERATOR}\n")
    given = browser.set_cookie
    assert given is not None
    assert (given["httponly"], given["samesite"], given["path"], given["domain"]) == (True, "Lax", "/", "")
    assert given["max-age"] == str(LIFE_SECONDS)
    assert given["secure"] == ""  # this server speaks no TLS
    assert OPERATOR not in browser.cookie


@pytest.mark.parametrize(("scheme", "secure"), [("http", ""), ("https", True)])
async def test_behind_a_proxy_that_speaks_https_the_cookie_is_for_https_alone(
    started: Served, scheme: str, secure: bool | str
) -> None:
    host = started.url.removeprefix("http://")
    form = {"token": OPERATOR, "next": "/"}
    signed = await Browser(started).ask("POST", "/sign-in", form, Origin=f"{scheme}://{host}")
    given: SimpleCookie = SimpleCookie(signed.headers["Set-Cookie"])
    assert given[COOKIE]["secure"] == secure


@pytest.mark.parametrize(("path", "form"), WRITES)
async def test_a_viewer_reads_and_an_operator_acts(started: Served, path: str, form: dict[str, str]) -> None:
    viewer, operator, before = Browser(started), Browser(started), await state(started)
    await viewer.sign_in(VIEWER)
    await operator.sign_in(OPERATOR)
    assert (await viewer.ask("GET", "/incident/1")).status == 200
    refused = await viewer.ask("POST", path, form | {"csrf": await viewer.word()})
    assert (refused.status, "does not open this" in refused.body) == (403, True)
    assert await state(started) == before
    done = await operator.ask("POST", path, form | {"csrf": await operator.word()})
    assert done.status == (409 if path.endswith("analysis") else 303)  # its run is still queued
    assert (await state(started) == before) == path.endswith("analysis")


async def test_a_viewer_s_page_offers_nothing_that_is_refused(started: Served) -> None:
    viewer, operator = Browser(started), Browser(started)
    await viewer.sign_in(VIEWER)
    await operator.sign_in(OPERATOR)
    shown = Element.of((await viewer.ask("GET", "/incident/1")).body)
    assert [form["action"] for form in shown.all("form", method="post")] == ["/sign-out"]
    assert shown.one("button", id="regenerate").attributes["disabled"] == ""
    full = Element.of((await operator.ask("GET", "/incident/1")).body)
    assert [form["action"] for form in full.all("form", method="post")] == [
        "/sign-out",
        "/incident/1/decide",
        "/incident/1/regenerate-analysis",
    ]


@pytest.mark.parametrize("word", [None, "", "x", "a.b", "of another session", "of a viewer", "\x00.\x00", "é.é"])
@pytest.mark.parametrize(("path", "form"), WRITES)
async def test_a_form_without_its_word_does_nothing(
    started: Served, path: str, form: dict[str, str], word: str | None
) -> None:
    browser, other, before = Browser(started), Browser(started), await state(started)
    await browser.sign_in(OPERATOR)
    await other.sign_in(VIEWER if word == "of a viewer" else OPERATOR)
    given = await other.word() if word in {"of another session", "of a viewer"} else word
    answered = await browser.ask("POST", path, form if given is None else form | {"csrf": given})
    assert (answered.status, answered.headers["Location"].partition("?")[0]) == (303, "/sign-in")
    assert await state(started) == before


@pytest.mark.parametrize("header", [None, "x", "of another session", "its own"])
async def test_a_script_of_a_page_says_the_word_in_a_header(started: Served, header: str | None) -> None:
    browser, other = Browser(started), Browser(started)
    await browser.sign_in(OPERATOR)
    await other.sign_in(OPERATOR)
    word = {"its own": await browser.word(), "of another session": await other.word()}.get(str(header), header)
    headers = {} if word is None else {"X-CSRF-Token": word}
    answered = await browser.ask("POST", "/api/incidents/1/suppress", **headers)
    assert answered.status == (200 if header == "its own" else 403)
    assert (await browser.ask("GET", "/api/incidents/1")).body["incident"]["status"] == (
        "suppressed" if header == "its own" else "open"
    )


async def test_each_page_has_another_word_and_all_of_them_count(started: Served) -> None:
    browser = Browser(started)
    await browser.sign_in(OPERATOR)
    words = [await browser.word() for _ in range(3)]
    assert len(set(words)) == 3
    for what, word in zip(("pause", "resume", "pause"), words, strict=True):
        assert (await browser.ask("POST", "/status/pause", {"what": what, "csrf": word})).headers[
            "Location"
        ] == "/status"


@pytest.mark.parametrize(("path", "form"), WRITES)
async def test_a_session_that_is_over_does_nothing_and_what_was_written_is_kept(
    started: Served, monkeypatch: pytest.MonkeyPatch, path: str, form: dict[str, str]
) -> None:
    browser, before = Browser(started), await state(started)
    await browser.sign_in(OPERATOR)
    form = form | {"csrf": await browser.word()} | ({"reason": "known, & <b>told</b> — 7"} if "reason" in form else {})
    at = time.time()
    monkeypatch.setattr(sessions.time, "time", lambda: at + LIFE_SECONDS + 1)
    answered = await browser.ask("POST", path, form)
    assert answered.status == 303
    assert await state(started) == before
    asked = Element.of((await browser.ask("GET", answered.headers["Location"])).body)
    assert "The session was over: nothing was done." in asked.one("main").text
    signed = await browser.sign_in(OPERATOR, asked.one("input", name="next")["value"])
    page = Element.of((await browser.ask("GET", signed.headers["Location"].partition("#")[0])).body)
    if "reason" in form:
        assert page.one("input", name="reason")["value"] == "known, & <b>told</b> — 7"
    else:
        assert signed.headers["Location"] == "/incident/1#analysis"


async def test_a_session_ends_with_its_token_and_with_signing_out(serve: Serve) -> None:
    async with serve(loopback=False, **KEYS) as server:
        browser = Browser(server)
        await browser.sign_in(OPERATOR)
        word, cookie = await browser.word(), browser.cookie
        out = await browser.ask("POST", "/sign-out", {"csrf": word})
        assert (out.status, out.headers["Location"]) == (303, "/")
        assert re.match(rf'{COOKIE}="";.*Max-Age=0', out.headers["Set-Cookie"])
    async with serve(loopback=False, **{**KEYS, "SRE_AGENT_API_TOKEN": "another-one"}) as server:
        browser = Browser(server)
        browser.cookie = cookie
        assert (await browser.ask("GET", "/")).status == 303


async def test_a_page_of_another_site_signs_nobody_out(started: Served) -> None:
    browser = Browser(started)
    await browser.sign_in(OPERATOR)
    refused = await browser.ask("POST", "/sign-out", {"csrf": await browser.word()}, Origin="http://evil.example")
    assert (refused.status, "Set-Cookie" in refused.headers) == (403, False)
    assert (await browser.ask("POST", "/sign-out")).headers["Location"].startswith("/sign-in")


ELSEWHERE = [
    "http://evil.example/",
    "https:evil.example",
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "\t//evil.example",
    "/\r\nLocation: http://evil.example",
    "javascript:alert(1)",
    "evil.example",
    "",
    "/sign-in?next=/sign-in",
]


@pytest.mark.parametrize("place", ELSEWHERE)
async def test_nobody_is_led_to_another_place(started: Served, place: str) -> None:
    browser = Browser(started)
    signed = await browser.sign_in(OPERATOR, place)
    assert (signed.status, signed.headers["Location"]) == (303, "/")
    async with started.client.get("/sign-in", params={"next": place}) as asked:
        assert Element.of(await asked.text()).one("input", name="next")["value"] == "/"


async def test_visitors_read_and_do_not_act(serve: Serve) -> None:
    async with serve(loopback=False, SRE_AGENT_VISITORS="on", **KEYS) as server:
        await server.deliver(payload(), Authorization=f"Bearer {WEBHOOK}")
        visitor, before = Browser(server), await state(server)
        for path in ("/", "/incident/1", "/runbooks", "/status", "/api/incidents"):
            assert (await visitor.ask("GET", path)).status == 200
        page = Element.of((await visitor.ask("GET", "/incident/1")).body)
        assert page.all("form", method="post") == []
        assert page.one("a", class_="sign")["href"] == "/sign-in?next=/incident/1"
        for path, form in WRITES:
            answered = await visitor.ask("POST", path, form)
            assert answered.headers["Location"].startswith("/sign-in?lost")
        assert (await visitor.ask("POST", "/api/incidents/1/suppress")).status == 401
        assert (await server.deliver(payload())).status == 401
        assert await state(server) == before
        await visitor.sign_in(OPERATOR)
        form = {"what": "suppress", "csrf": await visitor.word("/incident/1")}
        assert (await visitor.ask("POST", "/incident/1/decide", form)).headers["Location"] == "/incident/1"


async def test_on_loopback_without_a_token_everybody_acts_and_nobody_signs_in(server: Served) -> None:
    await server.deliver(payload())
    page = Element.of((await server.get("/incident/1")).body)
    assert (page.all("a", class_="sign"), page.all("meta", name="csrf-token")) == ([], [])
    assert page.one("button", id="regenerate").attributes.get("disabled") is None
    assert (await server.post("/incident/1/decide", "what=suppress")).status == 200


KEY = b"k" * 32


@pytest.mark.parametrize(
    "changed",
    [
        lambda cookie: "",
        lambda cookie: None,
        lambda cookie: cookie[:-1],
        lambda cookie: cookie + "0",
        lambda cookie: "9" + cookie,
        lambda cookie: cookie.replace(".", "", 1),
        lambda cookie: "." * 5,
        lambda cookie: f"{10**13}." + cookie.partition(".")[2],
        lambda cookie: "٣" * 10 + cookie[10:],
        lambda cookie: cookie.rpartition(".")[0] + ".é",
    ],
)
def test_a_cookie_that_was_changed_is_none(changed: Any) -> None:
    cookie = begin(KEY)
    assert session_of(cookie, [b"other", KEY]) is not None
    assert session_of(changed(cookie), [KEY]) is None
    assert session_of(cookie, [b"other"]) is None
