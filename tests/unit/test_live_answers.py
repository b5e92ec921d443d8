"""What each answer of an API server means for a read, a write and a dry run."""

import json
from typing import Any

import pytest

from sre_agent.budgets import SEVERAL
from sre_agent.cluster.live.answers import Answer, Expired, NotServed, Unauthenticated, items_in, object_in, refusal
from sre_agent.cluster.live.requests import Request
from sre_agent.cluster.port import (
    ClusterError,
    Conflict,
    Forbidden,
    Leaving,
    NotFound,
    Refused,
    TooManyRequests,
    Unavailable,
    UnknownOutcome,
)

READ = Request(method="GET", path="/api/v1/pods", what="listing pods")
WRITE = Request(method="DELETE", path="/api/v1/pods/a", what="deleting Pod a", changes=True)
DRY = Request(method="DELETE", path="/api/v1/pods/a", what="deleting Pod a as a dry run")


def answer(code: int, body: Any, kind: str = "application/json", **headers: str) -> Answer:
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return Answer.read(code, data, {"Content-Type": kind, **named})


def status(code: int, reason: str, message: str = "no", **details: Any) -> Answer:
    return answer(code, {"kind": "Status", "code": code, "reason": reason, "message": message, "details": details})


def page(code: int) -> Answer:
    return answer(code, "<html>Please log in</html>", "text/html")


RBAC = 'deployments.apps "web" is forbidden: User "agent" cannot patch resource "deployments" in API group "apps" in x'
WEBHOOK = (
    'Internal error occurred: failed calling webhook "policy.example.com": failed to call webhook: Post "https://"'
)
TERMINATING = [{"reason": "NamespaceTerminating", "message": "namespace x is being terminated"}]
OTHER_UID = [{"field": "metadata.uid", "message": "field is immutable"}]
ROWS = [
    pytest.param(status(400, "BadRequest"), Refused, Refused, id="400"),
    pytest.param(status(401, "Unauthorized"), Unauthenticated, Unauthenticated, id="401"),
    pytest.param(status(403, "Forbidden", RBAC), Forbidden, Forbidden, id="403 for want of a right"),
    pytest.param(status(403, "Forbidden", "exceeded quota: mem"), Refused, Refused, id="403 for a quota"),
    pytest.param(status(403, "Forbidden", causes=TERMINATING), Leaving, Leaving, id="403 while the namespace goes"),
    pytest.param(status(404, "NotFound", name="a", kind="pods"), NotFound, NotFound, id="404 of an object"),
    pytest.param(status(404, "NotFound"), NotServed, NotServed, id="404 of a resource"),
    pytest.param(answer(404, "404 page not found\n", "text/plain"), NotServed, NotServed, id="404 of a group"),
    pytest.param(page(404), Unavailable, Refused, id="404 of somebody else"),
    pytest.param(answer(408, "", "text/plain"), Unavailable, UnknownOutcome, id="408"),
    pytest.param(status(409, "Conflict"), Conflict, Conflict, id="409"),
    pytest.param(answer(409, "no", "text/plain"), Unavailable, Refused, id="409 of somebody else"),
    pytest.param(status(410, "Expired"), Expired, Expired, id="410"),
    pytest.param(status(422, "Invalid"), Refused, Refused, id="422"),
    pytest.param(status(422, "Invalid", causes=OTHER_UID), Conflict, Conflict, id="422 for another uid"),
    pytest.param(answer(429, "Too many requests", "text/plain"), TooManyRequests, TooManyRequests, id="429"),
    pytest.param(status(500, "InternalError"), Unavailable, UnknownOutcome, id="500"),
    pytest.param(status(500, "InternalError", WEBHOOK), Unavailable, Unavailable, id="500 of a webhook that is away"),
    pytest.param(answer(500, WEBHOOK, "text/plain"), Unavailable, UnknownOutcome, id="500 of who speaks of a webhook"),
    pytest.param(status(500, "InternalError", SEVERAL), Unavailable, Refused, id="500 for two budgets"),
    pytest.param(page(502), Unavailable, UnknownOutcome, id="502 of a gateway"),
    pytest.param(status(503, "ServiceUnavailable"), Unavailable, UnknownOutcome, id="503"),
    pytest.param(status(504, "Timeout"), Unavailable, UnknownOutcome, id="504"),
    pytest.param(answer(101, ""), Unavailable, UnknownOutcome, id="101"),
]


