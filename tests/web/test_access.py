"""Who may ask for what: credentials and roles, beyond loopback and on it; and browsers that another site sends."""

import base64
import http.client
import json
import socket
from typing import Any

import pytest

from sre_agent.errors import BadInput
from sre_agent.settings import load
from sre_agent.web.access import Access, Need, is_loopback
from sre_agent.web.app import ROUTES
from sre_agent.web.passage import Route
from tests.web.conftest import Serve
from tests.web.servers import Served, payload

WEBHOOK, OPERATOR, VIEWER = "webhook-token-1", "operator-token-2", "viewer-token-3"
PASSWORD = "pass:word-4"
KEYS = {
    "SRE_AGENT_WEBHOOK_USER": "alertmanager",
    "SRE_AGENT_WEBHOOK_PASSWORD": PASSWORD,
    "SRE_AGENT_WEBHOOK_TOKEN": WEBHOOK,
    "SRE_AGENT_API_TOKEN": OPERATOR,
    "SRE_AGENT_VIEWER_TOKEN": VIEWER,
}


def basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


GIVEN = {
    "nothing": None,
    "the webhook's token": f"Bearer {WEBHOOK}",
    "the webhook's password": basic("alertmanager", PASSWORD),
    "the viewer's token": f"Bearer {VIEWER}",
    "the operator's token": f"Bearer {OPERATOR}",
}
OPENS = {
    Need.NOTHING: set(GIVEN),
    Need.DELIVER: {"the webhook's token", "the webhook's password"},
    Need.READ: {"the viewer's token", "the operator's token"},
    Need.ACT: {"the operator's token"},
}


@pytest.mark.parametrize("given", GIVEN)
async def test_every_path_opens_to_its_roles_alone(serve: Serve, given: str) -> None:
    routes = [route for route in ROUTES if not route.page]
    found = await answers(serve, given, routes)
    refused = 401 if given == "nothing" else 403
    expected = {(route.method, route.path): given in OPENS[route.need] for route in routes}
    assert {path: status not in {401, 403} for path, (status, _) in found.items()} == expected
    assert {status for path, (status, _) in found.items() if not expected[path]} <= {refused}


@pytest.mark.parametrize("given", GIVEN)
async def test_every_page_opens_to_its_roles_alone_and_asks_others_to_sign_in(serve: Serve, given: str) -> None:
    """A form is a session's: whatever a program presents with one, it is led to the sign-in, or refused."""
    routes = [route for route in ROUTES if route.page and route.path != "/sign-in"]
    for (method, path), (status, place) in (await answers(serve, given, routes)).items():
        need = next(route.need for route in routes if (route.method, route.path) == (method, path))
        if need is Need.NOTHING:
            assert (status, place) == (303, "/"), path
        elif given == "nothing" or (method == "POST" and given in OPENS[need]):
            assert (status, place.partition("?")[0]) == (303, "/sign-in"), path
        elif given in OPENS[need]:
            assert status == (404 if "{id}" in path else 200), path
        else:
            assert status == 403, path


async def answers(serve: Serve, given: str, routes: list[Route]) -> dict[tuple[str, str], tuple[int, str]]:
    """The status and the place that each route leads to, with one credential."""
    headers = {} if GIVEN[given] is None else {"Authorization": str(GIVEN[given])}
    found = {}
    async with serve(loopback=False, **KEYS) as server:
        for route in routes:
            path = route.path.replace("{id}", "1").replace("{name}", "app.css")
            async with server.client.request(route.method, path, headers=headers, allow_redirects=False) as response:
                found[route.method, route.path] = (response.status, response.headers.get("Location", ""))
    return found


BAD = [
    "",
    "Bearer",
    "Bearer ",
    "Bearer x",
    f"Bearer {WEBHOOK}x",
    f"Bearer {WEBHOOK[:-1]}",
    f"bearer{WEBHOOK}",
    f"Bearer {WEBHOOK.upper()}",
    f"Token {WEBHOOK}",
    f"Basic {WEBHOOK}",
    WEBHOOK,
    "Basic",
    "Basic ",
    "Basic ====",
    "Basic \xff\xfe",
    basic("alertmanager", ""),
    basic("", PASSWORD),
    basic("alertmanager", "pass"),
    basic("alertmanager", f"{PASSWORD} "),
    basic("Alertmanager", PASSWORD),
    basic("alertmanager:pass", "word-4x"),
    f"Bearer {base64.b64encode(f'alertmanager:{PASSWORD}'.encode()).decode()}",
    f"Basic alertmanager:{PASSWORD}",
    f"Bearer alertmanager:{PASSWORD}",
    f"Digest username=alertmanager, response={PASSWORD}",
    "Negotiate YII=",
    "Bearer null",
    "Bearer " + "x" * 4000,
    f"Bearer {WEBHOOK}, Bearer {OPERATOR}",
    "\x80",
]


