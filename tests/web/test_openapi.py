"""The OpenAPI document is true: it names every path, and every real answer is what it says."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from sre_agent.web.app import ROUTES
from sre_agent.web.errors import CODES
from sre_agent.web.openapi import document
from tests.conftest import copy_of
from tests.web.servers import Answer, Served, ServeProcess, alert, payload

SCHEMA = document()
OPERATIONS = [(path, method) for path, methods in SCHEMA["paths"].items() for method in methods]


def test_it_names_every_path_that_programs_ask_for_and_no_other() -> None:
    """Pages and what they are made of are for people."""
    of_programs = [route for route in ROUTES if not route.page and not route.path.startswith("/static/")]
    assert sorted(OPERATIONS) == sorted((route.path, route.method.lower()) for route in of_programs)


def test_it_is_a_document_of_openapi_31() -> None:
    assert SCHEMA["openapi"] == "3.1.0"
    for schema in SCHEMA["components"]["schemas"].values():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})
    named = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(SCHEMA)))
    assert named == set(SCHEMA["components"]["schemas"])


async def test_it_is_served(server: Served) -> None:
    assert (await server.get("/openapi.json")).body == SCHEMA


def said(path: str, method: str, answer: Answer) -> None:
    """Fails where an answer is not what the document says."""
    responses = SCHEMA["paths"][path][method]["responses"]
    assert str(answer.status) in responses, f"{method} {path} answers {answer.status}: {answer.body}"
    content: Mapping[str, Any] = responses[str(answer.status)].get("content", {})
    if not content:
        assert answer.body == ""
        return
    content_type = answer.headers["Content-Type"].partition(";")[0]
    assert content_type in content
    schema = {**content[content_type]["schema"], "components": SCHEMA["components"]}
    jsonschema_rs.validate(schema, answer.body, validate_formats=True)


async def test_every_answer_of_every_path_is_what_it_says(played_server: Served) -> None:
    server, told = played_server, set()

    async def call(
        path: str, method: str, *, identifier: int | str | None = None, body: str = "", query: str = "", **headers: str
    ) -> None:
        usual = "RB_OOM" if path.startswith("/api/runbooks") else 1
        address = path.replace("{id}", str(identifier or usual)) + query
        async with server.client.request(method.upper(), address, data=body.encode(), headers=headers) as response:
            if path == "/api/stream" and response.status == 200:
                text = (await response.content.readline()).decode()
                answer = Answer(status=200, headers=response.headers, body=text)
            else:
                answer = await Answer.of(response)
        said(path, method, answer)
        told.add((path, method, answer.status))

    for path, method in OPERATIONS:
        body = json.dumps(payload(alert(), alert(pod="app-2"))) if path == "/alertmanager" else ""
        await call(path, method, body=body)
        await call(path, method, query="?nonsense=1")
        await call(path, method, body="x")
        await call(path, method, Host="evil.example")
        await call(path, method, Origin="http://evil.example")
    await call("/api/incidents", "get", query="?origin=replay&limit=2")
    await call("/api/incidents/{id}/regenerate-analysis", "post")
    await call("/api/incidents/{id}/suppress", "post")
    await call("/api/incidents/{id}", "get", identifier=99)
    await call("/api/runbooks/{id}", "get", identifier="RB_NONE")
    assert {(path, method) for path, method, status in told if status == 200} == set(OPERATIONS)
    assert {status for _, _, status in told} >= {200, 400, 403, 404, 409}


def test_every_code_of_an_error_stands_in_the_document() -> None:
    error = SCHEMA["components"]["schemas"]["Error"]["properties"]["error"]
    assert error["properties"]["code"]["enum"] == sorted(CODES.values())


CASES = int(os.environ.get("SRE_AGENT_TEST_API_CASES", "2000"))
"""Over all paths together; the soak asks for more."""

CALLED = [
    (path, method)
    for path, method in OPERATIONS
    if SCHEMA["paths"][path][method].keys() & {"parameters", "requestBody"} and path != "/api/stream"
]
"""Where there is something to vary; a stream that is let in never ends."""


@pytest.fixture(scope="module")
def fuzzed(migrated_template: str, postgres: str) -> Iterator[ServeProcess]:
    """One server for all cases: what one of them leaves behind, the next one meets."""
    with (
        contextmanager(copy_of)(postgres, migrated_template) as database,
        ServeProcess("--no-worker", DATABASE_URL=database) as process,
    ):
        process.wait_until_ready()
        yield process


@pytest.mark.slow
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["as said", "otherwise"])
@pytest.mark.parametrize(("path", "method"), CALLED)
def test_no_request_whatever_is_answered_otherwise(
    fuzzed: ServeProcess, path: str, method: str, mode: GenerationMode
) -> None:
    """What is meant to be valid may still be refused (a cursor that no page gave out, a text without a word).

    What is invalid is refused; but an empty parameter asks for nothing, and the webhook sets a bad alert aside.
    """
    operation = schemathesis.openapi.from_dict(SCHEMA)[path][method.upper()]

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=max(1, CASES // (2 * len(CALLED))),
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def holds(case: schemathesis.Case) -> None:
        answered = case.call(base_url=fuzzed.url, timeout=30)
        if answered.status_code == 431:  # the document says it of every path
            return
        unsaid = [positive_data_acceptance]
        if path == "/alertmanager" or "" in (case.query or {}).values():
            unsaid.append(negative_data_rejection)
        case.validate_response(answered, excluded_checks=unsaid)

    holds()
