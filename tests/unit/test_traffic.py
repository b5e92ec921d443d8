"""How the API server answered a process lately: what counts as an error, and for how long."""

import pytest

from sre_agent.cluster.live.traffic import TrafficCounter
from sre_agent.cluster.port import (
    ClusterError,
    Conflict,
    Forbidden,
    NotFound,
    Refused,
    TooManyRequests,
    Unavailable,
    UnknownOutcome,
)

ANSWERS = [
    pytest.param(None, 0, id="an answer"),
    pytest.param(NotFound("gone"), 0, id="an absence"),
    pytest.param(Forbidden("no right"), 0, id="a missing right"),
    pytest.param(Conflict("rv"), 0, id="a conflict"),
    pytest.param(Refused("quota"), 0, id="a refusal"),
    pytest.param(TooManyRequests("PDB", budget="web"), 0, id="a budget"),
    pytest.param(TooManyRequests("busy"), 1, id="a busy server"),
    pytest.param(Unavailable("503"), 1, id="a failing server"),
    pytest.param(UnknownOutcome("reset"), 1, id="no answer to a write"),
]


@pytest.mark.parametrize(("error", "errors"), ANSWERS)
def test_an_error_is_an_answer_that_says_nothing(error: ClusterError | None, errors: int) -> None:
    counter = TrafficCounter()
    counter.count(error)
    assert (counter.traffic.requests, counter.traffic.errors) == (1, errors)


def test_requests_count_for_five_minutes_and_each_process_has_its_name() -> None:
    now = 0.0
    counter = TrafficCounter(seconds=lambda: now)
    counter.count(Unavailable("503"))
    counter.count()
    now = 290.0
    counter.count()
    assert (counter.traffic.requests, counter.traffic.errors) == (3, 1)
    now = 300.0
    assert (counter.traffic.requests, counter.traffic.errors) == (1, 0)
    now = 590.0
    assert (counter.traffic.requests, counter.traffic.errors) == (0, 0)
    assert counter.traffic.source == counter.source != TrafficCounter().source