async def test_thirty_bad_credentials_are_thirty_times_401_and_no_row(serve: Serve) -> None:
    assert len(BAD) == 30
    async with serve(loopback=False, **KEYS) as server:
        statuses = []
        for authorization in BAD:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
            statuses.append(await _posted(connection, authorization))
        page = await server.get("/api/incidents", Authorization=f"Bearer {OPERATOR}")
    assert [status for status, _ in statuses] == [401] * 30
    for _, said in statuses:
        assert not any(secret in said for secret in (WEBHOOK, OPERATOR, VIEWER, PASSWORD))
    assert page.body["incidents"] == []


async def _posted(connection: http.client.HTTPConnection, authorization: str) -> tuple[int, str]:
    import asyncio

    def post() -> tuple[int, str]:
        headers = {"Authorization": authorization.encode("latin-1")}
        connection.request("POST", "/alertmanager", json.dumps(payload()), headers)  # type: ignore[arg-type]
        answer = connection.getresponse()
        said = f"{answer.headers} {answer.read().decode()}"
        connection.close()
        return answer.status, said

    return await asyncio.to_thread(post)


async def test_a_good_credential_is_let_in(serve: Serve) -> None:
    async with serve(loopback=False, **KEYS) as server:
        for good in (f"Bearer {WEBHOOK}", f"bearer {WEBHOOK}", basic("alertmanager", PASSWORD)):
            assert (await server.deliver(payload(), Authorization=good)).status == 200


async def test_a_refusal_says_how_to_come_in(serve: Serve) -> None:
    async with serve(loopback=False, **KEYS) as server:
        delivered, read = await server.deliver(payload()), await server.get("/api/incidents")
    assert delivered.headers["WWW-Authenticate"].startswith("Basic")
    assert "SRE_AGENT_WEBHOOK_TOKEN" in delivered.error["message"]
    assert read.headers["WWW-Authenticate"].startswith("Bearer")
    assert "SRE_AGENT_API_TOKEN" in read.error["message"]


async def test_on_loopback_all_is_open_until_a_credential_is_set(serve: Serve) -> None:
    async with serve() as server:
        assert (await server.deliver(payload())).status == 200
        assert (await server.get("/api/incidents")).status == 200
    async with serve(SRE_AGENT_API_TOKEN=OPERATOR) as server:
        assert (await server.deliver(payload())).status == 200
        assert (await server.get("/api/incidents")).status == 401
        assert (await server.post("/api/incidents/1/resolve")).status == 401


async def test_beyond_loopback_what_has_no_credential_is_shut(serve: Serve) -> None:
    async with serve(loopback=False, SRE_AGENT_API_TOKEN=OPERATOR) as server:
        answer = await server.deliver(payload(), Authorization=f"Bearer {OPERATOR}")
        assert (answer.status, "is shut: set SRE_AGENT_WEBHOOK_TOKEN" in answer.error["message"]) == (401, True)
        assert (await server.get("/nothing")).status == 401
        assert (await server.get("/healthz")).status == 200
        assert (await server.get("/livez")).status == 200


def test_beyond_loopback_without_any_credential_it_does_not_start() -> None:
    settings = load({"HOME": "/"})
    with pytest.raises(BadInput, match=r"SRE_AGENT_WEBHOOK_TOKEN .* --insecure"):
        Access.of(settings, loopback=False, insecure=False).require_some_key()
    Access.of(settings, loopback=True, insecure=False).require_some_key()
    insecure = Access.of(settings, loopback=False, insecure=True)
    insecure.require_some_key()
    insecure.admit(None, Need.ACT)
    assert [said.split(" is ")[0] for said in insecure.open_or_shut()] == ["the webhook", "the API"]


def test_that_visitors_read_is_told_at_the_start() -> None:
    settings = load({"HOME": "/", "SRE_AGENT_VISITORS": "on", "SRE_AGENT_WEBHOOK_TOKEN": "w" * 20})
    beyond = Access.of(settings, loopback=False, insecure=False)
    assert beyond.opens_to_all(Need.READ)
    assert list(beyond.open_or_shut()) == ["the API is read by everybody who can reach it: SRE_AGENT_VISITORS is on"]
    assert list(Access.of(settings, loopback=True, insecure=False).open_or_shut()) == []


