"""Questions about Kubernetes JSON that several rooms ask: selectors and times."""

from datetime import UTC, datetime
from typing import Any

import pytest

from sre_agent.objects import matches, time_of

WEB = {"app": "web", "tier": "front"}


def expression(operator: str, key: str = "app", *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("selector", "selects"),
    [
        pytest.param(None, False, id="no selector selects nothing"),
        pytest.param({}, True, id="an empty one selects all"),
        pytest.param({"matchLabels": WEB}, True, id="equal labels"),
        pytest.param({"matchLabels": {"app": "api"}}, False, id="another value"),
        pytest.param(expression("In", "app", "api", "web"), True, id="In"),
        pytest.param(expression("In", "app", "api"), False, id="not In"),
        pytest.param(expression("In", "zone", "a"), False, id="In, label absent"),
        pytest.param(expression("NotIn", "app", "api"), True, id="NotIn"),
        pytest.param(expression("NotIn", "app", "web"), False, id="not NotIn"),
        pytest.param(expression("NotIn", "zone", "a"), True, id="NotIn, label absent"),
        pytest.param(expression("Exists"), True, id="Exists"),
        pytest.param(expression("Exists", "zone"), False, id="Exists, absent"),
        pytest.param(expression("DoesNotExist", "zone"), True, id="DoesNotExist"),
        pytest.param(expression("DoesNotExist"), False, id="DoesNotExist, there"),
        pytest.param(expression("Near"), False, id="an operator that nobody knows selects nothing"),
        pytest.param({"matchLabels": WEB, **expression("Exists", "zone")}, False, id="both must hold"),
    ],
)
def test_a_label_selector_selects_as_the_api_server_does(selector: dict[str, Any] | None, selects: bool) -> None:
    assert matches(selector, WEB) is selects


NOON = datetime(2025, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        pytest.param("2025-01-31T12:00:00Z", NOON, id="as the API prints it"),
        pytest.param("2025-01-31T12:00:00.000000Z", NOON, id="microseconds"),
        pytest.param("2025-01-31T13:00:00+01:00", NOON, id="another zone"),
        pytest.param("2025-01-31 12:00:00", NOON, id="written by hand: a space and no zone"),
        pytest.param("0001-01-01T00:00:00Z", None, id="the zero year is not set"),
        pytest.param("noon", None, id="no time"),
        pytest.param("2025-01-31", None, id="a date alone"),
        pytest.param("", None, id="empty"),
        pytest.param(None, None, id="absent"),
    ],
)
def test_a_time_of_an_object_is_read_or_absent(text: str | None, moment: datetime | None) -> None:
    assert time_of(text) == moment