@pytest.mark.parametrize(("came", "of_read", "of_write"), ROWS)
def test_a_refusal_says_what_to_do_next(
    came: Answer, of_read: type[ClusterError], of_write: type[ClusterError]
) -> None:
    assert type(refusal(READ, came)) is of_read
    assert type(refusal(WRITE, came)) is of_write
    assert not isinstance(refusal(DRY, came), UnknownOutcome)
    assert str(refusal(WRITE, came)).startswith("deleting Pod a: ")


def test_a_missing_right_is_named_as_the_rule_that_gives_it() -> None:
    said = str(refusal(READ, status(403, "Forbidden", RBAC)))
    assert '{apiGroups: ["apps"], resources: ["deployments"], verbs: ["patch"]}' in said
    assert "k8s/base/rbac.yaml" in said


def test_plain_http_on_the_tls_port_is_told_apart() -> None:
    came = answer(400, "Client sent an HTTP request to an HTTPS server.\n", "text/plain")
    assert "has to begin with https://" in str(refusal(READ, came))


@pytest.mark.parametrize(
    ("came", "seconds"),
    [
        pytest.param(answer(429, "", Retry_After="7"), 7.0, id="said in the header"),
        pytest.param(status(429, "TooManyRequests", retryAfterSeconds=9), 9.0, id="said in the status"),
        pytest.param(status(429, "TooManyRequests"), 5.0, id="not said"),
        pytest.param(answer(429, "", Retry_After="0"), 5.0, id="zero"),
        pytest.param(answer(429, "", Retry_After="-3"), 5.0, id="negative"),
        pytest.param(answer(429, "", Retry_After="inf"), 5.0, id="endless"),
        pytest.param(answer(429, "", Retry_After="nan"), 5.0, id="no number"),
        pytest.param(answer(429, "", Retry_After="86400"), 60.0, id="a day"),
        pytest.param(answer(429, "", Retry_After="Wed, 21 Oct 2026 07:28:00 GMT"), 5.0, id="a date"),
        pytest.param(answer(429, {"kind": "Status", "details": "odd"}), 5.0, id="odd details"),
    ],
)
def test_another_try_waits_as_long_as_was_said_within_reason(came: Answer, seconds: float) -> None:
    error = refusal(WRITE, came)
    assert isinstance(error, TooManyRequests)
    assert error.retry_after == seconds


@pytest.mark.parametrize(
    ("causes", "budget"),
    [
        pytest.param([], None, id="merely busy"),
        pytest.param(
            [{"reason": "DisruptionBudget", "message": "The disruption budget web needs 2 healthy pods and has 2"}],
            "web",
            id="named",
        ),
        pytest.param([{"reason": "DisruptionBudget", "message": "?"}], "unnamed", id="not named"),
        pytest.param(["odd", None], None, id="odd causes"),
    ],
)
def test_the_budget_that_forbids_an_eviction_is_named(causes: list[Any], budget: str | None) -> None:
    error = refusal(WRITE, status(429, "TooManyRequests", causes=causes))
    assert isinstance(error, TooManyRequests)
    assert error.budget == budget


@pytest.mark.parametrize(
    "came",
    [
        pytest.param(page(200), id="a page"),
        pytest.param(answer(200, '{"kind": "Pod", "metad'), id="half an object"),
        pytest.param(answer(200, "[]"), id="no object"),
        pytest.param(answer(200, ""), id="nothing"),
        pytest.param(answer(200, '{"a":' * 100_000), id="a deep hole"),
    ],
)
def test_a_good_status_without_an_object_is_no_answer(came: Answer) -> None:
    with pytest.raises(Unavailable):
        object_in(READ, came)
    with pytest.raises(Unavailable):
        object_in(DRY, came)
    with pytest.raises(UnknownOutcome, match="may have been carried out"):
        object_in(WRITE, came)


@pytest.mark.parametrize(
    ("body", "count"),
    [
        pytest.param({"kind": "PodList", "items": [{}, {}]}, 2, id="two"),
        pytest.param({"kind": "PodList", "items": []}, 0, id="none"),
        pytest.param({"kind": "PodMetricsList", "items": None}, 0, id="none, as Go writes it"),
        pytest.param({"kind": "Pod", "items": []}, None, id="no list"),
        pytest.param({"kind": "PodList", "items": {}}, None, id="items of another shape"),
    ],
)
def test_an_empty_list_is_one_that_says_so(body: dict[str, Any], count: int | None) -> None:
    if count is None:
        with pytest.raises(Unavailable):
            items_in(READ, answer(200, body))
    else:
        assert len(items_in(READ, answer(200, body))) == count