async def test_an_expectation_that_is_not_met_is_told_in_the_one_shape(server: Served) -> None:
    for method in ("GET", "HEAD", "POST"):
        path = "/alertmanager" if method == "POST" else "/api/incidents"
        async with server.client.request(method, path, headers={"Expect": "wonders"}) as response:
            assert (response.status, response.content_type) == (417, "application/json")


@pytest.mark.parametrize("expect", [None, "100-continue"])
async def test_no_body_is_read_before_the_credential_is_known(serve: Serve, expect: str | None) -> None:
    import asyncio

    head = b"POST /alertmanager HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30000000\r\n"
    head += b"" if expect is None else f"Expect: {expect}\r\n".encode()

    async with serve(loopback=False, **KEYS) as server:

        def first_line() -> bytes:
            with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
                connection.sendall(head + b"\r\n")
                return connection.makefile("rb").readline()

        assert b" 401 " in await asyncio.to_thread(first_line)


async def test_a_sender_that_asks_first_is_told_to_go_on(serve: Serve) -> None:
    import asyncio

    body = json.dumps(payload()).encode()
    head = f"POST /alertmanager HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n"

    async with serve() as server:

        def lines() -> tuple[bytes, bytes]:
            with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
                answers = connection.makefile("rb")
                connection.sendall(f"{head}\r\n".encode())
                interim, _ = answers.readline(), answers.readline()
                connection.sendall(body)
                return interim, answers.readline()

        interim, final = await asyncio.to_thread(lines)
        assert (b" 100 " in interim, b" 200 " in final) == (True, True)
        assert (await server.post("/alertmanager", body, Expect="wonders")).status == 417


OTHER_SITES = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "file://"},
    {"Origin": "http://localhost:1"},
    {"Origin": "http://[broken"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none", "Origin": "http://evil.example"},
]


@pytest.mark.parametrize("headers", OTHER_SITES, ids=str)
@pytest.mark.parametrize("route", [route for route in ROUTES if route.method == "POST"], ids=lambda route: route.path)
async def test_a_page_of_another_site_writes_nothing(serve: Serve, route: Route, headers: dict[str, str]) -> None:
    async with serve() as server:
        answer = await server.post(route.path.replace("{id}", "1"), json.dumps(payload()), **headers)
        assert answer.status == 403
        if route.page:
            assert "That is not allowed" in answer.body
        else:
            assert answer.error["code"] == "forbidden"
        assert (await server.get("/api/incidents", **headers)).status == 200


async def test_a_page_of_this_server_may_write(serve: Serve) -> None:
    async with serve() as server:
        for headers in ({"Origin": server.url}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}):
            assert (await server.deliver(payload(), **headers)).status == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "10.0.0.1", "", "localhost.evil.example", "[x"])
async def test_on_loopback_another_name_is_refused(serve: Serve, host: str) -> None:
    async with serve() as server:
        assert (await server.get("/api/incidents", Host=host)).status in {400, 403}
        assert (await server.deliver(payload(), Host=host)).status in {400, 403}


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "127.8.8.8", "[::1]:8080", "localhost."]
)
async def test_on_loopback_its_own_names_are_let_in(serve: Serve, host: str) -> None:
    async with serve() as server:
        assert (await server.get("/api/incidents", Host=host)).status == 200


async def test_beyond_loopback_any_name_will_do(serve: Serve) -> None:
    async with serve(loopback=False, **KEYS) as server:
        answer = await server.get("/api/incidents", Host="sre.example", Authorization=f"Bearer {VIEWER}")
        assert answer.status == 200


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False), ("db", False)],
)
def test_loopback_is_told_from_other_places(host: str, is_ours: bool) -> None:
    assert is_loopback(host) is is_ours


async def test_every_answer_has_the_security_headers(serve: Serve) -> None:
    async with serve() as server:
        for path in ("/livez", "/api/incidents", "/api/incidents/1", "/nothing", "/openapi.json"):
            headers: Any = (await server.get(path)).headers
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
            assert headers["Cache-Control"] == "no-store"
            assert headers["Server"] == "sre-agent"


def test_a_token_that_opens_two_things_is_refused_without_repeating_it() -> None:
    same = {"SRE_AGENT_WEBHOOK_TOKEN": "s3cret", "SRE_AGENT_API_TOKEN": "s3cret", "SRE_AGENT_VIEWER_TOKEN": "another"}
    with pytest.raises(BadInput, match="SRE_AGENT_WEBHOOK_TOKEN and SRE_AGENT_API_TOKEN are the same") as refused:
        Access.of(load({"HOME": "/", **same}), loopback=True, insecure=False)
    assert "s3cret" not in str(refused.value)
